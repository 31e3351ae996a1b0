"""Taking a module anew: guided, with an operator's hands near the gripper and never under a moving arm.

Up, over to the holder, and hold there. The operator takes what is held, acknowledges, and the gripper
opens; places a module in the holder, takes the hands away, acknowledges again. Down slowly, close, look at
the width, lift, look again. A grasp that caught nothing opens and asks anew.

While a hand is in the cell the arm is in HOLD: nothing commands it, and no command would move it. A stop by
anybody ends the procedure wherever it is, also where nothing moves: an acknowledgement that follows is no
answer to it. Nothing here waits: `step` is called once a tick of the loop that drives it.
"""

import math
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from handrail.robot_env.arms.arm import Arm, ArmState
from handrail.robot_env.checks import require_pose, require_positive, require_range
from handrail.robot_env.clock import NS_PER_S, Clock
from handrail.robot_env.errors import ArmError, ArmFault, ConfigError, ResetError
from handrail.robot_env.geometry import Array, WorkFrame, pose_distance, pose_from, quat_slerp

if TYPE_CHECKING:  # The settings below may become a part of those of `config`.
    from handrail.robot_env.config import LimitsConfig

STOPPED = "somebody else stopped the arm; ask them whether it may go on"
"""What is said of a stop by somebody who does not command the arm."""
STILL_M = 0.0005
"""Jaws that moved by less over `settle_s` stand still [m]."""
TURN_RAD_S = 0.5
"""Speed of a turn on the way [rad/s]."""


@dataclass(frozen=True)
class RegraspConfig:
    """Where and how a module is taken.

    Attributes:
        grasp_pose: tool pose at which the jaws close on the module in its holder: six work coordinates [m,
            rad], or seven numbers x y z [m] and quaternion x y z w in the base frame.
        approach_m: height above it from which it is approached [m].
        travel_m: height above the seated pose at which the arm crosses the cell, if that is higher [m].
        open_width_m: width at which the gripper counts as open [m].
        held_low_m: a grasp narrower than this caught nothing [m].
        held_high_m: a grasp wider than this caught something else, or the module askew [m].
        force_n: force of the grasp [N]; 0 for the gripper's own.
        transit_m_s: speed over to the holder [m/s].
        approach_m_s: speed down to the module and up again [m/s].
        settle_m: distance from a pose that counts as there [m].
        settle_rad: the same for its orientation [rad].
        settle_s: time for which the jaws must stand still [s].
        motion_timeout_s: longest that one motion may take [s].
        gripper_timeout_s: longest that the gripper may take [s].
        operator_timeout_s: longest that an acknowledgement may take [s].
        attempts: grasps that may catch nothing before the procedure gives up.
    """

    grasp_pose: tuple[float, ...]
    approach_m: float = 0.05
    travel_m: float = 0.05
    open_width_m: float = 0.03
    held_low_m: float = 0.0008
    held_high_m: float = 0.006
    force_n: float = 0.0
    transit_m_s: float = 0.1
    approach_m_s: float = 0.03
    settle_m: float = 0.002
    settle_rad: float = 0.01
    settle_s: float = 0.3
    motion_timeout_s: float = 15.0
    gripper_timeout_s: float = 5.0
    operator_timeout_s: float = 600.0
    attempts: int = 3

    def __post_init__(self) -> None:
        pose = self.grasp_pose
        if len(pose) != 6 or not all(math.isfinite(x) for x in pose):
            require_pose("regrasp", "or six work coordinates; teach it at the holder", grasp_pose=pose)
        require_positive(
            "regrasp",
            open_width_m=self.open_width_m,
            held_low_m=self.held_low_m,
            settle_m=self.settle_m,
            settle_rad=self.settle_rad,
            settle_s=self.settle_s,
            motion_timeout_s=self.motion_timeout_s,
            gripper_timeout_s=self.gripper_timeout_s,
            operator_timeout_s=self.operator_timeout_s,
        )
        require_range("regrasp", 0.005, 0.3, approach_m=self.approach_m, travel_m=self.travel_m)
        require_range("regrasp", 0.001, 0.3, transit_m_s=self.transit_m_s, approach_m_s=self.approach_m_s)
        require_range("regrasp", 0.0, 200.0, force_n=self.force_n)
        if not self.held_low_m < self.held_high_m < self.open_width_m:
            raise ConfigError(
                f"regrasp.held_low_m, held_high_m and open_width_m are {self.held_low_m}, {self.held_high_m} "
                f"and {self.open_width_m}; they must rise: shut, holding, open"
            )
        if self.attempts < 1:
            raise ConfigError(f"regrasp.attempts is {self.attempts}, must be 1 or more; use 3")

    def pose(self, frame: WorkFrame) -> Array:
        """(7,) the grasp pose, base frame."""
        if len(self.grasp_pose) == 7:
            return pose_from(self.grasp_pose[:3], self.grasp_pose[3:])
        return frame.pose(self.grasp_pose)

    def above(self, frame: WorkFrame) -> Array:
        """(7,) the pose above it from which it is approached, at the height of the crossing, base frame."""
        x, y, z, *turn = frame.coordinates(self.pose(frame))
        return frame.pose([x, y, max(z + self.approach_m, self.travel_m), *turn])

    def require_inside(self, limits: "LimitsConfig", frame: WorkFrame) -> None:
        """Refuse a grasp pose, or a way to it, that the gate would move.

        Raises:
            ConfigError: naming the axis.
        """
        _require_inside("grasp_pose", frame.coordinates(self.pose(frame)), limits)
        above = frame.coordinates(self.above(frame))
        _require_inside("grasp_pose with approach_m or travel_m", above, limits)


class RegraspPhase(Enum):
    """Where the procedure is. The arm moves in LIFT, TRANSIT, DESCEND and RAISE, and holds in the others."""

    LIFT = "lift"
    TRANSIT = "transit"
    RELEASE = "release"
    OPEN = "open"
    PLACE = "place"
    DESCEND = "descend"
    CLOSE = "close"
    REOPEN = "reopen"
    RAISE = "raise"
    READY = "ready"


PROMPTS = {
    RegraspPhase.LIFT: "The arm lifts; keep clear.",
    RegraspPhase.TRANSIT: "The arm moves to the holder; keep clear.",
    RegraspPhase.RELEASE: "Take hold of the module and acknowledge: the gripper opens.",
    RegraspPhase.OPEN: "The gripper opens.",
    RegraspPhase.PLACE: "Place a module in the holder, take your hands away and acknowledge.",
    RegraspPhase.DESCEND: "The arm descends; keep clear.",
    RegraspPhase.CLOSE: "The gripper closes.",
    RegraspPhase.REOPEN: "The gripper holds nothing and opens again.",
    RegraspPhase.RAISE: "The arm lifts the module; keep clear.",
    RegraspPhase.READY: "The module is held.",
}
MOVING = (RegraspPhase.LIFT, RegraspPhase.TRANSIT, RegraspPhase.DESCEND, RegraspPhase.RAISE)


@dataclass(frozen=True)
class RegraspStep:
    """What a tick came to.

    Attributes:
        phase: where the procedure is now.
        prompt: what to tell the operator.
        done: whether a module is held and the arm is up, in HOLD.
    """

    phase: RegraspPhase
    prompt: str
    done: bool


class RegraspProcedure:
    """One regrasp, from wherever the arm is. Call `step` once a tick until it is done, then make a new one.

    Args:
        arm: the arm, connected; it has a gripper.
        clock: time.
        config: where and how.
        limits: what the gate enforces.
        frame: work frame of the limits.
        answered: how many of the stops of `arm` are the past's; every other one ends the regrasp.

    Raises:
        ConfigError: the grasp pose, or the way to it, lies outside the workspace; or the arm has no gripper.
    """

    def __init__(
        self,
        arm: Arm,
        clock: Clock,
        config: RegraspConfig,
        limits: "LimitsConfig",
        frame: WorkFrame,
        answered: int = 0,
    ) -> None:
        if arm.gripper is None:
            raise ConfigError(
                "regrasp: this arm has no gripper to command; name one in the station's settings"
            )
        self._arm, self._gripper = arm, arm.gripper
        self._clock = clock
        self._config = config
        self._frame = frame
        self._grasp = config.pose(frame)
        self._above = config.above(frame)
        self._height_m = frame.coordinates(self._above)[2]
        config.require_inside(limits, frame)
        self._attempts = 0
        self._acknowledged = False
        self._stops = answered
        self._jaws: tuple[float, int] | None = None
        self._phase: RegraspPhase | None = None
        self._began_ns = clock.now_ns()
        self._from = self._to = self._grasp

    def step(self, acknowledged: bool) -> RegraspStep:
        """One tick: look, command, decide. Returns at once.

        Args:
            acknowledged: whether the operator's button is down; only its going down counts, once.

        Raises:
            ResetError: something took too long or went wrong, or somebody stopped the arm; it holds, and the
                message says what to do.
            ArmFault: the arm is in a latched fault.
        """
        pressed, self._acknowledged = acknowledged and not self._acknowledged, acknowledged
        try:
            state = self._arm.state()
            if self._arm.stops != self._stops:
                raise ResetError(f"{STOPPED}, then begin anew")
            if self._phase is None:
                phase = self._enter(RegraspPhase.LIFT, state)
            elif (following := self._look(self._phase, state, pressed)) is not None:
                phase = self._enter(following, state)
            else:
                phase = self._phase
                self._require_in_time(phase, state)
        except ArmFault:
            self.cancel()
            raise
        except (ArmError, ResetError) as error:
            self.cancel()
            where = self._phase.value if self._phase is not None else "start"
            raise ResetError(f"regrasp, phase {where!r}: {error}") from error
        return RegraspStep(phase, PROMPTS[phase], phase is RegraspPhase.READY)

    def cancel(self) -> None:
        """Hold where the arm is. The procedure cannot be continued; the gripper keeps what it holds."""
        self._arm.stop()
        with suppress(ArmError):
            self._arm.set_resetting(False)

    def _enter(self, phase: RegraspPhase, state: ArmState) -> RegraspPhase:
        """Begin a phase: send the arm or the gripper off, or hold."""
        self._phase, self._began_ns, self._jaws = phase, self._clock.now_ns(), None
        match phase:
            case RegraspPhase.LIFT:
                x, y, z, *turn = self._frame.coordinates(state.pose)
                self._go(state, self._frame.pose([x, y, max(z, self._height_m), *turn]))
            case RegraspPhase.TRANSIT | RegraspPhase.RAISE:
                self._go(state, self._above)
            case RegraspPhase.DESCEND:
                self._go(state, self._grasp)
            case RegraspPhase.OPEN | RegraspPhase.REOPEN:
                self._gripper.open()
            case RegraspPhase.CLOSE:
                self._arm.stop()
                if self._config.force_n > 0.0:
                    self._gripper.move(0.0, self._config.force_n)
                else:
                    self._gripper.close()
            case RegraspPhase.RELEASE | RegraspPhase.PLACE | RegraspPhase.READY:
                self.cancel()
        return phase

    def _look(self, phase: RegraspPhase, state: ArmState, pressed: bool) -> RegraspPhase | None:
        """The phase that follows, once this one has done its work."""
        opened = state.gripper_width_m >= self._config.open_width_m
        match phase:
            case RegraspPhase.LIFT if self._arrived(state):
                return RegraspPhase.TRANSIT
            case RegraspPhase.TRANSIT if self._arrived(state):
                return RegraspPhase.RELEASE
            case RegraspPhase.RELEASE if opened or pressed:
                return RegraspPhase.OPEN
            case RegraspPhase.OPEN if opened:
                return RegraspPhase.PLACE
            case RegraspPhase.PLACE if pressed:
                return RegraspPhase.DESCEND
            case RegraspPhase.DESCEND if self._arrived(state):
                return RegraspPhase.CLOSE
            case RegraspPhase.CLOSE if not opened and self._jaws_still(state):
                return self._judge(state, RegraspPhase.RAISE)
            case RegraspPhase.RAISE if self._arrived(state):
                return self._judge(state, RegraspPhase.READY)
            case RegraspPhase.REOPEN if opened:
                return RegraspPhase.LIFT
        return None

    def _judge(self, state: ArmState, if_held: RegraspPhase) -> RegraspPhase:
        """Is a module between the jaws?

        Raises:
            ResetError: not for the last time.
        """
        low, high, width = self._config.held_low_m, self._config.held_high_m, state.gripper_width_m
        if low <= width <= high:
            return if_held
        self._attempts += 1
        if self._attempts >= self._config.attempts:
            raise ResetError(
                f"{self._attempts} grasps failed: {1000 * width:.1f} mm between the jaws, a module is "
                f"{1000 * low:.1f} to {1000 * high:.1f} mm; look at the holder, or teach grasp_pose anew"
            )
        return RegraspPhase.REOPEN

    def _go(self, state: ArmState, goal: Array) -> None:
        """Send the arm along a straight line, from where it is."""
        self._arm.start(stops=self._stops)
        self._arm.set_resetting(True)
        self._from, self._to = state.pose, goal
        self._arm.set_target(self._waypoint())

    def _arrived(self, state: ArmState) -> bool:
        """Command the next point of the line; whether the arm is at its end."""
        self._arm.set_target(self._waypoint())
        distance_m, angle_rad = pose_distance(state.pose, self._to)
        return distance_m < self._config.settle_m and angle_rad < self._config.settle_rad

    def _waypoint(self) -> Array:
        """(7,) where the line is now."""
        slow = self._phase in (RegraspPhase.DESCEND, RegraspPhase.RAISE)
        speed_m_s = self._config.approach_m_s if slow else self._config.transit_m_s
        distance_m, angle_rad = pose_distance(self._from, self._to)
        duration_s = max(distance_m / speed_m_s, angle_rad / TURN_RAD_S, 1e-3)
        share = min(1.0, (self._clock.now_ns() - self._began_ns) / NS_PER_S / duration_s)
        xyz = self._from[:3] + share * (self._to[:3] - self._from[:3])
        return pose_from(xyz, quat_slerp(self._from[3:], self._to[3:], share))

    def _jaws_still(self, state: ArmState) -> bool:
        """Whether the jaws have stood still for long enough to be judged."""
        now_ns, width = self._clock.now_ns(), state.gripper_width_m
        if self._jaws is None or abs(width - self._jaws[0]) > STILL_M:
            self._jaws = (width, now_ns)
        return now_ns - self._jaws[1] >= self._config.settle_s * NS_PER_S

    def _require_in_time(self, phase: RegraspPhase, state: ArmState) -> None:
        """Refuse to wait for ever.

        Raises:
            ResetError: naming what was waited for.
        """
        config = self._config
        passed_s = (self._clock.now_ns() - self._began_ns) / NS_PER_S
        if phase in MOVING:
            distance_m, _ = pose_distance(state.pose, self._to)
            limit_s, what = config.motion_timeout_s, f"the arm is {1000 * distance_m:.1f} mm from its goal"
            remedy = "free its way, or raise regrasp.motion_timeout_s"
        elif phase in (RegraspPhase.RELEASE, RegraspPhase.PLACE):
            limit_s, what = config.operator_timeout_s, "nobody acknowledged"
            remedy = "ask for the regrasp again when somebody is there"
        else:
            limit_s = config.gripper_timeout_s
            what = f"the jaws are {1000 * state.gripper_width_m:.1f} mm apart"
            remedy = "look at the gripper, its power and regrasp.open_width_m"
        if phase is not RegraspPhase.READY and passed_s > limit_s:
            raise ResetError(f"{what} after {limit_s:g} s; {remedy}")


def _require_inside(what: str, coordinates: list[float], limits: "LimitsConfig") -> None:
    """Refuse a pose that the gate would move.

    Raises:
        ConfigError: naming the axis.
    """
    tilts = limits.rotation_limit_rad
    axes = zip(
        ("x", "y", "z", "turn about x", "turn about y", "turn about z"),
        coordinates,
        (*limits.workspace_low_m, *(-tilt for tilt in tilts)),
        (*limits.workspace_high_m, *tilts),
        strict=True,
    )
    for axis, value, low, high in axes:
        if not low <= value <= high:
            raise ConfigError(
                f"regrasp.{what}: {axis} is {value:.4f}, outside the workspace [{low}, {high}] (metres or "
                "radians, work coordinates); move the holder nearer, or widen limits.workspace"
            )
