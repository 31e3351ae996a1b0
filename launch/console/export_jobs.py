"""Exports that the page has asked for: each is a `handrail export` of its own, which dies with the console.

What a job writes lies in a folder that only this user can open, under a name that nobody chooses; it goes
when it has waited for too long, when newer ones push it out, and when the console ends.
"""

import asyncio
import json
import os
import secrets
import shutil
import subprocess
import tempfile
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from handrail.intervention.run_directory import RunDirectory
from handrail.launch.console import errand
from handrail.launch.console.answers import Busy
from handrail.launch.errors import ExportError

MOST_RUNNING = 2
MOST_KEPT = 3
KEPT_S = 1800.0
_NICE = 10
_CHUNK = 1 << 16
_PREFIX = "handrail-exports-"


def begin_export(
    run: RunDirectory, form: str, words: Sequence[str], complaints: IO[bytes] | int = subprocess.PIPE
) -> "subprocess.Popen[bytes]":
    """Start `handrail export`; in the main thread, because a child dies with the thread that started it.

    Args:
        run: of which run.
        form: "csv", "mp4" or "lerobot".
        words: further words of the command line.
        complaints: a file that takes its stderr; a pipe, which somebody has to read, where there is none.
    """
    process: subprocess.Popen[bytes] = subprocess.Popen(
        errand.command(["export", form, f"run={run.path}", *words]),
        stdout=subprocess.PIPE,
        stderr=complaints,
        **errand.settings(_NICE),
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
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


class Job:
    """One export.

    Args:
        name: what the browser calls the file.
        form: "csv", "mp4" or "lerobot".
        process: writes it to `file`.
        file: a file, or for a dataset a folder.

    Attributes:
        state: "running", "done", "failed" or "cancelled".
        done: steps written so far.
        of: steps in all; 0 before that is known.
        why: why it failed.
        summary: what the export said of itself at its end.
    """

    def __init__(self, name: str, form: str, process: "subprocess.Popen[bytes]", file: Path) -> None:
        self.name, self.form, self.file = name, form, file
        self.state = "running"
        self.done = self.of = 0
        self.why = ""
        self.summary: dict[str, Any] = {}
        self._process = process
        self._thread = threading.Thread(target=self._follow, name="export", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Have the export stop; it removes what it has written."""
        if self.state == "running":
            self.state = "cancelled"
            self._process.terminate()  # SIGINT may be ignored, in a shell's background

    def kill(self) -> None:
        """End it at once."""
        if self.state == "running":
            self.state = "cancelled"
        with suppress(OSError):
            self._process.kill()

    def discard(self) -> None:
        """End it at once, and remove everything of it; waits for the disk."""
        self.kill()
        self._thread.join()
        shutil.rmtree(self.file.parent, ignore_errors=True)

    def _follow(self) -> None:
        try:
            why = self._outcome()
        except Exception as error:  # one that stayed "running" would be in the way of all others
            why = f"unexpected {type(error).__name__}: {error}"
        if self.state != "cancelled":
            self.why, self.state = why, "failed" if why else "done"

    def _outcome(self) -> str:
        """Follow it to its end; returns why it failed, "" when it has not."""
        assert self._process.stdout is not None and self._process.stderr is not None
        said = ""
        with self._process.stdout as stdout, self._process.stderr as stderr:
            for line in stderr:
                said = self._heard(line.decode(errors="replace")) or said
            answer = stdout.read()
        if self._process.wait() != 0:
            return complaint(said)
        self.summary = dict(json.loads(answer))
        return ""

    def _heard(self, line: str) -> str:
        """Take in a line of progress; "" then, otherwise the line."""
        try:
            told = json.loads(line)
            self.done, self.of = int(told["done"]), int(told["of"])
        except (ValueError, KeyError, TypeError):
            return line
        return ""


class Jobs:
    """The exports of one console; used in its event loop's thread.

    Args:
        run: the run.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._folder: Path | None = None
        self._chores: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """How many are at work."""
        return sum(job.state == "running" for job in self._jobs.values())

    def start(self, form: str, suffix: str, words: Sequence[str]) -> str:
        """Begin an export and return its id.

        Raises:
            Busy: too many are at work.
        """
        refuse_more_than(self.running)
        if self._folder is None:
            self._folder = _fresh_folder()
            self._aside(_remove_leftovers)
        key = secrets.token_urlsafe(12)
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        file = folder / f"export{suffix}"
        process = begin_export(self._run, form, [*words, f"to={file}", "progress=lines", "--json"])
        self._jobs[key] = Job(f"{self._run.id}{suffix}", form, process, file)
        asyncio.get_running_loop().call_later(KEPT_S, self._expire, key)
        while len(self._jobs) > MOST_KEPT:
            oldest = next((each for each, job in self._jobs.items() if job.state != "running"), None)
            if oldest is None:
                break
            self._discard(oldest)
        return key

    def listed(self) -> list[tuple[str, Job]]:
        """Every job with its id, the oldest first."""
        return list(self._jobs.items())

    def find(self, key: str) -> Job | None:
        """The job of that id."""
        return self._jobs.get(key)

    def close(self) -> None:
        """End every export and remove what they wrote."""
        for job in self._jobs.values():
            job.discard()
        self._jobs.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _expire(self, key: str) -> None:
        job = self._jobs.get(key)
        if job is None:
            return
        if job.state == "running":  # a long one: its time to be fetched has not begun
            asyncio.get_running_loop().call_later(KEPT_S, self._expire, key)
        else:
            self._discard(key)

    def _discard(self, key: str) -> None:
        job = self._jobs.pop(key)
        job.kill()
        self._aside(job.discard)

    def _aside(self, chore: Callable[[], None]) -> None:
        """Do what waits for the disk in a thread: this one carries the pictures, and STOP."""
        task = asyncio.ensure_future(asyncio.to_thread(chore))
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
