"""Evaluation of the one arm there is: through a session, by the log, and never learned from."""

import dataclasses
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from benches.served import RunningServer, served_config

from handrail.agent import session as session_module
from handrail.agent.config import HAND_DEVICES, ActorConfig, AgentConfig, RunConfig
from handrail.agent.devices import make_device
from handrail.agent.evaluate import EvaluationResult, start_words
from handrail.agent.evaluate_arm import ArmEvaluation, check_attended
from handrail.agent.history import EVALUATION
from handrail.agent.session import Session
from handrail.intervention.config import MappingConfig
from handrail.intervention.device import Reading
from handrail.intervention.index import EpisodeIndex, EpisodeRow
from handrail.intervention.labels import append_label
from handrail.intervention.locks import RunLocked
from handrail.intervention.log_reader import LogReader
from handrail.intervention.policy import PolicyStep
from handrail.intervention.run_directory import RunDirectory
from handrail.launch.evaluate import has_passed
from handrail.robot_env import realtime
from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.arms.config import ArmConfig
from handrail.robot_env.arms.sim import SimDriver
from handrail.robot_env.config import CameraConfig, EnvConfig, RewardConfig
from handrail.robot_env.env import RobotEnv
from handrail.robot_env.errors import ArmError, ConfigError
from handrail.robot_env.remote.operator import ArmOperator
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.sim.expert import ScriptedExpert
from handrail.vision.config import VisionConfig

UNCLONED = AgentConfig(clone_updates=0, second_proposal=False, symmetric=False)
PRESS_AT = 5  # looks after the reset: the second step at the earliest


class Person:
    """Somebody at a device, with something to do in each episode: a button to press, or the wheel to take.

    Attributes:
        plan: what is done in each episode, "" for nothing; then nothing.
        between: called at each look while no episode runs; says which button is down.
    """

    name = "person"

    def __init__(self, *plan: str, between: Callable[[], str] = lambda: "") -> None:
        self.plan, self.between = list(plan), between
        self._now: str | None = None
        self._looks = 0

    def open(self) -> None: ...

    def close(self) -> None: ...

    def episode_started(self, seed: tuple[int, ...]) -> None:
        self._now, self._looks = self.plan.pop(0) if self.plan else "", 0

    def episode_finished(self, success: bool, unaided: bool) -> None:
        self._now = None

    def read(self, now_ns: int) -> Reading:
        axes, self._looks = np.zeros(6), self._looks + 1
        button = self.between() if self._now is None else ""
        if self._now == "drive":
            axes[0] = 0.9 if self._looks < PRESS_AT + 5 else 0.0
        elif self._now and self._looks >= PRESS_AT:
            button = self._now
        return Reading(axes, now_ns, frozenset({button} if button else ()))  # pyright: ignore[reportArgumentType]


class Driver:
    """A policy: the scripted expert's, or one that stands still; `at` is called at each of its actions."""

    deterministic = True

    def __init__(
        self, env: RobotEnv, *, able: bool = True, at: Callable[[int], None] = lambda _: None
    ) -> None:
        self._expert = ScriptedExpert(env.action_spec, target_reference=env.config.target_reference)
        self._scene, self._able, self._at = env.scene, able, at
        self.actions = 0

    def act(self, observation: object) -> PolicyStep:
        self.actions += 1
        self._at(self.actions)
        assert self._scene is not None
        action = self._expert.act(self._scene.truth()) if self._able else np.zeros(6)
        return PolicyStep(action.astype(np.float32), 7)


class Bench:
    """A run on a simulated arm behind its server, in real time.

    Attributes:
        said: what was announced.
    """

    def __init__(self, folder: Path) -> None:
        self.running = RunningServer(SimDriver(SimCell()), served_config("sim_server"))
        self.run = RunDirectory(folder / "run").create("", {})
        self.said: list[str] = []

    def config(self, device: str = "spacemouse", reward: RewardConfig | None = None) -> RunConfig:
        env = dataclasses.replace(self.running.config, reward=reward or RewardConfig())
        actor = ActorConfig(device=device, countdown_s=0.0, demonstrations=0)  # pyright: ignore[reportArgumentType]
        config = RunConfig(env=env, actor=actor, agent=UNCLONED)
        return dataclasses.replace(config, log=dataclasses.replace(config.log, reserve_bytes=0))

    @contextmanager
    def evaluation(self, config: RunConfig, episodes: int) -> Iterator[tuple[ArmEvaluation, RobotEnv]]:
        with (
            Session(self.run, config) as session,
            ArmEvaluation(self.run, session, "final", episodes) as evaluation,
        ):
            yield evaluation, session.env

    def drive(
        self, evaluation: ArmEvaluation, policy: Driver, stopped: Callable[[], bool] = lambda: False
    ) -> EvaluationResult:
        evaluation.drive(policy, stopped=stopped, announce=self.said.append)  # pyright: ignore[reportArgumentType]
        return evaluation.result()

    @property
    def rows(self) -> list[EpisodeRow]:
        with EpisodeIndex(self.run.index_file, LogReader(self.run.segments)) as index:
            index.refresh()
            return index.episodes()

    def mode(self) -> ArmMode:
        with ArmOperator(self.running.config) as operator:
            return operator.state().mode


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.running.close()


def sit(monkeypatch: pytest.MonkeyPatch, person: Person) -> None:
    """Have somebody at the run's device."""
    monkeypatch.setattr(session_module, "make_device", lambda *_, **__: (person, MappingConfig()))


@pytest.mark.realtime
def test_a_stop_by_somebody_else_holds_the_arm_until_the_person_resumes(bench: Bench, monkeypatch) -> None:
    modes: list[ArmMode] = []

    def between() -> str:
        if not any("stopped the arm" in line for line in bench.said):
            return ""
        modes.append(bench.mode())
        return "pause" if len(modes) == 10 else ""

    def stop(action: int) -> None:
        if action == 3:
            with ArmOperator(bench.running.config) as operator:
                assert operator.stop()

    sit(monkeypatch, Person(between=between))
    with bench.evaluation(bench.config(), 2) as (evaluation, env):
        result = bench.drive(evaluation, Driver(env, at=stop))
    assert set(modes[:10]) == {ArmMode.HOLD}  # nothing moved before the person said so
    assert (result.successes, result.episodes, result.aided, result.without_result) == (1, 2, 0, 0)
    assert [row.truncated_by for row in bench.rows] == [
        "stopped",
        None,
    ]  # it was none of the policy's successes
    assert [row.seed for row in bench.rows] == [start_words("final", 0), start_words("final", 1)]
    assert {(row.purpose, row.weights_version) for row in bench.rows} == {(EVALUATION, 7)}


@pytest.mark.realtime
def test_a_success_with_help_is_none_of_the_policys(bench: Bench, monkeypatch) -> None:
    sit(monkeypatch, Person("drive"))
    with bench.evaluation(bench.config(), 1) as (evaluation, env):
        result = bench.drive(evaluation, Driver(env))
    (row,) = bench.rows
    assert row.success and row.human_steps > 0 and not row.unaided
    assert (result.successes, result.episodes, result.aided) == (0, 1, 1)
    assert result.human_steps == row.human_steps


@pytest.mark.realtime
def test_the_person_says_what_succeeded_and_what_has_no_result_is_driven_again(
    bench: Bench, monkeypatch
) -> None:
    sit(monkeypatch, Person("discard", "success", "failure"))
    config = bench.config(reward=RewardConfig("operator"))
    with bench.evaluation(config, 2) as (evaluation, env):
        result = bench.drive(evaluation, Driver(env, able=False))
        counted = evaluation.result()
    assert [row.label for row in bench.rows] == ["exclude", "success", "failure"]
    assert [row.seed[-1] for row in bench.rows] == [0, 0, 1]
    assert result == counted
    assert (result.successes, result.episodes, result.without_result) == (1, 2, 1)


@pytest.mark.realtime
@pytest.mark.parametrize("label", ["success", "failure"])
def test_a_label_given_later_does_not_count_a_start_twice(bench: Bench, monkeypatch, label: str) -> None:
    sit(monkeypatch, Person("discard", "success", "failure"))
    with (
        Session(bench.run, bench.config(reward=RewardConfig("operator"))) as session,
        ArmEvaluation(bench.run, session, "final", 2) as evaluation,
    ):
        before = bench.drive(evaluation, Driver(session.env, able=False))
        with EpisodeIndex(bench.run.index_file, LogReader(bench.run.segments)) as index:
            index.refresh()
            assert append_label(session.writer, index, 0, label, who="a reviewer")
        end_s = time.monotonic() + 10.0
        while session.writer.committed < session.writer.appended:
            assert time.monotonic() < end_s
        after = evaluation.result()
    assert [row.label for row in bench.rows] == [label, "success", "failure"]
    assert after == before and (after.successes, after.episodes, after.asked) == (1, 2, 2)


@pytest.mark.realtime
def test_the_disk_has_its_time_while_the_arm_holds(bench: Bench, monkeypatch) -> None:
    """Pictures are compared in a reset, and kept or read while nobody waits for the arm."""
    done: list[str] = []

    class Look:
        def __init__(self, *_: object) -> None: ...

        def __call__(self) -> None:
            done.append("look")

        def at_rest(self) -> None:
            done.append(str(bench.mode().name))

    monkeypatch.setattr(session_module, "FirstLook", Look)
    sit(monkeypatch, Person())
    with bench.evaluation(bench.config(), 1) as (evaluation, env):
        bench.drive(evaluation, Driver(env))
    assert done == ["HOLD", "look", "HOLD"]


@pytest.mark.realtime
@pytest.mark.skipif(not realtime.fifo_permitted(), reason="SCHED_FIFO is not permitted here")
def test_the_priority_is_the_loops_and_not_of_what_comes_before(bench: Bench, monkeypatch) -> None:
    before: list[int] = []
    refresh = EpisodeIndex.refresh

    def watched(index: EpisodeIndex) -> None:
        before.append(os.sched_getscheduler(0))
        refresh(index)

    during: list[int] = []
    sit(monkeypatch, Person())
    with monkeypatch.context() as patch:
        patch.setattr(EpisodeIndex, "refresh", watched)
        session = Session(bench.run, bench.config())
        evaluation = ArmEvaluation(bench.run, session, "final", 1)
    with session, evaluation:
        driver = Driver(session.env, at=lambda _: during.append(os.sched_getscheduler(0)))
        bench.drive(evaluation, driver)
    assert set(before) == {os.SCHED_OTHER} and set(during) == {os.SCHED_FIFO}
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


@pytest.mark.realtime
def test_whoever_stops_it_gets_the_count_so_far_and_the_arm_in_hold(bench: Bench, monkeypatch) -> None:
    asked = threading.Event()
    seen: list[int] = []

    def at(action: int) -> None:
        seen.append(action)
        if bench.rows and bench.rows[-1].seed[-1] == 1 and bench.rows[-1].status == "open":
            asked.set()

    sit(monkeypatch, Person())
    with bench.evaluation(bench.config(), 5) as (evaluation, env):
        result = bench.drive(evaluation, Driver(env, at=at), stopped=asked.is_set)
    assert bench.mode() is ArmMode.HOLD
    first, second = bench.rows
    assert (second.truncated_by, second.outcome) == ("stop", "aborted")
    assert second.steps <= 3 and len(seen) == first.steps + second.steps
    assert (result.successes, result.episodes, result.asked) == (1, 1, 5)
    assert result.stopped_early and result.without_result == 0


@pytest.mark.realtime
def test_a_stop_with_nobody_to_resume_breaks_it_off_with_the_count_so_far(bench: Bench) -> None:
    def stop(action: int) -> None:
        if len(bench.rows) == 2:
            with ArmOperator(bench.running.config) as operator:
                assert operator.stop()

    with bench.evaluation(bench.config("none"), 3) as (evaluation, env):
        with pytest.raises(ArmError, match="stopped the arm"):
            bench.drive(evaluation, Driver(env, at=stop))
        result = evaluation.result()
    assert (result.successes, result.episodes, result.asked) == (1, 2, 3)


def test_a_run_that_is_being_driven_is_not_evaluated(bench: Bench) -> None:
    with (
        bench.run.lock("actor"),
        pytest.raises(RunLocked, match="actor"),
        bench.evaluation(bench.config(), 1),
    ):
        pass


CLASSIFIER = RewardConfig("classifier", ("classifiers/ram",))


@pytest.mark.parametrize("reward", [RewardConfig("operator"), CLASSIFIER], ids=lambda each: each.source)
@pytest.mark.parametrize("device", ["none", "synthetic", "console", "keyboard"])
def test_a_real_arm_is_evaluated_with_a_person_beside_it(device, reward: RewardConfig) -> None:
    env = EnvConfig(arm=ArmConfig(kind="ur"), reward=reward, cameras=(CameraConfig(),))
    config = RunConfig(
        env=env,
        actor=ActorConfig(device=device, demonstrations=0),
        agent=UNCLONED,
        vision=VisionConfig(cameras=()),
    )
    nothing_to_watch = cast(RobotEnv, SimpleNamespace(scene=None))  # of a real arm
    if device in HAND_DEVICES:
        check_attended(config)
        make_device(config, nothing_to_watch, demonstrate=False)
        return
    with pytest.raises(ConfigError, match="a real arm is evaluated with a person beside it") as refused:
        check_attended(config)
    assert "\n" not in str(refused.value) and "actor.device=spacemouse" in str(refused.value)
    with pytest.raises(ConfigError):  # and no session would drive it
        make_device(config, nothing_to_watch, demonstrate=False)


@pytest.mark.parametrize(
    ("successes", "episodes", "asked", "passed"),
    [
        (95, 100, 100, True),
        (94, 100, 100, False),
        (95, 200, 200, False),
        (20, 20, 20, False),
        (96, 98, 100, False),
    ],
)
def test_what_has_passed_is_the_goal_and_not_a_part_or_a_multiple_of_it(
    successes: int, episodes: int, asked: int, passed: bool
) -> None:
    result = EvaluationResult.of([9] * successes, episodes, asked, 1.0)
    assert has_passed(result, RunConfig()) is passed
