"""What `handrail bench classifier` counts, where it is known what it has to count."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from judged import ENV

from handrail.launch.bench.classifier import _near_misses, _shaky
from handrail.launch.bench.figures import Figure
from handrail.robot_env.env import RobotEnv
from handrail.robot_env.judge import RewardConfig, Situation, Verdict
from handrail.robot_env.make import make_env

COUNT = 3
CONSECUTIVE = 2

Claims = Callable[[int, bool], bool]
"""Whether a judge claims success at a step (from 1), given whether it is one."""


class Scripted:
    """A judge that is told the truth, and says what it likes."""

    threshold = None

    def __init__(self, claims: Claims) -> None:
        self.claims = claims
        self.env: RobotEnv | None = None

    def begin(self, images: Mapping[str, np.ndarray]) -> None: ...

    def judge(self, images: Mapping[str, np.ndarray], situation: Situation) -> Verdict:
        assert self.env is not None and self.env.scene is not None
        success = self.claims(situation.step, self.env.scene.success())
        return Verdict(success, float(success), 0.5, "abc")


@contextmanager
def judged_by(claims: Claims) -> Iterator[RobotEnv]:
    judge = Scripted(claims)
    env = make_env(replace(ENV, reward=RewardConfig("classifier", ("scripted",))), judge=judge)
    judge.env = env
    try:
        yield env
    finally:
        env.close()


def by_name(figures: Iterator[Figure]) -> dict[str, float]:
    return {figure.name: figure.value for figure in figures}


@pytest.mark.parametrize(
    ("claims", "reached", "false", "missed"),
    [
        (lambda step, true: step == 1, 0, 100.0, 0.0),
        (lambda step, true: true, COUNT, 0.0, 0.0),
        (lambda step, true: False, COUNT, 0.0, 100.0),
    ],
    ids=["at once", "the truth", "never"],
)
def test_claims_of_shaky_episodes_are_held_against_the_truth(
    claims: Claims, reached: int, false: float, missed: float
) -> None:
    with judged_by(claims) as env:
        found = by_name(_shaky(env, COUNT, CONSECUTIVE))
    assert found == {"fresh_reached": reached, "fresh_false_positives": false, "fresh_missed": missed}


@pytest.mark.parametrize(("late", "reached", "missed"), [(4, COUNT, 0.0), (5, COUNT, 100.0)])
def test_a_success_is_missed_when_it_goes_unseen_for_three_looks_beyond_k(
    late: int, reached: int, missed: float
) -> None:
    seen = 0

    def slowly(step: int, true: bool) -> bool:
        nonlocal seen
        seen = seen + 1 if true and step > 1 else int(true)
        return seen > late

    with judged_by(slowly) as env:
        found = by_name(_shaky(env, COUNT, CONSECUTIVE))
    assert found == {"fresh_reached": reached, "fresh_false_positives": 0.0, "fresh_missed": missed}


@pytest.mark.parametrize(
    ("claims", "false"),
    [(lambda step, true: step == 1, 100.0), (lambda step, true: False, 0.0)],
    ids=["at once", "never"],
)
def test_a_near_miss_that_is_claimed_is_a_false_success(claims: Claims, false: float) -> None:
    with judged_by(claims) as env:
        assert by_name(_near_misses(env, COUNT)) == {"near_miss_false_positives": false}
