"""How a process ends when it is told to, at the moments in which Python would end otherwise."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from handrail.launch import lifetime
from handrail.launch.telemetry import Report

DEADLINE_S = 30.0
LATE = """
    import os, signal

    class Late:  # goes when the interpreter has let go of its signal handlers
        def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGINT):
            kill(pid, number)

    late = Late()
"""


def run(*code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "".join(map(textwrap.dedent, code))],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def test_a_second_ctrl_c_while_a_process_winds_up_is_no_other_end() -> None:
    begun = """
        from handrail.launch import lifetime
        stop = lifetime.begin("learner")
        signal.raise_signal(signal.SIGINT)
        assert stop.wait(10.0)
    """
    ended = run(LATE, begun)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_signal_in_the_midst_of_the_event_is_heard() -> None:
    """Two signals at once, or one while the loop waits for the event: this thread has the event's lock."""
    code = """
        import signal
        from handrail.launch import lifetime
        stop = lifetime.begin("evaluator")
        with stop._cond:
            signal.raise_signal(signal.SIGTERM)
        print(stop.wait(10.0))
    """
    ended = run(code)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True\n", "")


def test_nor_is_it_after_a_command_has_been_interrupted() -> None:
    """What is closed behind the block is not torn either."""
    command = """
        from handrail.launch.supervisor import Interrupt
        with Interrupt().installed() as interrupt:
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert interrupt.number == signal.SIGTERM
    """
    ended = run(LATE, command)
    assert (ended.returncode, ended.stderr) == (0, "")


def supervised(code: str) -> subprocess.Popen[str]:
    """A process of this one's, which is its supervisor."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HANDRAIL_PARENT": str(os.getpid())},
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_its_supervisor_can_tell_an_end_that_it_was_told_from_work_that_is_done(
    number: signal.Signals,
) -> None:
    """Also while it loads packages."""
    roles = """
        import time
        from handrail.launch import lifetime
        stop = lifetime.begin("actor")
    """
    waits = "print('up', flush=True); stop.wait(); lifetime.die_as_told()"
    loads = "with lifetime.loading(stop): print('up', flush=True); time.sleep(60)"
    for last in (waits, loads):
        with supervised(f"{textwrap.dedent(roles)}\n{last}") as process:
            assert process.stdout is not None and process.stdout.readline() == "up\n"
            process.send_signal(number)
            assert process.wait(DEADLINE_S) == -signal.SIGTERM
    ended = run(roles, "import signal; signal.raise_signal(signal.SIGTERM); lifetime.die_as_told()")
    assert ended.returncode == 0, "nobody supervises it"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_loads_packages_ends_at_once(number: signal.Signals) -> None:
    code = """
        import time
        from handrail.launch import lifetime
        with lifetime.loading(lifetime.begin("learner")):
            print("loading", flush=True)
            time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "loading\n"
        process.send_signal(number)
        assert process.wait(lifetime.GRACE_S / 2) == 0


def test_one_that_was_told_before_does_not_begin_to_load() -> None:
    code = """
        import signal
        from handrail.launch import lifetime
        stop = lifetime.begin("learner")
        signal.raise_signal(signal.SIGTERM)
        with lifetime.loading(stop):
            print("loading")
    """
    ended = run(code)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_signals_mean_what_they_meant_once_packages_are_loaded() -> None:
    code = """
        import signal
        from handrail.launch import lifetime
        stop = lifetime.begin("learner")
        with lifetime.loading(stop):
            pass
        signal.raise_signal(signal.SIGTERM)
        print(stop.wait(10.0))
    """
    ended = run(code)
    assert (ended.returncode, ended.stdout) == (0, "True\n")


class Beating:
    """The heartbeat of a role, fast, and what it has reported.

    Args:
        patch: makes it fast.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(lifetime, "HEARTBEAT_S", 0.01)
        patch.setattr(lifetime, "STUCK_BEATS", 20)
        self.heard: list[Report] = []
        self.stop = threading.Event()
        self.speak = lifetime.beat(self.heard.append, "learner", self.stop)

    def beats(self, more: int) -> None:
        """Wait for so many more."""
        target = len(self.heard) + more
        until(lambda: len(self.heard) >= target)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "gave up waiting"
        time.sleep(0.005)


@pytest.fixture
def beating(monkeypatch: pytest.MonkeyPatch) -> Iterator[Beating]:
    each = Beating(monkeypatch)
    yield each
    each.stop.set()


def test_a_loop_that_has_yet_to_begin_may_take_its_time(beating: Beating) -> None:
    beating.beats(3 * lifetime.STUCK_BEATS)
    assert beating.heard[0] == {"kind": "heartbeat", "role": "learner"}


def test_a_loop_that_says_something_now_and_then_is_said_to_live(beating: Beating) -> None:
    for number in range(10):
        beating.speak({"kind": "learner", "updates": number})
        beating.beats(lifetime.STUCK_BEATS // 2)
    assert sum(each["kind"] == "learner" for each in beating.heard) == 10


def test_a_stuck_loop_is_not_said_to_live_and_where_it_stands_is_written_once(
    beating: Beating, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its process is as well as ever; once it goes on, so does the heartbeat."""
    said = ""

    def written() -> bool:
        nonlocal said
        said += capfd.readouterr().err
        return "each of its threads stood" in said

    beating.speak({"kind": "learner"})
    until(written)
    heard = len(beating.heard)
    assert heard <= lifetime.STUCK_BEATS + 2
    assert "test_a_stuck_loop_is_not_said" in said, "where this thread stands"
    assert said.splitlines()[-1].startswith("handrail: its loop had said nothing for 0 s")
    assert not beating.stop.wait(10 * lifetime.HEARTBEAT_S) and len(beating.heard) == heard
    beating.speak({"kind": "learner"})
    beating.beats(3)
    assert capfd.readouterr().err == ""
