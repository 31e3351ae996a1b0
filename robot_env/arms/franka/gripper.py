"""The Franka hand behind the non-blocking `Gripper`: one thread commands it, another reads its width."""

import logging
import threading
import time
from typing import Any

from handrail.robot_env.arms.franka.patience import CONNECT_S, in_time
from handrail.robot_env.errors import ArmError

log = logging.getLogger(__name__)

POLL_S = 0.05
"""Time between two looks at the width and at the command in progress [s]."""
ANY_WIDTH_M = 0.08
"""Tolerance of a grasp: whatever is between the jaws counts as held [m]."""
NOT_HOMED_M = 0.01
"""A hand whose jaws "open" no wider than this has not found its end stops since it was switched on [m]."""


class FrankaGripper:
    """The hand on one robot. Every method returns at once; the last command given wins.

    Args:
        sdk: the franky module.
        host: address of the control box.
        speed_m_s: speed of the jaws [m/s].
        force_n: force with which `close` holds [N].

    Raises:
        ArmError: the hand cannot be reached, or has not been homed.
    """

    def __init__(self, sdk: Any, host: str, speed_m_s: float, force_n: float) -> None:
        self._sdk = sdk
        self._speed, self._force = speed_m_s, force_n
        try:
            hand, self._most = in_time(lambda: _meet(sdk, host), CONNECT_S)
            self._hand: Any = hand
            self._look()
        except TimeoutError:
            raise ArmError(
                f"the Franka hand at {host} did not answer in {CONNECT_S:g} s; look at its cable and attach "
                "it in Desk, or set env.arm.franka.gripper to false"
            ) from None
        except Exception as error:
            raise ArmError(
                f"the Franka hand at {host} cannot be reached ({error}); attach it in Desk, or set "
                "env.arm.franka.gripper to false"
            ) from error
        if self._most < NOT_HOMED_M:
            # To open fully would then mean to close. Homing moves the jaws: that is for somebody who looks.
            raise ArmError(
                f"the Franka hand at {host} has not been homed since it was switched on (it knows a widest "
                f"opening of {1e3 * self._most:.0f} mm); take out what it holds and home the hand in Desk"
            )
        self._wanted: tuple[str, float, float] | None = None
        self._trouble = ""
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=run, name=name, daemon=True)
            for run, name in ((self._work, "franka-gripper"), (self._watch, "franka-gripper-look"))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def width_m(self) -> float:
        """Opening between the jaws [m], as it was at `read_ns`."""
        return self._width

    @property
    def read_ns(self) -> int:
        """When the hand said so, monotonic clock [ns]; stands still while it does not answer."""
        return self._read_ns

    @property
    def stroke_m(self) -> float:
        """That opening when fully open [m]."""
        return self._most

    @property
    def trouble(self) -> str:
        """Why it takes no command; "" when it would."""
        return self._trouble

    def open(self) -> None:
        """Open fully."""
        self._want("move", self._most, 0.0)

    def close(self) -> None:
        """Close until something is held, and go on holding it."""
        self._want("grasp", 0.0, self._force)

    def move(self, width_m: float, force_n: float) -> None:
        """Move the jaws to `width_m` apart [m]; what they meet while closing is held with `force_n` [N]."""
        width_m = min(max(0.0, width_m), self._most)
        self._want("grasp" if width_m < self._width else "move", width_m, force_n)

    def shut_down(self) -> None:
        """Let go of the hand; what it holds it keeps holding."""
        self._ended.set()
        for thread in self._threads:
            thread.join()
        self._trouble = "it was closed"
        self._hand = None  # which hangs up: the SDK has no other way to

    def _want(self, kind: str, width_m: float, force_n: float) -> None:
        if self._trouble:
            raise ArmError(f"the Franka hand takes no command: {self._trouble}")
        with self._lock:
            self._wanted = (kind, width_m, force_n)

    def _take(self) -> tuple[str, float, float] | None:
        with self._lock:
            wanted, self._wanted = self._wanted, None
        return wanted

    def _watch(self) -> None:
        """Read the width; what is commanded may take as long as the jaws do, and must not make it old.

        The first failure is the last: libfranka hangs up on a hand that was silent for a second, though a
        width or two that were under way may still arrive. Only another connection takes commands again.
        """
        while not self._ended.wait(POLL_S):
            try:
                self._look()
            except Exception as error:
                log.warning("Franka hand: %s", error)
                self._trouble = str(error) or type(error).__name__
                return

    def _look(self) -> None:
        self._width = float(self._hand.width)
        self._read_ns = time.monotonic_ns()

    def _work(self) -> None:
        """Begin what is wanted; the SDK starts nothing while something else runs."""
        running: Any = None
        while not self._ended.wait(POLL_S):
            if (wanted := self._take()) is None or self._trouble:
                continue
            try:
                self._end(running)
                running = self._begin(*wanted)
            except Exception as error:
                log.warning("Franka hand: %s", error)
        self._end(running)

    def _begin(self, kind: str, width_m: float, force_n: float) -> Any:
        if kind == "move":
            return self._hand.move_async(width_m, self._speed)
        return self._hand.grasp_async(width_m, self._speed, force_n, ANY_WIDTH_M, ANY_WIDTH_M)

    def _end(self, running: Any) -> None:
        """Stop a command that is under way. How it ended is nobody's question: the width tells."""
        if running is None:
            return
        try:
            if not running.wait(0.0):
                self._hand.stop()
            running.get()
        except Exception as error:
            log.debug("Franka hand: %s", error)


def _meet(sdk: Any, host: str) -> tuple[Any, float]:
    """The hand, and its widest opening [m]; a hand that is silent is waited for without an end."""
    hand = sdk.Gripper(host)
    return hand, float(hand.max_width)
