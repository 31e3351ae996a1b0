"""A stop from outside while no episode runs, and an arm that holds whenever its session waits."""

import dataclasses
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from benches.served import SERVER, RunningServer, served_config
from person import Person

from handrail.agent import session as session_module
from handrail.agent.config import ActorConfig, RunConfig
from handrail.agent.session import Session
from handrail.intervention.config import MappingConfig, OperatorConfig
from handrail.intervention.log_format import EpisodeEnd
from handrail.intervention.run_directory import RunDirectory
from handrail.robot_env import realtime
from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.arms.sim import SimDriver
from handrail.robot_env.errors import ArmError
from handrail.robot_env.regrasp import STOPPED
from handrail.robot_env.remote.operator import ArmOperator
from handrail.robot_env.sim.cell import SimCell


class Station:
    """A served arm, a person at it, somebody else who can stop it, and a session on it.

    Attributes:
        reasons: what it was held for.
        modes: of the arm, each time that the session said that it was held.
        events: what the arm server took note of, and "stopped" and "resumed" for what people did.
    """

    def __init__(self, running: RunningServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.person, self.operator = Person(), ArmOperator(running.config)
        self._monkeypatch = monkeypatch
        task = dataclasses.replace(running.config.task, max_steps=3)
        config = RunConfig(
            env=dataclasses.replace(running.config, task=task), operator=OperatorConfig(level="expert")
        )
        self.config = dataclasses.replace(config, log=dataclasses.replace(config.log, reserve_bytes=0))
        self.run = RunDirectory(folder).create("", {})
        self.reasons: list[str] = []
        self.modes: list[ArmMode] = []
        self.events: list[str] = []
        arm = running.server.supervisor.arm
        note = arm.note

        def listen(what: str) -> None:
            self.events.append(what)
            note(what)

        monkeypatch.setattr(arm, "note", listen)
        self.ends: list[EpisodeEnd] = []
        self.said: list[str] = []
        self.episodes = 2
        self.before_reset: Callable[[], None] = lambda: None
        self.after_episode: Callable[[], None] = lambda: None
        self.on_hold: Callable[[], None] = lambda: None

    def open(
        self, device: Literal["spacemouse", "synthetic"] = "spacemouse", countdown_s: float = 0.3
    ) -> Session:
        if device == "spacemouse":
            made = (self.person, MappingConfig())
            self._monkeypatch.setattr(session_module, "make_device", lambda *_, **__: made)
        actor = ActorConfig(device=device, countdown_s=countdown_s)
        return Session(self.run, dataclasses.replace(self.config, actor=actor))

    def drive(self, session: Session) -> None:
        def held(reason: str) -> None:
            self.reasons.append(reason)
            self.modes.append(self.mode())
            self.on_hold()

        def ended(end: EpisodeEnd) -> None:
            self.ends.append(end)
            self.after_episode()

        session.drive(
            None,
            "demo",
            wanted=lambda: len(self.ends) < self.episodes,
            between_steps=lambda _: True,
            before_reset=lambda: self.before_reset(),
            after_episode=ended,
            on_hold=held,
            announce=self.said.append,
        )

    def mode(self) -> ArmMode:
        """What the arm does now."""
        now_ns = time.monotonic_ns()
        assert self.operator.feed.wait(lambda state: state.sent_ns > now_ns, 10.0)
        return self.operator.state().mode

    def stop(self, session: Session) -> None:
        """Somebody else stops the arm; returns once the session could know."""
        stops = session.env.stops
        assert self.operator.stop()
        while session.env.stops == stops:
            self.operator.state()
        self.events.append("stopped")

    def resume(self) -> None:
        """The person presses the button that ends a pause."""
        self.events.append("resumed")
        self.person.pause.set()

    def between(self, stopped: str, resumed: str | None = None) -> list[str]:
        """Times that the arm began to run from one event to another, or to the end."""
        first = self.events.index(stopped)
        last = len(self.events) if resumed is None else self.events.index(resumed)
        assert first < last
        return [event for event in self.events[first:last] if event.startswith("RUN")]

    def count_down(self, session: Session, countdown_s: float) -> None:
        """Count down for so long from the next time on."""
        actor = dataclasses.replace(session.config.actor, countdown_s=countdown_s)
        session.config = dataclasses.replace(session.config, actor=actor)


@pytest.fixture
def station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Station]:
    running = RunningServer(SimDriver(SimCell()), served_config("sim_server"))
    made = Station(running, tmp_path / "run", monkeypatch)
    yield made
    made.operator.close()
    running.close()


def once(after: int, act: Callable[[], None]) -> Callable[[], None]:
    """Do `act` in the call with this number, counted from 0."""
    calls = iter(range(10**6))
    return lambda: act() if next(calls) == after else None


MOMENTS = ("after an episode", "before the countdown", "in the countdown", "in the reset")


@pytest.mark.parametrize("countdown_s", [0.0, 0.1], ids=["no countdown", "countdown"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_stop_between_two_episodes_holds_until_a_person_resumes(
    station: Station, moment: str, countdown_s: float
) -> None:
    def resume() -> None:
        assert len(station.ends) == 1
        station.count_down(session, countdown_s)
        station.resume()

    station.on_hold = once(4, resume)
    with station.open(countdown_s=countdown_s) as session:
        stop = lambda: station.stop(session)  # noqa: E731

        def later() -> None:
            if moment == "in the countdown":
                station.count_down(session, 60.0)
            looks = 2 if moment == "in the countdown" or countdown_s == 0.0 else 8
            station.person.on_look = once(looks, stop)

        if moment == "after an episode":
            station.after_episode = once(0, stop)
        else:
            station.before_reset = once(1, stop if moment == "before the countdown" else later)
        station.drive(session)
    assert [end.truncated_by for end in station.ends] == ["time_limit", "time_limit"]
    assert station.reasons[0] == STOPPED and len(station.reasons) == 5
    assert all(reason.startswith(STOPPED) for reason in station.reasons)
    assert set(station.modes) == {ArmMode.HOLD}
    assert station.between("stopped", "resumed") == []


def test_a_stop_between_the_last_look_of_a_reset_and_its_start_leaves_the_arm_where_it_is(
    station: Station,
) -> None:
    """The session has looked, and the word of the stop has not reached it yet."""
    station.on_hold = once(2, station.resume)
    with station.open(countdown_s=0.0) as session:

        def stop_behind_its_back() -> None:
            look = session.env.interrupt
            assert look is not None
            looked = iter(range(10**6))

            def interrupt() -> str:
                reason = look()
                if next(looked) == 0:
                    assert reason == "" and station.operator.stop()
                    station.events.append("stopped")
                return reason

            session.env.interrupt = interrupt

        station.before_reset = once(1, stop_behind_its_back)
        station.drive(session)
    assert len(station.ends) == 2 and station.reasons[0] == STOPPED
    assert station.between("stopped", "resumed") == []


def test_a_stop_that_comes_with_the_press_that_resumes_is_not_answered_by_it(station: Station) -> None:
    def stop_and_press() -> None:
        station.stop(session)
        station.person.pause.set()

    presses = {2: stop_and_press, 6: station.resume}
    station.after_episode = once(0, station.person.pause.set)
    station.on_hold = lambda: presses.pop(len(station.reasons), lambda: None)()
    with station.open(countdown_s=0.0) as session:
        station.drive(session)
    assert len(station.ends) == 2 and not presses
    assert station.reasons[1].startswith("paused by the operator")
    assert all(reason.startswith(STOPPED) for reason in station.reasons[2:])
    assert station.between("stopped", "resumed") == []


@pytest.mark.parametrize("countdown_s", [0.0, 0.1], ids=["no countdown", "countdown"])
def test_a_stop_that_no_person_can_answer_ends_the_session(station: Station, countdown_s: float) -> None:
    with station.open("synthetic", countdown_s) as session:
        station.before_reset = once(1, lambda: station.stop(session))
        with pytest.raises(ArmError, match="somebody else stopped the arm"):
            station.drive(session)
    assert len(station.ends) == 1 and station.between("stopped") == []


def test_a_stop_that_ends_with_the_last_demonstration_is_there_when_training_begins(station: Station) -> None:
    station.episodes = 1
    with station.open("synthetic") as session:
        station.after_episode = once(0, lambda: station.stop(session))
        station.drive(session)
        station.episodes = 2
        with pytest.raises(ArmError, match="somebody else stopped the arm"):
            station.drive(session)
    assert len(station.ends) == 1 and station.between("stopped") == []


def test_an_episode_is_whole_though_the_arm_server_goes_with_its_end(station: Station) -> None:
    station.episodes = 1
    with station.open("synthetic") as session:
        hold, calls = session.env.hold, iter(range(10**6))

        def gone_after_the_episode() -> None:
            if next(calls) == 1:
                raise ArmError("the arm server did not answer")
            hold()

        session.env.hold = gone_after_the_episode
        station.drive(session)
    assert [end.truncated_by for end in station.ends] == ["time_limit"] and station.reasons == []


def test_whenever_the_session_waits_the_arm_holds_and_its_watchdog_counts_faults_alone(
    station: Station,
) -> None:
    waiting: list[ArmMode] = []

    def look() -> None:
        waiting.append(station.mode())

    def in_the_countdown() -> None:
        station.person.on_look = once(0, look)

    station.after_episode = look
    station.before_reset = in_the_countdown
    with station.open() as session:
        station.drive(session)
        waiting.append(station.mode())
    assert len(waiting) == 5 and set(waiting) == {ArmMode.HOLD}
    assert station.operator.newest is not None and station.operator.newest.counters.watchdog == 0
    assert station.operator.newest.counters.stops == 0  # the session's own are nobody else's


@pytest.mark.skipif(not realtime.fifo_permitted(), reason="SCHED_FIFO is not permitted here")
def test_whoever_drives_a_served_arm_is_put_first_for_as_long_as_the_session_lasts(station: Station) -> None:
    before, station.episodes = os.sched_getscheduler(0), 0
    with station.open("synthetic") as session:
        assert os.sched_getscheduler(0) == before  # there is heavy work between opening and driving
        station.drive(session)
        assert os.sched_getscheduler(0) == os.SCHED_FIFO
    assert os.sched_getscheduler(0) == before == os.SCHED_OTHER and station.said == []


def test_a_session_without_the_priority_says_so_once_and_a_real_arm_refuses_it(
    station: Station, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(realtime, "raise_priority", lambda: "plain")
    station.episodes = 0
    with station.open("synthetic") as session:
        station.drive(session)
        station.drive(session)
    assert len(station.said) == 1 and "the control loop runs with no priority at all" in station.said[0]

    server = dataclasses.replace(SERVER, require_realtime=True)
    real = served_config("ur", server=server)
    task = dataclasses.replace(real.task, seated_pose=tuple(SimCell().seated_pose.tolist()))
    running = RunningServer(SimDriver(SimCell()), dataclasses.replace(real, task=task))
    try:
        station.config = dataclasses.replace(station.config, env=running.config)
        for _ in range(2):  # nothing of the first one is left in the way of the second
            with pytest.raises(ArmError, match="control loop may not use SCHED_FIFO, which a real arm needs"):
                station.open("synthetic")
    finally:
        running.close()
