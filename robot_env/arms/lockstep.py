"""The simulated arm in lockstep: it moves only while its clock waits.

The cell plays the driver, this class the control loop around it: before each 10 ms chunk of physics the servo
writes its set-point. Everything between the environment and the physics (gate, limits, modes) is what a real
arm gets; only the thread that would run it is missing.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from handrail.robot_env.arms.arm import ArmMode, ArmState, Gains
from handrail.robot_env.arms.models import SIMULATED_ARMS
from handrail.robot_env.arms.reach import Reach
from handrail.robot_env.arms.refusals import latched, not_connected, not_running
from handrail.robot_env.config import LimitsConfig
from handrail.robot_env.errors import ArmError, ArmFault
from handrail.robot_env.gate import GateFlag
from handrail.robot_env.geometry import Array, Vector, WorkFrame
from handrail.robot_env.gripper import Gripper
from handrail.robot_env.servo import Servo
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.sim.joint_motion import JointMotion

_LOOK_NS = 10_000_000
"""Simulated time between two looks at a joint motion."""


class LockstepArm:
    """An `Arm` made of a `SimCell` and a `Servo`. One thread.

    Args:
        cell: the simulated cell; this arm takes over its `on_chunk`.
        limits: what the gate enforces.
        frame: work frame of the limits.
        period_s: time between two commands [s].
        joint_speed: speed of a joint motion, as a share of the arm's rated one.
    """

    gripper: Gripper | None = None  # the simulated hand holds the module for good
    stops: int = 0  # nobody else can reach it

    def __init__(
        self,
        cell: SimCell,
        limits: LimitsConfig,
        frame: WorkFrame,
        period_s: float,
        joint_speed: float = 0.2,
    ) -> None:
        self._cell = cell
        self._joint_speed = joint_speed
        self._limits = limits
        self._servo = Servo(cell, limits, frame, period_s)
        self._reach = Reach(SIMULATED_ARMS[cell.config.arm])
        self._mode = ArmMode.DISARMED
        self._state: ArmState | None = None

    def connect(self) -> None:
        """Take the cell over; the arm comes up in HOLD where it stands."""
        self._cell.on_chunk = self._servo.tick
        self._mode = ArmMode.HOLD

    def close(self) -> None:
        """Let go of the cell; its last set-point stays."""
        self._cell.on_chunk = None
        self._mode = ArmMode.DISARMED

    def advance(self, dt_ns: int) -> None:
        """Let simulated time pass: what waiting on the arm's clock does.

        Raises:
            ArmFault: the physics diverged; the fault is latched.
        """
        try:
            self._cell.advance(dt_ns)
        except ArmFault:
            self._mode = ArmMode.FAULT
            raise

    def state(self) -> ArmState:
        """Reading of this moment; flags and peak force are those since the last call."""
        self._require_connection()
        state = self._reading()
        result = replace(state, mode=self._mode, gate_flags=int(self._servo.take_flags()))
        self._state = replace(state, peak_force_n=0.0)
        return result

    def start(self, gains: Gains | None = None, stops: int | None = None) -> None:
        """Enter RUN, the set-point at the measured pose and at rest."""
        self._require_connection()
        if self._mode is ArmMode.FAULT:
            raise latched()
        if gains is not None:
            self._cell.set_gains(gains)
        if self._mode is not ArmMode.RUN:
            self._servo.seed(self._reading().pose, self._cell.time_ns)
            self._mode = ArmMode.RUN

    def set_target(self, pose: Vector, twist: Vector | None = None) -> Array:
        """Command a tool pose through the gate; `twist` is of no use to this driver."""
        if self._mode is not ArmMode.RUN:
            self._servo.flag(GateFlag.HOLD)
            raise not_running(self._mode)
        state = self._reading()
        fx, fy, fz = state.wrench[:3].tolist()
        force_n = math.sqrt(fx * fx + fy * fy + fz * fz)
        reach = self._reach.at(state.q, state.pose)
        decision = self._servo.command(pose, state.pose, force_n, self._cell.time_ns, reach)
        if decision.flags & GateFlag.FORCE:
            self._mode = ArmMode.HOLD
        return decision.goal

    def set_gains(self, gains: Gains) -> None:
        """Change the impedance."""
        self._cell.set_gains(gains)

    def set_resetting(self, resetting: bool) -> None:
        """Plan with the limits for resets, or with those for policy steps."""
        self._servo.use(self._limits.reset_motion if resetting else self._limits.motion)

    def move_joints(
        self,
        q: Sequence[float] | Array,
        interrupt: Callable[[], str] | None = None,
        stops: int | None = None,
    ) -> None:
        """Move to joint angles (J,) [rad], at the share `joint_speed` of the rated speeds; time passes."""
        self._require_connection()
        if self._mode is ArmMode.FAULT:
            raise latched()
        if self._mode is not ArmMode.HOLD:
            raise ArmError(f"the arm is in {self._mode.name}; stop() it before a joint motion")
        while not self._servo.resting(self._cell.time_ns):
            self.advance(_LOOK_NS)
        motion = JointMotion(self._cell, q, self._joint_speed)
        self._servo.forget()  # it has no part in this; `start` begins anew from where the arm is then
        while not motion.advance(_LOOK_NS):
            self.advance(_LOOK_NS)
            if interrupt is not None and interrupt():
                motion.brake()

    def stop(self) -> None:
        """Brake within the limits while time passes, then stay; commands are dropped until `start`."""
        if self._mode is ArmMode.RUN:
            self._servo.brake(self._cell.time_ns)
            self._mode = ArmMode.HOLD

    def hold(self) -> None:
        """As `stop`: nobody else can reach it."""
        self.stop()

    def recover(self, by: str = "operator") -> None:
        """Leave FAULT for HOLD, if the physics is sound again."""
        if self._mode is not ArmMode.FAULT:
            return
        self._state = None
        if not math.isfinite(float(self._cell.read().pose.sum())):
            raise ArmFault("the simulated arm's pose is not finite; make a new cell")
        self._servo.forget()
        self._servo.seed(self._reading().pose, self._cell.time_ns)
        self._mode = ArmMode.HOLD

    def set_load(self, mass_kg: float, com_m: Vector) -> None:
        """Nothing to tell: the simulated arm already compensates what it carries."""

    def zero_ft(self) -> None:
        """Tare the force/torque reading."""
        self._cell.tare()
        self._state = None

    def _require_connection(self) -> None:
        if self._mode is ArmMode.DISARMED:
            raise not_connected()

    def _reading(self) -> ArmState:
        """The cell's reading of this moment, taken once per moment; the peak force adds up until `state`."""
        last = self._state
        if last is not None and last.t_ns == self._cell.time_ns:
            return last
        raw = self._cell.read()
        self._state = ArmState(
            t_ns=raw.t_ns,
            pose=raw.pose,
            twist=raw.twist,
            wrench=raw.wrench,
            q=raw.q,
            dq=raw.dq,
            gripper_width_m=raw.gripper_width_m,
            mode=self._mode,
            peak_force_n=max(raw.peak_force_n, last.peak_force_n if last else 0.0),
        )
        return self._state
