"""A Franka FR3 through franky: an impedance controller at 1 kHz that lives in this process, in C++.

The control loop is franky's own thread and needs nothing of Python. When the interpreter stalls, the robot
goes on pulling towards the last set-point, which is why the arm server has a watchdog; when the process dies,
the box misses its commands and stops by itself within 20 ms. Nothing has to be called between set-points.

Stiffness times clip bounds the steady force: see `impedance`.
"""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.arms.driver import DriverReading
from handrail.robot_env.arms.franka.config import FrankaConfig
from handrail.robot_env.arms.franka.desk import FrankaDesk, credentials
from handrail.robot_env.arms.franka.gripper import FrankaGripper
from handrail.robot_env.arms.franka.impedance import FrankaImpedance
from handrail.robot_env.arms.franka.link import LOOK_S, FrankaLink, Look, first_line
from handrail.robot_env.arms.franka.state import pose_of, twist_of, wrench_of
from handrail.robot_env.errors import ArmError, ArmFault, ConfigError, MissingExtra
from handrail.robot_env.geometry import Array, Vector
from handrail.robot_env.gripper import Gripper

log = logging.getLogger(__name__)

PATIENCE_S = 2.0
"""How long the robot may take to begin or end a motion, or to recover [s]."""
REST_RAD_S = 0.005
"""A joint slower than this is at rest [rad/s]."""
TARE_LOOKS = 25
"""Looks that a tare is the mean of."""


class FrankaDriver:
    """An `ArmDriver` for the Franka FR3.

    Args:
        config: facts of the robot.

    Raises:
        ConfigError: the address is missing, or a variable with Desk's credentials.
        MissingExtra: franky is not installed.
    """

    name = "franka"
    joints = 7

    def __init__(self, config: FrankaConfig) -> None:
        if not config.host:
            raise ConfigError(
                "env.arm.franka.host is empty; set it to the address of the robot's control box, such as "
                "172.16.0.2"
            )
        try:
            import franky
        except ImportError as error:
            raise MissingExtra("franka") from error
        self._sdk: Any = franky
        self._config = config
        login = credentials(config.desk_user_env, config.desk_password_env)
        self._desk = None if login is None else FrankaDesk(franky, config.host, *login)
        self._link = FrankaLink(franky, config)
        self.gripper: Gripper | None = None
        self._hand: FrankaGripper | None = None
        self._impedance = FrankaImpedance(franky, config, Gains())
        self._motion: Any = None
        self._aborting = threading.Event()
        self._tare = np.zeros(6)
        self._reading: tuple[Look, DriverReading] | None = None

    def connect(self) -> None:
        """Reach the robot, set frames, thresholds and load; it does not move.

        Raises:
            ArmError: it cannot be reached, or refused a setting.
        """
        if self._link.is_open:
            return
        if self._desk is not None:
            self._desk.prepare()
        try:
            self._link.open()
            if self._config.gripper:
                self._reach_hand()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop and let go of the robot. Safe to call twice."""
        self.disengage()
        if self._hand is not None:
            self._hand.shut_down()
            self.gripper = self._hand = None
        self._link.close()
        self._reading = None
        if self._desk is not None:
            self._desk.close()

    def read(self) -> DriverReading:
        """The newest look at the robot.

        Raises:
            ArmError: not connected, or the link is gone.
        """
        look = self._link.newest()
        known = self._reading
        if known is None or known[0] is not look:
            known = self._reading = (look, self._convert(look))
        return known[1]

    def engage(self, gains: Gains) -> None:
        """Begin to follow set-points, from the measured pose.

        Raises:
            ArmFault: the robot is in a fault.
            ArmError: it refused.
        """
        self._require_sound()
        if self._link.in_use:
            self.set_gains(gains)
            return
        link = self._link
        self._impedance = FrankaImpedance(self._sdk, self._config, gains)
        state = link.newest().state
        motion = self._impedance.motion(state.O_T_EE, np.array(state.q))
        link.attempt("start", lambda: link.robot.move(motion, asynchronous=True))
        self._wait_for_control()
        self._motion = motion
        link.in_use = True

    def disengage(self) -> None:
        """Ramp the torques down to damping, then leave the robot to hold its joints. Never raises."""
        link, self._motion = self._link, None
        link.in_use = False
        if not link.is_open or link.lost:
            return
        try:
            if link.robot.is_in_control:
                link.robot.move(self._sdk.TorqueStopMotion(), asynchronous=True)
            link.robot.join_motion(timeout=PATIENCE_S + 1.0)
        except Exception as error:
            log.info("Franka: the motion had ended already: %s", first_line(error))

    def set_setpoint(self, pose: Array) -> None:
        """Pull towards `pose` (7,), base frame; ignored while not engaged."""
        motion = self._motion
        if motion is not None and self._link.in_use:
            measured = pose if self._impedance.even else pose_of(self._link.newest().state.O_T_EE)
            motion.set_reference(self._impedance.reference(pose, measured))

    def set_gains(self, gains: Gains) -> None:
        """Change the impedance. New clips take a new motion, which takes over in the next millisecond."""
        before, motion, link = self._impedance, self._motion, self._link
        self._impedance = FrankaImpedance(self._sdk, self._config, gains)
        if motion is None or not link.in_use:
            return
        if np.array_equal(before.clip, self._impedance.clip):
            motion.set_gains(self._impedance.gains())
            return
        fresh = self._impedance.motion(motion.get_reference().target, np.array(link.newest().state.q))
        link.attempt("change its clips", lambda: link.robot.move(fresh, asynchronous=True))
        self._motion = fresh

    def move_joints(self, q: Sequence[float] | Array, speed: float) -> None:
        """Move to joint angles (7,) [rad] at `speed` in (0, 1].

        Raises:
            ArmFault: a fault ended the motion.
            ArmError: the angles are refused, the arm is engaged, or `abort` ended it.
        """
        self._require_sound()
        sdk, link = self._sdk, self._link
        angles = np.asarray(q, dtype=np.float64)
        if link.in_use:
            raise ArmError("the Franka follows set-points; disengage it before a joint motion")
        if angles.shape != (7,) or not np.isfinite(angles).all():
            raise ArmError(f"joint angles are {angles.tolist()}; a Franka takes seven finite ones")
        self._aborting.clear()
        motion = sdk.JointMotion(sdk.JointState(angles), relative_dynamics_factor=speed)
        link.attempt("move its joints", lambda: link.robot.move(motion, asynchronous=True))
        stopping = False
        while not link.attempt("move its joints", lambda: link.robot.join_motion(timeout=0.02)):
            if self._aborting.is_set() and not stopping:
                stopping = True
                link.attempt("stop", lambda: link.robot.move(sdk.JointStopMotion(), asynchronous=True))
        self._wait_for_rest()
        if stopping:
            raise ArmError("the joint motion was ended early; nothing is wrong with the robot")

    def abort(self) -> None:
        """End a joint motion early; it begins to brake within 20 ms."""
        self._aborting.set()

    def clear_fault(self) -> None:
        """Recover from a reflex, or reach a robot or a hand again whose link was lost.

        Raises:
            ArmFault: the user stop is pressed, the robot is guided or locked, or the recovery did not help.
        """
        self.disengage()
        link = self._link
        if link.lost:
            self._reconnect()
        look = link.newest()
        if look.fault and (look.estop or look.mode in ("Guiding", "Other")):
            raise ArmFault(f"{look.fault}; only a person at the robot can end that")
        if look.fault:
            try:
                # Its answer is no proof either way: what counts is the mode afterwards.
                link.robot.recover_from_errors()
            except Exception as error:
                raise ArmFault(f"{look.fault}; it refused to recover: {first_line(error)}") from error
        deadline = time.monotonic() + PATIENCE_S
        while (fault := link.newest().fault or link.unready) and time.monotonic() < deadline:
            time.sleep(LOOK_S)
        if fault:
            raise ArmFault(f"{fault}, even after a recovery; remove the cause, or look into Desk")
        link.ended = ""
        if self._hand is not None and self._hand.trouble:
            self._hand.shut_down()  # its last width stays, and with it the fault, until there is another
            try:
                self._reach_hand()
            except ArmError as error:
                raise ArmFault(str(error)) from error

    def set_load(self, mass_kg: float, com_m: Vector) -> None:
        """Tell the robot what it carries, besides the hand that Desk knows of; kept over reconnections.

        Raises:
            ArmError: the arm is engaged, or the robot refused.
        """
        if self._link.in_use:
            raise ArmError("the Franka follows set-points; disengage it before its load changes")
        self._link.set_load(mass_kg, com_m)

    def zero_ft(self) -> None:
        """Take the mean wrench of the next 50 ms or so as zero.

        Raises:
            ArmError: the link is gone.
        """
        samples, seen = [], self._link.newest()
        deadline = time.monotonic() + PATIENCE_S
        while len(samples) < TARE_LOOKS:
            look = self._link.newest()
            if look is not seen:
                seen = look
                samples.append(wrench_of(look.state, self._link.jacobian(look.state)))
            elif time.monotonic() > deadline:
                raise ArmError("the Franka sent no new state to tare with; check its link")
            else:
                time.sleep(LOOK_S / 2)
        self._tare = np.mean(samples, axis=0)
        self._reading = None

    def _convert(self, look: Look) -> DriverReading:
        state = look.state
        jacobian = self._link.jacobian(state)
        hand = self._hand
        return DriverReading(
            t_ns=look.t_ns,
            device_ns=look.device_ns,
            pose=pose_of(state.O_T_EE),
            twist=twist_of(state, jacobian),
            wrench=wrench_of(state, jacobian) - self._tare,
            q=np.array(state.q),
            dq=np.array(state.dq),
            gripper_width_m=0.0 if hand is None else hand.width_m,
            gripper_ns=0 if hand is None else hand.read_ns,
            gripper_stroke_m=0.0 if hand is None else hand.stroke_m,
            fault=look.fault or self._link.ended or self._link.unready,
            estop=look.estop,
            engaged=self._link.in_use,
        )

    def _reach_hand(self) -> None:
        """Connect to the hand; a connection that was lost stays lost, so that it takes a new one."""
        speed, force = self._config.gripper_speed_m_s, self._config.gripper_force_n
        self.gripper = self._hand = FrankaGripper(self._sdk, self._config.host, speed, force)
        self._reading = None  # it has the old hand's width

    def _require_sound(self) -> None:
        fault = self._link.newest().fault or self._link.ended or self._link.unready
        if fault:
            raise ArmFault(f"{fault}; recover the arm first")

    def _wait_for_control(self) -> None:
        """A refused motion is not refused where it is started: wait until the robot says that it moves."""
        deadline = time.monotonic() + PATIENCE_S
        link = self._link
        while (mode := link.newest().mode) != "Move":
            link.attempt("start", link.robot.poll_motion)
            if time.monotonic() > deadline:
                raise ArmError(f"the Franka did not start within {PATIENCE_S:g} s; it is in {mode}")
            time.sleep(LOOK_S)

    def _wait_for_rest(self) -> None:
        """A motion is over when its command is; the joints follow a little later."""
        deadline = time.monotonic() + PATIENCE_S
        while np.abs(self._link.newest().state.dq).max() > REST_RAD_S and time.monotonic() < deadline:
            time.sleep(LOOK_S)

    def _reconnect(self) -> None:
        self.close()
        try:
            self.connect()
        except ArmError as error:
            self._link.lost = str(error)
            raise ArmFault(str(error)) from error
