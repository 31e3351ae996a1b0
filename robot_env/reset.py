"""How an episode's start is reached: with the arm, through the gate, never by putting the arm there.

Straight up out of the socket, past the home above it, to the start, at rest, tare. While the module is clear
of the socket the next episode's circumstances are put in force. Each leg looks at the arm once a tick and
has a deadline; a leg that misses it is a `ResetError`, and no episode begins. Every so often the joints are
reset on the way, in a motion of the arm's own; whoever may end a reset may end that as well.
"""

import math
from collections.abc import Callable
from contextlib import suppress

from handrail.robot_env.arms.arm import Arm, ArmState
from handrail.robot_env.arms.config import ArmConfig
from handrail.robot_env.clock import NS_PER_S, Clock
from handrail.robot_env.config import TaskConfig
from handrail.robot_env.errors import ArmError, ArmFault, ResetEnded, ResetError
from handrail.robot_env.geometry import Array, WorkFrame, pose_distance

HOME_BLEND_M = 0.01
"""How near the home the arm must pass; it need not stop there."""


class ResetSequence:
    """Brings one arm to start poses.

    Args:
        arm: the arm, connected.
        clock: what waiting means for it.
        config: heights, tolerances and deadlines.
        arm_config: whether and how often the joints are reset, too.
    """

    def __init__(self, arm: Arm, clock: Clock, config: TaskConfig, arm_config: ArmConfig) -> None:
        self._arm = arm
        self._clock = clock
        self._config = config
        self._arm_config = arm_config
        self._done = 0
        self._interrupt: Callable[[], str] | None = None
        self._tick_ns = round(config.reset_tick_s * NS_PER_S)

    def run(
        self,
        frame: WorkFrame,
        at_home: Callable[[], Array],
        interrupt: Callable[[], str] | None = None,
    ) -> ArmState:
        """Lift out, pass the home, go to the start, come to rest, tare.

        Args:
            frame: work frame at the nominal socket, as it was in the last episode.
            at_home: called when the module is clear of the socket; returns the start pose (7,), base frame.
            interrupt: asked before the first motion and once a tick; a reason ends the reset.

        Returns:
            The arm's first reading at the start.

        Raises:
            ResetEnded: `interrupt` gave a reason; the arm holds.
            ResetError: a leg missed its deadline, or the arm stopped; it then holds.
            ArmFault: the arm is in a latched fault.
        """
        self._interrupt = interrupt
        try:
            self._start("begin")
            self._arm.set_resetting(True)
            self._lift(frame)
            self._pass_home(frame)
            if self._joints_are_due():
                self._reset_joints()
            self._settle(at_home())
            self._look("start")
        except BaseException:
            self._arm.stop()
            with suppress(ArmError):  # the first error says more than that the link is gone
                self._arm.set_resetting(False)
            raise
        self._arm.set_resetting(False)
        self._done += 1
        self._arm.zero_ft()
        self._arm.state()  # Peak force and flags of the way here belong to no episode.
        return self._arm.state()

    def _joints_are_due(self) -> bool:
        # Never the first time: nobody has seen this arm reach a start yet, and a joint motion passes no gate.
        every = self._arm_config.joint_home_every
        return every > 0 and self._done > 0 and self._done % every == 0

    def _reset_joints(self) -> None:
        """Take the joints to their home, against the drift of the elbow; then through the gate again."""
        self._arm.stop()
        stops = self._arm.stops
        self._look("joints")
        try:
            self._arm.move_joints(self._arm_config.joint_home, self._interrupt, stops)
        except ArmFault:
            raise
        except ArmError as error:
            self._look("joints")  # who ended it knows why; the arm only that it was ended
            raise ResetError(f"reset leg 'joints': {error}") from error
        self._start("joints")

    def _start(self, leg: str) -> None:
        """Have the arm run, unless there is reason not to: what came while nothing moved counts as well."""
        stops = self._arm.stops  # before the look, which sees to them: the arm stays after any that follows
        self._look(leg)
        try:
            self._arm.start(stops=stops)
        except ArmFault:
            raise
        except ArmError:
            self._look(leg)
            raise

    def _look(self, leg: str) -> None:
        """End the reset if there is reason to."""
        if self._interrupt is not None and (reason := self._interrupt()):
            raise ResetEnded(f"reset leg {leg!r} was ended: {reason}")

    def _lift(self, frame: WorkFrame) -> None:
        """Straight up, neither moving aside nor turning, until the module is free."""
        clearance = self._config.clearance_m
        here = frame.coordinates(self._arm.state().pose)
        if here[2] >= clearance:
            return
        above = frame.pose([*here[:2], self._config.home_m, *here[3:]])
        self._go("lift", above, lambda state: frame.coordinates(state.pose)[2] >= clearance)

    def _pass_home(self, frame: WorkFrame) -> None:
        clearance = self._config.clearance_m
        home = frame.pose([0.0, 0.0, self._config.home_m, 0.0, 0.0, 0.0])

        def near(state: ArmState) -> bool:
            here = frame.coordinates(state.pose)
            return math.hypot(here[0], here[1]) < HOME_BLEND_M and here[2] >= clearance

        self._go("home", home, near)

    def _settle(self, start: Array) -> None:
        c = self._config

        def at_rest(state: ArmState) -> bool:
            distance_m, angle_rad = pose_distance(start, state.pose)
            v, w = state.twist[:3].tolist(), state.twist[3:].tolist()
            return (
                distance_m < c.settle_m
                and angle_rad < c.settle_rad
                and math.hypot(*v) < c.settle_speed_m_s
                and math.hypot(*w) < c.settle_speed_rad_s
            )

        self._go("start", start, at_rest)

    def _go(self, leg: str, goal: Array, arrived: Callable[[ArmState], bool]) -> None:
        timeout_s = self._config.reset_timeout_s
        deadline_ns = self._clock.now_ns() + round(timeout_s * NS_PER_S)
        while True:
            self._look(leg)
            try:
                self._arm.set_target(goal)
                self._clock.wait_until(self._clock.now_ns() + self._tick_ns)
                state = self._arm.state()
            except ArmFault:
                raise
            except ArmError as error:
                self._look(leg)  # who ended it knows why; the arm only that it holds
                raise ResetError(f"reset leg {leg!r}: {error}") from error
            if arrived(state):
                return
            if self._clock.now_ns() >= deadline_ns:
                distance_m, angle_rad = pose_distance(goal, state.pose)
                raise ResetError(
                    f"reset leg {leg!r} is {1000 * distance_m:.1f} mm and {angle_rad:.3f} rad from its goal "
                    f"after {timeout_s} s; free the arm's way, or raise task.reset_timeout_s"
                )
