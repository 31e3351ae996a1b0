"""Where a transition comes from: what the learner's diagnostics are split by.

    demo            an episode that was recorded as a demonstration, or is labelled one, and is no failure
    intervention    a human drove this step of a training episode
    online_success  any other step of an episode that ended in success
    online_failure  any other step of one that failed, is labelled a failure, or has not ended yet

The first line that fits counts. All of it follows from the replay memory's table, so a label moves steps from
one origin to another the moment it arrives. (`Source` is who chose an action; it never changes.)
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from handrail.intervention.labeller import Label


class Origin(IntEnum):
    """Of one transition."""

    DEMO = 0
    INTERVENTION = 1
    ONLINE_SUCCESS = 2
    ONLINE_FAILURE = 3


ORIGINS: tuple[str, ...] = tuple(origin.name.lower() for origin in Origin)
"""Their names in reports and files, by number."""


def origin_of(purpose: str, label: Label | None, human: np.ndarray, succeeded: bool) -> np.ndarray:
    """Origins (N,) int8 of steps of one episode.

    Args:
        purpose: What the episode was recorded for, "train" or "demo".
        label: Its last one.
        human: (N,) bool, whether a human drove each step.
        succeeded: Whether one of the episode's steps is terminal, by record or by label.
    """
    if label is not Label.FAILURE and (purpose == "demo" or label is Label.DEMO):
        return np.full(len(human), Origin.DEMO, dtype=np.int8)
    otherwise = Origin.ONLINE_SUCCESS if succeeded else Origin.ONLINE_FAILURE
    return np.where(human & (purpose == "train"), Origin.INTERVENTION, otherwise).astype(np.int8)
