"""The environment and the session on a simulated arm behind its server, in real time."""

import dataclasses
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from benches.served import RunningServer, served_config
from emulators.camera import Film, until
from figures import Figure
from person import Person

from handrail.agent import session as session_module
from handrail.agent.config import ActorConfig, RunConfig
from handrail.agent.session import Session
from handrail.intervention.config import MappingConfig, OperatorConfig
from handrail.intervention.log_format import EpisodeEnd, EpisodeStart, Event, StepRecord
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.arms.sim import SimDriver
from handrail.robot_env.cameras import make as make_cameras
from handrail.robot_env.cameras.stream import FrameStream
from handrail.robot_env.config import CameraConfig, CameraDeviceConfig, EnvConfig
from handrail.robot_env.errors import ArmError, CameraError, ResetError
from handrail.robot_env.make import make_env
from handrail.robot_env.remote.operator import ArmOperator
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.sim.expert import ScriptedExpert

pytestmark = pytest.mark.realtime

MAX_STEPS = 50
WRIST = CameraDeviceConfig(name="wrist", serial="S1", width=64, height=48)


@pytest.fixture
def cell() -> Iterator[tuple[SimDriver, RunningServer]]:
    driver = SimDriver(SimCell())
    running = RunningServer(driver, served_config("sim_server"))
    yield driver, running
    running.close()


def test_an_expert_seats_the_module_through_the_arm_server(cell) -> None:
    _, running = cell
    env = make_env(running.config)
    try:
        assert env.scene is not None and not env.lockstep and env.streams_hand
        expert = ScriptedExpert(env.action_spec, target_reference=env.config.target_reference)
        first, _ = env.reset(seed=4)
        expert.reset(np.random.default_rng(4))
        began_ns = env.last_arm_state.device_ns
        terminated = truncated = False
        steps = 0
        while not (terminated or truncated):
            _, reward, terminated, truncated, info = env.step(expert.act(env.scene.truth()))
            steps += 1
        assert terminated and reward == 1.0 and info["success"] and steps <= MAX_STEPS
        # The time that counts is the arm's: so many steps took so long, give or take a busy machine.
        simulated_s = (env.last_arm_state.device_ns - began_ns) / 1e9
        assert simulated_s == pytest.approx(steps * env.period_s, rel=0.5)
        # And a second episode lifts the module out again, without a jump.
        second, _ = env.reset(seed=5)
        assert second["state"][2] > env.config.task.clearance_m and first["state"][2] > 0
    finally:
        env.close()


def test_an_incident_ends_the_episode_and_holds_until_an_operator_recovers(cell, tmp_path) -> None:
    driver, running = cell
    config = RunConfig(env=running.config, operator=OperatorConfig(level="expert"))
    config = dataclasses.replace(config, log=dataclasses.replace(config.log, reserve_bytes=0))
    run = RunDirectory(tmp_path / "run").create("", {})
    steps, ends, reasons = [], [], []
    recovered = threading.Event()

    def between_steps(transition) -> bool:
        steps.append(transition)
        if len(steps) == 5:
            driver.inject_fault("protective stop, for the test")
        return True

    def on_hold(reason: str) -> None:
        reasons.append(reason)
        if len(reasons) == 5:  # nothing goes on by itself
            driver.remove_cause()
            with ArmOperator(running.config) as operator:
                assert operator.state().mode is ArmMode.FAULT
                operator.recover("maria")
                assert operator.state().mode is ArmMode.HOLD
            recovered.set()

    deadline_s = time.monotonic() + 60
    with Session(run, config) as session:
        session.drive(
            None,
            "demo",
            wanted=lambda: not ends and time.monotonic() < deadline_s,
            between_steps=between_steps,
            after_episode=ends.append,
            on_hold=on_hold,
        )
    assert recovered.is_set() and len(ends) == 1 and ends[0].success
    assert all("protective stop, for the test" in reason for reason in reasons)
    assert all("recover by=" in reason for reason in reasons[1:])
    records = [record for _, record in LogReader(run.segments).records()]
    aborted = [r for r in records if isinstance(r, Event) and r.kind == "aborted"]
    assert [r.episode for r in aborted] == [0] and "protective stop" in aborted[0].why
    assert [r.episode for r in records if isinstance(r, EpisodeStart)] == [0, 1]
    assert [r.episode for r in records if isinstance(r, EpisodeEnd)] == [1]


@dataclasses.dataclass
class Filmed:
    """A station with a camera: its settings, what the camera sees, and the stream of it."""

    config: EnvConfig
    film: Film
    stream: FrameStream

    def sees(self) -> bool:
        try:
            self.stream.latest()
        except CameraError:
            return False
        return True


@pytest.fixture
def filmed(cell, monkeypatch: pytest.MonkeyPatch) -> Iterator[Filmed]:
    pytest.importorskip("cv2", reason="needs the extra 'opencv'")
    images = (CameraConfig("wrist", width=64, height=48),)
    config = dataclasses.replace(cell[1].config, cameras=images, camera_devices=(WRIST,))
    with Film(WRIST) as film:
        stream = FrameStream(WRIST, film.driver)
        monkeypatch.setattr(make_cameras, "make_streams", lambda devices: {"wrist": stream})
        yield Filmed(config, film, stream)


@pytest.mark.parametrize("now", ["frozen", "silent"])
def test_a_lost_camera_ends_the_episode_with_the_arm_on_hold(filmed: Filmed, now, figure: Figure) -> None:
    film, still = filmed.film, np.zeros(6)
    env = make_env(filmed.config)
    try:
        env.reset(seed=4)
        with ArmOperator(filmed.config) as watch:
            for _ in range(3):
                for _ in range(3):
                    env.step(still)
                film.now = now
                with pytest.raises(CameraError, match=r"identical frames|ms old"):
                    for _ in range(20):
                        env.step(still)
                assert watch.feed.wait(lambda state: state.mode == ArmMode.HOLD.value, 10.0)
                assert watch.newest is not None
                took_ms = (watch.newest.mode_ns - film.fresh_ns) / 1e6
                figure(f"camera {now}: last good frame to HOLD, at 10 Hz", took_ms, "ms", limit=500.0)
                assert took_ms < 2000.0
                with pytest.raises(ResetError, match="no episode"):
                    env.step(still)
                film.now = "live"
                until(filmed.sees)
                env.reset(seed=4)
                assert watch.state().mode is ArmMode.RUN
    finally:
        env.close()


def test_a_step_without_a_picture_is_not_stored_and_the_next_episode_comes_with_the_camera(
    filmed: Filmed, tmp_path
) -> None:
    config = RunConfig(env=filmed.config, operator=OperatorConfig(level="expert"))
    config = dataclasses.replace(config, log=dataclasses.replace(config.log, reserve_bytes=0))
    run = RunDirectory(tmp_path / "run").create("", {})
    steps, ends, resets = [], [], []

    def between_steps(transition) -> bool:
        steps.append(transition)
        if len(steps) == 5:
            filmed.film.now = "frozen"
        return transition.episode == 0 or transition.step < 3

    def before_reset() -> None:
        resets.append(filmed.film.now)
        filmed.film.now = "live"

    deadline_s = time.monotonic() + 60
    with Session(run, config) as session:
        session.drive(
            None,
            "demo",
            wanted=lambda: not ends and time.monotonic() < deadline_s,
            between_steps=between_steps,
            before_reset=before_reset,
            after_episode=ends.append,
        )
    assert resets == ["live", "frozen"] and len(ends) == 1
    records = [record for _, record in LogReader(run.segments).records()]
    (aborted,) = [r for r in records if isinstance(r, Event) and r.kind == "aborted"]
    assert aborted.episode == 0 and "CameraError: camera wrist" in aborted.why
    stored = [r.step for r in records if isinstance(r, StepRecord) and r.episode == 0]
    assert stored == [step.step for step in steps if step.episode == 0] and len(stored) in (5, 6)


def stopped_session(
    running: RunningServer, folder, between_steps, on_hold, wanted, person: bool = False
) -> list:
    """Demonstrate until somebody else stops the arm, and beyond; returns the episodes' ends."""
    actor = ActorConfig(device="spacemouse" if person else "synthetic")
    config = RunConfig(env=running.config, operator=OperatorConfig(level="expert"), actor=actor)
    config = dataclasses.replace(config, log=dataclasses.replace(config.log, reserve_bytes=0))
    ends: list[EpisodeEnd] = []
    with Session(RunDirectory(folder).create("", {}), config) as session:
        session.drive(
            None,
            "demo",
            wanted=lambda: wanted(ends),
            between_steps=between_steps,
            after_episode=ends.append,
            on_hold=on_hold,
        )
    return ends


def stop_at(running: RunningServer, number: int):
    """Says stop from outside after so many steps."""
    steps: list = []

    def between_steps(transition) -> bool:
        steps.append(transition)
        if len(steps) == number:
            with ArmOperator(running.config) as operator:
                assert operator.stop()
        return True

    return between_steps


def test_what_somebody_else_stopped_goes_on_when_the_person_says_so(cell, tmp_path, monkeypatch) -> None:
    _, running = cell
    person, reasons, modes = Person(), [], []
    monkeypatch.setattr(session_module, "make_device", lambda *_, **__: (person, MappingConfig()))

    def on_hold(reason: str) -> None:
        reasons.append(reason)
        with ArmOperator(running.config) as operator:
            modes.append(operator.state().mode)
        if len(reasons) == 8:
            person.pause.set()

    def wanted(ends) -> bool:
        return len(reasons) < 8 or person.pause.is_set()  # until the pause has been heard

    ends = stopped_session(running, tmp_path / "run", stop_at(running, 5), on_hold, wanted, person=True)
    assert [end.truncated_by for end in ends] == ["stopped"]
    assert all("stopped the arm" in reason for reason in reasons) and len(reasons) >= 8
    assert set(modes) == {ArmMode.HOLD}  # nothing moved while it was held


def test_without_a_person_a_stop_ends_the_session(cell, tmp_path) -> None:
    _, running = cell
    with pytest.raises(ArmError, match="stopped the arm"):
        stopped_session(
            running, tmp_path / "run", stop_at(running, 5), lambda reason: None, lambda ends: len(ends) < 3
        )
