"""Calls of the SDK that may never return: it waits for a robot, or a hand, that is silent, without an end."""

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

CONNECT_S = 10.0
"""How long a robot or a hand may take to accept a client; a second one waits for ever [s]."""


def in_time(call: Callable[[], T], limit_s: float) -> T:
    """The result of a call, or the error that it raised.

    A call that does not return in time is left to itself, in a thread that does not keep the process from
    ending; what it may still return is dropped.

    Raises:
        TimeoutError: it has not returned in `limit_s` [s].
    """
    results: list[T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(call())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="franka-connect", daemon=True)
    thread.start()
    thread.join(limit_s)
    if results:
        return results[0]
    if errors:
        raise errors[0]
    raise TimeoutError(f"no answer in {limit_s:g} s")
