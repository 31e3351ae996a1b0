"""A lock file that names its holder.

The lock is `flock`: the kernel releases it when the holder dies, however it dies, so there is never a stale
lock to remove by hand. The file's text only says who holds it.
"""

import fcntl
import os
import time
from pathlib import Path

from handrail.robot_env.errors import HandrailError


class RunLocked(HandrailError):
    """Another process already has this role in the run."""

    exit_code = 12


class FileLock:
    """Holds an exclusive lock on `path` until `release`.

    Args:
        path: The lock file; created where missing, never removed.
        role: What is locked, in the words of the error ("learner", "log writer").

    Raises:
        RunLocked: somebody else holds it; the message names their process and start time.
    """

    def __init__(self, path: Path, role: str) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = (
                os.pread(fd, 200, 0).decode(errors="replace").strip() or "a process that has just started"
            )
            os.close(fd)
            raise RunLocked(
                f"The {role} of {path.parent} is already held by {holder}; stop it first, or use another run."
            ) from None
        started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime())
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"process {os.getpid()}, since {started}".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Releases the lock; harmless when released already."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> "FileLock":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.release()
