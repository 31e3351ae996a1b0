"""Whether the machine stood still: the one excuse that a real-time test has when it fails."""

import os
import subprocess
import sys
import tempfile
import time

STALL_S = 0.05
"""A process with nothing to do that wakes up so much too late was held up by the machine [s]."""
_SETTLE_S = 0.1

_WATCH = f"""
import os, time
parent, then = os.getppid(), time.monotonic()
while os.getppid() == parent:
    time.sleep(0.005)
    now = time.monotonic()
    if now - then > {STALL_S}:
        print(then, now, flush=True)
    then = now
"""


class StallWatch:
    """Notes when a process beside the tests was not run, which their own work and locks cannot cause."""

    def __init__(self) -> None:
        self._notes = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", _WATCH], stdin=subprocess.DEVNULL, stdout=self._notes
        )

    def worst_s(self, since_s: float) -> float:
        """The longest that the machine has stood still since a moment of the monotonic clock [s]."""
        time.sleep(_SETTLE_S)  # a stall that has just ended is noted first
        size = os.fstat(self._notes.fileno()).st_size
        notes = os.pread(self._notes.fileno(), size, 0).decode()  # the offset is the writer's too
        stalls = [tuple(map(float, note.split())) for note in notes.splitlines()]
        return max((ended - began for began, ended in stalls if ended > since_s), default=0.0)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._notes.close()
