"""What the calls of a HIL-SERL client do to an arm.

HIL-SERL's server pulls towards the last pose for ever, whoever is still there, and its clients count on it:
they send one pose and sleep, they pause for a joint reset or for an operator's Enter. Ours is an arm behind a
gate, a lease and a watchdog. The commander stands between the two:

- The first pose takes the lease and starts the arm; poses then go through the gate like anybody's.
- It goes on commanding the last pose for `pursue_s` after a client's last word, which is thus that client's
  watchdog; then the arm holds. The next pose starts it again.
- After `idle_s` without a word the lease is given back.
- Whoever else stops the arm (an operator, the force limit) has the last word: a client that streams on is
  refused until it posts `startimp`, or has been silent for `idle_s`.
- `clearerr`, which those clients post before every pose, does nothing: faults are an operator's to clear.
"""

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from handrail.robot_env.arms.arm import Arm, ArmMode, Gains
from handrail.robot_env.arms.compliance import SERL_DEFAULTS, gains_from_serl
from handrail.robot_env.errors import ArmError
from handrail.robot_env.gate import GateFlag
from handrail.robot_env.geometry import Array
from handrail.robot_env.gripper import Gripper

T = TypeVar("T")

WAITING_CALLS = 16
"""Calls that may wait for the arm; a client that sends more is refused instead of queued."""
LONGEST_WAIT_S = 1.0
"""A call that had to wait longer, behind a joint reset, is refused: its pose is of another time [s]."""


class NotOffered(ArmError):
    """This arm cannot do what was asked: it has no gripper, or no joint home."""


class SerlCommander:
    """Commands one arm from one thread, on behalf of any number of HTTP calls.

    Args:
        make_arm: makes the arm's client; connected when a call first needs the arm, closed after `idle_s`.
        period_s: time between two commands while a pose is pursued [s]; below the arm's watchdog.
        joint_home: joint angles that `jointreset` goes to [rad]; empty for none.
        pursue_s: time for which the last pose is pursued [s].
        idle_s: time after which the lease is given back [s].
    """

    def __init__(
        self,
        make_arm: Callable[[], Arm],
        period_s: float,
        joint_home: Sequence[float] = (),
        pursue_s: float = 2.0,
        idle_s: float = 10.0,
    ) -> None:
        self._make_arm = make_arm
        self._period_s = period_s
        self._joint_home = joint_home
        self._pursue_s = pursue_s
        self._idle_s = idle_s
        self._arm: Arm | None = None
        self._running = False
        self._stopped = ""
        self._goal: Array | None = None
        self._params = dict(SERL_DEFAULTS)
        self._gains: Gains | None = None
        self._spoke_s = self._commanded_s = time.monotonic()
        self._calls: queue.Queue[tuple[float, Callable[[], Any], Future[Any]]] = queue.Queue(WAITING_CALLS)
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

    def submit(self, call: Callable[[], T]) -> "Future[T]":
        """Run one of the methods below on the commander's thread.

        Raises:
            ArmError: too many calls wait already, or the commander is closed.
        """
        future: Future[T] = Future()
        if self._closed.is_set():
            raise ArmError("the REST server is closing")
        try:
            self._calls.put_nowait((time.monotonic(), call, future))
        except queue.Full:
            raise ArmError(f"{WAITING_CALLS} calls wait for the arm already; send them one by one") from None
        return future

    def pose(self, pose: Array) -> None:
        """Pull towards `pose` (7,), base frame, through the gate."""
        arm = self._drive()
        self._goal = pose
        self._command(arm)

    def start(self) -> None:
        """`startimp`: take the lease and enter RUN where the arm is, whoever stopped it before."""
        self._stopped = ""
        self._drive()

    def stop(self) -> None:
        """`stopimp`: brake, hold and give the lease back; no pose starts the arm before `startimp` does."""
        self._let_go()
        self._stopped = "a client posted stopimp"
        self._spoke_s = time.monotonic()

    def update_param(self, params: Mapping[str, float]) -> None:
        """Put compliance parameters in force; those not named stay.

        Raises:
            ConfigError: an unknown parameter, or a value that is refused.
        """
        merged = {**self._params, **params}
        self._gains = gains_from_serl(merged)
        self._params = merged
        if self._running and self._arm is not None:
            self._arm.set_gains(self._gains)

    def joint_reset(self) -> None:
        """Move to the joint home and hold there; returns when the arm has arrived."""
        if not self._joint_home:
            raise NotOffered("no joint reset: env.arm.joint_home is empty; set it to the angles to go to")
        arm = self._lease()
        self._pause()
        try:
            arm.move_joints(self._joint_home)
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

    def _lease(self) -> Arm:
        """The arm, connected and ours.

        Raises:
            ArmError: somebody stopped it, or commands it.
        """
        now_s = time.monotonic()
        silent_s, self._spoke_s = now_s - self._spoke_s, now_s
        if self._stopped and silent_s < self._idle_s:
            raise ArmError(
                f"the arm was stopped ({self._stopped}); post startimp, or be silent for {self._idle_s:g} s"
            )
        self._stopped = ""
        if self._arm is None:
            arm = self._make_arm()
            try:
                arm.connect()
            except BaseException:
                arm.close()
                raise
            self._arm = arm
        return self._arm

    def _drive(self) -> Arm:
        """The arm, in RUN."""
        arm = self._lease()
        if not self._running:
            arm.start(self._gains)
            state = arm.state()  # Flags of before are nobody's now.
            self._running, self._goal = True, state.pose
            self._commanded_s = time.monotonic()
        return arm

    def _command(self, arm: Arm) -> None:
        """Send the goal; an arm that refuses it is no longer running."""
        assert self._goal is not None
        self._commanded_s = time.monotonic()
        try:
            arm.set_target(self._goal)
        except ArmError:
            self._running = False
            self._find_out(arm)
            raise

    def _find_out(self, arm: Arm) -> None:
        """Why does the arm not run? Our own silence is forgiven, everything else needs `startimp`."""
        try:
            state = arm.state()
        except ArmError as error:
            self._stopped = str(error)
            self._let_go()
            return
        if state.mode is ArmMode.HOLD and not state.gate_flags & GateFlag.WATCHDOG:
            pressed = state.gate_flags & GateFlag.FORCE
            self._stopped = "it pressed too hard" if pressed else "by somebody else"
        elif state.mode is ArmMode.FAULT:
            self._stopped = state.fault or "a latched fault"

    def _pause(self) -> None:
        """Hold, and keep the lease."""
        if self._running and self._arm is not None:
            self._running = False
            self._arm.stop()

    def _let_go(self) -> None:
        """Hold, and give the lease back."""
        self._pause()
        self._running = False
        arm, self._arm = self._arm, None
        if arm is not None:
            arm.close()

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                asked_s, call, future = self._calls.get(timeout=self._wait_s())
            except queue.Empty:
                pass
            else:
                self._answer(asked_s, call, future)
            # `_find_out` has drawn the consequences of an error, and the next call tells of them.
            with suppress(ArmError):
                self._tick()
        self._let_go()
        while not self._calls.empty():
            self._calls.get()[2].set_exception(ArmError("the REST server is closing"))

    def _wait_s(self) -> float:
        """Time until the next command is due; not much when none is."""
        due_s = self._commanded_s + self._period_s - time.monotonic()
        return max(0.001, due_s) if self._running else 0.05

    def _answer(self, asked_s: float, call: Callable[[], Any], future: "Future[Any]") -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            if (waited_s := time.monotonic() - asked_s) > LONGEST_WAIT_S:
                raise ArmError(f"the arm was busy for {waited_s:.1f} s; ask again")
            future.set_result(call())
        except Exception as error:
            future.set_exception(error)

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
