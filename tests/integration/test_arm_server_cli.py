"""The arm server as its operator meets it: real processes, real sockets, the simulated arm in real time."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from recording import RecordingGripper

from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import arm_link
from handrail.launch import arm_server as arm_server_command
from handrail.launch.cli import main
from handrail.launch.compose import compose
from handrail.robot_env import realtime
from handrail.robot_env.arms.sim import SimDriver
from handrail.robot_env.errors import ArmError, ConfigError
from handrail.robot_env.remote import whereabouts
from handrail.robot_env.remote.client import ArmClient
from handrail.robot_env.remote.make import make_server
from handrail.robot_env.sim.cell import SimCell

DEADLINE_S = 30.0


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "handrail.launch.cli", *words]


def until(condition: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"waited {deadline_s} s for {what}"
        time.sleep(0.05)


PATIENT = ("env.arm.server.reading_age_s=2", "env.arm.server.watchdog_s=2")
"""The simulated robot shares the server's process, and the commander the test's: machines stall."""


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """The simulated arm behind a server at an address of this test's own."""
    return ["arm=sim_server", f"env.arm.server.address=ipc://{tmp_path}/arm", *PATIENT]


@contextmanager
def arm_server(*words: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A real `handrail arm-server`, and the line with which it began to serve."""
    process = subprocess.Popen(
        command("arm-server", *words),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Serving"), process.communicate(timeout=DEADLINE_S)
        yield process, line
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def arm(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    capsys.readouterr()
    assert main(["arm", *words, "--json"]) == 0
    return json.loads(last_line(capsys))


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    """A server in the test's own process logs to the same place."""
    return capsys.readouterr().out.splitlines()[-1]


def drive(client: ArmClient, dropped: list[str]) -> None:
    """Command the present pose until a command is refused."""
    pose = client.state().pose
    while not dropped:
        try:
            client.set_target(pose)
        except ArmError as error:
            dropped.append(str(error))
        time.sleep(0.02)


@pytest.mark.timeout(120)
def test_serve_look_stop_and_end(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with arm_server(*words) as (process, line):
        assert re.match(r"Serving 'arm', sim_server \(panda\), at .*/arm: HOLD · 200 Hz, ", line), line
        assert "box 10 x 10 x 11 cm · 0.25 m/s · 35 N" in line
        state = arm(capsys, "state", *words)
        assert (state["mode"], state["lease"], state["fault"]) == ("hold", 0, "")
        assert {"pose", "q", "wrench", "setpoint", "counters", "commander", "job"} <= set(state)

        # Somebody drives; the operator's stop counts all the same.
        client = ArmClient(compose(words).config.env, "driver")
        client.connect()
        assert main(["arm", "open", *words]) == 3  # the jaws are the commander's
        assert "commanded by 'driver'" in capsys.readouterr().err
        client.start()
        dropped: list[str] = []
        driver = threading.Thread(target=drive, args=(client, dropped))
        driver.start()
        state = arm(capsys, "state", *words)
        assert state["mode"] == "run" and f"process {os.getpid()}" in str(state["commander"])
        assert arm(capsys, "stop", *words)["mode"] == "hold"
        driver.join(DEADLINE_S)
        assert "HOLD" in dropped[0]
        client.close()
        assert arm(capsys, "recover", "by=Ada", *words)["mode"] == "hold"  # nothing to recover from
        assert main(["arm", "state", *words]) == 0
        assert capsys.readouterr().out.startswith("HOLD · commanded by nobody · tool at 0.5")

        # The doctor looks at the arm through the same server.
        assert main(["doctor", *words, "--json"]) == 0
        checks = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
        assert [checks[name]["verdict"] for name in ("arm", "kinematics", "static force")] == ["ok"] * 3
        assert "0.0 mm" in checks["kinematics"]["text"]

        # A second owner of the arm is refused.
        second = subprocess.run(
            command("arm-server", *words), capture_output=True, text=True, timeout=60, check=False
        )
        complaint = second.stderr.splitlines()[-1]
        assert second.returncode == 3 and f"process {process.pid}" in complaint

        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0
        events = [json.loads(each) for each in log.splitlines()]
        assert all(each["role"] == "arm-server" and each["timestamp"] for each in events)
        assert any("commands the arm" in each["event"] for each in events)
    assert main(["arm", "state", *words]) == 3
    said = capsys.readouterr().err
    assert "start `handrail arm-server` with the same station= and task= (or overrides) as here" in said


@pytest.mark.timeout(120)
def test_a_fault_is_shown_and_acknowledged_by_a_person(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """With the server in this process, so that the test can break and mend its arm."""
    env = compose(words).config.env
    driver, stop = SimDriver(SimCell(env.sim)), threading.Event()
    server = make_server(env, driver)
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    try:
        assert server.ready.wait(DEADLINE_S)
        driver.inject_fault("reflex at joint 3")
        until(lambda: arm(capsys, "state", *words)["mode"] == "fault", "the fault")
        assert main(["arm", "state", *words]) == 0
        assert last_line(capsys).startswith("FAULT: reflex at joint 3 · commanded by nobody")
        assert main(["doctor", *words]) == 23
        captured = capsys.readouterr()
        assert "reflex at joint 3; see to it, then `handrail arm recover" in captured.out
        assert "arm" in captured.err
        assert main(["arm", "recover", "by=Ada", *words]) == 3  # its cause is still there
        assert "reflex at joint 3" in capsys.readouterr().err
        driver.remove_cause()
        assert arm(capsys, "recover", "by=Ada", *words)["mode"] == "hold"
    finally:
        stop.set()
        thread.join(DEADLINE_S)
    assert not thread.is_alive()


class Bare:
    """The simulated arm as a real one is: without a cell that knows where the task is."""

    scene = None

    def __init__(self, driver: SimDriver) -> None:
        self._driver = driver
        self.gripper = RecordingGripper()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)


@pytest.mark.timeout(60)
def test_a_station_is_taught_before_there_is_a_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`handrail arm-server` with nothing but the station: to look, to move the jaws and to tare."""
    words = [
        "station=franka_cell",
        "task=ram_insertion_real",
        "env.arm.franka.host=127.0.0.1",
        "env.arm.franka.tcp=null",
        "env.arm.franka.load_mass_kg=0",
        "env.arm.franka.load_com_m=[0,0,0]",
        "env.arm.server.require_realtime=false",
        "env.arm.server.reading_age_s=5.0",  # the test's own work holds the server up
        f"env.arm.server.address=ipc://{tmp_path}/arm",
        "env.camera_devices.0.serial=1",
        "env.camera_devices.1.serial=2",
    ]
    driver = Bare(SimDriver(SimCell(compose(["arm=sim_server"]).config.env.sim)))
    address = next(word for word in words if "address" in word)
    monkeypatch.setattr(arm_server_command, "make_driver", lambda env: driver)
    monkeypatch.setattr(arm_server_command.realtime, "claim", lambda *_, **__: realtime.Granted("plain"))
    env = compose(["arm=sim_server", address]).config.env  # before the thread: Hydra does one at a time
    stop = threading.Event()
    monkeypatch.setattr(arm_server_command.lifetime, "begin", lambda role: stop)
    options = {"run": None, "runs": "runs", "arm_address": None}
    thread = threading.Thread(target=arm_server_command.main, args=(options, words))
    thread.start()
    try:
        until(lambda: arm_link.answers(env), "the server")
        # The station alone says where it is; what else it lacks is of no matter.
        state = arm(capsys, "state", "station=franka_cell", "task=ram_insertion_real", address)
        assert state["mode"] == "hold"
        assert [len(cast("list[float]", state[name])) for name in ("q", "pose")] == [7, 7]
        assert arm(capsys, "close", address, "arm=franka")["mode"] == "hold"
        arm(capsys, "open", address, "arm=franka")
        assert driver.gripper.calls == ["close", "open"]
        assert arm(capsys, "tare", address, "arm=franka")["fault"] == ""
        taught = compose(
            [
                *words,
                "env.task.seated_pose=[0.5,0,0.07,1,0,0,0]",
                "env.regrasp.grasp_pose=[0,-0.06,0,0,0,0]",
                "env.arm.joint_home=[0,-0.19,0,-2.51,0,2.32,0.785]",
            ]
        ).config.env
        client = ArmClient(taught)
        with pytest.raises(ConfigError, match=r"teach env\.task\.seated_pose first"):
            client.connect()
    finally:
        stop.set()
        thread.join(DEADLINE_S)
    assert not thread.is_alive()


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder with a short name: a socket's path has some hundred characters, and pytest's are long."""
    with tempfile.TemporaryDirectory(prefix="hr-") as folder:
        yield Path(folder)


@pytest.mark.timeout(60)
def test_who_has_to_stop_an_arm_need_not_know_its_name(
    short_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every server of this user's is meant, whatever its session; to recover one it must be said which."""
    monkeypatch.setattr(
        whereabouts, "SHARED_RUNTIME", short_path
    )  # servers of other tests are none of this one's
    monkeypatch.setattr(whereabouts, "SHARED_TEMPORARY", short_path)
    monkeypatch.setattr(whereabouts.tempfile, "gettempdir", lambda: str(short_path))
    for session in ("login", "desktop", "service"):
        (short_path / session).mkdir()
    monkeypatch.setenv("TMPDIR", str(short_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path / "login"))
    assert main(["arm", "stop"]) == 3
    assert "no arm server of yours runs on this machine" in capsys.readouterr().err
    names = [f"env.arm.name={name}" for name in ("left", "right")]
    with (
        arm_server("arm=sim_server", names[0], XDG_RUNTIME_DIR=str(short_path / "desktop")),
        arm_server("arm=sim_server", names[1], XDG_RUNTIME_DIR=str(short_path / "service")) as (process, _),
    ):
        assert main(["arm", "stop"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [re.sub(r".*/arm-(\w+): (\w+) .*", r"\1 \2", each) for each in lines] == [
            "left HOLD",
            "right HOLD",
        ]
        assert main(["arm", "recover", "by=Ada"]) == 2
        assert "arm-left" in capsys.readouterr().err
        assert main(["arm", "state", f"arm_address=ipc://{short_path}/desktop/handrail/arm-left"]) == 0
        capsys.readouterr()
        process.send_signal(signal.SIGSTOP)  # it hears nothing, and the other is stopped all the same
        assert main(["arm", "stop"]) == 3
        captured = capsys.readouterr()
        assert "arm-left: HOLD" in captured.out and "arm-right" not in captured.out
        assert re.search(r"arm-right: NOT stopped: .* in time; .*; use the emergency stop", captured.err)
        process.kill()
        process.wait()
        assert main(["arm", "state"]) == 0  # a server that has died is not waited for
        assert capsys.readouterr().out.startswith("HOLD · commanded by nobody")


@pytest.mark.timeout(60)
def test_the_rest_protocol_is_offered_where_it_is_asked_for(tmp_path: Path, words: list[str]) -> None:
    import socket

    import httpx

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with arm_server(*words, f"env.arm.server.rest_port={port}") as (process, line):
        assert f"HIL-SERL protocol at http://127.0.0.1:{port}/" in line
        ask = f"http://127.0.0.1:{port}/getpos"
        until(lambda: httpx.post(ask, timeout=10.0).status_code == 200, "the first state to arrive there")
        pose = httpx.post(ask, timeout=10.0).json()["pose"]
        assert len(pose) == 7 and pose[0] == pytest.approx(0.5, abs=0.01)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0


def test_a_missing_sdk_ends_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "franky", None)
    assert main(["arm-server", "arm=franka", "env.arm.franka.host=127.0.0.1"]) == 7
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1 and "handrail[franka]" in complaint


SMALL = (
    "agent.hidden=[32,32]",
    "agent.batch_size=32",
    "agent.clone_updates=20",
    "actor.demonstrations=1",
    "learner.training_starts=10",
    "evaluation.episodes=1",
    "evaluation.first_step=10000000",
    "goal.successes=1",
    "operator.level=expert",
    "env.hz=20",
)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_run_trains_in_real_time_behind_an_arm_server_of_its_own(tmp_path: Path) -> None:
    """To the end of its budget, although the arm server is killed on the way."""
    run = RunDirectory(tmp_path / "served")
    name = f"env.arm.name=t{os.getpid()}"  # nobody's server answers to it
    process = subprocess.Popen(
        command(
            "train",
            f"run={run.path}",
            "display=plain",
            "console=off",
            "arm=sim_server",
            name,
            *PATIENT,
            "goal.max_env_steps=60",
            *SMALL,
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        log = run.logs / "arm-server.log"
        until(lambda: log.is_file() and "commands the arm" in log.read_text(), "the actor to take the arm")
        env = arm_link.at(
            compose(["arm=sim_server", name, "env.hz=20"]).config.env, arm_link.run_address(run)
        )
        assert (
            main(["arm", "state", f"run={run.path}"]) == 0
        )  # the run's own server is found by the run's name
        began = time.monotonic()
        until(lambda: sum(1 for _ in LogReader(run.segments).records()) > 45, "the first steps", 60.0)
        os.kill(server_of(process.pid), signal.SIGKILL)
        out, err = process.communicate(timeout=120.0)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == 21, err  # the budget was spent: nothing evaluated so early
    assert "the arm-server died (killed by SIGKILL); restart 1 of 3" in out
    assert log.read_text().count("Serving 't") == 2
    summary = json.loads(run.summary_file.read_text())
    assert summary["env_steps"] == 60
    assert time.monotonic() - began > 3.0  # 60 steps at 20 Hz
    assert not arm_link.answers(env)


def server_of(supervisor: int) -> int:
    """Process id of a supervisor's arm server."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == supervisor and b"arm-server" in (folder / "cmdline").read_bytes():
                return int(folder.name)
        except (FileNotFoundError, ProcessLookupError):
            continue
    raise AssertionError("the run has no arm server")


def test_keys_are_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "keys"
    assert main(["arm", "keys"]) == 2
    assert main(["arm", "keys", f"folder={folder}"]) == 0
    assert {"server.key", "server.key_secret", "client.key_secret"} <= {
        each.name for each in folder.iterdir()
    }
    assert folder.stat().st_mode & 0o777 == 0o700
    assert main(["arm", "keys", f"folder={folder}"]) == 2
    assert "already holds keys" in capsys.readouterr().err
