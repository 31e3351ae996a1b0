"""From what the arm and the cameras say to what a policy sees.

The arm's pose is counted from the nominal socket or from where the episode began
(`EnvConfig.proprioception`); `spec.state_spec` names the fields of either.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from gymnasium import spaces

from handrail.robot_env.arms.arm import ArmState
from handrail.robot_env.cameras.camera import Camera, check_skew
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import CameraError, ConfigError
from handrail.robot_env.geometry import Array, WorkFrame, pose_relative, quat_inverse, quat_rotate
from handrail.robot_env.geometry import rotvec_from_quat as rotvec
from handrail.robot_env.spec import state_spec

Observation = dict[str, np.ndarray]

OBSERVATION_BOUND = 1000.0
"""Bound of the state space in units of each field's scale; a finite one, beyond anything physical."""
BLACK = 16
"""An image without a pixel as bright as this shows nothing: it is the black level of video (BT.601)."""


def is_black(image: np.ndarray) -> bool:
    """Whether an image (H, W, 3) uint8 shows nothing: a covered lens, or no light."""
    return int(image.max()) < BLACK


def images_of(observation: Mapping[str, np.ndarray]) -> Observation:
    """The images of an observation, by camera."""
    return {name: image for name, image in observation.items() if name != "state"}


class Observer:
    """Makes observations: `{"state": (D,) float32}` and `{camera: (H, W, 3) uint8}` for each camera.

    Args:
        config: names and sizes of the cameras, and where the pose is counted from.
        cameras: those that `config.cameras` names.

    Attributes:
        spec: what the state is.
        shapes: of the images, (H, W, 3) by camera.
        space: the space of observations.
        first_look: called as each episode begins, once its images are there; its `CameraError` refuses it.
            Nobody commands the arm meanwhile: it must take a few milliseconds at most, and no disk.

    Raises:
        ConfigError: other cameras are given than configured.
    """

    def __init__(self, config: EnvConfig, cameras: Sequence[Camera]) -> None:
        self.first_look: Callable[[], None] | None = None
        self.spec = state_spec(config)
        self.cameras = {camera.name: camera for camera in cameras}
        self.shapes = {c.name: (c.height, c.width, 3) for c in config.cameras}
        if set(self.shapes) != set(self.cameras):
            raise ConfigError(
                f"cameras given are {sorted(self.cameras)}, configured are {sorted(self.shapes)}; match them"
            )
        bound = OBSERVATION_BOUND * self.spec.scale
        self.space = spaces.Dict(
            {
                "state": spaces.Box(-bound, bound, dtype=np.float32),
                **{name: spaces.Box(0, 255, shape, np.uint8) for name, shape in self.shapes.items()},
            }
        )
        self._skew_s = config.camera_skew_s
        self._from_start = config.proprioception == "start"
        self._start: Array | None = None

    def first(self, state: ArmState, frame: WorkFrame) -> Observation:
        """The first observation of an episode, which starts where the arm is now.

        Raises:
            CameraError: a camera gives no frame, or a black one: a covered lens, or no light; or `first_look`
                refuses the cameras.
        """
        self._start = state.pose.copy()
        observation = self.observe(state, frame)
        for name in self.cameras:
            if is_black(image := observation[name]):
                raise CameraError(
                    f"camera {name} shows nothing but black (brightest pixel {image.max()} of 255, at least "
                    f"{BLACK} needed); uncover its lens, or give it light or exposure"
                )
        if self.first_look is not None:
            self.first_look()
        return observation

    def observe(self, state: ArmState, frame: WorkFrame) -> Observation:
        """The observation that goes with a reading of the arm.

        Args:
            state: the reading.
            frame: the work frame, at the nominal seated pose.

        Raises:
            CameraError: a camera gives no frame, or the images do not show one moment.
        """
        pose = self._pose_from_start(state) if self._from_start else _pose_from_socket(state, frame)
        vector = np.array((*pose, *state.wrench.tolist(), state.gripper_width_m), dtype=np.float32)
        frames = {name: camera.read() for name, camera in self.cameras.items()}
        check_skew(frames, self._skew_s)
        return {"state": vector, **{name: frame.image for name, frame in frames.items()}}

    def _pose_from_start(self, state: ArmState) -> tuple[float, ...]:
        """Pose from the start, in its frame, and velocities in the tool's (12 numbers)."""
        assert self._start is not None, "observe() before first()"
        pose, into_tool = pose_relative(self._start, state.pose), quat_inverse(state.pose[3:7])
        linear, angular = quat_rotate(into_tool, state.twist[:3]), quat_rotate(into_tool, state.twist[3:])
        return (*pose[:3].tolist(), *rotvec(pose[3:7]).tolist(), *linear.tolist(), *angular.tolist())


def _pose_from_socket(state: ArmState, frame: WorkFrame) -> tuple[float, ...]:
    """Pose and velocities in work coordinates (12 numbers)."""
    linear, angular = frame.rotate_in(state.twist[:3]), frame.rotate_in(state.twist[3:])
    return (*frame.coordinates(state.pose), *linear, *angular)
