"""`handrail` commands that the page may start: each a process, followed line by line.

What may be started is a table: a page names a kind and a few checked values, never words of a command line,
and no shell sees them. A job ends with the console, however that ends. `Jobs` has one of a kind at a time.
"""

import asyncio
import codecs
import contextlib
import os
import re
import secrets
import shlex
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from handrail.launch.console import errand
from handrail.launch.console.answers import Refused
from handrail.launch.console.job import GRACE_S

State = Literal["running", "done", "failed", "stopped"]

MOST_LINES = 2000
"""Of a job's output that are kept."""
LONGEST_LINE = 4000
_CHUNK = 1 << 14
_PLAIN = {"COLUMNS": "160", "TERM": "dumb", "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Kind:
    """A kind of job.

    Attributes:
        name: the page's word for it.
        nice: how far it stands back behind a run.
    """

    name: str
    nice: int = 0


class Job:
    """One process. Belongs to the event loop.

    Args:
        kind: what it is.
        words: of the command line, behind `handrail`.

    Attributes:
        id: tells it from every other job, of a console before this one too.
        state: "running"; then "done" (exit code 0), "failed", or "stopped" by the operator.
        code: its exit code, once it has ended.
        asked: whether it was told to end.
        first: number of the oldest line that is still kept.
    """

    def __init__(self, kind: Kind, words: Sequence[str]) -> None:
        self.kind, self.words = kind, tuple(words)
        self.id = secrets.token_hex(4)
        self.state: State = "running"
        self.code: int | None = None
        self.first = 0
        self.lines: deque[str] = deque()
        self._began_s = time.monotonic()
        self._ended_s: float | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self.asked = False

    async def start(self) -> None:
        """Start it."""
        self._process = await asyncio.create_subprocess_exec(
            *errand.command(self.words),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            **errand.settings(self.kind.nice, **_PLAIN),
        )
        self._task = asyncio.create_task(self._follow(self._process))

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.state == "running"

    def facts(self) -> dict[str, object]:
        """What the page is told of it, beside its lines."""
        ended_s = time.monotonic() if self._ended_s is None else self._ended_s
        return {
            "kind": self.kind.name,
            "id": self.id,
            "state": self.state,
            "code": self.code,
            "seconds": ended_s - self._began_s,
            "command": shlex.join(("handrail", *self.words)),
        }

    def since(self, number: int) -> tuple[list[str], int]:
        """Its lines from a number on, and the number to ask for next."""
        skipped = max(0, number - self.first)
        return list(self.lines)[skipped:], self.first + len(self.lines)

    async def stop(self) -> None:
        """Ask it to end, and see to it; harmless when it has ended."""
        process = self._process
        if process is None or self._task is None or not self.running:
            return
        self.asked = True
        _signal(process.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(asyncio.shield(self._task), GRACE_S)
        except TimeoutError:
            _signal(process.pid, signal.SIGKILL)
            await self._task

    def dismiss(self) -> None:
        """Ask it to end, for the console does, and leave it to it: it may have an arm to bring to rest."""
        if self._process is not None and self.running:
            self.asked = True
            _signal(self._process.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, and wait for that, but not for its last words; harmless when it has ended."""
        if self._process is not None and self.running:
            self.asked = True
            _signal(self._process.pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):  # who follows it has met its end
                os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)

    async def ended(self) -> None:
        """Wait for its end."""
        if self._task is not None:
            await self._task

    async def _follow(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        rest = ""
        while chunk := await process.stdout.read(_CHUNK):
            *whole, rest = re.split(r"[\r\n]", rest + decoder.decode(chunk))
            for line in whole:
                self._take(line)
            rest = rest[:LONGEST_LINE]
        self._take(rest)
        self.code = await process.wait()
        self._ended_s = time.monotonic()
        self.state = "stopped" if self.asked else "done" if self.code == 0 else "failed"

    def _take(self, line: str) -> None:
        text = _ESCAPES.sub("", line).rstrip()[:LONGEST_LINE]
        if text:
            self.lines.append(text)
            if len(self.lines) > MOST_LINES:
                self.lines.popleft()
                self.first += 1


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


class Jobs:
    """Every job of one console; the newest of each kind is remembered. Belongs to the event loop.

    Args:
        kinds: what may be started.
        objection: asked before one is started: why it may not be now, "" when it may.
    """

    def __init__(
        self, kinds: Sequence[Kind], objection: Callable[[str, "Jobs"], str] = lambda *_: ""
    ) -> None:
        self._kinds = {kind.name: kind for kind in kinds}
        self._objection = objection
        self._jobs: dict[str, Job] = {}
        self._starting: set[str] = set()

    async def start(self, name: str, words: Sequence[str]) -> Job:
        """Start a job.

        Args:
            name: of its kind.
            words: of the command line, from checked values.

        Raises:
            Refused: there is no such kind, one is running, or it may not be started now.
        """
        kind = self._kinds.get(name)
        if kind is None:
            raise Refused(f"there is no job {name[:40]!r}; there are {', '.join(self._kinds)}", 404)
        if name in self._starting or self.running(name):
            raise Refused(f"{name} is running already: wait for it, or stop it", 409)
        if why := self._objection(name, self):
            raise Refused(why, 409)
        self._starting.add(name)
        try:
            job = Job(kind, words)
            await job.start()
            self._jobs[name] = job
        finally:
            self._starting.discard(name)
        return job

    def find(self, name: str) -> Job | None:
        """The newest job of a kind; None before the first.

        Raises:
            Refused: there is no such kind.
        """
        if name not in self._kinds:
            raise Refused(f"there is no job {name[:40]!r}; there are {', '.join(self._kinds)}", 404)
        return self._jobs.get(name)

    def running(self, name: str) -> bool:
        """Whether one of this kind runs."""
        job = self._jobs.get(name)
        return job is not None and job.running

    def facts(self) -> dict[str, dict[str, object]]:
        """The newest job of each kind."""
        return {name: job.facts() for name, job in self._jobs.items()}

    def close(self) -> None:
        """Ask all of them to end; the console ends."""
        for job in self._jobs.values():
            job.dismiss()
