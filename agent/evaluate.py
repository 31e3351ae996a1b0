"""Frozen, unaided evaluation on fixed starts, in a simulated cell of its own.

There is no operator here: no device, no arbiter, and nothing that writes to the log. So no human step can
reach an evaluation, and no evaluation step can reach replay. The one arm of a laboratory is evaluated through
a session instead: see `evaluate_arm`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from handrail.intervention.policy import Policy
from handrail.intervention.proportion import wilson_interval
from handrail.intervention.rollout import environment_seed
from handrail.robot_env.env import RobotEnv

StartSet = Literal["check", "final"]
_SETS: dict[StartSet, int] = {"check": 1, "final": 2}
_NAMESPACE = 0x5AFE  # keeps evaluation starts apart from every training seed


@dataclass(frozen=True)
class EvaluationResult:
    """Counts of one evaluation; `episodes` is what was run, fewer than asked when it was stopped early.

    The last three are of an evaluation on a real arm, where a person stands by; elsewhere they are 0.
    """

    successes: int  # without a human step
    episodes: int
    asked: int
    wilson_low: float
    wilson_high: float
    mean_steps: float  # of successful episodes
    peak_force_n: float  # largest over all episodes
    aided: int = (
        0  # episodes in which a human drove a step: no successes of the policy's, whatever they came to
    )
    human_steps: int = 0
    without_result: int = (
        0  # beside `episodes`: broken off by a fault, abandoned, or excluded by the operator
    )

    @classmethod
    def of(
        cls, lengths: Sequence[int], episodes: int, asked: int, peak_force_n: float, **stood_by: int
    ) -> Self:
        """The counts with their bounds.

        Args:
            lengths: steps of each successful episode.
            episodes: how many were run.
            asked: how many were asked for.
            peak_force_n: largest over all of them [N].
            stood_by: the fields of a real arm.
        """
        low, high = wilson_interval(len(lengths), episodes)
        mean = float(np.mean(lengths)) if lengths else math.nan
        return cls(len(lengths), episodes, asked, low, high, mean, peak_force_n, **stood_by)

    @property
    def stopped_early(self) -> bool:
        """Whether it ended before all episodes were run: it was stopped, or its goal was out of reach."""
        return self.episodes < self.asked


def start_words(which: StartSet, index: int) -> tuple[int, ...]:
    """What names one fixed start, as an episode's seed in a log does; its last number is `index`."""
    return (_NAMESPACE, _SETS[which], index)


def start_seed(which: StartSet, index: int) -> int:
    """The environment seed of one fixed start: the same for every run, method and seed."""
    return environment_seed(start_words(which, index))


def evaluate(
    env: RobotEnv,
    policy: Policy,
    *,
    which: StartSet,
    episodes: int,
    needed: int | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> EvaluationResult | None:
    """Run `policy` from the fixed starts.

    Args:
        env: simulated, at full range; its own, nobody else drives it.
        policy: acts deterministically.
        which: "check" decides when a run has reached its goal; "final" is looked at only then, and is what is
            reported.
        episodes: how many of the fixed starts.
        needed: end early once this many successes are out of reach.
        stop: asked after each step; True abandons the evaluation.

    Returns:
        The counts, or None when abandoned.
    """
    lengths: list[int] = []
    run, peak = 0, 0.0
    for index in range(episodes):
        if stop():
            return None
        observation, _ = env.reset(seed=start_seed(which, index))
        finished, success, steps = False, False, 0
        while not finished:
            action = policy.act(observation).action
            observation, _, terminated, truncated, info = env.step(action)
            finished, success, steps = terminated or truncated, bool(info["success"]), steps + 1
            peak = max(peak, float(info["peak_force_n"]))
            if stop():
                return None
        run += 1
        if success:
            lengths.append(steps)
        if needed is not None and run - len(lengths) > episodes - needed:
            break
    return EvaluationResult.of(lengths, run, episodes, peak)
