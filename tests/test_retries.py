"""A real-time test that fails is run again only where the machine stood still, and the output tells."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stalls import StallWatch

SUPPORT = Path(__file__).parent / "support"
CONFTEST = """
import retries
from retries import run_again_after_a_stall, tell_retries

class Watch:
    def worst_s(self, since_s):
        return {stall_s}
    def close(self):
        print("closed", flush=True)

retries.StallWatch = Watch

def pytest_runtest_protocol(item, nextitem):
    return run_again_after_a_stall(item, nextitem)

def pytest_terminal_summary(terminalreporter):
    tell_retries(terminalreporter)
"""
TESTS = """
import pytest

tries = []

@pytest.fixture(scope="module")
def shared():
    return len(tries)

def test_once_unlucky(shared):
    tries.append(shared)
    assert len(tries) > 1, "unlucky"

def test_other(shared):
    assert shared == 0
"""


def run(folder: Path, stall_s: float, *words: str) -> tuple[int, str]:
    (folder / "conftest.py").write_text(CONFTEST.format(stall_s=stall_s))
    (folder / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--rootdir={folder}", *words]
    env = {**os.environ, "PYTHONPATH": str(SUPPORT)}
    done = subprocess.run(
        [*command, str(folder)], cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("words", [(), ("-n", "1")], ids=["one process", "xdist"])
def test_a_failure_while_the_machine_stood_still_is_tried_again_and_told(tmp_path: Path, words) -> None:
    code, said = run(tmp_path, 0.3, *words)
    assert code == 0 and "2 passed" in said
    assert "RUN TWICE: test_it.py::test_once_unlucky" in said
    assert "the machine stood still for 300 ms" in said and "AssertionError: unlucky" in said


def test_a_failure_of_its_own_is_a_failure(tmp_path: Path) -> None:
    code, said = run(tmp_path, 0.0)
    assert code == 1 and "1 failed, 1 passed" in said and "RUN TWICE" not in said


def test_a_stall_is_noted_once_it_is_over_and_one_of_before_does_not_count() -> None:
    watch = StallWatch()
    try:
        before_s = time.monotonic()
        while watch.worst_s(before_s) < 0.25:  # at first it has yet to start
            assert time.monotonic() < before_s + 20.0
            watch._process.send_signal(signal.SIGSTOP)
            time.sleep(0.3)
            watch._process.send_signal(signal.SIGCONT)
        assert watch.worst_s(time.monotonic() + 60.0) == 0.0
    finally:
        watch.close()
