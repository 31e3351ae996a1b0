"""Facts of one Universal Robots arm: settings only, without any SDK."""

import math
from dataclasses import dataclass
from typing import Literal

from handrail.robot_env.checks import require_each, require_range, require_tool
from handrail.robot_env.errors import ConfigError


@dataclass(frozen=True)
class URConfig:
    """Facts of one UR e-Series arm (PolyScope 5.6 or later, in remote control).

    Attributes:
        host: address of its controller; "" until the station gives it.
        rate_hz: rate of the force-mode loop [1/s].
        tcp: (7,) tool centre point in the flange's frame, x y z [m] and quaternion x y z w; None keeps the
            one of the robot's installation.
        payload_kg: mass of all that is beyond the flange [kg]; None keeps the installation's. The force
            reading is only as good as this.
        payload_com_m: its centre of mass in the flange's frame [m].
        clip_m: largest position error acted on, x, y, z [m], where the gains do not say.
        clip_rad: the same about x, y, z [rad].
        force_limit_n: most that the arm is asked to press with along an axis, whatever the gains [N].
        torque_limit_nm: the same about an axis [Nm].
        speed_limit_m_s: speed along an axis that force mode may reach [m/s].
        speed_limit_rad_s: the same about an axis [rad/s].
        force_damping: force mode's own damping, 0 (none: the arm drifts on) to 1.
        force_scaling: force mode's gain, 0 to 2; above 1 it may shake on hard surfaces.
        watchdog_hz: rate below which the robot's own watchdog ends the program [1/s].
        stale_s: age of the robot's last word at which it counts as lost [s].
        silence_s: the same between the arm server and the process that holds ur_rtde, either way [s].
        joint_speed_rad_s: rated speed of the joints, which `joint_speed` is a share of [rad/s].
        joint_acceleration_rad_s2: acceleration and deceleration of joint motions [rad/s²].
        unlock_s: how long to go on trying to unlock a protective stop, which takes 5 s at least [s].
        gripper: "robotiq" for one with its URCap installed, "none" for none to command.
        gripper_stroke_m: opening of its jaws when fully open [m].
        gripper_counts: its position register when open, and when closed on nothing.
        gripper_forces_n: what its weakest and its strongest grip press with [N].
        gripper_force_n: what `close` presses with [N].
    """

    host: str = ""
    rate_hz: float = 250.0
    tcp: tuple[float, ...] | None = None
    payload_kg: float | None = None
    payload_com_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    clip_m: tuple[float, float, float] = (0.0075, 0.0075, 0.01)
    clip_rad: tuple[float, float, float] = (0.027, 0.027, 0.027)
    force_limit_n: float = 40.0
    torque_limit_nm: float = 5.0
    speed_limit_m_s: float = 0.15
    speed_limit_rad_s: float = 0.8
    force_damping: float = 0.025
    force_scaling: float = 0.5
    watchdog_hz: float = 10.0
    stale_s: float = 0.1
    silence_s: float = 0.25
    joint_speed_rad_s: float = math.pi
    joint_acceleration_rad_s2: float = 1.4
    unlock_s: float = 15.0
    gripper: Literal["none", "robotiq"] = "none"
    gripper_stroke_m: float = 0.085
    gripper_counts: tuple[int, int] = (3, 228)
    gripper_forces_n: tuple[float, float] = (20.0, 235.0)
    gripper_force_n: float = 40.0

    def __post_init__(self) -> None:
        if self.gripper not in ("none", "robotiq"):
            raise ConfigError(f"arm.ur.gripper is {self.gripper!r}; choose 'none' or 'robotiq'")
        require_tool("arm.ur", self.tcp, "the one of the robot's installation")
        require_each("arm.ur", 3, -0.5, 0.5, payload_com_m=self.payload_com_m)
        require_each("arm.ur", 3, 1e-4, 0.05, clip_m=self.clip_m)
        require_each("arm.ur", 3, 1e-3, 0.5, clip_rad=self.clip_rad)
        for low, high, name in (
            (125.0, 500.0, "rate_hz"),
            (1.0, 100.0, "force_limit_n"),
            (0.1, 10.0, "torque_limit_nm"),
            (0.01, 0.5, "speed_limit_m_s"),
            (0.05, 2.0, "speed_limit_rad_s"),
            (0.0, 1.0, "force_damping"),
            (0.05, 2.0, "force_scaling"),
            (1.0, 50.0, "watchdog_hz"),
            (0.02, 5.0, "stale_s"),
            (0.05, 5.0, "silence_s"),
            (0.1, 6.3, "joint_speed_rad_s"),
            (0.1, 10.0, "joint_acceleration_rad_s2"),
            (0.5, 25.0, "unlock_s"),
            (0.01, 0.3, "gripper_stroke_m"),
        ):
            require_range("arm.ur", low, high, **{name: getattr(self, name)})
        if self.payload_kg is not None:
            require_range("arm.ur", 0.0, 20.0, payload_kg=self.payload_kg)
        opened, closed = self.gripper_counts
        if not 0 <= opened < closed <= 255:
            raise ConfigError(
                f"arm.ur.gripper_counts is {self.gripper_counts}; give the register when open and when "
                "closed, 0 to 255, rising"
            )
        weakest, strongest = self.gripper_forces_n
        if not 0.0 < weakest < strongest <= 500.0:
            raise ConfigError(
                f"arm.ur.gripper_forces_n is {self.gripper_forces_n}; give the weakest and the strongest grip"
            )
        require_range("arm.ur", weakest, strongest, gripper_force_n=self.gripper_force_n)
