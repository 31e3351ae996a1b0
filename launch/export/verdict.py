"""What an episode's steps are worth under the label that it has now: what a learner would be given.

The rules are those of the replay memory (`agent/replay.py`), applied to a whole episode:

    none        as recorded
    success     nothing after the labelled step; what is left of 1 at that step, which is terminal
    demo        the same
    failure     nothing gained, nothing terminal
    exclude     as recorded (such an episode is exported only when asked for)

An episode's last step is always an end: one that is not terminal is truncated, whatever the step itself says,
because a stop may come after the step was stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from handrail.intervention.index_query import EpisodeRow
from handrail.intervention.labeller import Label
from handrail.intervention.log_format import StepRecord
from handrail.intervention.transition import Transition

_SUCCESSES = (Label.SUCCESS, Label.DEMO)


@dataclass(frozen=True, eq=False)
class Verdict:
    """The rewards and ends of an episode's N steps.

    Attributes:
        reward: (N,) float64.
        terminated: (N,) bool: the task ended there.
        truncated: (N,) bool: the episode was cut there, its return beyond is unknown.
    """

    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray


def counted_steps(row: EpisodeRow) -> int:
    """How many of an episode's steps count: none after the one at which its label says that success was."""
    if row.label in _SUCCESSES and row.label_step is not None:
        return min(row.label_step + 1, row.steps)
    return row.steps


def as_recorded(row: EpisodeRow) -> bool:
    """Whether an episode's label certainly leaves its rewards as they were recorded, by its row alone."""
    if row.label in _SUCCESSES:
        return bool(row.success) and counted_steps(row) == row.steps
    return row.label != Label.FAILURE


def judge_steps(row: EpisodeRow, steps: Sequence[Transition] | Sequence[StepRecord]) -> Verdict:
    """What an episode's counted steps are worth; `steps` are all of them, at least one."""
    counted = steps[: counted_steps(row)]
    return judge(
        row,
        np.array([step.reward for step in counted]),
        np.array([step.terminated for step in counted]),
        np.array([step.truncated for step in counted]),
    )


def judge(row: EpisodeRow, reward: np.ndarray, terminated: np.ndarray, truncated: np.ndarray) -> Verdict:
    """What the counted steps of an episode are worth.

    Args:
        row: the episode, with its label.
        reward: (N,) as recorded; N is `counted_steps(row)` and at least 1, here and below.
        terminated: (N,) as recorded.
        truncated: (N,) as recorded.
    """
    reward = reward.astype(np.float64)
    terminated, truncated = terminated.astype(bool), truncated.astype(bool)
    if row.label == Label.FAILURE:
        reward = np.minimum(reward, 0.0)
        terminated[:] = False
    elif row.label in _SUCCESSES and not (terminated[-1] and reward[-1] > 0.0):
        # The stages of a staged reward have earned a part of it already.
        reward[-1] = 1.0 - np.maximum(reward[:-1], 0.0).sum()
        terminated[-1] = True
    truncated &= ~terminated
    truncated[-1] = not terminated[-1]
    return Verdict(reward, terminated, truncated)
