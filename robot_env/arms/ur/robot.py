"""One UR through ur_rtde, in the process that may die of it: see `control`."""

import time
from collections.abc import Sequence

import numpy as np

from handrail.robot_env.arms.ur.config import URConfig
from handrail.robot_env.arms.ur.impedance import pose_from_ur, tool_wrench, ur_from_pose
from handrail.robot_env.arms.ur.messages import SetLoad
from handrail.robot_env.arms.ur.state import PLAYING, fault_of, stopped_by_hand
from handrail.robot_env.geometry import Array, Vector, pose_apply

RTDE_HZ = 500.0
VARIABLES = [
    "timestamp",
    "actual_q",
    "actual_qd",
    "actual_TCP_pose",
    "actual_TCP_speed",
    "actual_TCP_force",
    "robot_mode",
    "safety_mode",
    "runtime_state",
]
OWN_PRIORITY = -1
"""Tells ur_rtde to leave this process's scheduling alone; on a real-time kernel it would take FIFO 90."""
START_S = 1.0
"""How long the uploaded program may take to show up as running [s]."""
DRIFT_N = 10.0
"""What the force sensor may show with nothing at the tool; beyond it the tool touches something, or the
payload is wrong, and zeroing would hide that and turn it into a push as soon as the tool moves [N]."""
SETTLED_S = 0.05
"""How long the force reading takes to go by a new tool or payload [s]."""
_BASE = [0.0] * 6
_COMPLIANT = [1] * 6
_BASE_FORCES = 2
"""Force mode's type 2: its frame is the one given, not turned or moved."""


class RobotLost(Exception):
    """The robot has fallen silent: no object of ur_rtde may be touched again. Says what it "has" done."""


class SettingRefused(Exception):
    """The robot did not take what it must know before the arm moves. Says what."""


class URRobot:
    """A robot that is looked at, and commanded where it is fit for that.

    Args:
        config: facts of the robot.
        load: what it carries besides the tool.

    Raises:
        RobotLost: it says nothing, or runs no program of ours.
        SettingRefused: it does not take its tool, its payload or another setting.

    Attributes:
        t_ns: when its newest word arrived, host monotonic clock [ns].
        device_ns: its own time then [ns].
        pose: (7,) tool pose, base frame.
        twist: (6,) tool velocity, base frame.
        wrench: (6,) environment on tool, TOOL frame.
        q: (6,) joint angles [rad].
        dq: (6,) joint velocities [rad/s].
        fault: why it will not move, by its modes.
        estop: whether somebody holds it with a button.
        program_lost: whether the uploaded program does not run, or not any more.
    """

    def __init__(self, config: URConfig, load: SetLoad) -> None:
        import rtde_control
        import rtde_receive

        self._config = config
        self._receive = rtde_receive.RTDEReceiveInterface(
            config.host, RTDE_HZ, VARIABLES, False, False, OWN_PRIORITY
        )
        self._control: rtde_control.RTDEControlInterface | None = None
        self._limits = [config.speed_limit_m_s] * 3 + [config.speed_limit_rad_s] * 3
        self._stamp = -1.0
        self._advanced_s = time.monotonic()
        self.t_ns = self.device_ns = 0
        self.program_lost = False
        self._await(lambda: self._stamp >= 0.0, "says nothing")
        self.program_lost = True
        # A stopped robot takes no program; it is looked at all the same.
        if not self.fault:
            self._control = rtde_control.RTDEControlInterface(
                config.host,
                RTDE_HZ,
                rtde_control.RTDEControlInterface.FLAG_UPLOAD_SCRIPT,
                rt_priority=OWN_PRIORITY,
            )
            self._await(lambda: self._receive.getRuntimeState() == PLAYING, "runs no control program")
            self._prepare(load)
            self.program_lost = False

    def look(self) -> None:
        """Take up its newest word.

        Raises:
            RobotLost: there has been none for too long.
        """
        receive = self._receive
        if not receive.isConnected():
            raise RobotLost("has closed the connection")
        stamp = receive.getTimestamp()
        now_s = time.monotonic()
        if stamp == self._stamp:
            silent_s = now_s - self._advanced_s
            if silent_s > self._config.stale_s:
                limit_ms = 1e3 * self._config.stale_s
                raise RobotLost(f"has been silent for {1e3 * silent_s:.0f} ms (limit {limit_ms:.0f} ms)")
            return
        self._stamp, self._advanced_s = stamp, now_s
        self.t_ns, self.device_ns = time.monotonic_ns(), round(1e9 * stamp)
        self.pose = pose_from_ur(receive.getActualTCPPose())
        self.twist = np.array(receive.getActualTCPSpeed())
        self.wrench = tool_wrench(self.pose, receive.getActualTCPForce())
        self.q, self.dq = np.array(receive.getActualQ()), np.array(receive.getActualQd())
        safety = receive.getSafetyMode()
        self.fault, self.estop = fault_of(safety, receive.getRobotMode()), stopped_by_hand(safety)
        if self._control is not None and receive.getRuntimeState() != PLAYING:
            self.program_lost = True

    def press(self, wrench: Array) -> bool:
        """Press the environment with a wrench (6,), base orientation, from now on; whether it was taken.

        Feeds the watchdog too: that counts how often the register is written in which the command stands. A
        kick right behind it would even overwrite the command, in the same cycle of the robot.
        """
        return self._commanded.forceMode(_BASE, _COMPLIANT, wrench.tolist(), _BASE_FORCES, self._limits)

    def kick(self) -> None:
        """Feed the watchdog."""
        self._commanded.kickWatchdog()

    def end_force_mode(self) -> None:
        """Brake and stand."""
        self._commanded.forceModeStop()

    def within_limits(self, q: Sequence[float]) -> bool:
        """Whether the robot may go to joint angles (6,) [rad]."""
        return self._commanded.isJointsWithinSafetyLimits(list(q))

    def move_joints(self, q: Sequence[float], speed: float) -> bool:
        """Begin to go to joint angles (6,) [rad] at `speed` [rad/s]; whether it was taken.

        Asynchronous, because a motion that ur_rtde waits for leaves the watchdog without food.
        """
        return self._commanded.moveJ(list(q), speed, self._config.joint_acceleration_rad_s2, True)

    def stop_joints(self) -> None:
        """Brake a joint motion."""
        self._commanded.stopJ(self._config.joint_acceleration_rad_s2, True)

    def tare(self) -> bool:
        """Zero the force sensor; whether it was taken. The reading is zero afterwards."""
        taken = self._commanded.zeroFtSensor()
        self._pass(2.0 / RTDE_HZ)
        return taken

    def set_load(self, mass_kg: float, com_m: Vector) -> bool:
        """Add to the payload what is carried [kg], with its centre of mass in the tool frame [m]."""
        com = pose_apply(pose_from_ur(self._commanded.getTCPOffset()), com_m)
        own_kg = self._config.payload_kg or 0.0
        total_kg = own_kg + mass_kg
        both = own_kg * np.array(self._config.payload_com_m) + mass_kg * com
        return self._set_payload(total_kg, both / total_kg if total_kg else both)

    def end_program(self) -> None:
        """End the uploaded program; the robot stands."""
        if self._control is not None:
            self._control.stopScript()

    @property
    def _commanded(self):
        assert self._control is not None, "a robot in a fault is not commanded"
        return self._control

    def _prepare(self, load: SetLoad) -> None:
        """What the program must know before the arm moves, the watchdog last: it wants food from then on."""
        config, control = self._config, self._commanded
        if config.tcp is not None:
            _require(control.setTcp(ur_from_pose(config.tcp)), f"env.arm.ur.tcp={list(config.tcp)}")
        if config.payload_kg is not None:
            com_m, also = list(config.payload_com_m), f" with {load.mass_kg:g} kg in the hand"
            payload = f"env.arm.ur.payload_kg={config.payload_kg:g} at payload_com_m={com_m}"
            _require(self.set_load(load.mass_kg, load.com_m), payload + also * bool(load.mass_kg))
        damping, scaling, hz = config.force_damping, config.force_scaling, config.watchdog_hz
        _require(control.forceModeSetDamping(damping), f"env.arm.ur.force_damping={damping:g}")
        _require(control.forceModeSetGainScaling(scaling), f"env.arm.ur.force_scaling={scaling:g}")
        _require(self._zero_drift(), "to zero its force sensor")
        _require(control.setWatchdog(hz), f"env.arm.ur.watchdog_hz={hz:g}")

    def _zero_drift(self) -> bool:
        """Zero the force sensor, which force mode goes by, where what it shows is no contact."""
        self._pass(SETTLED_S)
        return float(np.linalg.norm(self.wrench[:3])) > DRIFT_N or self.tare()

    def _set_payload(self, mass_kg: float, com_m: Vector) -> bool:
        # Three exact zeros would mean "as before" to the script.
        com = [float(x) or 1e-6 for x in com_m]
        return self._commanded.setPayload(mass_kg, com)

    def _pass(self, seconds: float) -> None:
        """Let the robot's time pass."""
        until = self._stamp + seconds
        self._await(lambda: self._stamp > until, "says nothing")

    def _await(self, condition, what: str) -> None:
        """Look until something is so, feeding the watchdog."""
        deadline_s = time.monotonic() + START_S
        while True:
            if self._control is not None:
                self._control.kickWatchdog()
            time.sleep(1.0 / RTDE_HZ)
            if self._receive.getTimestamp() > 0.0:
                self.look()
            if condition():
                return
            if time.monotonic() > deadline_s:
                raise RobotLost(f"{what} within {START_S:g} s")


def _require(taken: bool, what: str) -> None:
    if not taken:
        raise SettingRefused(what)
