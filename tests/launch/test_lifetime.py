"""How a process ends when it is told to, at the moments in which Python would end otherwise."""

import signal
import subprocess
import sys
import textwrap

import pytest

from handrail.launch import lifetime

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
        assert stop.is_set()
    """
    ended = run(LATE, begun)
    assert (ended.returncode, ended.stderr) == (0, "")


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
        print(stop.is_set())
    """
    ended = run(code)
    assert (ended.returncode, ended.stdout) == (0, "True\n")
