"""Exports that the page has asked for: each is a `handrail export` of its own, which dies with the console.

A table is read as it is written; films and datasets are made first, a few at a time. What such an export
writes lies in a folder that only this user can open, under a name that nobody chooses; it goes when it has
waited for too long, when newer ones push it out, and when the console ends.
"""

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections import OrderedDict
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from handrail.intervention.run_directory import RunDirectory
from handrail.launch.console import errand
from handrail.launch.console.answers import Busy
from handrail.launch.console.jobs import Job, Kind
from handrail.launch.errors import ExportError

MOST_RUNNING = 2
MOST_KEPT = 3
KEPT_S = 1800.0
_EXPORT = Kind("export", nice=10)
_CHUNK = 1 << 16
_PREFIX = "handrail-exports-"


def begin_table(run: RunDirectory, words: Sequence[str], complaints: IO[bytes]) -> "subprocess.Popen[bytes]":
    """Start `handrail export csv`, which somebody reads as it is written.

    In the main thread, because a child dies with the thread that started it.

    Args:
        run: of which run.
        words: further words of the command line.
        complaints: a file that takes its stderr.
    """
    process: subprocess.Popen[bytes] = subprocess.Popen(
        errand.command(["export", "csv", f"run={run.path}", *words]),
        stdout=subprocess.PIPE,
        stderr=complaints,
        **errand.settings(_EXPORT.nice),
    )
    return process


async def spoken(process: "subprocess.Popen[bytes]", complaints: IO[bytes]) -> AsyncIterator[bytes]:
    """Yield what an export writes to stdout, as it comes; `complaints` is the file that takes its stderr.

    Raises:
        ExportError: it failed, perhaps after some of it; says why.
    """
    assert process.stdout is not None
    while data := await asyncio.to_thread(os.read, process.stdout.fileno(), _CHUNK):
        yield data
    if await asyncio.to_thread(process.wait) != 0:
        complaints.seek(0)
        raise ExportError(complaint(complaints.read().decode(errors="replace")))


def complaint(stderr: str) -> str:
    """What a command that failed said last."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[-1].removeprefix("handrail: ") if lines else "the export ended without a word"


def end(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process that nobody needs any more, and forget it."""
    with suppress(OSError):
        process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


class Export:
    """One export that is being made, or waits to be fetched. Belongs to the event loop.

    Args:
        name: what the browser calls the file.
        form: "csv", "mp4" or "lerobot".
        file: a file, or for a dataset a folder.
        job: writes it there, and says how far it is.
    """

    def __init__(self, name: str, form: str, file: Path, job: Job) -> None:
        self.name, self.form, self.file, self.job = name, form, file, job

    @property
    def state(self) -> str:
        """It is "running"; then "done", "failed", or "cancelled" as soon as that was asked for."""
        return "cancelled" if self.job.asked else self.job.state

    @property
    def progress(self) -> tuple[int, int]:
        """(steps written so far, steps in all); 0 before that is known."""
        told = self._newest("done")
        return int(told.get("done", 0)), int(told.get("of", 0))

    @property
    def why(self) -> str:
        """Why it failed; "" when it has not."""
        if self.state != "failed":
            return ""
        return complaint("\n".join(line for line in self.job.lines if not _facts(line)))

    @property
    def summary(self) -> dict[str, Any]:
        """What the export said of itself at its end."""
        return self._newest("format") if self.state == "done" else {}

    async def discard(self) -> None:
        """End it at once, and remove everything of it."""
        await asyncio.to_thread(self.job.kill)
        await self.job.ended()
        await asyncio.to_thread(shutil.rmtree, self.file.parent, True)

    def _newest(self, key: str) -> dict[str, Any]:
        return next((facts for line in reversed(self.job.lines) if key in (facts := _facts(line))), {})


def _facts(line: str) -> dict[str, Any]:
    """What a line of JSON says; nothing of another line."""
    try:
        told = json.loads(line)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


class Exports:
    """The exports of one console. Belongs to the event loop.

    Args:
        run: the run.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._exports: OrderedDict[str, Export] = OrderedDict()
        self._folder: Path | None = None
        self._chores: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """How many are at work."""
        return sum(each.state == "running" for each in self._exports.values())

    async def start(self, form: str, suffix: str, words: Sequence[str]) -> str:
        """Begin an export and return its id.

        Raises:
            Busy: too many are at work.
        """
        refuse_more_than(self.running)
        if self._folder is None:
            self._folder = _fresh_folder()
            self._aside(asyncio.to_thread(_remove_leftovers))
        key = secrets.token_urlsafe(12)
        file = Path(tempfile.mkdtemp(dir=self._folder)) / f"export{suffix}"
        to = [f"to={file}", "progress=lines", "--json"]
        job = Job(_EXPORT, ["export", form, f"run={self._run.path}", *words, *to])
        self._exports[key] = Export(f"{self._run.id}{suffix}", form, file, job)  # it counts from now on
        try:
            await job.start()
        except BaseException:
            del self._exports[key]
            raise
        asyncio.get_running_loop().call_later(KEPT_S, self._expire, key)
        while len(self._exports) > MOST_KEPT:
            oldest = next((each for each, one in self._exports.items() if one.state != "running"), None)
            if oldest is None:
                break
            self._discard(oldest)
        return key

    def listed(self) -> list[tuple[str, Export]]:
        """Every export with its id, the oldest first."""
        return list(self._exports.items())

    def find(self, key: str) -> Export | None:
        """The export of that id."""
        return self._exports.get(key)

    def close(self) -> None:
        """End every export and remove what they wrote."""
        for each in self._exports.values():
            each.job.kill()
        self._exports.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _expire(self, key: str) -> None:
        export = self._exports.get(key)
        if export is None:
            return
        if export.state == "running":  # a long one: its time to be fetched has not begun
            asyncio.get_running_loop().call_later(KEPT_S, self._expire, key)
        else:
            self._discard(key)

    def _discard(self, key: str) -> None:
        self._aside(self._exports.pop(key).discard())

    def _aside(self, chore: Coroutine[Any, Any, None]) -> None:
        """Do what waits for the disk beside the rest: the event loop carries the pictures, and STOP."""
        task = asyncio.ensure_future(chore)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)


def refuse_more_than(running: int) -> None:
    """Refuse another export beside so many of its kind.

    Raises:
        Busy: there are enough.
    """
    if running >= MOST_RUNNING:
        raise Busy(f"{running} exports are at work, limit {MOST_RUNNING}; wait for one, or cancel it")


def _fresh_folder() -> Path:
    """A private folder for this console's exports."""
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))


def _remove_leftovers() -> None:
    """Remove the folders of consoles that were killed."""
    base = Path(tempfile.gettempdir())
    for folder in base.glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        with suppress(OSError):  # another console may remove them, too
            ours = folder.lstat().st_uid == os.getuid() and not folder.is_symlink()
            if ours and folder.is_dir() and not _lives(pid):
                shutil.rmtree(folder, ignore_errors=True)


def _lives(pid: str) -> bool:
    """Whether there is such a process; what is no number is nobody's business here."""
    if not (pid.isascii() and pid.isdigit()):
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (OverflowError, PermissionError):
        return True
    return True
