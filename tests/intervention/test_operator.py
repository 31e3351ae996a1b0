from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from handrail.intervention.config import ArbiterConfig, OperatorConfig
from handrail.intervention.operator import SYNTHETIC_MAPPING, SyntheticOperator
from handrail.intervention.policy import PolicyStep
from handrail.intervention.rollout import Rollout
from handrail.intervention.transition import Source
from handrail.robot_env.env import RobotEnv
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.make import make_env
from handrail.robot_env.sim.truth import RamTruth
from handrail.robot_env.spec import ActionSpec

STEP_NS = 100_000_000
FLIPPED = (1.0, 0.0, 0.0, 0.0)


def truth(x: float = 0.0, y: float = 0.0, z: float = 0.03, force_n: float = 0.0) -> RamTruth:
    """A module at x, y, z [m] from its seat, in the air over a socket at the origin."""
    pose = np.array([x, y, z, *FLIPPED])
    return RamTruth(
        t_ns=0,
        T_base_tcp=pose,
        T_base_tip=pose,
        T_base_socket=np.array([0, 0, 0, 0, 0, 0, 1.0]),
        T_base_setpoint=pose,
        depth=0.0,
        lateral_m=np.array([x, y]),
        yaw_rad=0.0,
        peak_force_n=force_n,
    )


class Scene:
    """A world that the test moves by hand."""

    def __init__(self, level: str = "expert", **options: object) -> None:
        self.truth = truth()
        config = OperatorConfig(level=level)  # type: ignore[arg-type]
        self.operator = SyntheticOperator(config, lambda: self.truth, ActionSpec(), 0.1, **options)  # type: ignore[arg-type]
        self.operator.open()
        self.now_ns = 0

    def start(self, episode: int = 0) -> "Scene":
        self.operator.episode_started((0, episode))
        return self

    def drives(self) -> bool:
        self.now_ns += STEP_NS
        reading = self.operator.read(self.now_ns)
        assert reading.t_ns == self.now_ns and np.abs(reading.twist).max() <= 1.0
        assert ("takeover" in reading.buttons) == bool(reading.twist.any())
        return bool(reading.buttons)

    def steps_until_help(self, limit: int = 60) -> int | None:
        return next((n for n in range(limit) if self.drives()), None)


def test_outside_an_episode_it_is_at_rest() -> None:
    assert not Scene().drives()


def test_a_stall_is_helped_after_two_seconds_and_a_reaction() -> None:
    helped = Scene().start().steps_until_help()
    assert helped is not None and 20 <= helped <= 28


def test_progress_needs_no_help() -> None:
    scene = Scene().start()
    for z in np.linspace(0.04, 0.0, 40):
        scene.truth = truth(z=z)
        assert not scene.drives()


@pytest.mark.parametrize(
    ("trouble", "earliest"),
    [(truth(x=0.02, z=0.0), 0), (truth(x=0.048, z=0.06), 0), (truth(z=0.01, force_n=30.0), 3)],
)
def test_other_trouble_is_helped_within_a_reaction(trouble: RamTruth, earliest: int) -> None:
    scene = Scene().start()
    scene.truth = trouble
    helped = scene.steps_until_help()
    assert helped is not None and earliest <= helped <= earliest + 8


def test_a_short_knock_needs_no_help() -> None:
    scene = Scene().start()
    for n in range(15):
        scene.truth = truth(z=0.03 - 0.001 * n, force_n=30.0 if n % 3 == 0 else 0.0)
        assert not scene.drives()


def test_it_lets_go_once_the_trouble_is_over_but_not_before_the_shortest_drive() -> None:
    scene = Scene().start()
    assert scene.steps_until_help() is not None
    scene.truth = truth(z=0.001)
    assert [scene.drives() for _ in range(9)] == [True] * 7 + [False] * 2


def test_it_lets_go_when_nothing_helps() -> None:
    scene = Scene().start()
    scene.steps_until_help()
    burst = 1 + next(n for n in range(60) if not scene.drives())
    assert 12 <= burst <= 20


def test_it_helps_less_the_more_the_policy_succeeds_alone() -> None:
    scene = Scene()
    assert scene.operator.restraint == 0.0
    for n in range(20):
        scene.start(n).operator.episode_finished(success=True, unaided=n % 4 != 0)
    assert scene.operator.restraint == 0.75
    helped = sum(scene.start(100 + n).steps_until_help(30) is not None for n in range(100))
    assert 10 <= helped <= 42
    for n in range(20):
        scene.start(n).operator.episode_finished(success=True, unaided=True)
    assert scene.start().steps_until_help() is None


def test_the_same_seed_is_the_same_operator_whatever_came_before() -> None:
    def twists(scene: Scene) -> list[list[float]]:
        scene.start(5)
        return [scene.operator.read(scene.now_ns + n * STEP_NS).twist.tolist() for n in range(40)]

    worn = Scene("novice").start(1)
    worn.steps_until_help()
    first = twists(worn)
    assert first == twists(Scene("novice")) and np.any(first)
    assert first != twists(Scene("good"))


def test_level_none_never_looks() -> None:
    scene = Scene("none")
    scene.operator._watch = lambda: pytest.fail("looked")
    assert scene.start().steps_until_help() is None


def test_a_budget_is_kept_over_the_run() -> None:
    scene = Scene("budgeted")
    scene.operator._config = replace(scene.operator._config, budget_s=3.0)
    driven = 0
    for n in range(12):
        scene.start(n)
        driven += sum(scene.drives() for _ in range(50))
    assert 30 <= driven <= 38  # the last drive is finished decently


def test_a_demonstrator_needs_a_level() -> None:
    with pytest.raises(ConfigError, match="cannot demonstrate"):
        Scene("none", always=True)


@pytest.fixture(scope="module")
def env() -> RobotEnv:
    return make_env()


def play(env: RobotEnv, policy, episodes: int, level: str = "good", always: bool = False):
    """(ends, bursts of human steps) of some episodes in the simulated cell."""
    assert env.scene is not None
    operator = SyntheticOperator(
        OperatorConfig(level=level),  # type: ignore[arg-type]
        env.scene.truth,  # type: ignore[attr-defined]
        env.action_spec,
        env.period_s,
        env.config.limits,
        env.config.target_reference,
        always,
    )
    rollout = Rollout(env, operator, ArbiterConfig(), SYNTHETIC_MAPPING, None)
    ends, sources = [], []
    for n in range(episodes):
        record = lambda t: sources.append(t.source) or True  # noqa: E731
        purpose = "demo" if always else "train"
        ends.append(
            rollout.run_episode(policy, episode=n, seed=(0, n), purpose=purpose, between_steps=record)
        )
        sources.append(Source.POLICY)
    edges = np.flatnonzero(np.diff([0, *(s is Source.HUMAN for s in sources), 0]))
    return ends, edges[1::2] - edges[::2]


def test_it_demonstrates_from_the_first_step_to_the_last_and_succeeds(env: RobotEnv) -> None:
    ends, _ = play(env, None, 10, always=True)
    assert sum(end.success for end in ends) >= 9
    assert all(end.human_steps == end.steps for end in ends)
    assert np.median([end.steps for end in ends]) <= 25


def test_it_helps_a_lost_policy_in_short_bursts(env: RobotEnv) -> None:
    class Lost:
        def act(self, observation: Mapping[str, np.ndarray]) -> PolicyStep:
            return PolicyStep(np.zeros(6, np.float32), 0)

    ends, bursts = play(env, Lost(), 6)
    assert sum(end.success for end in ends) >= 3  # where alone it would be none
    assert bursts.max() <= 20
    assert sum(end.human_steps for end in ends) <= 0.5 * sum(end.steps for end in ends)


def test_a_misleading_operator_does_not_seat_the_module(env: RobotEnv) -> None:
    ends, _ = play(env, None, 3, level="misleading", always=True)
    assert not any(end.success for end in ends)
