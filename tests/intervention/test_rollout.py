from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from handrail.intervention.config import ArbiterConfig
from handrail.intervention.device import Button, Reading
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.log_format import (
    EpisodeEnd,
    EpisodeStart,
    Event,
    FrameRecord,
    LogError,
    SegmentHeader,
    StepRecord,
)
from handrail.intervention.log_reader import LogReader, iter_transitions
from handrail.intervention.log_writer import LogWriter
from handrail.intervention.operator import SYNTHETIC_MAPPING
from handrail.intervention.policy import PolicyStep
from handrail.intervention.rollout import Rollout, environment_seed
from handrail.intervention.transition import Source, Transition
from handrail.robot_env.errors import ResetError

LIMIT = 6
PERIOD_NS = 100_000_000


class Counter(gymnasium.Env):
    """Counts steps; succeeds at `success_at`; shows the count as its state and in a small image."""

    def __init__(self, success_at: int | None = None) -> None:
        self.observation_space = gymnasium.spaces.Dict(
            {
                "state": gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32),
                "wrist": gymnasium.spaces.Box(0, 255, (2, 2, 3), np.uint8),
            }
        )
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (6,), np.float32)
        self.success_at = success_at
        self.executed: list[np.ndarray] = []
        self.fail_reset = False
        self.told: dict[str, Any] = {}
        self.stages: dict[int, float] = {}  # what is paid at which count
        self.t_ns = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict]:
        super().reset(seed=seed)
        if self.fail_reset:
            raise ResetError("a joint is blocked")
        self.seed, self.options, self.count = seed, options, 0
        return self._observation(), {"t_ns": self.t_ns}

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict]:
        self.executed.append(action)
        self.count += 1
        self.t_ns += PERIOD_NS
        success = self.count == self.success_at
        late = not success and self.count >= LIMIT
        info = {"t_ns": self.t_ns, "success": success, "peak_force_n": float(self.count), "gate_flags": 2}
        reward = self.stages.get(self.count, float(success))
        return self._observation(), reward, success, late, info | self.told

    def _observation(self) -> dict[str, np.ndarray]:
        return {
            "state": np.full(2, self.count, np.float32),
            "wrist": np.full((2, 2, 3), self.count, np.uint8),
        }


class Scripted:
    """A device that plays back (deflection, buttons) by step number."""

    name = "scripted device"

    def __init__(self, play: Callable[[int], tuple[float, set]] = lambda n: (0.0, set())) -> None:
        self.play, self.number, self.told = play, 0, []

    def open(self) -> None: ...

    def close(self) -> None: ...

    def read(self, now_ns: int) -> Reading:
        x, buttons = self.play(self.number)
        self.number += 1
        return Reading(np.array([x, 0, 0, 0, 0, 0.0]), now_ns, frozenset(buttons))

    def episode_started(self, seed: tuple[int, ...]) -> None:
        self.number = 0
        self.told.append(seed)

    def episode_finished(self, success: bool, unaided: bool) -> None:
        self.told.append((success, unaided))


class Constant:
    """A policy that always wants the same."""

    def act(self, observation: Mapping[str, np.ndarray]) -> PolicyStep:
        assert list(observation) == ["state", "wrist"]
        return PolicyStep(np.full(6, 0.25, np.float32), 9, -1.5)


class Bench:
    """An environment, a device and a log, ready to roll."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        header = SegmentHeader(1, "run", "hash", 2, 6, 0)
        self.writer = LogWriter(folder / "segments", header, reserve_bytes=0)
        self.env, self.device = Counter(), Scripted()

    def run(self, policy: Constant | None = None, **options: Any) -> EpisodeEnd:
        rollout = Rollout(self.env, self.device, ArbiterConfig(), SYNTHETIC_MAPPING, self.writer)
        return rollout.run_episode(
            policy if policy is not None or options.get("purpose") == "demo" else Constant(),
            **{"episode": 0, "seed": (1, 2, 3), **options},
        )

    def records(self) -> list:
        return [
            r for _, r in LogReader(self.folder / "segments").records() if not isinstance(r, SegmentHeader)
        ]

    def transitions(self) -> list[Transition]:
        return [t for _, t in iter_transitions(LogReader(self.folder / "segments"))]

    def events(self) -> list[tuple[str, str | None, str]]:
        return [(r.kind, r.new, r.who) for r in self.records() if isinstance(r, Event)]


@pytest.fixture
def bench(tmp_path: Path):
    bench = Bench(tmp_path)
    yield bench
    bench.writer.close()


def test_the_latency_of_a_step_has_the_judge_s_look_at_its_observation(bench: Bench) -> None:
    bench.env.told = {"look_ms": 5000.0}
    bench.run()
    first, *others = [t.latency_ms for t in bench.transitions()]
    assert 0.0 <= first < 5000.0  # nothing was judged yet
    assert all(5000.0 <= each < 10000.0 for each in others)


def test_a_time_limit_is_truncated_and_every_step_is_stored_once(bench: Bench) -> None:
    end = bench.run()
    assert (end.steps, end.success, end.truncated_by, end.unaided) == (LIMIT, False, "time_limit", True)
    assert (end.human_steps, end.takeovers, end.peak_force_n) == (0, 0, float(LIMIT))
    steps = bench.transitions()
    assert [t.step for t in steps] == list(range(LIMIT))
    assert [(t.terminated, t.truncated) for t in steps] == [(False, False)] * 5 + [(False, True)]
    for n, t in enumerate(steps):
        assert t.observation.tolist() == [n, n] and t.next_observation.tolist() == [n + 1, n + 1]
        assert t.images["wrist"].max() == n and t.next_images["wrist"].max() == n + 1
        assert (t.source, t.weights_version, t.log_prob, t.gate_flags) == (Source.POLICY, 9, -1.5, 2)
        assert t.t_ns == n * PERIOD_NS and t.latency_ms >= 0.0
        assert np.array_equal(t.action, bench.env.executed[n])
    kinds = [type(r) for r in bench.records()]
    assert kinds.count(StepRecord) == LIMIT and kinds.count(FrameRecord) == LIMIT + 1
    assert kinds[0] is EpisodeStart and kinds[-1] is EpisodeEnd
    assert bench.device.told == [(1, 2, 3), (False, True)]


def test_a_success_is_terminated_rewarded_and_labelled_by_the_task(bench: Bench) -> None:
    bench.env.success_at = 3
    end = bench.run()
    assert (end.steps, end.success, end.truncated_by) == (3, True, None)
    last = bench.transitions()[-1]
    assert (last.reward, last.terminated, last.truncated) == (1.0, True, False)
    assert bench.events() == [("label", "success", "task")]
    assert bench.device.told[-1] == (True, True)


def test_what_a_classifier_said_is_stored_with_each_step_and_named_in_the_label(bench: Bench) -> None:
    bench.env.success_at = 3
    bench.env.told = {"score": 0.75, "classifier": "0123456789ab", "seated": False}
    end = bench.run()
    assert (end.success, end.seated) == (True, False)
    assert [(t.score, t.classifier, t.seated) for t in bench.transitions()] == [
        (0.75, "0123456789ab", False)
    ] * 3
    assert bench.events() == [("label", "success", "classifier 0123456789ab")]


def test_the_operators_word_stands_over_a_classifiers(bench: Bench) -> None:
    bench.env.success_at = 3
    bench.env.told = {"score": 0.75, "classifier": "0123456789ab", "seated": True}
    bench.device.play = lambda n: (0.0, {"failure"} if n == 2 else set())
    end = bench.run()
    last = bench.transitions()[-1]
    assert (last.reward, last.terminated, last.truncated, last.score) == (0.0, False, True, 0.75)
    assert (end.success, end.seated) == (False, True)
    assert bench.events() == [("label", "failure", "scripted device")]


def test_a_human_step_is_stored_as_executed_with_what_the_policy_wanted(bench: Bench) -> None:
    bench.device.play = lambda n: (0.8, {"takeover"}) if n in (1, 2, 4) else (0.0, set())
    end = bench.run()
    assert (end.human_steps, end.takeovers, end.unaided) == (3, 2, False)
    for n, t in enumerate(bench.transitions()):
        human = n in (1, 2, 4)
        assert t.source is (Source.HUMAN if human else Source.POLICY)
        assert t.action[0] == np.float32(0.8 if human else 0.25)
        assert t.policy_action[0] == np.float32(0.25)
        assert (t.log_prob is None) == human


@pytest.mark.parametrize(
    ("button", "ending", "label"),
    [
        ("success", (1.0, True, False, True, None), "success"),
        ("failure", (0.0, False, True, False, "operator"), "failure"),
        ("discard", (0.0, False, True, False, "operator"), "exclude"),
    ],
)
def test_the_operators_verdict_ends_the_episode(
    bench: Bench, button: Button, ending: tuple, label: str
) -> None:
    bench.device.play = lambda n: (0.0, {button} if n == 2 else set())
    end = bench.run()
    last = bench.transitions()[-1]
    assert end.steps == 3
    assert (last.reward, last.terminated, last.truncated, end.success, end.truncated_by) == ending
    assert bench.events() == [("label", label, "scripted device")]


@pytest.mark.parametrize(
    ("stages", "rewards"),
    [
        ({2: 0.5}, [0.0, 0.5, 0.0, 0.5]),  # the last stage is what the operator saw
        ({4: 0.5}, [0.0, 0.0, 0.0, 1.0]),  # the first one, in the step in which the operator saw the last
        ({1: -0.1, 2: 0.25, 3: 0.25}, [-0.1, 0.25, 0.25, 0.5]),  # a cost is not paid back
    ],
)
def test_the_operators_success_pays_what_the_stages_have_left(
    bench: Bench, stages: dict[int, float], rewards: list[float]
) -> None:
    bench.env.stages = stages
    bench.device.play = lambda n: (0.0, {"success"} if n == 3 else set())
    for episode in range(2):  # and every episode anew
        bench.run(episode=episode, seed=(episode,))
    assert [step.reward for step in bench.transitions()] == rewards * 2


def test_a_button_still_held_from_before_is_no_verdict_until_pressed_anew(bench: Bench) -> None:
    """A double click, or a key that repeats while the arm resets, must not end the next episode."""
    bench.device.play = lambda n: (0.0, set() if n == 3 else {"success"})
    end = bench.run()
    assert (end.steps, end.success) == (5, True)


def test_the_operators_failure_stands_over_the_tasks_success(bench: Bench) -> None:
    bench.env.success_at = 2
    bench.device.play = lambda n: (0.0, {"failure"} if n == 1 else set())
    assert not bench.run().success
    last = bench.transitions()[-1]
    assert (last.reward, last.terminated, last.truncated) == (0.0, False, True)


def test_a_demonstration_holds_still_until_the_human_drives_and_is_labelled(bench: Bench) -> None:
    bench.env.success_at = 4
    bench.device.play = lambda n: (0.6 if n >= 1 else 0.0, set())
    bench.run(purpose="demo")
    steps = bench.transitions()
    assert [t.source for t in steps] == [Source.SCRIPT, Source.SCRIPT, Source.HUMAN, Source.HUMAN]
    assert not steps[0].action.any() and steps[0].weights_version == -1
    assert bench.events() == [("label", "demo", "task")]


@pytest.mark.parametrize(("success_at", "button"), [(None, None), (4, "discard")])
def test_a_failed_or_discarded_demonstration_is_no_demonstration(bench: Bench, success_at, button) -> None:
    bench.env.success_at = success_at
    bench.device.play = lambda n: (0.6, {button} if button and n == 3 else set())
    bench.run(purpose="demo")
    assert "demo" not in [label for _, label, _ in bench.events()]


def test_the_caller_may_stop_between_two_steps(bench: Bench) -> None:
    seen = []
    end = bench.run(between_steps=lambda t: seen.append(t.step) or t.step < 2)
    assert seen == [0, 1, 2]
    assert (end.steps, end.success, end.truncated_by) == (3, False, "stop")
    assert not bench.transitions()[-1].terminated


def test_a_stale_device_holds_the_arm_and_nobody_is_blamed(bench: Bench) -> None:
    class Frozen(Scripted):
        def read(self, now_ns: int) -> Reading:
            reading = super().read(now_ns)
            return Reading(np.full(6, 0.9), now_ns - 10**9) if self.number > 3 else reading

    bench.device = Frozen(lambda n: (0.9, set()))
    end = bench.run()
    assert [t.source for t in bench.transitions()] == [
        Source.POLICY,
        *[Source.HUMAN] * 2,
        *[Source.SCRIPT] * 3,
    ]
    assert not any(action.any() for action in bench.env.executed[3:])
    assert end.human_steps == 2


class Unplugged(Scripted):
    """A device that is gone, with an operator at a console who speaks at the given step."""

    def __init__(self, word: Button, at: int = 2) -> None:
        super().__init__()
        self.word: Button = word
        self.at, self.asked = at, 0

    def read(self, now_ns: int) -> Reading:
        return Reading(np.zeros(6), now_ns, connected=False)

    def said(self) -> frozenset[Button]:
        self.asked += 1
        return frozenset((self.word,) if self.asked == self.at else ())


@pytest.mark.parametrize(
    ("word", "label", "truncated_by"),
    [
        ("success", "success", None),
        ("failure", "failure", "operator"),
        ("discard", "exclude", "operator"),
        ("abandon", None, "abandoned"),
    ],
)
def test_what_is_said_elsewhere_holds_though_the_device_is_gone(
    bench: Bench, word: Button, label: str | None, truncated_by: str | None
) -> None:
    bench.device = Unplugged(word)
    end = bench.run()
    assert (end.steps, end.success, end.truncated_by) == (2, word == "success", truncated_by)
    assert [new for _, new, _ in bench.events()] == ([label] if label else [])


def test_a_failure_said_within_the_step_in_which_the_task_succeeds_is_a_failure(bench: Bench) -> None:
    bench.env.success_at = 2
    bench.device = Unplugged("failure")
    end = bench.run()
    assert not end.success and not bench.transitions()[-1].terminated
    assert bench.transitions()[-1].reward == 0.0


def test_a_paused_episode_is_given_up_after_a_while(bench: Bench) -> None:
    bench.device = Scripted(lambda n: (0.0, {"hold"} if n == 2 else set()))
    rollout = Rollout(bench.env, bench.device, ArbiterConfig(pause_s=0.15), SYNTHETIC_MAPPING, bench.writer)
    end = rollout.run_episode(Constant(), episode=0, seed=(0, 0))
    assert end.truncated_by == "abandoned" and not end.success and rollout.paused
    assert [t.source for t in bench.transitions()] == [*[Source.POLICY] * 2, *[Source.SCRIPT] * 3]


def test_an_error_inside_an_episode_marks_it_aborted(bench: Bench, tmp_path: Path) -> None:
    def fall(transition: Transition) -> bool:
        raise RuntimeError("the cable came off")

    with pytest.raises(RuntimeError):
        bench.run(between_steps=fall)
    assert bench.events() == [("aborted", None, "rollout")]
    assert bench.device.told[-1] == (False, False)
    with EpisodeIndex(tmp_path / "index.db", LogReader(tmp_path / "segments")) as index:
        index.refresh()
        assert [row.status for row in index.episodes()] == ["aborted"]
        assert "RuntimeError: the cable came off" in index.events(0)[0][1].why


def test_a_failed_reset_begins_no_episode(bench: Bench) -> None:
    bench.env.fail_reset = True
    with pytest.raises(ResetError):
        bench.run()
    assert bench.records() == [] and bench.device.told == []


def test_a_full_disk_stops_before_the_arm_moves(bench: Bench) -> None:
    bench.writer._short_of_space, bench.writer._reserve_bytes = True, 1 << 60
    with pytest.raises(LogError, match="MB free"):
        bench.run()
    assert bench.env.executed == []


def test_the_seed_and_the_options_reach_the_reset(bench: Bench) -> None:
    bench.run(options={"start": 1})
    assert bench.env.seed == environment_seed((1, 2, 3)) != environment_seed((1, 2, 4))
    assert bench.env.options == {"start": 1}
    assert bench.records()[0].seed == (1, 2, 3)


def test_without_a_writer_an_episode_leaves_no_trace(bench: Bench) -> None:
    rollout = Rollout(bench.env, bench.device, ArbiterConfig(), SYNTHETIC_MAPPING, None)
    assert rollout.run_episode(Constant(), episode=0, seed=(1,)).steps == LIMIT
    assert bench.records() == []


def press(at: dict[int, set]) -> Callable[[int], tuple[float, set]]:
    """Nothing but these buttons, by step number."""
    return lambda n: (0.0, at.get(n, set()))


def test_what_is_shown_to_a_classifier_is_a_success_while_the_button_is_held(bench: Bench) -> None:
    """And it ends nothing: the failure button goes on to the next, which is no label of this one."""
    bench.device.play = press({1: {"success"}, 2: {"success"}, 4: {"success", "failure"}})
    end = bench.run(purpose="classify")
    assert [(t.reward, t.terminated) for t in bench.transitions()] == [
        (reward, False) for reward in (0.0, 1.0, 1.0, 0.0, 1.0)
    ]
    assert (end.success, end.truncated_by, bench.events()) == (False, "operator", [])


def test_neither_the_task_nor_a_button_from_before_says_what_is_shown(bench: Bench) -> None:
    """Whoever still holds the button while the arm resets has let go of the module already."""
    bench.env.success_at = 3
    bench.device.play = press({0: {"success"}, 1: {"success"}, 4: {"success"}})  # and in the look before
    end = bench.run(purpose="classify")
    assert [t.reward for t in bench.transitions()] == [0.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    assert (end.success, end.truncated_by) == (False, "time_limit")


def test_a_discarded_example_is_left_out(bench: Bench) -> None:
    bench.device.play = press({1: {"success"}, 3: {"discard"}})
    assert bench.run(purpose="classify").truncated_by == "operator"
    assert bench.events() == [("label", "exclude", "scripted device")]


def test_a_device_that_is_lost_leaves_the_example_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot say whether the button was held."""
    read = bench.device.read
    monkeypatch.setattr(
        bench.device, "read", lambda now: replace(read(now), connected=bench.device.number < 3)
    )
    bench.run(purpose="classify")
    assert bench.events() == [("label", "exclude", "scripted device")]
