"""Settings of an environment: frozen, checked where they are made, usable without a framework.

A limit that is zero, negative, inverted or not a number never reaches an arm: building the dataclass raises
`ConfigError` with the value, the limit and the remedy.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from handrail.robot_env.arms.config import ArmConfig
from handrail.robot_env.cameras.config import CameraConfig, CameraDeviceConfig
from handrail.robot_env.checks import require_pose, require_positive, require_range
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.judge import RewardConfig
from handrail.robot_env.regrasp import RegraspConfig
from handrail.robot_env.sim.config import RandomizationConfig, SimConfig
from handrail.robot_env.spec import Proprioception

__all__ = [
    "ArmConfig",
    "CameraConfig",
    "CameraDeviceConfig",
    "EnvConfig",
    "LimitsConfig",
    "MotionLimits",
    "RandomizationConfig",
    "RegraspConfig",
    "RewardConfig",
    "SimConfig",
    "TargetReference",
    "TaskConfig",
]

TargetReference = Literal["commanded", "measured"]


@dataclass(frozen=True)
class MotionLimits:
    """How fast a set-point may move, per work axis, and how far ahead of the arm its goal may run.

    The defaults pass a step of 1 cm per 0.1 s unfiltered (it takes 0.08 s) and stay below the limits of the
    arms' own controllers. Slower ones make a step outlast its tick, and an operator who cannot see that
    overshoots.

    Attributes:
        linear_speed_m_s: speed along each axis [m/s].
        linear_acceleration_m_s2: acceleration along each axis [m/s²].
        linear_jerk_m_s3: jerk along each axis [m/s³].
        angular_speed_rad_s: speed of each rotation-vector coordinate [rad/s].
        angular_acceleration_rad_s2: acceleration of each [rad/s²].
        angular_jerk_rad_s3: jerk of each [rad/s³].
        leash_m: distance from the measured to the goal position [m]; times the stiffness it bounds a push.
        leash_rad: distance from the measured to the goal rotation vector [rad].
    """

    linear_speed_m_s: float = 0.25
    linear_acceleration_m_s2: float = 10.0
    linear_jerk_m_s3: float = 1000.0
    angular_speed_rad_s: float = 1.2
    angular_acceleration_rad_s2: float = 25.0
    angular_jerk_rad_s3: float = 2500.0
    leash_m: float = 0.012
    leash_rad: float = 0.12

    def __post_init__(self) -> None:
        require_positive("limits", **vars(self))
        require_range("limits", 0.0, 1.0, linear_speed_m_s=self.linear_speed_m_s, leash_m=self.leash_m)
        require_range(
            "limits", 0.0, 3.0, angular_speed_rad_s=self.angular_speed_rad_s, leash_rad=self.leash_rad
        )


RESET_MOTION = MotionLimits(
    linear_speed_m_s=0.3,
    angular_speed_rad_s=1.5,
    leash_m=0.05,
    leash_rad=0.3,
)
"""Resets move through free space above the socket: faster, and with a leash long enough to get there."""


@dataclass(frozen=True)
class LimitsConfig:
    """Where the tool may be, how it may move and how hard it may press. None of this is safety-rated.

    Positions and rotations are work coordinates: from the seated pose at the nominal socket, along its axes.

    Attributes:
        workspace_low_m: lowest x, y, z [m].
        workspace_high_m: highest x, y, z [m].
        rotation_limit_rad: largest size of each rotation-vector coordinate, either way [rad].
        motion: limits of a policy's or an operator's steps.
        reset_motion: limits of the reset sequence.
        force_limit_n: force on the tool above which the arm holds [N].
        force_samples: looks in a row over the limit before it does; one spike is not a jam. A served arm is
            looked at in every round of its server (`arm.server.rate_hz`: 3 take 15 ms), the simulated arm in
            lockstep only when it is commanded (`hz`: 3 take 0.3 s).
    """

    workspace_low_m: tuple[float, float, float] = (-0.05, -0.05, -0.01)
    workspace_high_m: tuple[float, float, float] = (0.05, 0.05, 0.10)
    rotation_limit_rad: tuple[float, float, float] = (0.12, 0.12, 0.45)
    motion: MotionLimits = field(default_factory=MotionLimits)
    reset_motion: MotionLimits = RESET_MOTION
    force_limit_n: float = 35.0
    force_samples: int = 3

    def __post_init__(self) -> None:
        for name in ("workspace_low_m", "workspace_high_m", "rotation_limit_rad"):
            value = getattr(self, name)
            if len(value) != 3 or not all(math.isfinite(x) for x in value):
                raise ConfigError(
                    f"limits.{name} is {value}, must be three finite numbers; give one per axis"
                )
        for axis, low, high in zip("xyz", self.workspace_low_m, self.workspace_high_m, strict=True):
            if not low < high:
                raise ConfigError(
                    f"limits.workspace on {axis} runs from {low} m to {high} m, which holds nothing; "
                    "set workspace_low_m below workspace_high_m"
                )
            if not low <= 0.0 <= high:
                raise ConfigError(
                    f"limits.workspace on {axis} runs from {low} m to {high} m, without 0, the seated pose; "
                    "widen it, or the task cannot be finished"
                )
        for axis, limit in zip("xyz", self.rotation_limit_rad, strict=True):
            if not 0.0 < limit < math.pi / 2:
                raise ConfigError(
                    f"limits.rotation_limit_rad about {axis} is {limit} rad, outside (0, π/2); "
                    "give the tilt the tool may have either way"
                )
        require_positive("limits", force_limit_n=self.force_limit_n)
        if self.force_samples < 1:
            raise ConfigError(f"limits.force_samples is {self.force_samples}, must be 1 or more; use 3")


@dataclass(frozen=True)
class TaskConfig:
    """The RAM insertion: where an episode starts, how it is reset, when it ends.

    Attributes:
        seated_pose: (7,) tool pose with the module seated in the nominal socket, base frame; None takes the
            simulated cell's own.
        start_height_m: mean height of a start above the seated pose [m].
        start_xy_m: half-width of the start's x and of its y [m].
        start_z_m: half-width of the start's height [m].
        start_yaw_rad: half-width of the start's turn about the vertical [rad].
        clearance_m: height above the seated pose at which the module is free of the socket [m].
        home_m: height of the home above the seated pose, which the arm passes on its way to a start [m].
        settle_m: distance from a start's position that counts as there [m].
        settle_rad: the same for its orientation [rad].
        settle_speed_m_s: speed below which the arm counts as at rest [m/s].
        settle_speed_rad_s: the same for its turning [rad/s].
        reset_tick_s: time between two looks at the arm while it resets [s].
        reset_timeout_s: longest that one leg of the reset may take [s].
        max_steps: steps after which an episode is truncated.
        success_steps: steps in a row that must look like success.
    """

    seated_pose: tuple[float, ...] | None = None
    start_height_m: float = 0.04
    start_xy_m: float = 0.02
    start_z_m: float = 0.01
    start_yaw_rad: float = 0.17
    clearance_m: float = 0.025
    home_m: float = 0.05
    settle_m: float = 0.0005
    settle_rad: float = 0.003
    settle_speed_m_s: float = 0.005
    settle_speed_rad_s: float = 0.02
    reset_tick_s: float = 0.05
    reset_timeout_s: float = 5.0
    max_steps: int = 100
    success_steps: int = 2

    def __post_init__(self) -> None:
        if self.seated_pose is not None:
            require_pose("task", "teach it with the module seated", seated_pose=self.seated_pose)
        require_range("task", 0.0, 0.1, start_xy_m=self.start_xy_m, start_z_m=self.start_z_m)
        require_range("task", 0.0, 1.5, start_yaw_rad=self.start_yaw_rad)
        require_positive(
            "task",
            start_height_m=self.start_height_m,
            clearance_m=self.clearance_m,
            home_m=self.home_m,
            settle_m=self.settle_m,
            settle_rad=self.settle_rad,
            settle_speed_m_s=self.settle_speed_m_s,
            settle_speed_rad_s=self.settle_speed_rad_s,
            reset_tick_s=self.reset_tick_s,
            reset_timeout_s=self.reset_timeout_s,
        )
        if self.home_m < self.clearance_m:
            raise ConfigError(
                f"task.home_m is {self.home_m} m, below task.clearance_m = {self.clearance_m} m; "
                "the arm would cross the board with the module in the socket: raise home_m"
            )
        if self.start_height_m - self.start_z_m < self.clearance_m:
            raise ConfigError(
                f"task starts reach down to {self.start_height_m - self.start_z_m:.4g} m, below "
                f"task.clearance_m = {self.clearance_m} m; raise start_height_m or shrink start_z_m"
            )
        for name in ("max_steps", "success_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f"task.{name} is {getattr(self, name)}, must be 1 or more; the default is good"
                )


@dataclass(frozen=True)
class EnvConfig:
    """Everything `make_env` needs.

    Attributes:
        hz: steps a second [1/s].
        action_scale: what ±1 in an action means, PER STEP: along an axis [m], about an axis [rad]. It does
            not follow `hz`: the default asks for up to 0.1 m/s at 10 Hz and 0.2 m/s at 20 Hz.
            (0.005, 0.03) keeps the speed there, but then needs the "commanded" reference.
        target_reference: what a step is added to. "commanded": the last goal, leashed to the arm, so that a
            steady push builds up as far as the leash. "measured": where the arm is, as HIL-SERL does; a push
            is then at most one step times the stiffness (10 N for 5 mm, too little to seat a module).
        proprioception: what the arm's pose in the state counts from. "socket": the nominal seated pose, in
            its frame. "start": where the episode began, in the tool's frame there, velocities in the tool's
            own, as HIL-SERL does: it takes cameras, because only they say where the socket is.
        task: the task.
        reward: who says that an episode has succeeded.
        limits: the gate's limits.
        sim: the simulated cell.
        randomization: what differs between episodes, beyond the start pose.
        cameras: images in the observation; none by default.
        camera_devices: physical cameras that those images are taken from; the simulated cell has its own.
        camera_skew_s: largest difference between the stamps of two images of one observation [s].
        arm: the arm, and how it is reached.
        regrasp: how a module is taken anew; None for a task or an arm that never does.
        regrasp_every: episodes between two of them, in which the module slips in the jaws; 0 for only when
            the operator asks (`handrail regrasp`).
        human_hz: rate at which an operator's hand moves an arm in real time within a step [1/s]; 0 moves it
            once a step, as a policy does.
    """

    hz: float = 10.0
    action_scale: tuple[float, float] = (0.01, 0.06)
    target_reference: TargetReference = "measured"
    proprioception: Proprioception = "socket"
    task: TaskConfig = field(default_factory=TaskConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    sim: SimConfig = field(default_factory=SimConfig)
    randomization: RandomizationConfig = field(default_factory=RandomizationConfig)
    cameras: tuple[CameraConfig, ...] = ()
    camera_devices: tuple[CameraDeviceConfig, ...] = ()
    camera_skew_s: float = 0.05
    arm: ArmConfig = field(default_factory=ArmConfig)
    regrasp: RegraspConfig | None = None
    regrasp_every: int = 0
    human_hz: float = 60.0

    def __post_init__(self) -> None:
        require_range("env", 1.0, 100.0, hz=self.hz)
        if len(self.action_scale) != 2:
            raise ConfigError(
                f"env.action_scale is {self.action_scale}, must be two numbers: metres and radians"
            )
        require_positive(
            "env", **{"action_scale[0]": self.action_scale[0], "action_scale[1]": self.action_scale[1]}
        )
        if self.action_scale[0] > 0.05 or self.action_scale[1] > 0.5:
            raise ConfigError(
                f"env.action_scale is {self.action_scale}, above (0.05 m, 0.5 rad) a step; "
                "it is in metres and radians: 0.01 is one centimetre"
            )
        if self.target_reference not in ("commanded", "measured"):
            raise ConfigError(
                f"env.target_reference is {self.target_reference!r}; choose 'commanded' or 'measured'"
            )
        if self.proprioception not in ("socket", "start"):
            raise ConfigError(f"env.proprioception is {self.proprioception!r}; choose 'socket' or 'start'")
        if self.reward.source == "classifier" and not self.cameras:
            raise ConfigError(
                "env.reward.source is 'classifier' and env.cameras is empty; it needs the cameras it was "
                "trained on"
            )
        require_range("env", 0.0, 200.0, human_hz=self.human_hz)
        require_range("env", 0.0, 1.0, camera_skew_s=self.camera_skew_s)
        for key, cameras in (("cameras", self.cameras), ("camera_devices", self.camera_devices)):
            names = [camera.name for camera in cameras]
            if len(set(names)) != len(names):
                raise ConfigError(f"env.{key} are named {names}; give each camera a name of its own")
        if self.regrasp_every < 0 or (self.regrasp_every and self.regrasp is None):
            raise ConfigError(
                f"env.regrasp_every is {self.regrasp_every}, must be 0 or more, and 0 without env.regrasp; "
                "teach env.regrasp.grasp_pose at the holder"
            )
        self._check_starts()

    def _check_starts(self) -> None:
        """Every start pose must lie inside the workspace, or the gate would move it."""
        task, limits = self.task, self.limits
        reach = (task.start_xy_m, task.start_xy_m, task.start_height_m + task.start_z_m)
        for axis, distance, high in zip("xyz", reach, limits.workspace_high_m, strict=True):
            if distance > high:
                raise ConfigError(
                    f"task starts reach {distance:.4g} m on {axis}, beyond limits.workspace_high_m "
                    f"of {high} m; shrink the start's range or widen the workspace"
                )
        for axis, low in zip("xy", limits.workspace_low_m, strict=False):
            if -task.start_xy_m < low:
                raise ConfigError(
                    f"task starts reach {-task.start_xy_m} m on {axis}, beyond limits.workspace_low_m "
                    f"of {low} m; shrink the start's range or widen the workspace"
                )
        if task.home_m > limits.workspace_high_m[2]:
            raise ConfigError(
                f"task.home_m is {task.home_m} m, above limits.workspace_high_m of "
                f"{limits.workspace_high_m[2]} m; lower the home or raise the workspace"
            )
        if task.start_yaw_rad > limits.rotation_limit_rad[2]:
            raise ConfigError(
                f"task.start_yaw_rad is {task.start_yaw_rad} rad, beyond limits.rotation_limit_rad "
                f"about z of {limits.rotation_limit_rad[2]} rad; shrink the range or widen the limit"
            )
