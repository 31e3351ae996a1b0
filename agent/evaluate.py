"""Frozen, unaided evaluation on fixed starts.

There is no operator here: no device, no arbiter, and nothing that writes to the log. So no human step can
reach an evaluation, and no evaluation step can reach replay.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from handrail.intervention.policy import Policy
from handrail.intervention.proportion import wilson_interval
from handrail.robot_env.env import RobotEnv

StartSet = Literal["check", "final"]
_SETS: dict[StartSet, int] = {"check": 1, "final": 2}
_NAMESPACE = 0x5AFE  # keeps evaluation starts apart from every training seed


class SeededPolicy(Policy, Protocol):
    """A policy whose exploration noise can be restarted."""

    def seed(self, seed: int) -> None:
        """Restart the noise."""
        ...


@dataclass(frozen=True)
class EvaluationResult:
    """Counts of one evaluation; `episodes` is what was run, fewer than asked when it was stopped early."""

    successes: int
    episodes: int
    asked: int
    wilson_low: float
    wilson_high: float
    mean_steps: float  # of successful episodes
    peak_force_n: float  # largest over all episodes

    @property
    def stopped_early(self) -> bool:
        """Whether the goal went out of reach before all episodes were run."""
        return self.episodes < self.asked


def start_seed(which: StartSet, index: int) -> int:
    """The environment seed of one fixed start: the same for every run, method and seed."""
    return int(np.random.SeedSequence([_NAMESPACE, _SETS[which], index]).generate_state(1)[0])


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
        env: at full range; its own, nobody else drives it.
        policy: acts deterministically.
        which: "check" decides when a run has reached its goal; "final" is looked at only then, and is what is
            reported.
        episodes: how many of the fixed starts.
        needed: end early once this many successes are out of reach.
        stop: asked between episodes; True abandons the evaluation.

    Returns:
        The counts, or None when abandoned.
    """
    successes, lengths, peak = 0, [], 0.0
    run = 0
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
        run += 1
        if success:
            successes += 1
            lengths.append(steps)
        if needed is not None and run - successes > episodes - needed:
            break
    low, high = wilson_interval(successes, run)
    mean = float(np.mean(lengths)) if lengths else math.nan
    return EvaluationResult(successes, run, episodes, low, high, mean, peak)
