"""What the doctor says of a machine that a real arm is to be driven from."""

import json

import pytest

from handrail.launch import doctor, preflight
from handrail.launch.cli import main
from handrail.launch.compose import compose
from handrail.robot_env import realtime


def real_time(monkeypatch: pytest.MonkeyPatch, *words: str, kernel: bool, highest: int) -> tuple[str, str]:
    monkeypatch.setattr(realtime, "kernel_is_realtime", lambda: kernel)
    monkeypatch.setattr(
        realtime, "fifo_permitted", lambda priority=realtime.FIFO_PRIORITY: priority <= highest
    )
    check = doctor._real_time(compose(words).config)
    return check.verdict, check.text


@pytest.mark.parametrize(
    ("words", "kernel", "highest", "verdict", "part"),
    [
        (("arm=franka",), True, 99, "ok", "SCHED_FIFO permitted"),
        (("arm=franka",), False, 99, "fail", "PREEMPT_RT"),
        (("arm=franka",), True, 90, "fail", "rtprio 99"),
        (("arm=franka", "env.arm.franka.realtime=ignore"), False, 90, "ok", "SCHED_FIFO permitted"),
        (("arm=ur",), False, 20, "ok", "SCHED_FIFO permitted"),
        (("arm=ur",), False, 0, "fail", "a real arm needs it"),
        (("arm=sim_server",), False, 0, "note", "SCHED_FIFO not permitted"),
    ],
)
def test_real_time_is_asked_for_as_the_arm_s_driver_wants_it(
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    kernel: bool,
    highest: int,
    verdict: str,
    part: str,
) -> None:
    found, text = real_time(monkeypatch, *words, kernel=kernel, highest=highest)
    assert (found, part in text) == (verdict, True), text


def doctor_of(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """Exit code, and verdict and text by line."""
    code = main(["doctor", *words, "--json"])
    return code, {
        each["name"]: (each["verdict"], each["text"]) for each in json.loads(capsys.readouterr().out)
    }


def test_an_unfinished_station_is_checked_and_each_missing_fact_is_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, lines = doctor_of(capsys, "station=franka_cell", "task=ram_insertion_real", "device=synthetic")
    assert code == 23
    for key in (
        "env.arm.joint_home",
        "env.arm.franka.host",
        "env.camera_devices.1.serial",
        "env.task.seated_pose",
    ):
        assert lines[key][0] == "fail" and f"{key}=<value>" in lines[key][1]
    # What can be looked at is.
    assert {"python", "real time", "camera wrist_1", "camera wrist_2", "arm", "workspace", "link"} <= set(
        lines
    )
    assert lines["link"][0] == "ok"


def test_one_camera_without_a_serial_number_leaves_the_others_to_be_checked() -> None:
    pytest.importorskip("cv2", reason="needs the extra 'opencv'")
    listed = "{name: a, driver: opencv}, {name: b, driver: opencv, serial: /nowhere.mp4}"
    images = "env.cameras=[{name: a}, {name: b}]"
    config = compose([f"env.camera_devices=[{listed}]", images]).config
    found = {check.name: check for check in preflight.cameras(config)}
    assert "a has no serial" in found["camera a"].text and "Connected: " in found["camera a"].text
    assert "/nowhere.mp4 is not there" in found["camera b"].text
    assert {check.verdict for check in found.values()} == {"fail"}
