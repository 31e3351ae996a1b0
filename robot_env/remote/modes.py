"""DISARMED, HOLD, RUN, FAULT: what one arm does, tick by tick.

    DISARMED ──connect──▶ HOLD ◀──start / stop, silence, force──▶ RUN
                            ▲                                      │
                         recover (an operator's)                 fault
                            └────────────── FAULT ◀────────────────┘  (from HOLD too; latched)

Set-points are made by the `Servo` alone, and written only while the driver is engaged and the mode is HOLD or
RUN. Time in which the process did not run does not move them: the motion goes on where it was.
"""

import math
from collections import deque
from collections.abc import Callable
from typing import Any

from handrail.robot_env.arms.arm import ArmMode, Gains
from handrail.robot_env.arms.driver import ArmDriver, DriverReading
from handrail.robot_env.arms.reach import Reach, reach_of
from handrail.robot_env.arms.refusals import latched, not_connected, not_running
from handrail.robot_env.clock import NS_PER_S
from handrail.robot_env.config import EnvConfig, MotionLimits
from handrail.robot_env.gate import JOINTS_LIMIT, GateDecision, GateFlag
from handrail.robot_env.geometry import Array, Vector, WorkFrame
from handrail.robot_env.servo import Servo

LONGEST_STEP_NS = 20_000_000
"""Most that a motion goes on between two set-points: what a stalled process missed must not be a jump."""
JOINT_MOTION_ROOM_M = 0.1
"""How far outside the workspace a joint motion may take the tool, sideways and up."""
JOINT_MOTION_BELOW_M = 0.01
"""The same downwards, where the table is."""
JOINT_MOTION_TURN_RAD = 0.5
"""How far beyond the rotation limits a joint motion may turn the tool."""
_AS_READ = ("t_ns", "device_ns", "gripper_width_m", "gripper_ns", "gripper_stroke_m", "estop")
"""Fields of a reading that a `State` has under the same name, besides the arrays."""


class _Output:
    """The driver as the servo sees it; remembers what it was told."""

    def __init__(self, driver: ArmDriver) -> None:
        self._driver = driver
        self.pose: Array | None = None

    def set_setpoint(self, pose: Array) -> None:
        self.pose = pose
        self._driver.set_setpoint(pose)


class ModeMachine:
    """One arm's mode, reading and set-point. One thread; call `at` before anything else.

    Args:
        driver: the arm.
        config: limits and ages.
        frame: work frame of the limits.
        on_fault: called when a fault is latched, with its text; `engaged` still says what was.

    Attributes:
        mode: what the arm is doing.
        reading: what the robot last said; None before the first.
        engaged: whether the driver follows set-points, as far as this side knows.
        fault: why the mode is FAULT.
        command_ns: when the last valid command of a running arm came [ns].
        now: the present moment [ns].
        events: (time [ns], what happened), for a log; the reader empties it.
    """

    def __init__(
        self, driver: ArmDriver, config: EnvConfig, frame: WorkFrame, on_fault: Callable[[str], None]
    ) -> None:
        self._driver = driver
        self._config = config
        self._limits = config.limits
        self._frame = frame
        self._on_fault = on_fault
        self._output = _Output(driver)
        self._servo = Servo(self._output, config.limits, frame, 1.0 / config.hz)
        self._reading_age_ns = round(config.arm.server.reading_age_s * NS_PER_S)
        self._gripper_age_ns = round(config.arm.server.gripper_age_s * NS_PER_S)
        self.mode = ArmMode.DISARMED
        self.reading: DriverReading | None = None
        self.engaged = False
        self.fault = ""
        self.now = self.command_ns = 0
        self.events: deque[tuple[int, str]] = deque(maxlen=1000)
        self._ticked_ns = self._motion_ns = self._mode_ns = self._followed_ns = 0
        self._force_n = 0.0
        self._unread = ""
        self._reach: Reach | None = None  # of an arm whose kinematics are known
        self._unwatched = ""  # why they are not, as it was noted last
        self._limited = GateFlag.NONE  # what the joints have limited since the start
        self._gains: Gains | None = None  # in force, where the driver is engaged

    def at(self, now_ns: int) -> None:
        """Say what time it is. It does not run backwards."""
        self.now = max(self.now, now_ns)

    @property
    def resting(self) -> bool:
        """Whether the set-point has come to rest."""
        return self._servo.resting(self._motion())

    @property
    def tripped(self) -> bool:
        """Whether the arm pressed too hard since the last start."""
        return self._servo.tripped

    @property
    def estop(self) -> bool:
        """Whether an emergency stop or an enabling device stops the robot, as far as it says so now.

        What it said before its link went is no news of now.
        """
        reading = self.reading
        fresh = not self._unread and reading is not None and self.now - reading.t_ns <= self._reading_age_ns
        return fresh and reading is not None and reading.estop

    def note(self, what: str) -> None:
        """Record an event."""
        self.events.append((self.now, what))

    def flag(self, flags: GateFlag) -> None:
        """Report flags with the next state."""
        self._servo.flag(flags)

    # A round: begin_round, read, watch_force, drive.

    def begin_round(self) -> None:
        """Let the motion's time pass."""
        self._motion_ns, self._ticked_ns = self._motion(), self.now

    def read(self) -> None:
        """Read the driver; fault where the robot or the reading gives reason to."""
        if self.mode is ArmMode.DISARMED:
            return
        try:
            self.reading = self._driver.read()
        except Exception as error:  # whatever an SDK raises, the server goes on publishing
            self._unread = f"the arm cannot be read: {error}"
            self.latch(self._unread)
            return
        self._unread = ""
        fx, fy, fz = self.reading.wrench[:3].tolist()
        force_n = math.sqrt(fx * fx + fy * fy + fz * fz)
        self._force_n = force_n if math.isfinite(force_n) else math.inf
        trouble = self.trouble()
        if trouble:
            self.latch(trouble)
        elif self.reading.engaged or not self.engaged:
            self._followed_ns = self.now
        elif self.now - self._followed_ns > self._reading_age_ns:
            if self.mode is ArmMode.RUN:
                self.latch("the robot has stopped following set-points without saying why")
            else:
                self.let_go()

    def trouble(self) -> str:
        """What is wrong with the robot or its newest reading; "" when all is well."""
        reading = self.reading
        if self._unread or reading is None:
            return self._unread or "the robot has said nothing yet"
        if reading.fault:
            return reading.fault
        age_ns = self.now - reading.t_ns
        if age_ns > self._reading_age_ns:
            return (
                f"the robot's reading is {age_ns / 1e6:.0f} ms old "
                f"(limit {self._reading_age_ns / 1e6:.0f} ms); look at its link and its controller"
            )
        if not math.isfinite(float(reading.pose.sum()) + float(reading.twist.sum()) + float(reading.q.sum())):
            return "the robot's reading is not finite; look at its controller"
        width_age_ns = self.now - reading.gripper_ns
        if reading.gripper_ns and width_age_ns > self._gripper_age_ns:
            return (
                f"the gripper was last heard {width_age_ns / 1e6:.0f} ms ago "
                f"(limit {self._gripper_age_ns / 1e6:.0f} ms); look at its cable and its power"
            )
        if not math.isfinite(reading.gripper_width_m):
            return "the gripper's width is not finite; look at its controller"
        return ""

    def watch_force(self) -> bool:
        """Look at the force of this round; whether the arm has pressed too hard. A running arm holds then."""
        tripped = self._servo.watch(self._force_n, self._motion())
        if tripped and self.mode is ArmMode.RUN:
            self._enter(ArmMode.HOLD, f"pressed with {self._force_n:.0f} N")
        return tripped

    def drive(self) -> None:
        """Write the set-point of this moment, where one is due."""
        if not self.engaged or self.mode not in (ArmMode.HOLD, ArmMode.RUN):
            self._output.pose = None
            return
        try:
            self._servo.tick(self._motion())
        except Exception as error:  # as for reading
            self.latch(f"the arm takes no set-point: {error}")

    # What changes the mode.

    def connected(self) -> None:
        """The driver has reached the robot: hold."""
        self._followed_ns = self.now
        self._enter(ArmMode.HOLD, "connected")

    def took_hold(self, gains: Gains) -> None:
        """The driver follows set-points now, with these gains, and stays where it is until the first."""
        self.engaged, self._followed_ns, self._gains = True, self.now, gains
        self._servo.forget()

    def let_go(self) -> None:
        """The driver follows set-points no longer."""
        self.engaged = False
        self._servo.forget()
        self._output.pose = None

    def run(self) -> None:
        """Enter RUN from where the tool is.

        Raises:
            ArmError: it is too far outside the workspace; the arm holds.
        """
        assert self.reading is not None
        self._servo.seed(self.reading.pose, self._motion())
        self._know_joints(self.reading)
        self.command_ns = self.now
        self._enter(ArmMode.RUN, "started")

    def hold(self, why: str) -> bool:
        """Brake within the limits; whether there was something to brake."""
        if self.mode is not ArmMode.RUN:
            return False
        self._servo.brake(self._motion())
        self._enter(ArmMode.HOLD, why)
        return True

    def latch(self, fault: str) -> None:
        """Enter FAULT: not one set-point more. The first fault stays until it is recovered."""
        if self.mode is ArmMode.FAULT:
            return
        self.fault = fault
        self._enter(ArmMode.FAULT, fault)
        self._on_fault(fault)
        self.let_go()

    def recovered(self, by: str) -> None:
        """The fault's cause has gone and `by` has acknowledged it: hold."""
        self.fault = ""
        self.let_go()
        self._enter(ArmMode.HOLD, f"recovered by {by}")

    def command(self, pose: Vector) -> GateDecision:
        """Send a wanted pose (7,) through the gate, and the set-point of this moment to the driver.

        Raises:
            ArmError: the arm is not in RUN; flagged.
        """
        if self.mode is not ArmMode.RUN:
            self._servo.flag(GateFlag.HOLD)
            raise not_running(self.mode)
        assert self.reading is not None
        self.command_ns = self.now
        reach = None if self._reach is None else self._reach.at(self.reading.q, self.reading.pose)
        # The force is looked at in every round, not here.
        decision = self._servo.command(pose, self.reading.pose, 0.0, self._motion(), reach)
        if reach is not None and decision.flags & JOINTS_LIMIT & ~self._limited:
            self._limited |= decision.flags & JOINTS_LIMIT
            self.note(reach.why)
        self.drive()
        return decision

    def use(self, motion: MotionLimits) -> None:
        """Move within these limits from the next command on."""
        self._servo.use(motion)

    def set_gains(self, gains: Gains) -> None:
        """Change the impedance of an engaged arm."""
        if self.engaged and self.mode in (ArmMode.HOLD, ArmMode.RUN):
            self._driver.set_gains(gains)
            self._gains = gains

    def settle(self, gains: Gains) -> None:
        """Let an arm that has come to rest in HOLD stand with these gains, where others are in force.

        It stands where the tool is: on a softer spring that may be far from the set-point, and no arm is
        drawn back to an old one.
        """
        if gains == self._gains or not self.engaged or self.mode is not ArmMode.HOLD or not self.resting:
            return
        assert self.reading is not None
        self._servo.forget()
        try:
            self._output.set_setpoint(self.reading.pose)
            self.set_gains(gains)
        except Exception as error:  # as for reading
            self.latch(f"the arm does not take the station's gains: {error}")

    def require_ready(self) -> None:
        """Refuse what needs an arm that is connected and sound.

        Raises:
            ArmError: it is not connected.
            ArmFault: it is in a fault.
        """
        if self.mode is ArmMode.DISARMED:
            raise not_connected()
        if self.mode is ArmMode.FAULT:
            raise latched(self.fault)

    def astray(self) -> str:
        """Why a joint motion must end now; "" while it may go on."""
        if self.reading is None:
            return ""
        x, y, z, *turn = self._frame.coordinates(self.reading.pose)
        low, high, room = self._limits.workspace_low_m, self._limits.workspace_high_m, JOINT_MOTION_ROOM_M
        inside = (
            low[0] - room <= x <= high[0] + room
            and low[1] - room <= y <= high[1] + room
            and low[2] - JOINT_MOTION_BELOW_M <= z <= high[2] + room
        )
        if not inside:
            return (
                f"a joint motion took the tool to {x:.3f}, {y:.3f}, {z:.3f} m, more than {room} m "
                f"({JOINT_MOTION_BELOW_M} m downwards) outside the workspace; correct env.arm.joint_home"
            )
        for axis, angle, limit in zip("xyz", turn, self._limits.rotation_limit_rad, strict=True):
            if not abs(angle) <= limit + JOINT_MOTION_TURN_RAD:
                return (
                    f"a joint motion turned the tool by {angle:.2f} rad about {axis}, more than "
                    f"{JOINT_MOTION_TURN_RAD} rad beyond its limit of {limit} rad; correct env.arm.joint_home"
                )
        return ""

    def facts(self) -> dict[str, Any]:
        """What a `State` says about the arm. Flags are reported once."""
        reading, setpoint = self.reading, self._output.pose
        facts: dict[str, Any] = {
            "setpoint": () if setpoint is None else tuple(setpoint.tolist()),
            "force_n": self._force_n,
            "mode": self.mode.value,
            "mode_ns": self._mode_ns,
            "command_ns": self.command_ns,
            "fault": self.fault,
            "gate_flags": int(self._servo.take_flags()),
        }
        if reading is not None:
            facts |= {
                name: tuple(getattr(reading, name).tolist())
                for name in ("pose", "twist", "wrench", "q", "dq")
            }
            facts |= {name: getattr(reading, name) for name in _AS_READ}
        return facts

    def _know_joints(self, reading: DriverReading) -> None:
        """Learn the arm's kinematics, where it stands so that they can be told; that they cannot is noted."""
        self._limited = GateFlag.NONE
        if self._reach is not None:
            return
        found = reach_of(self._config, reading.q, reading.pose)
        if isinstance(found, Reach):
            self._reach = found
        elif found != self._unwatched:
            self._unwatched = found
            self.note(f"joint margin and singularity are not watched: {found}")

    def _enter(self, mode: ArmMode, why: str) -> None:
        if mode is not self.mode:
            self.mode, self._mode_ns = mode, self.now
            self.note(f"{mode.name}: {why}")

    def _motion(self) -> int:
        """The motion's own time [ns]; what exceeds `LONGEST_STEP_NS` between two rounds is left out of it."""
        return self._motion_ns + min(max(0, self.now - self._ticked_ns), LONGEST_STEP_NS)
