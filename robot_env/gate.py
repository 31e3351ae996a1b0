"""The safety gate: one pure function between every command and every arm.

A goal goes through, in this order: is the arm pressing too hard; is it finite; leash (not too far ahead of
where the arm is); workspace and rotation box; joint margin and singularity (`Reach`, where the arm's
kinematics are known); and then a time-optimal motion within speed, acceleration and
jerk limits per work axis, from the present set-point to the goal at rest. The policy, the operator, resets
and the console all pass here; there is no other way to a driver. (A joint motion to the configured home is
the driver's own; the arm server watches over that.)

**Why no set-point ever leaves the box.** Every plan ends at rest inside the box, so at each moment of it a
way to stop inside exists: the rest of the plan itself. A new plan towards any goal inside the box starts
with full jerk either towards or away from the edge. Away: no admissible motion lies further from that edge,
moment by moment, so the new plan turns round no later than the old one would have, which did so inside.
Towards: it is the time-optimal approach to a goal inside, which brakes at the last moment that still stops
there. A brake is the same argument with the stopping point as its goal; where jerk would carry it over the
edge, the edge becomes the goal. The box is shrunk by a micrometre so that rounding does not matter. By
induction from a seed at rest, set-points stay inside for ever. A seed a little outside begins with a plan to
the nearest point inside; by the same argument no set-point is further out than one before it, and none that
is inside leaves again. Limits that tighten in mid-motion are used as soon as they suffice to stop inside.

Software limits are not safety-rated. The emergency stop is hardware.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import Protocol

from ruckig import ControlInterface, InputParameter, Result, Ruckig, RuckigError, Synchronization, Trajectory

from handrail.robot_env.config import LimitsConfig, MotionLimits
from handrail.robot_env.geometry import Array, Vector, WorkFrame

Six = tuple[float, float, float, float, float, float]

ZERO: Six = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
ROUNDING = 1e-6  # [m, rad] how far inside the box goals are kept.


class GateFlag(IntFlag):
    """What the gate did to a command; none of it is silent."""

    NONE = 0
    NONFINITE = 1
    """The goal or the reading was not finite: braking to rest."""
    ACTION = 2
    """The action lay outside [−1, 1] and was clipped (set by the environment)."""
    LEASH = 4
    """The goal ran too far ahead of the arm."""
    WORKSPACE = 8
    """The goal lay outside the workspace."""
    ROTATION = 16
    """The goal was turned or tilted too far."""
    SPEED = 32
    """The goal is further than full speed reaches before the next command."""
    FORCE = 64
    """The arm pressed too hard for too long: braking to rest, latched."""
    HOLD = 128
    """The arm is not in RUN: the command was dropped."""
    PLANNER = 256
    """No admissible motion was found; the set-point brakes or stays."""
    WATCHDOG = 512
    """No command came for too long while the arm ran: braking to rest, then HOLD."""
    STALE = 1024
    """A command was dropped: too old, out of order, or from a client without the lease."""
    JOINT_MARGIN = 2048
    """The goal led a joint into the margin before its limit: it was moved back towards the arm."""
    SINGULAR = 4096
    """The goal led towards a singularity: it was moved back towards the arm."""


JOINTS_LIMIT = GateFlag.JOINT_MARGIN | GateFlag.SINGULAR
"""What the arm's joints limited."""


class Reach(Protocol):
    """How much of the way to a goal the arm's joints allow."""

    def share(self, goal: Array, size: float) -> tuple[float, GateFlag]:
        """Share in [0, 1] of the way from the measured pose to `goal` (7,), and what limits it.

        Args:
            goal: base frame, inside the box and the leash.
            size: length of that way, as a share of the leash.
        """
        ...


@dataclass(frozen=True, slots=True)
class SetPoint:
    """Where the controller is being pulled to, in work coordinates.

    Attributes:
        position: x y z [m] and rotation vector [rad].
        velocity: their rates [m/s, rad/s].
        acceleration: the rates of those [m/s², rad/s²].
    """

    position: Six
    velocity: Six = ZERO
    acceleration: Six = ZERO


@dataclass(frozen=True)
class GateLimits:
    """`LimitsConfig` made ready for one work frame, as six coordinates each.

    Attributes:
        frame: the work coordinates that everything below is in.
        low: smallest coordinates of a goal [m, rad].
        high: largest coordinates of a goal [m, rad].
        speed: largest rate of each [m/s, rad/s].
        acceleration: largest acceleration of each [m/s², rad/s²].
        jerk: largest jerk of each [m/s³, rad/s³].
        leash_m: longest distance from the arm to a goal [m].
        leash_rad: largest turn from the arm to a goal [rad].
        force_limit_n: largest force on the tool [N].
        force_samples: looks in a row above it before the arm brakes: the gate's, one a command, or those of
            `Servo.watch`, one a round of an arm server.
        period_s: time to the next command [s]; only the SPEED flag depends on it.
    """

    frame: WorkFrame
    low: Six
    high: Six
    speed: Six
    acceleration: Six
    jerk: Six
    leash_m: float
    leash_rad: float
    force_limit_n: float
    force_samples: int
    period_s: float

    @classmethod
    def build(
        cls, config: LimitsConfig, frame: WorkFrame, motion: MotionLimits, period_s: float
    ) -> "GateLimits":
        """Limits of `config` in `frame`, with the speeds and leash of `motion`."""
        tilt_x, tilt_y, tilt_z = config.rotation_limit_rad
        low = (*config.workspace_low_m, -tilt_x, -tilt_y, -tilt_z)
        high = (*config.workspace_high_m, tilt_x, tilt_y, tilt_z)
        return cls(
            frame=frame,
            low=_six(x + ROUNDING for x in low),
            high=_six(x - ROUNDING for x in high),
            speed=_six([motion.linear_speed_m_s] * 3 + [motion.angular_speed_rad_s] * 3),
            acceleration=_six(
                [motion.linear_acceleration_m_s2] * 3 + [motion.angular_acceleration_rad_s2] * 3
            ),
            jerk=_six([motion.linear_jerk_m_s3] * 3 + [motion.angular_jerk_rad_s3] * 3),
            leash_m=motion.leash_m,
            leash_rad=motion.leash_rad,
            force_limit_n=config.force_limit_n,
            force_samples=config.force_samples,
            period_s=period_s,
        )

    def clip(self, coordinates: Sequence[float]) -> Six:
        """The nearest coordinates inside the box."""
        return _six(
            low if x < low else high if x > high else x
            for x, low, high in zip(coordinates, self.low, self.high, strict=True)
        )

    def admit(self, setpoint: SetPoint) -> bool:
        """Whether a set-point moves within them, also while its acceleration comes to an end."""
        return all(
            abs(a) <= most_a * (1.0 + 1e-9) and abs(v) + a * a / (2.0 * jerk) <= speed * (1.0 + 1e-9)
            for v, a, speed, most_a, jerk in zip(
                setpoint.velocity,
                setpoint.acceleration,
                self.speed,
                self.acceleration,
                self.jerk,
                strict=True,
            )
        )


class Plan:
    """A motion of the set-point from now until it rests.

    Args:
        frame: work frame of the coordinates.
        trajectory: the planned motion; None stays at `rest`.
        rest: where the set-point ends, work coordinates.
    """

    __slots__ = ("_frame", "_trajectory", "rest")

    def __init__(self, frame: WorkFrame, trajectory: Trajectory | None, rest: Six) -> None:
        self._frame = frame
        self._trajectory = trajectory
        self.rest = rest

    @property
    def duration_s(self) -> float:
        """Time until the set-point rests [s]."""
        return 0.0 if self._trajectory is None else self._trajectory.duration

    def at(self, t_s: float) -> SetPoint:
        """Set-point `t_s` after the start of the plan [s]."""
        if self._trajectory is None:
            return SetPoint(self.rest)
        position, velocity, acceleration = self._trajectory.at_time(t_s)
        return SetPoint(tuple(position), tuple(velocity), tuple(acceleration))

    def pose(self, t_s: float) -> Array:
        """Tool pose (7,) `t_s` after the start, base frame."""
        if self._trajectory is None:
            return self._frame.pose(self.rest)
        return self._frame.pose(self._trajectory.at_time(t_s)[0])

    def stays_inside(self, limits: GateLimits) -> bool:
        """Whether it leaves the box at no moment."""
        if self._trajectory is None:
            return limits.clip(self.rest) == self.rest
        return all(
            low - ROUNDING / 10 <= bound.min and bound.max <= high + ROUNDING / 10
            for bound, low, high in zip(
                self._trajectory.position_extrema, limits.low, limits.high, strict=True
            )
        )


@dataclass(frozen=True, slots=True)
class GateDecision:
    """What the gate made of a command.

    Attributes:
        plan: the set-point's motion from now on.
        goal: (7,) where that motion ends, base frame: the wanted pose after every limit.
        flags: what was limited.
        force_count: commands in a row over the force limit; hand it to the next call.
    """

    plan: Plan
    goal: Array
    flags: GateFlag
    force_count: int


def gate(
    goal: Vector,
    setpoint: SetPoint,
    measured: Vector,
    force_n: float,
    limits: GateLimits,
    force_count: int = 0,
    reach: Reach | None = None,
) -> GateDecision:
    """Turn a wanted pose into a motion that the arm may make. Pure: same arguments, same decision.

    A decision's own goal passes unchanged (the gate is idempotent), and a quaternion and its negative are one
    orientation.

    Args:
        goal: (7,) wanted tool pose, base frame; its quaternion is normalised here.
        setpoint: where the set-point is now, inside the box or on its way there.
        measured: (7,) where the tool is, base frame.
        force_n: force on the tool [N]; not a number counts as too much. Zero from an arm server, which
            watches the force itself, between commands too.
        limits: the limits.
        force_count: commands in a row over the force limit before this one.
        reach: what the arm's joints allow from where they are; None where its kinematics are not known.

    Returns:
        A plan that starts at `setpoint`, position, velocity and acceleration alike.
    """
    force_count = 0 if force_n <= limits.force_limit_n else force_count + 1
    if force_count >= limits.force_samples:
        return _refuse(setpoint, limits, GateFlag.FORCE, force_count)
    wanted = _coordinates(goal, limits.frame)
    here = _coordinates(measured, limits.frame)
    if wanted is None or here is None:
        return _refuse(setpoint, limits, GateFlag.NONFINITE, force_count)

    # Contact may push the arm a little out of the box; leashing to the nearest point inside keeps the gate
    # idempotent.
    inside = limits.clip(here)
    leashed, flags = _leash(wanted, inside, limits)
    target = limits.clip(leashed)
    if math.dist(target[:3], leashed[:3]) > ROUNDING / 1000:
        flags |= GateFlag.WORKSPACE
    if math.dist(target[3:], leashed[3:]) > ROUNDING / 1000:
        flags |= GateFlag.ROTATION
    for x, p, speed in zip(target, setpoint.position, limits.speed, strict=True):
        if abs(x - p) > speed * limits.period_s:
            flags |= GateFlag.SPEED
            break
    goal = limits.frame.pose(target)
    if reach is not None:
        size = max(
            math.dist(target[:3], inside[:3]) / limits.leash_m,
            math.dist(target[3:], inside[3:]) / limits.leash_rad,
        )
        share, limited = reach.share(goal, size)
        if limited:
            flags |= limited
            target = _six(h + share * (x - h) for h, x in zip(inside, target, strict=True))
            goal = limits.frame.pose(target)

    plan = plan_to(target, setpoint, limits)
    if plan is None:
        return _refuse(setpoint, limits, flags | GateFlag.PLANNER, force_count)
    return GateDecision(plan, goal, flags, force_count)


def plan_to(target: Six, setpoint: SetPoint, limits: GateLimits) -> Plan | None:
    """Time-optimal motion of each axis from `setpoint` to rest at `target`; None when none is found."""
    # About once in 10⁵ plans the solver meets a degenerate case; a tenth of a micrometre aside it does not.
    for nudge in (0.0, ROUNDING / 10, -ROUNDING / 10):
        request = _request(setpoint, limits)
        request.target_position = [x + nudge for x in target]
        trajectory = _solve(request)
        if trajectory is not None:
            return Plan(limits.frame, trajectory, target)
    return None


def plan_brake(setpoint: SetPoint, limits: GateLimits) -> Plan | None:
    """Quickest motion from `setpoint` to rest inside the box; None when none is found."""
    request = _request(setpoint, limits)
    request.control_interface = ControlInterface.Velocity
    trajectory = _solve(request)
    if trajectory is None:
        return plan_to(limits.clip(setpoint.position), setpoint, limits)
    rest = _six(trajectory.at_time(trajectory.duration)[0])
    for bound, low, high in zip(trajectory.position_extrema, limits.low, limits.high, strict=True):
        if bound.min < low or bound.max > high:
            return plan_to(limits.clip(rest), setpoint, limits)
    return Plan(limits.frame, trajectory, rest)


def _refuse(setpoint: SetPoint, limits: GateLimits, flags: GateFlag, force_count: int) -> GateDecision:
    """Brake instead. Should even that find no motion, stay: a stopped set-point is safe, if not smooth."""
    plan = plan_brake(setpoint, limits)
    if plan is None:
        plan = Plan(limits.frame, None, setpoint.position)
        flags |= GateFlag.PLANNER
    return GateDecision(plan, limits.frame.pose(plan.rest), flags, force_count)


def _leash(wanted: Sequence[float], here: Six, limits: GateLimits) -> tuple[Six, GateFlag]:
    flags = GateFlag.NONE
    result: list[float] = []
    for part, leash in ((slice(0, 3), limits.leash_m), (slice(3, 6), limits.leash_rad)):
        offset = [w - h for w, h in zip(wanted[part], here[part], strict=True)]
        distance = math.hypot(*offset)
        # The margin lets a goal that was leashed once pass unchanged the next time.
        if distance > leash * (1.0 + 1e-9):
            flags |= GateFlag.LEASH
            offset = [x * leash / distance for x in offset]
            result += [h + x for h, x in zip(here[part], offset, strict=True)]
        else:
            result += wanted[part]
    return _six(result), flags


def _coordinates(pose: Vector, frame: WorkFrame) -> list[float] | None:
    """Work coordinates of a pose, or None when it is not one."""
    values = [float(x) for x in pose]
    if len(values) != 7 or not math.isfinite(sum(values)):
        return None
    norm = math.hypot(*values[3:])
    if norm < 1e-6:
        return None
    if abs(norm - 1.0) > 1e-9:
        values[3:] = [x / norm for x in values[3:]]
    return frame.coordinates(values)


def _request(setpoint: SetPoint, limits: GateLimits) -> InputParameter:
    request = InputParameter(6)
    request.synchronization = Synchronization.No
    request.current_position = setpoint.position
    request.current_velocity = setpoint.velocity
    request.current_acceleration = setpoint.acceleration
    request.max_velocity = limits.speed
    request.max_acceleration = limits.acceleration
    request.max_jerk = limits.jerk
    return request


def _solve(request: InputParameter) -> Trajectory | None:
    trajectory = Trajectory(6)
    try:
        result = Ruckig(6).calculate(request, trajectory)
    except RuckigError:
        return None
    return trajectory if result in (Result.Working, Result.Finished) else None


def _six(values: Iterable[float]) -> Six:
    a, b, c, d, e, f = values
    return (a, b, c, d, e, f)
