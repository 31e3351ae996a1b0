"""What the calls of a HIL-SERL client do to an arm.

HIL-SERL's server pulls towards the last pose for ever, whoever is still there, and its clients count on it:
they send one pose and sleep, they pause for a joint reset or for an operator's Enter. Ours is an arm behind a
gate, a lease and a watchdog. The commander stands between the two:

- The first pose takes the lease and starts the arm; poses then go through the gate like anybody's.
- It goes on commanding the last pose for `pursue_s` after a client's last word, which is thus that client's
  watchdog; then the arm holds. The next pose starts it again.
- After `idle_s` without a word the lease is given back.
- Whoever else stops the arm (an operator, the force limit) has the last word, also while it holds anyway:
  clients are refused until one posts `startimp`, or, once told so, has been silent for `idle_s`.
- So it begins, too: a client may outlive whatever ended the server of before, and nothing restarts into RUN.
- `stopimp` waits for nothing: it brakes the arm at once, whatever is under way, and what waits is refused.
  Poses are refused until `startimp`; a joint reset is not, which HIL-SERL's server does without impedance.
- `clearerr`, which those clients post before every pose, does nothing: faults are an operator's to clear.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import TypeVar

from handrail.robot_env.arms.arm import ArmMode, Gains
from handrail.robot_env.arms.compliance import SERL_DEFAULTS, gains_from_serl
from handrail.robot_env.errors import ArmError, HandrailError
from handrail.robot_env.gate import GateFlag
from handrail.robot_env.geometry import Array
from handrail.robot_env.gripper import Gripper
from handrail.robot_env.remote.client import ArmClient
from handrail.robot_env.remote.stops import ForeignStops
from handrail.robot_env.serl.calls import Call, WaitingCalls

T = TypeVar("T")

STOP_S = 2.0
"""Longest that `stopimp` waits for what is under way to end, having braked the arm [s]."""
_STOP_AGAIN_S = 0.1
_FRESH_S = 0.2
_OURS = "a client posted stopimp"
_ANEW = "this server has just begun"

log = logging.getLogger(__name__)


class NotOffered(ArmError):
    """This arm cannot do what was asked: it has no gripper, no joint home, or no kinematics that we know."""


class SerlCommander:
    """Commands one arm from one thread, on behalf of any number of HTTP calls.

    Args:
        make_arm: makes the arm's client; connected when a call first needs the arm, closed after `idle_s`.
        period_s: time between two commands while a pose is pursued [s]; below the arm's watchdog.
        check_gains: refuses gains that the arm server would refuse, with the arm at rest too.
        joint_home: joint angles that `jointreset` goes to [rad]; empty for none.
        pursue_s: time for which the last pose is pursued [s].
        idle_s: time after which the lease is given back [s].
        await_start: begin as after somebody's stop; False where nobody can have driven the arm before.
    """

    def __init__(
        self,
        make_arm: Callable[[], ArmClient],
        period_s: float,
        check_gains: Callable[[Gains], None],
        joint_home: Sequence[float] = (),
        pursue_s: float = 2.0,
        idle_s: float = 10.0,
        await_start: bool = True,
    ) -> None:
        self._make_arm = make_arm
        self._check_gains = check_gains
        self._period_s = period_s
        self._joint_home = joint_home
        self._pursue_s = pursue_s
        self._idle_s = idle_s
        self._arm: ArmClient | None = None
        self._hold_arm = threading.Lock()  # nobody stops an arm that is being closed
        self._running = False
        self._stopped = _ANEW if await_start else ""
        self._told = False
        self._stops = ForeignStops()
        self._goal: Array | None = None
        self._params = dict(SERL_DEFAULTS)
        self._gains: Gains | None = None
        self._spoke_s = self._commanded_s = time.monotonic()
        self._calls = WaitingCalls()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="serl-commander", daemon=True)

    def open(self) -> None:
        """Start the thread; the arm is not reached yet."""
        self._thread.start()

    def close(self) -> None:
        """Hold, give the lease back, end the thread. Safe to call twice."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()
        self._calls.close()

    def submit(self, call: Callable[[], T]) -> "Future[T]":
        """Run one of the methods below on the commander's thread.

        Raises:
            ArmError: too many calls wait already, or the commander is closed.
        """
        return self._calls.add(call)

    def stop(self) -> None:
        """`stopimp`: brake at once, then give the lease back. Any thread; what waits is refused.

        No pose starts the arm before `startimp` does.

        Raises:
            ArmError: the arm was told to stop, but what is under way does not end.
        """
        future = self._calls.add_alone(self._stop, "a client posted stopimp meanwhile")
        deadline_s = time.monotonic() + STOP_S
        while True:
            with self._hold_arm:
                if self._arm is not None:
                    self._arm.stop()
            try:
                return future.result(_STOP_AGAIN_S)
            except TimeoutError:  # the motion may have begun after the stop: say it again
                if time.monotonic() > deadline_s:
                    raise ArmError(
                        f"the arm was told to stop, but what is under way has not ended in {STOP_S:g} s; "
                        "look at the robot"
                    ) from None

    def pose(self, pose: Array) -> None:
        """Pull towards `pose` (7,), base frame, through the gate."""
        arm = self._drive()
        self._goal = pose
        try:
            self._command(arm)
        except ArmError:
            self._told = True
            raise

    def start(self) -> None:
        """`startimp`: take the lease and enter RUN where the arm is, whoever stopped it before."""
        self._stopped, self._stops = "", ForeignStops()
        self._drive()

    def update_param(self, params: Mapping[str, float]) -> None:
        """Put compliance parameters in force; those not named stay.

        Raises:
            ConfigError: an unknown parameter, or a value that is refused.
            ArmError: they press harder than the station permits; those of before stay.
        """
        merged = {**self._params, **params}
        gains = gains_from_serl(merged)
        self._check_gains(gains)  # now: HIL-SERL's clients do not look at how their poses are answered
        if self._running and self._arm is not None:
            self._arm.set_gains(gains)
        self._gains, self._params = gains, merged

    def joint_reset(self) -> None:
        """Move to the joint home and hold there, also after `stopimp`; returns when the arm has arrived."""
        if not self._joint_home:
            raise NotOffered("no joint reset: env.arm.joint_home is empty; set it to the angles to go to")
        arm = self._lease(but=_OURS)
        stops = arm.stops
        self._look_for_stops(arm)
        self._refuse_stopped(_OURS)
        self._pause()
        try:
            arm.move_joints(self._joint_home, stops=stops)
        except ArmError:
            self._look_for_stops(arm)
            self._refuse_stopped(_OURS)
            raise
        finally:
            self._spoke_s = time.monotonic()

    def set_load(self, mass_kg: float, com_m: Sequence[float]) -> None:
        """Tell the arm what it carries; centre of mass in the tool frame [m]."""
        arm = self._lease()
        self._pause()  # the load is changed with the arm at rest; the next pose starts it again
        arm.set_load(mass_kg, com_m)

    def gripper(self) -> Gripper:
        """The gripper, the lease held.

        Raises:
            NotOffered: there is none.
        """
        gripper = self._lease().gripper
        if gripper is None:
            raise NotOffered("this arm has no gripper to command")
        return gripper

    def _lease(self, but: str = "") -> ArmClient:
        """The arm, connected and ours.

        Args:
            but: the stop that does not matter.

        Raises:
            ArmError: somebody stopped it, or commands it.
        """
        now_s = time.monotonic()
        silent_s, self._spoke_s = now_s - self._spoke_s, now_s
        if self._told and silent_s >= self._idle_s:
            self._stopped = ""
        self._refuse_stopped(but)
        if self._arm is None:
            arm = self._make_arm()
            try:
                arm.connect()
            except BaseException:
                arm.close()
                raise
            self._arm = arm
        if not self._running:  # then no command of ours would tell of a stop
            tick = self._arm.newest.tick
            self._arm.feed.wait(lambda state: state.tick != tick, _FRESH_S)
        self._look_for_stops(self._arm)
        self._refuse_stopped(but)
        return self._arm

    def _drive(self) -> ArmClient:
        """The arm, in RUN."""
        arm = self._lease()
        if not self._running:
            stops = arm.stops
            self._look_for_stops(arm)
            self._refuse_stopped()
            try:
                arm.start(self._gains, stops)
            except ArmError:
                self._look_for_stops(arm)
                self._refuse_stopped()
                raise
            self._running = True
            try:
                self._goal = arm.state().pose  # Flags of before are nobody's now.
            except ArmError:
                self._pause()
                raise
            self._commanded_s = time.monotonic()
        return arm

    def _latch(self, why: str) -> None:
        """Hold, and refuse what moves until `startimp`."""
        self._stopped, self._told = why, False
        self._pause()

    def _refuse_stopped(self, but: str = "") -> None:
        """Tell a client that the arm was stopped.

        Raises:
            ArmError: it was, and not `but` so.
        """
        if self._stopped and self._stopped != but:
            self._told = True
            raise ArmError(
                f"the arm was stopped ({self._stopped}); post startimp, or be silent for {self._idle_s:g} s"
            )

    def _look_for_stops(self, arm: ArmClient) -> None:
        """Somebody else may have asked for a stop where nothing moved, or while another had the lease."""
        if self._stops.new(arm.newest):
            self._latch("by somebody else")

    def _command(self, arm: ArmClient) -> None:
        """Send the goal; an arm that refuses it is no longer running."""
        assert self._goal is not None
        self._commanded_s = time.monotonic()
        try:
            arm.set_target(self._goal)
        except ArmError:
            self._running = False
            self._find_out(arm)
            raise

    def _find_out(self, arm: ArmClient) -> None:
        """Why does the arm not run? Our own silence is forgiven, everything else needs `startimp`."""
        try:
            state = arm.state()
        except ArmError as error:
            self._latch(str(error))
            self._let_go()
            return
        self._look_for_stops(arm)
        if state.mode is ArmMode.HOLD and not state.gate_flags & GateFlag.WATCHDOG:
            pressed = state.gate_flags & GateFlag.FORCE
            self._latch("it pressed too hard" if pressed else "by somebody else")
        elif state.mode is ArmMode.FAULT:
            self._latch(state.fault or "a latched fault")

    def _pause(self) -> None:
        """Hold, and keep the lease."""
        if self._running and self._arm is not None:
            self._running = False
            self._arm.stop()

    def _let_go(self) -> None:
        """Hold, and give the lease back. Never raises."""
        self._running = False
        with self._hold_arm:
            arm, self._arm = self._arm, None
            try:
                if arm is not None:
                    arm.close()  # which stops it first
            except Exception:
                log.exception("the arm was not let go in good order")

    def _stop(self) -> None:
        """The rest of `stopimp`."""
        self._let_go()
        self._stopped, self._told = _OURS, True
        self._spoke_s = time.monotonic()

    def _run(self) -> None:
        try:
            while not self._closed.is_set():
                self._round()
        finally:
            self._let_go()
            self._calls.close()

    def _round(self) -> None:
        call = self._calls.next(self._wait_s())
        if call is not None and call.begin():
            self._answer(call)
        try:
            self._tick()
        except ArmError:
            pass  # `_find_out` has drawn the consequences, and the next call tells of them
        except Exception:
            self._failed()

    def _failed(self) -> None:
        """A bug must not leave an arm in RUN, nor a lease that nobody uses."""
        log.exception("commanding the arm failed; it is let go")
        self._stopped, self._told = "by a bug of the REST server's; its log has the traceback", False
        self._let_go()

    def _wait_s(self) -> float:
        """Time until the next command is due; not much when none is."""
        due_s = self._commanded_s + self._period_s - time.monotonic()
        return max(0.001, due_s) if self._running else 0.05

    def _answer(self, call: Call) -> None:
        try:
            answer = call.run()
        except BaseException as error:
            if not isinstance(error, HandrailError):
                self._failed()
            call.future.set_exception(error)
        else:
            call.future.set_result(answer)

    def _tick(self) -> None:
        """What time brings: the next command, the pause, the end of the lease."""
        if self._arm is None:
            return
        now_s = time.monotonic()
        silent_s = now_s - self._spoke_s
        if self._running and silent_s > self._pursue_s:
            self._pause()
        elif self._running and now_s - self._commanded_s >= self._period_s:
            self._command(self._arm)
        elif silent_s > self._idle_s:
            self._let_go()
