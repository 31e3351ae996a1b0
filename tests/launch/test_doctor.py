"""What the doctor says of a machine that a real arm is to be driven from."""

import pytest

from handrail.launch import doctor
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
