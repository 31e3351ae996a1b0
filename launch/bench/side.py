"""The other process of a benchmark: started, listened to line by line, and gone when the benchmark is."""

import contextlib
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from handrail.launch.errors import BenchSilent

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_DEADLINE_S = 60.0


class Lines:
    """What another process says, line by line, from a thread that reads it.

    Args:
        stream: its stdout.
        who: what to call it in a message.
    """

    def __init__(self, stream: IO[str], who: str) -> None:
        self._who = who
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self._lines.put(line)
        self._lines.put("")

    def waiting(self) -> bool:
        """Whether a line is here."""
        return not self._lines.empty()

    def next(self, word: str) -> list[str]:
        """The words behind `word` in the next line, which begins with it.

        Raises:
            BenchSilent: another line came, or none.
        """
        try:
            first, *rest = self._lines.get(timeout=_DEADLINE_S).split() or ["nothing"]
        except queue.Empty:
            first, rest = "nothing", []
        if first != word:
            raise BenchSilent(
                f"the {self._who} said {first!r} instead of {word!r} (it had {_DEADLINE_S:.0f} s); "
                "see what it printed above"
            )
        return rest


@dataclass(frozen=True)
class Side:
    """The other process, and what it says."""

    process: subprocess.Popen[str]
    lines: Lines


@contextlib.contextmanager
def other_side(function: Callable[..., None], *words: str, threads: int = 1) -> Iterator[Side]:
    """Run a function of a module in a process of its own, for as long as the block lasts.

    Args:
        function: runs until its stdin ends (`until_left`), or until it is done.
        words: its arguments.
        threads: for numerical libraries.
    """
    module, name = function.__module__, function.__name__
    code = f"import sys; from {module} import {name}; {name}(*sys.argv[1:])"
    with subprocess.Popen(
        [sys.executable, "-c", code, *words],
        env={**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            yield Side(process, Lines(process.stdout, name.replace("_", " ")))
        finally:
            process.stdin.close()  # it ends when nobody holds the other end, however this process ends


def until_left() -> threading.Event:
    """In the other process: set when the benchmark has ended."""
    left = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), left.set()), daemon=True).start()
    return left


def say(text: str) -> None:
    """In the other process: one line to the benchmark."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
