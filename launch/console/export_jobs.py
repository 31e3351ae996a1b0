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
import sys
import tempfile
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from handrail.intervention.run_directory import RunDirectory
from handrail.launch.console.answers import Busy
from handrail.launch.errors import ExportError

MOST_RUNNING = 2
MOST_KEPT = 4
KEPT_S = 1800.0
_NICE = 10
_CHUNK = 1 << 16
_PREFIX = "handrail-exports-"


def begin_export(run: RunDirectory, form: str, words: Sequence[str]) -> "subprocess.Popen[bytes]":
    """Start `handrail export`; in the main thread, because a child dies with the thread that started it.

    Args:
        run: of which run.
        form: "csv", "mp4" or "lerobot".
        words: further words of the command line.
    """
    variables = {**os.environ, "HANDRAIL_PARENT": str(os.getpid())}
    variables.pop("HANDRAIL_CONSOLE_TOKENS", None)  # no business of an export's
    process = subprocess.Popen(
        [sys.executable, "-m", "handrail.launch.cli", "export", form, f"run={run.path}", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=variables,
        start_new_session=True,  # Ctrl-C in the console's terminal is the console's
    )
    with suppress(OSError):  # it has ended already
        os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)
    return process


async def spoken(process: "subprocess.Popen[bytes]") -> AsyncIterator[bytes]:
    """Yield what an export writes to stdout, as it comes.

    Raises:
        ExportError: it failed, perhaps after some of it; says why.
    """
    assert process.stdout is not None and process.stderr is not None
    while data := await asyncio.to_thread(os.read, process.stdout.fileno(), _CHUNK):
        yield data
    if await asyncio.to_thread(process.wait) != 0:
        raise ExportError(complaint(process.stderr.read().decode(errors="replace")))


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

    def discard(self) -> None:
        """End it at once, and remove everything of it."""
        if self.state == "running":
            self.state = "cancelled"
        with suppress(OSError):
            self._process.kill()
        self._thread.join()
        shutil.rmtree(self.file.parent, ignore_errors=True)

    def _follow(self) -> None:
        assert self._process.stdout is not None and self._process.stderr is not None
        said = ""
        with self._process.stdout as stdout, self._process.stderr as stderr:
            for line in stderr:
                said = self._heard(line.decode(errors="replace")) or said
            answer = stdout.read()
        code = self._process.wait()
        if self.state == "cancelled":
            return
        if code == 0:
            self.summary = json.loads(answer)
            self.state = "done"
        else:
            self.why, self.state = complaint(said), "failed"

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
            self._jobs.pop(oldest).discard()
        return key

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
            self._jobs.pop(key).discard()


def refuse_more_than(running: int) -> None:
    """Refuse another export beside so many.

    Raises:
        Busy: there are enough.
    """
    if running >= MOST_RUNNING:
        raise Busy(f"{running} exports are at work, limit {MOST_RUNNING}; wait for one, or cancel it")


def _fresh_folder() -> Path:
    """A private folder for this console's exports; those of consoles that were killed are removed."""
    base = Path(tempfile.gettempdir())
    for folder in base.glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        status = folder.lstat()
        if folder.is_dir() and not folder.is_symlink() and status.st_uid == os.getuid() and not _lives(pid):
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=base))


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
