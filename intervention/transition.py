"""One environment step, with everything a reader of the log may ask of it.

A transition is self-contained: it carries the observation before *and* after the step, so a reader never has
to pair it with its neighbour, and a short intervention segment can never be joined to another segment's
frame.

`terminated` and `truncated` are kept apart all the way to the learner: a time limit or an operator's stop is
truncated, and only the task's own end (or the operator's verdict of success) is terminated.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np


class Source(IntEnum):
    """Who chose the executed action. The numbers are part of the log format."""

    POLICY = 0
    HUMAN = 1
    SCRIPT = 2  # nobody: the arbiter held the arm (a stale device, a pause, a demonstration not yet begun)


@dataclass(frozen=True, slots=True, eq=False)
class Transition:
    """What one step of the environment was.

    Attributes:
        episode: The episode's number, from 0, never reused within a run.
        step: The step's number within its episode, from 0.
        observation: State before the step, (D,) float32, fields and units as in the environment's
            `state_spec`.
        action: The action that was executed, (A,) float32 in [-1, 1], end-effector frame.
        policy_action: What the policy would have done, (A,) float32; equal to `action` when the policy drove.
        reward: The step's reward.
        terminated: The task ended here; the return beyond is zero.
        truncated: The episode was cut here by a time limit, a fault or the operator; the return beyond is
            unknown.
        next_observation: State after the step, (D,) float32.
        source: Who chose `action`.
        t_ns: When the observation was taken, on the environment's monotonic clock [ns].
        wall_ns: When the step was stored, on the wall clock [ns since 1970]; for people, never for durations.
        weights_version: Version of the policy weights that produced `policy_action`; -1 without a policy.
        gate_flags: The safety gate's flags for the step (`GateFlag` bits).
        score: The reward classifier's probability of success, where one ran.
        latency_ms: From observation to commanded action [ms], a reward classifier's look at it included.
        log_prob: Log-density of `action` under the policy; None whenever the policy did not drive.
        images: Camera name to (H, W, 3) uint8 before the step; empty without cameras.
        next_images: The same after the step.
        classifier: Version of the reward classifier behind `score`; "" where none ran.
        value: What the policy's critics thought of `policy_action`; None without critics.
        seated: Whether the task was truly done after the step, for experiments; None where nobody can know.
    """

    episode: int
    step: int
    observation: np.ndarray
    action: np.ndarray
    policy_action: np.ndarray
    reward: float
    terminated: bool
    truncated: bool
    next_observation: np.ndarray
    source: Source
    t_ns: int
    wall_ns: int
    weights_version: int
    gate_flags: int = 0
    score: float | None = None
    latency_ms: float = 0.0
    log_prob: float | None = None
    images: Mapping[str, np.ndarray] = field(default_factory=dict)
    next_images: Mapping[str, np.ndarray] = field(default_factory=dict)
    classifier: str = ""
    seated: bool | None = None
    value: float | None = None
