"""What a vendor's arm is to the arm server: the narrow waist between Handrail and an SDK.

A driver converts (SI units, base frame, quaternions x y z w, wrench = environment on tool in the TOOL frame)
and does as it is told. It decides nothing: limits, watchdog, leases and modes are the server's, which calls
every method from one thread, save where a method says otherwise.

Fast methods return within a fraction of a millisecond and never wait for the robot: the server calls them
200 times a second. Slow methods may take seconds; the server runs them one at a time on a worker thread, and
goes on reading and publishing meanwhile.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.geometry import Array, Vector
from handrail.robot_env.gripper import Gripper


@dataclass(frozen=True)
class DriverReading:
    """What the robot last said. Arrays are float64 and belong to the reader.

    Attributes:
        t_ns: when it arrived here, host monotonic clock [ns]; stands still when the robot falls silent.
        device_ns: the robot's own time [ns]; only its advance means anything.
        pose: (7,) tool centre point, base frame.
        twist: (6,) linear [m/s] and angular [rad/s] velocity of the tool, base frame.
        wrench: (6,) force [N] and torque [Nm] of the environment on the tool, TOOL frame, tared.
        q: (J,) joint angles [rad].
        dq: (J,) joint velocities [rad/s].
        gripper_width_m: opening of the gripper [m]; 0 without one.
        gripper_ns: when the gripper said so, host monotonic clock [ns]; 0 where the width comes with every
            reading of the arm, or there is no gripper.
        gripper_stroke_m: that opening when the jaws are fully open [m]; 0 without a gripper to command.
        fault: why the robot will not move, in words; "" when it would. Derived from the robot's *mode*: a
            latched reflex can read "no error".
        estop: whether the cause is an emergency stop or an enabling device, which software never clears.
        engaged: whether the robot follows set-points now.
    """

    t_ns: int
    device_ns: int
    pose: Array
    twist: Array
    wrench: Array
    q: Array
    dq: Array
    gripper_width_m: float = 0.0
    gripper_ns: int = 0
    gripper_stroke_m: float = 0.0
    fault: str = ""
    estop: bool = False
    engaged: bool = False


class ArmDriver(Protocol):
    """One robot through its SDK.

    Attributes:
        name: for messages and the state, such as "franka".
        joints: number of joints.
        gripper: the gripper; None without one.
    """

    name: str
    joints: int
    gripper: Gripper | None

    def connect(self) -> None:
        """Reach the robot; it does not move and is not engaged. Slow.

        Raises:
            ArmError: it cannot be reached.
            MissingExtra: the SDK is not installed (from the constructor already).
        """
        ...

    def close(self) -> None:
        """Let go of the robot, which stops and stands. Safe to call twice, and from any thread. Slow."""
        ...

    def read(self) -> DriverReading:
        """The newest reading. Fast.

        Raises:
            ArmError: the link to the robot is gone.
        """
        ...

    def engage(self, gains: Gains) -> None:
        """Begin to follow set-points; until the first arrives, stay at the measured pose. Slow.

        Raises:
            ArmFault: the robot is in a fault.
            ArmError: it refused.
        """
        ...

    def disengage(self) -> None:
        """Stop following; the robot stands by its own means. Never raises. Slow."""
        ...

    def set_setpoint(self, pose: Array) -> None:
        """Pull towards `pose` (7,), base frame, from now on. Fast; ignored while not engaged."""
        ...

    def set_gains(self, gains: Gains) -> None:
        """Change the impedance; the set-point stays. Fast."""
        ...

    def move_joints(self, q: Sequence[float] | Array, speed: float) -> None:
        """Move to joint angles [rad] at `speed`, a share of the robot's rated speed in (0, 1]. Slow.

        Called while not engaged; returns when the robot is there and at rest.

        Raises:
            ArmFault: a fault ended the motion.
            ArmError: the robot cannot do this, or `abort` ended it.
        """
        ...

    def abort(self) -> None:
        """End a slow motion early, braking. Fast; called from another thread than the motion's."""
        ...

    def clear_fault(self) -> None:
        """Make the robot ready again after a fault, by an operator's order; it is not engaged then. Slow.

        Raises:
            ArmFault: the cause persists, or it is one that software must not clear.
        """
        ...

    def set_load(self, mass_kg: float, com_m: Vector) -> None:
        """Tell the robot what it carries: mass [kg] and centre of mass (3,) in the tool frame [m]. Slow."""
        ...

    def zero_ft(self) -> None:
        """Tare `wrench`: it reads zero now. Slow."""
        ...
