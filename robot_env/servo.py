"""The servo: the only place where the gate meets a driver.

It keeps the plan that the gate last allowed, and writes that plan's set-point to the driver at every tick.
It owns no thread and no clock, so the same class serves the lockstep simulation (a tick per chunk of
physics) and the arm server (200 a second).
"""

import math
from dataclasses import replace
from typing import Protocol

from handrail.robot_env.clock import NS_PER_S
from handrail.robot_env.config import LimitsConfig, MotionLimits
from handrail.robot_env.errors import ArmError, ArmFault
from handrail.robot_env.gate import (
    GateDecision,
    GateFlag,
    GateLimits,
    Plan,
    Reach,
    SetPoint,
    Six,
    gate,
    plan_brake,
    plan_to,
)
from handrail.robot_env.geometry import Array, Vector, WorkFrame


class SetpointDriver(Protocol):
    """Whatever pulls an arm towards a pose."""

    def set_setpoint(self, pose: Array) -> None:
        """Pull towards `pose` (7,), base frame, from now on."""
        ...


class Servo:
    """Gated commands in, set-points out. Not thread-safe: one thread commands and ticks it.

    Args:
        driver: where set-points go.
        limits: what the gate enforces.
        frame: work frame of the limits.
        period_s: time between two commands [s].
    """

    def __init__(
        self, driver: SetpointDriver, limits: LimitsConfig, frame: WorkFrame, period_s: float
    ) -> None:
        self._driver = driver
        self._config = limits
        self._frame = frame
        self._period_s = period_s
        self.limits = GateLimits.build(limits, frame, limits.motion, period_s)
        self._looser: GateLimits | None = None  # while the limits in use do not suffice to stop in the box
        self._plan: Plan | None = None
        self._plan_ns = 0
        self._force_count = 0
        self._watch_count = 0
        self._flags = GateFlag.NONE
        self.tripped = False

    def use(self, motion: MotionLimits) -> None:
        """Plan with the speeds and the leash of `motion` from the next command on.

        While the set-point moves as it may no longer, or could not stop inside the box within the new limits,
        the larger acceleration and jerk of before still hold: they bring it there.
        """
        before = self._looser or self.limits
        self.limits = now = GateLimits.build(self._config, self._frame, motion, self._period_s)
        self._looser = replace(
            now,
            acceleration=_larger(before.acceleration, now.acceleration),
            jerk=_larger(before.jerk, now.jerk),
        )

    def seed(self, measured: Vector, t_ns: int) -> None:
        """Begin where the arm is, and forget a force trip.

        A set-point that already pulls the arm goes there within the limits instead of jumping: it may still
        be braking, or pressing against something. A tool a little outside the workspace, which contact or a
        hand brought there, is pulled to its edge within the limits too; on the way the set-point only comes
        nearer, whatever is commanded.

        Raises:
            ArmError: the tool is so far outside the workspace that pulling it in would be a motion of its
                own.
        """
        here = self._frame.coordinates(measured)
        inside = self.limits.clip(here)
        off_m, off_rad = math.dist(here[:3], inside[:3]), math.dist(here[3:], inside[3:])
        leash_m, leash_rad = self._config.motion.leash_m, self._config.motion.leash_rad
        far = []
        if not off_m <= leash_m:
            far.append(
                f"{1000 * off_m:.1f} mm outside env.limits.workspace_low_m and workspace_high_m (a start "
                f"pulls it in from {1000 * leash_m:.1f} mm at most)"
            )
        if not off_rad <= leash_rad:
            far.append(
                f"turned {off_rad:.3f} rad beyond env.limits.rotation_limit_rad (a start turns it back by "
                f"{leash_rad} rad at most)"
            )
        if far:
            raise ArmError(f"the tool is {' and '.join(far)}; guide it back by hand, or correct the limits")
        anew = self._plan is None
        if anew:
            x, y, z, rx, ry, rz = here
            self._plan, self._plan_ns = Plan(self._frame, None, (x, y, z, rx, ry, rz)), t_ns
        if not anew or off_m > 0.0 or off_rad > 0.0:
            setpoint = self.setpoint(t_ns)
            plan = plan_to(inside, setpoint, self._limits_at(setpoint))
            if plan is not None:
                self._plan, self._plan_ns = plan, t_ns
            else:
                self.brake(t_ns)
        self._force_count = self._watch_count = 0
        self.tripped = False

    def forget(self) -> None:
        """Have no set-point until the next `seed`: the driver has let go of the arm."""
        self._plan = None

    def command(
        self, goal: Vector, measured: Vector, force_n: float, t_ns: int, reach: Reach | None = None
    ) -> GateDecision:
        """Plan towards `goal` (7,) from the present set-point. A force trip stays until `seed`."""
        setpoint = self.setpoint(t_ns)
        # After a trip every further command counts as one over the limit, whatever the sensor says now.
        force = math.inf if self.tripped else force_n
        count = self.limits.force_samples if self.tripped else self._force_count
        decision = gate(goal, setpoint, measured, force, self._limits_at(setpoint), count, reach)
        self._plan, self._plan_ns = decision.plan, t_ns
        self._force_count = decision.force_count
        self.tripped = self.tripped or bool(decision.flags & GateFlag.FORCE)
        self._flags |= decision.flags
        return decision

    def watch(self, force_n: float, t_ns: int) -> bool:
        """Look at the force in a round of an arm server; brake when too many in a row find it too large.

        Returns:
            Whether the arm has tripped, now or earlier: it stays so until `seed`.
        """
        self._watch_count = 0 if force_n <= self.limits.force_limit_n else self._watch_count + 1
        if not self.tripped and self._watch_count >= self.limits.force_samples:
            self.tripped = True
            self._flags |= GateFlag.FORCE
            self.brake(t_ns)
        return self.tripped

    def brake(self, t_ns: int) -> None:
        """Bring the set-point to rest within the limits."""
        if self._plan is None:
            return
        setpoint = self.setpoint(t_ns)
        plan = plan_brake(setpoint, self._limits_at(setpoint))
        self._plan = plan or Plan(self._frame, None, setpoint.position)
        self._plan_ns = t_ns

    def tick(self, t_ns: int) -> None:
        """Write the set-point of this moment to the driver. Nothing is written before the first `seed`."""
        if self._plan is not None:
            self._driver.set_setpoint(self._plan.pose((t_ns - self._plan_ns) / NS_PER_S))

    def setpoint(self, t_ns: int) -> SetPoint:
        """Set-point of this moment.

        Raises:
            ArmFault: nothing has seeded the servo yet.
        """
        if self._plan is None:
            raise ArmFault("the servo has no set-point yet; start the arm first")
        return self._plan.at((t_ns - self._plan_ns) / NS_PER_S)

    def resting(self, t_ns: int) -> bool:
        """Whether the set-point has come to rest."""
        return self._plan is None or t_ns - self._plan_ns >= self._plan.duration_s * NS_PER_S

    def flag(self, flags: GateFlag) -> None:
        """Record flags raised outside the gate, such as a dropped command."""
        self._flags |= flags

    def take_flags(self) -> GateFlag:
        """Flags raised since the last call."""
        flags, self._flags = self._flags, GateFlag.NONE
        return flags

    def _limits_at(self, setpoint: SetPoint) -> GateLimits:
        """What to plan with from `setpoint` on."""
        if self._looser is not None:
            stop = plan_brake(setpoint, self.limits) if self.limits.admit(setpoint) else None
            if stop is not None and stop.stays_inside(self.limits):
                self._looser = None
        return self._looser or self.limits


def _larger(these: Six, those: Six) -> Six:
    a, b, c, d, e, f = map(max, these, those)
    return (a, b, c, d, e, f)
