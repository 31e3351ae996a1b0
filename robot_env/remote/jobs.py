"""Slow work on a driver: one piece at a time, on another thread, while the supervisor goes on."""

import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from handrail.robot_env.errors import ArmError, HandrailError

Work = Callable[[], None]
Submit = Callable[[Work], "Future[None]"]
"""Runs work elsewhere, in the order given. It is never given two at a time."""
Done = Callable[[HandrailError | None], None]
"""Told once how something ended; None is well."""


@dataclass
class Job:
    """A piece of slow work.

    Attributes:
        name: for messages and the state.
        work: what to do; runs elsewhere.
        ended: told how it ended, in the supervisor's thread.
        ready: asked before it begins; waits while this is false, and fails when this raises.
        own: whether the supervisor itself wants it; others then queue up instead of being refused.
    """

    name: str
    work: Work
    ended: Done
    ready: Callable[[], bool] = lambda: True
    own: bool = False


@dataclass
class Attempt:
    """A motion that a commander asked for: whom to tell, and why it must not begin, or go on."""

    done: Done
    aborted: HandrailError | None = None


class JobQueue:
    """Runs jobs one after the other. One thread may use it.

    Args:
        submit: runs work elsewhere.
    """

    def __init__(self, submit: Submit) -> None:
        self._submit = submit
        self._waiting: deque[Job] = deque()
        self._running: Job | None = None
        self._future: Future[None] | None = None

    @property
    def name(self) -> str:
        """What runs, or waits to; "" for nothing."""
        job = self._running or (self._waiting[0] if self._waiting else None)
        return job.name if job else ""

    @property
    def running(self) -> str:
        """What runs now; "" for nothing."""
        return self._running.name if self._running else ""

    def add(self, job: Job) -> None:
        """Run a job as soon as may be; at once, where nothing is in its way.

        Raises:
            ArmError: another one that somebody asked for runs or waits.
        """
        asked = [each for each in (self._running, *self._waiting) if each is not None and not each.own]
        if asked and not job.own:
            raise ArmError(f"the arm is busy ({asked[0].name}); try again when that has ended")
        self._waiting.append(job)
        self._begin()

    def drop_waiting(self, *names: str, error: HandrailError) -> None:
        """Cancel what has not begun and has one of these names."""
        dropped = [job for job in self._waiting if job.name in names]
        self._waiting = deque(job for job in self._waiting if job.name not in names)
        for job in dropped:
            job.ended(error)

    def poll(self) -> None:
        """Report what has ended, begin what waits."""
        if self._running is not None and self._future is not None and self._future.done():
            job, failure = self._running, self._future.exception()
            self._running = self._future = None
            job.ended(None if failure is None else _told(job, failure))
        self._begin()

    def _begin(self) -> None:
        while self._running is None and self._waiting:
            job = self._waiting[0]
            try:
                if not job.ready():
                    return
            except Exception as error:  # a bug: the job fails, the supervisor's round goes on
                self._waiting.popleft()
                job.ended(_told(job, error))
                continue
            self._running = self._waiting.popleft()
            self._future = self._submit(self._running.work)


def _told(job: Job, failure: BaseException) -> HandrailError:
    """What whoever asked for the job is told; a vendor's SDK raises what it likes."""
    if isinstance(failure, HandrailError):
        return failure
    return ArmError(f"{job.name} failed: {type(failure).__name__}: {failure}")


class Worker:
    """A thread that does one piece of work after another; what an arm server submits to.

    A daemon: a driver that hangs in its SDK must not keep a process from ending.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[Work, Future[None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="arm-worker", daemon=True)
        self._thread.start()

    def submit(self, work: Work) -> "Future[None]":
        """Do `work` next."""
        future: Future[None] = Future()
        self._queue.put((work, future))
        return future

    def close(self, timeout_s: float = 2.0) -> bool:
        """End the thread; whether it has ended in time."""
        self._queue.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            work, future = item
            try:
                work()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(None)
