"""Where the tool was in a recorded episode, counted from the nominal seated pose, as the guard needs it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from handrail.intervention.log_format import EpisodeStart, StepRecord
from handrail.intervention.rollout import environment_seed
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.geometry import Array, pose_compose, pose_from, quat_from_rotvec
from handrail.robot_env.spec import state_spec
from handrail.robot_env.tasks import RamInsertion

_AT_ORIGIN = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
"""A tool that points down: where it is seated does not matter."""


class RecordedSituations:
    """Reads tool coordinates and forces off the state of logged steps.

    A state that counts from the episode's start says nothing of the socket. The start is then drawn again
    from the episode's seed, as the reset drew it: right to within what the reset calls settled (`error`).

    Args:
        env: The environment that the log was recorded with.

    Attributes:
        error: How far the coordinates may be off: (distance [m], rotation [rad]).
    """

    def __init__(self, env: EnvConfig) -> None:
        self._slices = state_spec(env).slices
        self._from_start = env.proprioception == "start"
        self._task = RamInsertion(replace(env.task, seated_pose=_AT_ORIGIN))
        self._frame = self._task.frame()
        self._start: Array | None = None
        settled = (env.task.settle_m, env.task.settle_rad)
        self.error: tuple[float, float] = settled if self._from_start else (0.0, 0.0)

    def begin(self, episode: EpisodeStart) -> None:
        """An episode's steps follow."""
        if self._from_start:
            rng = np.random.default_rng(environment_seed(episode.seed))
            self._start = self._frame.pose(self._task.sample_start(rng).coordinates)

    def after(self, step: StepRecord) -> tuple[np.ndarray, np.ndarray]:
        """(coordinates (6,) from the nominal seated pose [m, rad], force (3,) [N]) after a step."""
        state = np.frombuffer(step.next_observation, "<f4").astype(np.float64)
        position, rotation = state[self._slices["tcp_position"]], state[self._slices["tcp_rotation"]]
        force = state[self._slices["force"]]
        if not self._from_start:
            return np.concatenate([position, rotation]), force
        assert self._start is not None, "after() before begin()"
        pose = pose_compose(self._start, pose_from(position, quat_from_rotvec(rotation)))
        return np.array(self._frame.coordinates(pose)), force
