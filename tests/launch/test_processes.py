"""Real processes: restarted within reason, stopped in time, and never left behind."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from handrail.launch.errors import ChildFailed
from handrail.launch.processes import (
    MAX_RESTARTS,
    SILENCE_S,
    START_S,
    ProcessGroup,
    ProcessSpec,
    last_line,
)

DEADLINE_S = 20.0


def spec(tmp_path: Path, code: str, role: str = "child", *, finishes: bool = False) -> ProcessSpec:
    command = (sys.executable, "-c", textwrap.dedent(code))
    return ProcessSpec(role, command, tmp_path / "logs" / f"{role}.log", finishes=finishes)


def until(condition: Callable[[], bool], group: ProcessGroup | None = None) -> None:
    """Poll until `condition` holds."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "gave up waiting"
        if group is not None:
            group.poll()
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


WAIT = "import time; print('up', flush=True); time.sleep(60)"
POLITE = """
    import signal, sys, time
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print('up', flush=True)
    time.sleep(60)
"""
STUBBORN = """
    import signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print('up', flush=True)
    time.sleep(60)
"""


def test_a_finished_process_is_not_started_again(tmp_path: Path) -> None:
    group = ProcessGroup([spec(tmp_path, "print('done')", finishes=True)])
    group.start()
    until(lambda: group.ended("child"), group)
    group.poll()
    assert group.pid("child") is None
    assert group.stop() == {"child": 0}


def test_one_without_an_end_of_its_own_is_missed_when_it_says_that_it_is_done(tmp_path: Path) -> None:
    """Somebody else than its supervisor told it to end."""
    events: list[str] = []
    child = spec(tmp_path, POLITE)
    group = ProcessGroup([child], on_event=events.append)
    group.start()
    until(lambda: last_line(child.log) == "up")
    first = group.pid("child")
    assert first is not None
    os.kill(first, signal.SIGTERM)
    until(lambda: group.pid("child") not in (None, first), group)
    assert events == ["the child ended by itself (exit code 0); restart 1 of 3"] and not group.ended("child")
    group.stop()


def test_a_killed_process_is_started_again(tmp_path: Path) -> None:
    events: list[str] = []
    group = ProcessGroup([spec(tmp_path, WAIT)], on_event=events.append)
    group.start()
    first = group.pid("child")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(lambda: group.pid("child") not in (None, first), group)
    assert events == ["the child died (killed by SIGKILL); restart 1 of 3"]
    group.stop()


def test_a_crash_loop_ends_with_one_clear_line(tmp_path: Path) -> None:
    code = "import sys; open('starts', 'a').write('x'); print('the reason', file=sys.stderr); sys.exit(1)"
    child = spec(tmp_path, code)
    child = ProcessSpec(child.role, ("/usr/bin/env", "-C", str(tmp_path), *child.command), child.log)
    group = ProcessGroup([child])
    group.start()
    with pytest.raises(ChildFailed) as failure:
        until(lambda: False, group)
    assert (tmp_path / "starts").read_text() == "x" * (MAX_RESTARTS + 1)
    assert "child failed 4 times" in str(failure.value) and "the reason" in str(failure.value)
    assert failure.value.exit_code == ChildFailed.exit_code
    group.stop()


def test_a_documented_error_is_not_tried_again(tmp_path: Path) -> None:
    code = "import sys; print('handrail: the disk is full', file=sys.stderr); sys.exit(10)"
    group = ProcessGroup([spec(tmp_path, code)])
    group.start()
    with pytest.raises(ChildFailed) as failure:
        until(lambda: False, group)
    assert str(failure.value) == "the child stopped: the disk is full"
    assert failure.value.exit_code == 10


def test_restarts_long_ago_are_forgiven(tmp_path: Path) -> None:
    """With a clock that leaps a minute between deaths, no number of them is a crash loop."""
    leap = [0.0]
    group = ProcessGroup([spec(tmp_path, "import sys; sys.exit(1)")], now=lambda: time.monotonic() + leap[0])
    group.start()
    for _ in range(MAX_RESTARTS + 2):
        until(lambda: group.pid("child") is None, None)
        group.poll()  # buries it
        leap[0] += 61.0
        group.poll()  # starts it again
    group.stop()


@pytest.mark.parametrize(("speaks", "limit_s"), [(True, SILENCE_S), (False, START_S)])
def test_a_silent_process_is_killed_and_started_again(tmp_path: Path, speaks: bool, limit_s: float) -> None:
    """One that has not said anything yet is given the time to load."""
    leap = [0.0]
    events: list[str] = []
    group = ProcessGroup(
        [spec(tmp_path, WAIT)], now=lambda: time.monotonic() + leap[0], on_event=events.append
    )
    group.start()
    first = group.pid("child")
    assert first is not None
    if speaks:
        group.heard("child")
    os.kill(first, signal.SIGSTOP)
    for _ in range(int(limit_s) - 1):  # in steps of a second: the machine did not stall, the child did
        leap[0] += 1.0
        group.poll()
    assert group.pid("child") == first and events == []
    for _ in range(3):
        leap[0] += 1.0
        group.poll()
    until(lambda: group.pid("child") not in (None, first), group)
    assert re.fullmatch(rf"child has been silent for {limit_s:.0f} s: killed", events[0]), events
    group.stop()


def test_a_stall_of_the_whole_machine_kills_nobody(tmp_path: Path) -> None:
    leap = [0.0]
    group = ProcessGroup([spec(tmp_path, WAIT)], now=lambda: time.monotonic() + leap[0])
    group.start()
    pid = group.pid("child")
    leap[0] += 3600.0
    group.poll()
    assert group.pid("child") == pid
    group.stop()


def test_reports_keep_a_process_alive(tmp_path: Path) -> None:
    leap = [0.0]
    group = ProcessGroup([spec(tmp_path, WAIT)], now=lambda: time.monotonic() + leap[0])
    group.start()
    pid = group.pid("child")
    for _ in range(60):
        leap[0] += 1.0
        group.heard("child")
        group.heard("somebody else")
        group.poll()
    assert group.pid("child") == pid
    group.stop()


def test_stopping_is_polite_then_firm_and_can_be_repeated(tmp_path: Path) -> None:
    events: list[str] = []
    specs = [spec(tmp_path, POLITE, "polite"), spec(tmp_path, STUBBORN, "stubborn")]
    group = ProcessGroup(specs, on_event=events.append)
    group.start()
    until(lambda: all(last_line(each.log) == "up" for each in specs))
    began = time.monotonic()
    assert group.stop(timeout_s=1.0) == {"polite": 0, "stubborn": -signal.SIGKILL}
    assert time.monotonic() - began < 5.0
    assert events == ["stubborn did not end within 1 s: killed"]
    assert group.stop() == {"polite": 0, "stubborn": -signal.SIGKILL}


def test_a_stopped_process_can_still_be_ended(tmp_path: Path) -> None:
    child = spec(tmp_path, POLITE)
    group = ProcessGroup([child])
    group.start()
    until(lambda: last_line(child.log) == "up")
    pid = group.pid("child")
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    assert group.stop() == {"child": 0}


def test_children_are_out_of_reach_of_ctrl_c(tmp_path: Path) -> None:
    group = ProcessGroup([spec(tmp_path, WAIT)])
    group.start()
    pid = group.pid("child")
    assert pid is not None and os.getpgid(pid) == pid != os.getpgrp()
    group.stop()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_orphan_outlives_its_supervisor(tmp_path: Path, number: signal.Signals) -> None:
    """The supervisor is killed; its children learn of it from the kernel and end within two seconds."""
    child = """
        import os, sys, threading, time
        from handrail.launch.lifetime import follow_parent
        stop = threading.Event()
        import signal
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        follow_parent(os.environ["HANDRAIL_PARENT"], stop)
        print(os.getpid(), flush=True)
        stop.wait()
    """
    log = tmp_path / "logs" / "child.log"
    supervisor = f"""
        import sys, time
        from pathlib import Path
        from handrail.launch.processes import ProcessGroup, ProcessSpec
        command = (sys.executable, "-c", {textwrap.dedent(child)!r})
        group = ProcessGroup([ProcessSpec("child", command, Path({str(log)!r}))])
        group.start()
        time.sleep(60)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(supervisor)])
    until(lambda: last_line(log).isdigit())
    pid = int(last_line(log))
    assert alive(pid)
    process.send_signal(number)
    process.wait(5.0)
    killed = time.monotonic()
    until(lambda: not alive(pid))
    assert time.monotonic() - killed < 2.0


def test_a_child_whose_parent_is_gone_already_stops(tmp_path: Path) -> None:
    code = """
        import os, threading
        from handrail.launch.lifetime import follow_parent
        stop = threading.Event()
        follow_parent("1", stop)
        print(stop.is_set(), flush=True)
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=30, check=True
    )
    assert result.stdout.strip() == "True"


def test_last_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert last_line(log) == ""
    log.write_text("one\nhandrail: two\n\n   \n")
    assert last_line(log) == "two"


def test_what_the_others_need_is_stopped_last(tmp_path: Path) -> None:
    """The one that outlives notes whether the other had ended when it was told to."""
    code = """
        import os, signal, sys, time
        def end(*_):
            open('order', 'a').write(sys.argv[0] + ' ')
            sys.exit(0)
        signal.signal(signal.SIGTERM, end)
        print('up', flush=True)
        time.sleep(60)
    """
    specs = []
    for role, outlives in (("needed", True), ("needy", False)):
        (tmp_path / f"{role}.py").write_text(textwrap.dedent(code))
        command = ("/usr/bin/env", "-C", str(tmp_path), sys.executable, f"{role}.py")
        specs.append(ProcessSpec(role, command, tmp_path / "logs" / f"{role}.log", outlives=outlives))
    group = ProcessGroup(specs)
    group.start(["needed"])
    assert group.pid("needed") is not None and group.pid("needy") is None
    group.start()
    until(lambda: all(last_line(each.log) == "up" for each in specs), group)
    assert group.stop() == {"needy": 0, "needed": 0}
    assert (tmp_path / "order").read_text() == "needy.py needed.py "


def test_what_may_not_be_restarted_ends_the_group(tmp_path: Path) -> None:
    child = spec(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    group = ProcessGroup([ProcessSpec(child.role, child.command, child.log, max_restarts=0)])
    group.start()
    with pytest.raises(ChildFailed, match=r"the child died \(killed by SIGKILL\), and is not started again"):
        until(lambda: False, group)
    group.stop()
