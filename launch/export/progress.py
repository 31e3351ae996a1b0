"""How far an export is: a bar for a person, JSON lines for a process that started it."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Style = Literal["auto", "lines", "off"]
Advance = Callable[[int], None]
"""Says that so many more steps are written."""

_LINE_EVERY_S = 0.2


@contextmanager
def shown(style: Style, total: int, what: str) -> Iterator[Advance]:
    """Show on stderr how many of `total` steps are written.

    Args:
        style: "auto" draws a bar where a person can see it; "lines" writes `{"done": …, "of": …}`, a few
            lines a second; "off" shows nothing.
        total: steps in all.
        what: what is being written, in a word.
    """
    console = Console(stderr=True)
    if style == "lines":
        yield _Lines(total).advance
    elif style == "auto" and console.is_terminal:
        columns = (
            TextColumn(what),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield lambda steps: bar.advance(task, steps)
    else:
        yield lambda steps: None


class _Lines:
    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._written = 0.0
        self._write()

    def advance(self, steps: int) -> None:
        self._done += steps
        if self._done >= self._total or time.monotonic() - self._written >= _LINE_EVERY_S:
            self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        sys.stderr.write(json.dumps({"done": self._done, "of": self._total}) + "\n")
        sys.stderr.flush()
