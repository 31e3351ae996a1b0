"""A Universal Robots arm through ur_rtde: a spring made of force mode, beaten in a process of its own.

ur_rtde lives in that process (`control`, which says why), the driver here: it passes set-points on, keeps
the newest reading, and starts another process when one is lost. Nothing is ever reconnected. Recovery after a
protective stop is: unlock it, end the paused program (which `play` would resume with its old command), start
a new process with a new program; the arm server seeds a new set-point at the next start.
"""

import contextlib
import logging
import math
from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np

from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.arms.driver import DriverReading
from handrail.robot_env.arms.refusals import not_connected
from handrail.robot_env.arms.ur.config import URConfig
from handrail.robot_env.arms.ur.dashboard import Dashboard
from handrail.robot_env.arms.ur.gripper import RobotiqGripper
from handrail.robot_env.arms.ur.messages import (
    Abort,
    Disengage,
    Engage,
    MoveJoints,
    SetGains,
    SetLoad,
    Setpoint,
    Tare,
)
from handrail.robot_env.arms.ur.process import URProcess
from handrail.robot_env.errors import ArmError, ArmFault, ConfigError, MissingExtra
from handrail.robot_env.geometry import Array, Vector
from handrail.robot_env.gripper import Gripper

log = logging.getLogger(__name__)

PATIENCE_S = 2.0
"""How long the robot may take over a command that moves nothing far [s]."""
MOTION_S = 120.0
"""Longest joint motion [s]; one that gets stuck is noticed long before."""


class URDriver:
    """An `ArmDriver` for a UR e-Series arm.

    Args:
        config: facts of the robot.

    Raises:
        ConfigError: the address is missing.
        MissingExtra: ur_rtde is not installed.

    Attributes:
        gripper: the Robotiq gripper, once connected; None without one.
    """

    name = "ur"
    joints = 6

    def __init__(self, config: URConfig) -> None:
        if not config.host:
            raise ConfigError(
                "env.arm.ur.host is empty; set it to the address of the robot's controller, such as "
                "192.168.1.10"
            )
        # Imported only in the process that it may take down.
        if find_spec("rtde_control") is None or find_spec("rtde_receive") is None:
            raise MissingExtra("ur")
        self._config = config
        self._process: URProcess | None = None
        self._load = SetLoad()
        self._engaged = False
        self._robotiq: RobotiqGripper | None = None
        self.gripper: Gripper | None = None

    def connect(self) -> None:
        """Reach the robot and load the control program; it does not move.

        A robot in a protective stop is reached as well, and reads as being in that fault.

        Raises:
            ArmError: it cannot be reached, is not in remote control, or runs somebody else's program.
        """
        self.close()
        with Dashboard(self._config.host) as dashboard:
            dashboard.require_ready()
        self._process = URProcess(self._config, self._load)
        if self._config.gripper == "robotiq":
            try:
                self._robotiq = self.gripper = RobotiqGripper(self._config)
            except ArmError:
                self.close()
                raise

    def close(self) -> None:
        """Stop the arm, end the program, let go. Safe to call twice."""
        process, self._process = self._process, None
        gripper, self._robotiq, self.gripper = self._robotiq, None, None
        self._engaged = False
        if gripper is not None:
            gripper.shut_down()
        if process is not None:
            process.close()

    def read(self) -> DriverReading:
        """The newest reading.

        Raises:
            ArmError: the link to the robot is gone, and why.
        """
        reading, jaws = self._connected.latest(), self._robotiq
        return DriverReading(
            t_ns=reading.t_ns,
            device_ns=reading.device_ns,
            pose=np.array(reading.pose),
            twist=np.array(reading.twist),
            wrench=np.array(reading.wrench),
            q=np.array(reading.q),
            dq=np.array(reading.dq),
            gripper_width_m=0.0 if jaws is None else jaws.width_m,
            gripper_ns=0 if jaws is None else jaws.read_ns,
            gripper_stroke_m=0.0 if jaws is None else jaws.stroke_m,
            fault=reading.fault,
            estop=reading.estop,
            engaged=reading.engaged,
        )

    def engage(self, gains: Gains) -> None:
        """Hang the tool on a spring, at the measured pose until the first set-point.

        Raises:
            ArmFault: the robot is in a fault.
            ArmError: it refused force mode.
        """
        self._connected.request(Engage(gains), PATIENCE_S)
        self._engaged = True

    def disengage(self) -> None:
        """Leave force mode; the robot stands. In a fault its program is ended, so that nobody resumes it."""
        self._engaged = False
        process = self._process
        if process is None:
            return
        try:
            process.request(Disengage(), PATIENCE_S)
            if not process.latest().fault:
                return
        except ArmError as error:
            log.warning("UR: %s", error)
        with contextlib.suppress(ArmError), Dashboard(self._config.host) as dashboard:
            dashboard.stop()

    def set_setpoint(self, pose: Array) -> None:
        """Pull towards `pose` (7,), base frame, from now on; ignored while not engaged."""
        process = self._process
        if self._engaged and process is not None:
            x, y, z, a, b, c, d = pose.tolist()
            process.send(Setpoint((x, y, z, a, b, c, d)))

    def set_gains(self, gains: Gains) -> None:
        """Change the impedance; the set-point stays."""
        process = self._process
        if process is not None:
            process.send(SetGains(gains))

    def move_joints(self, q: Sequence[float] | Array, speed: float) -> None:
        """Move to joint angles (6,) [rad] at `speed`, a share of `joint_speed_rad_s`.

        Raises:
            ArmFault: a fault ended the motion.
            ArmError: the angles are beyond the robot's limits, or it stopped short of them.
        """
        angles = [float(x) for x in q]
        if len(angles) != 6 or not all(math.isfinite(x) for x in angles):
            raise ArmError(f"joint angles {angles} for a UR; give six finite numbers [rad]")
        a, b, c, d, e, f = angles
        request = MoveJoints((a, b, c, d, e, f), speed * self._config.joint_speed_rad_s)
        self._connected.request(request, MOTION_S)

    def abort(self) -> None:
        """End a joint motion early, braking."""
        process = self._process
        if process is not None:
            process.send(Abort())

    def clear_fault(self) -> None:
        """Make the robot ready again, with a new program; it is not engaged then.

        Raises:
            ArmFault: its cause persists; an emergency stop, a safeguard or a switched-off arm is seen to at
                the robot.
        """
        process = self._connected
        self._engaged = False
        try:
            if not process.latest().fault:
                return
        except ArmError:
            pass  # the link is gone; what there is to do is the same
        try:
            with Dashboard(self._config.host) as dashboard:
                dashboard.clear_protective_stop(self._config.unlock_s)
                if fault := dashboard.fault():
                    raise ArmFault(fault)
                dashboard.stop()
                dashboard.require_ready()
            process.close("the robot is being recovered")
            self._process = URProcess(self._config, self._load)
        except ArmFault:
            raise
        except ArmError as error:
            raise ArmFault(str(error)) from error

    def set_load(self, mass_kg: float, com_m: Vector) -> None:
        """Tell the robot what it carries besides `payload_kg`, the centre of mass (3,) in the tool frame [m].

        Every later process tells it again, before it zeroes the force sensor.

        Raises:
            ArmError: `payload_kg` is not configured, which this would overwrite; or the robot refused.
        """
        if self._config.payload_kg is None:
            raise ArmError(
                "env.arm.ur.payload_kg is not set, and the robot knows one payload only; give the tool's, so "
                "that what it carries can be added"
            )
        x, y, z = (float(value) for value in com_m)
        load = SetLoad(mass_kg, (x, y, z))
        self._connected.request(load, PATIENCE_S)
        self._load = load

    def zero_ft(self) -> None:
        """Zero the robot's force sensor: `wrench` reads zero now."""
        self._connected.request(Tare(), PATIENCE_S)

    @property
    def _connected(self) -> URProcess:
        if self._process is None:
            raise not_connected()
        return self._process
