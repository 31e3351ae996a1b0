"""Where and how a success can be at all, whatever the images seem to show.

A classifier looks a hundred times an episode, so one percent of wrong frames is wrong in two of three
episodes. Two rules of thumb help more than a better network: the same verdict on k frames in a row, and only
where the task can be done: near the seated pose, square to it, without a force that means a jam.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from handrail.robot_env.errors import ConfigError


@dataclass(frozen=True)
class Guard:
    """Bounds within which a success is believed; None for no bound.

    Poses are counted from the *nominal* seated pose, so the bounds must leave room for how far the actual one
    may be beside it.

    Attributes:
        lateral_m: Largest |x| and |y| [m].
        height_m: Largest |z| [m].
        rotation_rad: Largest size of each rotation-vector coordinate [rad].
        force_n: Largest force on the tool [N].
    """

    lateral_m: float | None = 0.004
    height_m: float | None = 0.004
    rotation_rad: float | None = 0.08
    force_n: float | None = 30.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not (math.isfinite(value) and value > 0.0):
                raise ConfigError(f"guard.{name} is {value}, must be positive, or null for no bound")

    def allows(self, coordinates: np.ndarray | None, force: np.ndarray) -> bool:
        """Whether a success can be here.

        Args:
            coordinates: (6,) of the tool from the nominal seated pose: x, y, z [m], rotation vector [rad];
                None where a record does not say, which no pose bound then refuses.
            force: (3,) on the tool [N].
        """
        if self.force_n is not None and not float(np.linalg.norm(force)) <= self.force_n:
            return False
        if coordinates is None:
            return True
        size = np.abs(coordinates)
        return (
            (self.lateral_m is None or bool((size[:2] <= self.lateral_m).all()))
            and (self.height_m is None or bool(size[2] <= self.height_m))
            and (self.rotation_rad is None or bool((size[3:6] <= self.rotation_rad).all()))
        )


NO_GUARD = Guard(None, None, None, None)
"""Believes a success anywhere."""


class Streak:
    """Counts looks in a row that were taken for success; the verdict is success at the k-th.

    Args:
        consecutive: k.
    """

    def __init__(self, consecutive: int) -> None:
        if consecutive < 1:
            raise ConfigError(f"consecutive frames of a success are {consecutive}, must be 1 or more; use 2")
        self._consecutive = consecutive
        self._count = 0

    def restart(self) -> None:
        """Begin an episode."""
        self._count = 0

    def look(self, positive: bool) -> bool:
        """Take one look into account; whether the episode has succeeded with it."""
        self._count = self._count + 1 if positive else 0
        return self._count >= self._consecutive


def first_success(
    scores: Sequence[float] | np.ndarray,
    allowed: Iterable[bool],
    *,
    threshold: float,
    consecutive: int,
) -> int | None:
    """Index of the look at which an episode would have succeeded, or None.

    Args:
        scores: Probability of success at each look, in order.
        allowed: Whether the guard lets a success be there.
        threshold: Least probability that counts.
        consecutive: Looks in a row that must.
    """
    streak = Streak(consecutive)
    for index, (score, may) in enumerate(zip(scores, allowed, strict=True)):
        if streak.look(may and float(score) >= threshold):
            return index
    return None
