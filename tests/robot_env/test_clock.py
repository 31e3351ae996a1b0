import os
import signal
import subprocess
import sys

import pytest

from handrail.robot_env.clock import NS_PER_MS, HostWatch, LockstepClock, MonotonicClock, Ticker

PERIOD = 100 * NS_PER_MS


class ScriptedClock:
    """Time that the test moves; waiting arrives `oversleep` late."""

    def __init__(self):
        self.now = 0
        self.stalled = 0
        self.oversleep = 0
        self.waits = []

    def now_ns(self):
        return self.now

    def wait_until(self, t_ns):
        self.waits.append(t_ns)
        self.now = max(self.now, t_ns) + self.oversleep

    def stalled_ns(self):
        return self.stalled

    def work(self, ms):
        self.now += ms * NS_PER_MS

    def stall(self, ms):
        self.now += ms * NS_PER_MS
        self.stalled += ms * NS_PER_MS


def test_a_beat_in_time_keeps_its_grid():
    clock = ScriptedClock()
    ticker = Ticker(clock, PERIOD)
    for work_ms in (10, 90, 0, 50):
        clock.work(work_ms)
        assert ticker.wait() == 0
    assert clock.waits == [PERIOD, 2 * PERIOD, 3 * PERIOD, 4 * PERIOD]
    assert (ticker.counts.ticks, ticker.counts.overruns, ticker.counts.host_stalls) == (4, 0, 0)


def test_a_slow_round_is_counted_once_and_never_caught_up():
    clock = ScriptedClock()
    ticker = Ticker(clock, PERIOD)
    clock.work(370)
    assert ticker.wait() == 270 * NS_PER_MS
    assert clock.waits == []  # late: on with the work, without waiting
    ticker.wait()
    assert clock.waits == [470 * NS_PER_MS]  # one whole period later, no burst for the missed ones
    assert (ticker.counts.overruns, ticker.counts.host_stalls) == (1, 0)
    assert ticker.counts.worst_lateness_ns == 270 * NS_PER_MS


def test_overruns_in_a_row_are_counted_until_one_round_is_in_time():
    clock = ScriptedClock()
    ticker = Ticker(clock, PERIOD)
    rows = []
    for work_ms in (150, 150, 150, 10, 150):
        clock.work(work_ms)
        ticker.wait()
        rows.append(ticker.counts.consecutive_overruns)
    assert rows == [1, 2, 3, 0, 1]


def test_a_stalled_host_is_not_the_loops_fault():
    clock = ScriptedClock()
    ticker = Ticker(clock, PERIOD)
    clock.work(60)
    clock.stall(300)
    ticker.wait()
    clock.work(60)
    clock.oversleep = 20 * NS_PER_MS
    ticker.wait()
    assert (ticker.counts.overruns, ticker.counts.host_stalls) == (0, 2)
    assert ticker.counts.consecutive_overruns == 0


def test_slow_work_on_a_slightly_busy_host_is_still_an_overrun():
    clock = ScriptedClock()
    ticker = Ticker(clock, PERIOD)
    clock.stall(10)
    clock.work(200)
    ticker.wait()
    assert (ticker.counts.overruns, ticker.counts.host_stalls) == (1, 0)


def test_a_pause_is_nobodys_lateness():
    clock = ScriptedClock()
    ticker = Ticker(clock, PERIOD)
    clock.work(5000)
    ticker.restart()
    assert ticker.wait() == 0
    assert ticker.counts.overruns == 0


def test_a_period_must_be_positive():
    with pytest.raises(ValueError, match="positive"):
        Ticker(ScriptedClock(), 0)


def test_waiting_in_lockstep_runs_the_physics():
    advanced = []
    clock = LockstepClock(advanced.append, start_ns=5)
    clock.wait_until(105)
    clock.wait_until(50)
    assert advanced == [100]
    assert clock.now_ns() == 105 and clock.stalled_ns() == 0


def test_real_time_never_returns_early():
    clock = MonotonicClock()
    deadline = clock.now_ns() + 2 * NS_PER_MS
    clock.wait_until(deadline)
    assert clock.now_ns() >= deadline
    assert clock.stalled_ns() >= 0
    clock.close()


def test_a_watch_can_be_closed():
    watch = HostWatch()
    assert watch.stalled_ns() >= 0
    watch.close()


STOPPED_CHILD = """
import sys, time
from handrail.robot_env.clock import HostWatch
watch = HostWatch()
sys.stdout.write("ready\\n"); sys.stdout.flush()
sys.stdin.readline()
sys.stdout.write(f"{watch.stalled_ns()}\\n")
"""


def test_a_stopped_process_sees_that_the_host_stalled():
    child = subprocess.Popen(
        [sys.executable, "-c", STOPPED_CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None and child.stdout is not None
    with child:
        assert child.stdout.readline() == "ready\n"
        os.kill(child.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        clock = MonotonicClock()
        clock.wait_until(clock.now_ns() + 200 * NS_PER_MS)
        os.kill(child.pid, signal.SIGCONT)
        child.stdin.write("\n")
        child.stdin.flush()
        assert int(child.stdout.readline()) >= 150 * NS_PER_MS
