"""Time, injected: the same loop runs on a real arm, in a test, and sixty times faster than real time.

A control loop asks its clock for the time and to wait until its next tick. On hardware waiting sleeps; in
lockstep simulation it advances the physics. Nothing here reads the wall clock, so a clock set back an hour
disturbs nobody.
"""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


class Clock(Protocol):
    """A monotonic clock that can wait."""

    def now_ns(self) -> int:
        """Monotonic time [ns]; where its zero lies means nothing."""
        ...

    def wait_until(self, t_ns: int) -> None:
        """Return once `now_ns()` ≥ `t_ns`; at once if that time has passed."""
        ...

    def stalled_ns(self) -> int:
        """Total time so far in which the host did not run the calling thread although it could have [ns]."""
        ...


class HostWatch:
    """Knows a stalled host from a slow program.

    Two signs, the larger of which counts: the time the kernel left this thread waiting for a processor
    (`schedstat`, exact, where the kernel offers it), and the gaps in the wake-ups of a thread that does
    nothing else, which see a stopped process or a frozen machine too.

    Args:
        beat_ns: how often the watching thread wakes [ns].
        gap_ns: a wake-up later than this is a gap [ns]; well above the interpreter's own switching time.
    """

    def __init__(self, beat_ns: int = 10 * NS_PER_MS, gap_ns: int = 20 * NS_PER_MS) -> None:
        self._beat_ns = beat_ns
        self._gap_ns = gap_ns
        self._gaps_ns = 0
        self._stalled_ns = 0
        self._waited_seen_ns = 0
        self._gaps_seen_ns = 0
        self._beaten_ns = time.monotonic_ns()
        self._closed = threading.Event()
        self._schedstat = self._open_schedstat()
        self._thread = threading.Thread(target=self._watch, name="host-watch", daemon=True)
        self._thread.start()

    def stalled_ns(self) -> int:
        """Stalled time up to now [ns]. Call it from the thread that made this object."""
        waited_ns = 0
        if self._schedstat is not None:
            waited_ns = int(os.pread(self._schedstat, 128, 0).split()[1])
        open_gap_ns = time.monotonic_ns() - self._beaten_ns - self._beat_ns
        gaps_ns = self._gaps_ns + (open_gap_ns if open_gap_ns > self._gap_ns else 0)
        # The two see the same stalls in part: of what each has seen since the last call, the larger counts.
        self._stalled_ns += max(0, waited_ns - self._waited_seen_ns, gaps_ns - self._gaps_seen_ns)
        self._waited_seen_ns = waited_ns
        self._gaps_seen_ns = max(self._gaps_seen_ns, gaps_ns)
        return self._stalled_ns

    def close(self) -> None:
        """Stop the watching thread."""
        self._closed.set()
        self._thread.join()
        if self._schedstat is not None:
            os.close(self._schedstat)
            self._schedstat = None

    @staticmethod
    def _open_schedstat() -> int | None:
        try:
            descriptor = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        if len(os.pread(descriptor, 128, 0).split()) < 2:
            os.close(descriptor)
            return None
        return descriptor

    def _watch(self) -> None:
        while not self._closed.wait(self._beat_ns / NS_PER_S):
            now_ns = time.monotonic_ns()
            late_ns = now_ns - self._beaten_ns - self._beat_ns
            if late_ns > self._gap_ns:
                self._gaps_ns += late_ns
            self._beaten_ns = now_ns


class MonotonicClock:
    """Real time. Starts its `HostWatch` on the first call of `stalled_ns`, for the thread that calls it."""

    def __init__(self) -> None:
        self._watch: HostWatch | None = None

    def now_ns(self) -> int:
        """Monotonic time [ns]."""
        return time.monotonic_ns()

    def wait_until(self, t_ns: int) -> None:
        """Sleep until `t_ns`."""
        while (remaining_ns := t_ns - time.monotonic_ns()) > 0:
            time.sleep(remaining_ns / NS_PER_S)

    def stalled_ns(self) -> int:
        """Time in which the host did not run this thread [ns]."""
        if self._watch is None:
            self._watch = HostWatch()
        return self._watch.stalled_ns()

    def close(self) -> None:
        """Stop watching the host."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None


class LockstepClock:
    """Simulated time: waiting runs the physics, and nothing is ever late.

    Args:
        advance: runs the simulation for so many nanoseconds; called in the waiting thread.
        start_ns: simulated time at the start [ns].
    """

    def __init__(self, advance: Callable[[int], None], start_ns: int = 0) -> None:
        self._advance = advance
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """Simulated time [ns]."""
        return self._now_ns

    def wait_until(self, t_ns: int) -> None:
        """Advance the simulation to `t_ns`."""
        if t_ns > self._now_ns:
            self._advance(t_ns - self._now_ns)
            self._now_ns = t_ns

    def stalled_ns(self) -> int:
        """Always zero: simulated time stands still while the host does."""
        return 0


@dataclass
class TickCounts:
    """What a `Ticker` has seen since it was made.

    Attributes:
        ticks: rounds waited for.
        overruns: late rounds for which the loop itself is to blame.
        host_stalls: late rounds for which the machine is: it did not run the loop for as long as it was late.
        consecutive_overruns: overruns in a row up to now; a loop on hardware holds at three.
        worst_lateness_ns: the latest round of all [ns].
    """

    ticks: int = 0
    overruns: int = 0
    host_stalls: int = 0
    consecutive_overruns: int = 0
    worst_lateness_ns: int = 0


class Ticker:
    """A loop's steady beat: call `wait()` once a round.

    A late round is counted once and the beat restarts from *now*: missed ticks are dropped, never caught up
    in a burst of commands.

    Args:
        clock: where time comes from.
        period_ns: length of a round [ns].
        tolerance_ns: lateness that still counts as on time [ns]: a kernel's wake-up jitter.
    """

    def __init__(self, clock: Clock, period_ns: int, tolerance_ns: int = NS_PER_MS) -> None:
        if period_ns <= 0:
            raise ValueError(f"period of {period_ns} ns; a ticker needs a positive one")
        self.period_ns = period_ns
        self.counts = TickCounts()
        self._clock = clock
        self._tolerance_ns = tolerance_ns
        self.restart()

    @property
    def due_ns(self) -> int:
        """When the present round ends [ns]."""
        return self._next_ns

    def restart(self) -> None:
        """Begin a new beat now: after a pause or a reset, whose length is nobody's lateness."""
        self._next_ns = self._clock.now_ns() + self.period_ns
        self._stalled_ns = self._clock.stalled_ns()
        self.counts.consecutive_overruns = 0

    def wait(self) -> int:
        """Wait for the next tick.

        Returns:
            How late the loop came to it [ns]; zero when in time.
        """
        counts = self.counts
        in_time = self._clock.now_ns() <= self._next_ns
        if in_time:
            self._clock.wait_until(self._next_ns)
        now_ns = self._clock.now_ns()
        stalled_ns = self._clock.stalled_ns()
        late_ns = now_ns - self._next_ns
        counts.ticks += 1
        counts.worst_lateness_ns = max(counts.worst_lateness_ns, late_ns)
        if late_ns <= self._tolerance_ns:
            counts.consecutive_overruns = 0
            self._next_ns += self.period_ns
        else:
            # In time for the wait and late after it: the sleep itself was overslept, which no program does.
            if in_time or stalled_ns - self._stalled_ns >= late_ns - self._tolerance_ns:
                counts.host_stalls += 1
            else:
                counts.overruns += 1
                counts.consecutive_overruns += 1
            self._next_ns = now_ns + self.period_ns
        self._stalled_ns = stalled_ns
        return late_ns
