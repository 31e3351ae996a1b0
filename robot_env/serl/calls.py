"""The calls that wait for the commander's thread. None waits for ever, whatever becomes of that thread."""

import math
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

from handrail.robot_env.errors import ArmError

T = TypeVar("T")

WAITING_CALLS = 16
"""Calls that may wait for the arm; a client that sends more is refused instead of queued."""
LONGEST_WAIT_S = 1.0
"""A call that had to wait longer, behind a joint reset, is refused: its pose is of another time [s]."""


class Call(NamedTuple):
    """What waits.

    Attributes:
        asked_s: when it was asked for, monotonic [s]; infinity for what is never too old.
        run: what is to be done.
        future: takes the answer.
    """

    asked_s: float
    run: Callable[[], Any]
    future: "Future[Any]"

    def begin(self) -> bool:
        """Whether it is still to be done; refuses it where it has waited too long."""
        if (waited_s := time.monotonic() - self.asked_s) > LONGEST_WAIT_S:
            self.refuse(f"the arm was busy for {waited_s:.1f} s; ask again")
            return False
        return self.future.set_running_or_notify_cancel()

    def refuse(self, why: str) -> None:
        """Answer that it will not be done."""
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(ArmError(why))


class WaitingCalls:
    """A short queue. Any thread may add, one takes."""

    def __init__(self) -> None:
        self._calls: queue.Queue[Call] = queue.Queue(WAITING_CALLS)
        self._adding = threading.Lock()
        self._closed = False

    def add(self, run: Callable[[], T]) -> "Future[T]":
        """Have `run` called in its turn.

        Raises:
            ArmError: too many wait already, or it is closed.
        """
        with self._adding:
            return self._add(time.monotonic(), run)

    def add_alone(self, run: Callable[[], T], why: str) -> "Future[T]":
        """Have `run` called next, however long that takes; what waits is refused with `why`.

        Raises:
            ArmError: it is closed.
        """
        with self._adding:
            self._refuse_all(why)
            return self._add(math.inf, run)

    def next(self, timeout_s: float) -> Call | None:
        """The next call, or None where there is none in time."""
        try:
            return self._calls.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Refuse what waits, and what comes. Safe to call twice."""
        with self._adding:
            self._closed = True
            self._refuse_all("the REST server is closing")

    def _add(self, asked_s: float, run: Callable[[], T]) -> "Future[T]":
        future: Future[T] = Future()
        if self._closed:
            raise ArmError("the REST server is closing")
        try:
            self._calls.put_nowait(Call(asked_s, run, future))
        except queue.Full:
            raise ArmError(f"{WAITING_CALLS} calls wait for the arm already; send them one by one") from None
        return future

    def _refuse_all(self, why: str) -> None:
        while True:
            try:
                self._calls.get_nowait().refuse(why)
            except queue.Empty:
                return
