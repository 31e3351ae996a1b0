"""The arm server's log, written by a thread of its own.

Whoever reads a log may be slow, or gone: a full pipe or a closed terminal must neither hold up a round of the
arm server nor end it.
"""

import queue
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

_MOST_WAITING = 1000
_LAST_WORDS_S = 0.5


class Journal:
    """Takes events and returns at once. What cannot be written is dropped.

    Args:
        name: of the logger.
    """

    def __init__(self, name: str) -> None:
        self._logger = structlog.get_logger(name)
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue(_MOST_WAITING)
        self._thread = threading.Thread(target=self._write, name=f"{name}-journal", daemon=True)
        self._thread.start()

    def info(self, event: str, **facts: Any) -> None:
        """Something happened."""
        self._put(lambda: self._logger.info(event, **facts))

    def warning(self, event: str, **facts: Any) -> None:
        """Something a person should know of."""
        self._put(lambda: self._logger.warning(event, **facts))

    def exception(self, event: str, **facts: Any) -> None:
        """An error nobody foresaw; call it while that is being handled."""
        error = sys.exc_info()
        self._put(lambda: self._logger.error(event, exc_info=error, **facts))

    def close(self) -> None:
        """Write what waits, and end; gives up on a reader that does not read."""
        with suppress(queue.Full):
            self._waiting.put(None, timeout=_LAST_WORDS_S)
        self._thread.join(_LAST_WORDS_S)

    def _put(self, write: Callable[[], None]) -> None:
        with suppress(queue.Full):
            self._waiting.put_nowait(write)

    def _write(self) -> None:
        while (write := self._waiting.get()) is not None:
            # A log without a reader: a closed stream is a ValueError to Python, a broken pipe an OSError.
            with suppress(ValueError, OSError):
                write()
