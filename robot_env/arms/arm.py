"""What an arm is to the rest of Handrail.

The environment, the resets and the console command an arm through this protocol only, and none of them can
tell which arm it is. Conventions: SI units, base frame, quaternions x y z w, and a wrench is what the
environment does to the tool; each driver converts its vendor's. Whatever the driver, a target passes the
safety gate before it reaches the motors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from handrail.robot_env.checks import require_positive, require_range
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.geometry import Array, Vector
from handrail.robot_env.gripper import Gripper

MOST_STIFFNESS = 10_000.0
"""Largest stiffness, of either kind [N/m, Nm/rad]."""
MOST_DAMPING_NS_M, MOST_DAMPING_NMS_RAD = 500.0, 50.0
"""Largest damping: critical at the default stiffness for 31 kg and 4 kg m², more than these arms hold.

A damper acts through a loop that takes time. From some value on it drives the arm where it should brake it,
with all the force that it may have and past what bounds a spring's push. These are well below that value: at
2000 Ns/m, and at 100 Nms/rad, both emulated arms still come to rest, a UR with its loop at 125 Hz.
"""


class ArmMode(Enum):
    """What an arm is doing.

    Values:
        DISARMED: no control; brakes or free drive.
        HOLD: controlled and standing still; commands are dropped until `start`.
        RUN: following targets.
        FAULT: latched; only `recover` leaves it, and only into HOLD.
    """

    DISARMED = "disarmed"
    HOLD = "hold"
    RUN = "run"
    FAULT = "fault"


@dataclass(frozen=True)
class Gains:
    """Cartesian impedance, and how far it may be wound up.

    Stiffness times clip bounds the steady force, whatever the set-point: 2000 N/m and 5 mm push with 10 N.

    Attributes:
        translation_n_m: stiffness along each axis [N/m].
        rotation_nm_rad: stiffness about each axis [Nm/rad], of the angle (not of half of it).
        translation_damping_ns_m: damping along each axis [Ns/m], up to `MOST_DAMPING_NS_M`.
        rotation_damping_nms_rad: damping about each axis [Nms/rad], up to `MOST_DAMPING_NMS_RAD`.
        clip_m: largest position error that the controller acts on, in +x, +y, +z of the base frame [m]; None
            for the driver's own.
        clip_neg_m: the same in -x, -y, -z [m]; None for the same as `clip_m`.
        clip_rad: the same about +x, +y, +z [rad].
        clip_neg_rad: the same about -x, -y, -z [rad].
    """

    translation_n_m: float = 2000.0
    rotation_nm_rad: float = 150.0
    translation_damping_ns_m: float = 200.0
    rotation_damping_nms_rad: float = 14.0
    clip_m: tuple[float, float, float] | None = None
    clip_neg_m: tuple[float, float, float] | None = None
    clip_rad: tuple[float, float, float] | None = None
    clip_neg_rad: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        for name, most in (
            ("translation_n_m", MOST_STIFFNESS),
            ("rotation_nm_rad", MOST_STIFFNESS),
            ("translation_damping_ns_m", MOST_DAMPING_NS_M),
            ("rotation_damping_nms_rad", MOST_DAMPING_NMS_RAD),
        ):
            value = {name: getattr(self, name)}
            require_positive("gains", **value)
            require_range("gains", 0.0, most, **value)
        for name, most in (("clip_m", 0.05), ("clip_neg_m", 0.05), ("clip_rad", 0.5), ("clip_neg_rad", 0.5)):
            clip = getattr(self, name)
            if clip is not None and not (len(clip) == 3 and all(0.0 < x <= most for x in clip)):
                raise ConfigError(
                    f"gains.{name} is {clip}, must be three numbers in (0, {most}]; metres and radians"
                )


@dataclass(frozen=True)
class ArmState:
    """One reading of an arm. Arrays are float64 and belong to the reader.

    Attributes:
        t_ns: when it was true, by the arm's clock [ns].
        pose: (7,) tool centre point in the base frame.
        twist: (6,) linear [m/s] and angular [rad/s] velocity of the tool, base frame.
        wrench: (6,) force [N] and torque [Nm] of the environment on the tool, TOOL frame, tared.
        q: (J,) joint angles [rad].
        dq: (J,) joint velocities [rad/s].
        gripper_width_m: opening of the gripper [m].
        mode: what the arm is doing.
        gate_flags: `GateFlag`s raised since the last reading, as an int.
        peak_force_n: largest force since the last reading [N]; contact is over between two readings.
        device_ns: the robot's own time [ns], which an emulated robot's tests go by; 0 where it has none.
        fault: why the mode is FAULT, in words; "" otherwise.
    """

    t_ns: int
    pose: Array
    twist: Array
    wrench: Array
    q: Array
    dq: Array
    gripper_width_m: float
    mode: ArmMode
    gate_flags: int = 0
    peak_force_n: float = 0.0
    device_ns: int = 0
    fault: str = ""


class Arm(Protocol):
    """An arm behind its safety gate. One thread commands it.

    Attributes:
        gripper: the gripper; None where there is none to command.
    """

    gripper: Gripper | None

    @property
    def stops(self) -> int:
        """Stops that anybody but its commander asked for since it was connected, in whatever mode."""
        ...

    def connect(self) -> None:
        """Reach the arm; it comes up in HOLD.

        Raises:
            ArmError: it cannot be reached.
        """
        ...

    def close(self) -> None:
        """Stop and let go of the arm. Safe to call twice."""
        ...

    def state(self) -> ArmState:
        """The newest reading.

        Raises:
            ArmError: the arm is not connected, or its reading is stale.
        """
        ...

    def start(self, gains: Gains | None = None, stops: int | None = None) -> None:
        """Enter RUN. The set-point begins at the measured pose, at rest.

        Args:
            gains: impedance from now on; None for what it is.
            stops: the count `stops` that its caller has seen to; after another one, seen or not, the arm
                stays. None: it starts whatever was before.

        Raises:
            ArmFault: a latched fault.
            ArmError: the tool is outside the workspace, or somebody else stopped the arm since `stops` was
                looked at.
        """
        ...

    def set_target(self, pose: Vector, twist: Vector | None = None) -> Array:
        """Command a tool pose through the gate.

        Args:
            pose: (7,) wanted tool pose, base frame.
            twist: (6,) velocity there, for drivers that can use it; None for none.

        Returns:
            (7,) the goal that the gate let through: the wanted pose after leash and workspace. The next
            relative step starts from it.

        Raises:
            ArmError: the arm is not in RUN.
        """
        ...

    def set_gains(self, gains: Gains) -> None:
        """Change the impedance; the set-point does not move."""
        ...

    def set_resetting(self, resetting: bool) -> None:
        """Move within the limits for resets instead of those for policy steps, or go back to the latter."""
        ...

    def move_joints(
        self,
        q: Sequence[float] | Array,
        interrupt: Callable[[], str] | None = None,
        stops: int | None = None,
    ) -> None:
        """Move to joint angles [rad] in a joint motion of the driver's own; HOLD before and after.

        Args:
            q: where to, (J,) [rad].
            interrupt: asked every 50 ms while it lasts; a reason ends it, and the arm brakes.
            stops: as in `start`.

        Raises:
            ArmFault: a fault ended it.
            ArmError: the arm cannot do this, is in RUN, or the motion was ended.
        """
        ...

    def stop(self) -> None:
        """Brake within the limits, then HOLD. Never raises."""
        ...

    def hold(self) -> None:
        """Stop an arm of one's own, and know that it has been told.

        Raises:
            ArmError: it was not heard, or somebody else commands the arm by now, who is left alone.
        """
        ...

    def recover(self, by: str = "operator") -> None:
        """Acknowledge a fault, by order of an operator: FAULT becomes HOLD.

        Args:
            by: who acknowledges it, for the log.

        Raises:
            ArmFault: the cause is still there, or this was done too often of late.
        """
        ...

    def set_load(self, mass_kg: float, com_m: Vector) -> None:
        """Tell the arm what it carries: mass [kg] and centre of mass (3,) in the tool frame [m]."""
        ...

    def zero_ft(self) -> None:
        """Tare the force/torque reading; nothing may touch the tool."""
        ...
