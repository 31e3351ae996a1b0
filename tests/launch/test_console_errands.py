"""Commands that the console starts: they know nothing of its door, and end with it, whatever they do."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from consoled import until

from handrail.launch.console import errand
from handrail.launch.console.access import ENVIRONMENT
from handrail.launch.console.address import LISTENER, Address
from handrail.launch.console.export_jobs import Export
from handrail.launch.console.job import NICENESS
from handrail.launch.console.jobs import Job, Kind


def test_they_know_neither_its_tokens_nor_its_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, "one,two")
    monkeypatch.setenv(LISTENER, "3")
    started = errand.settings(7, COLUMNS="160")
    assert not {ENVIRONMENT, LISTENER} & set(started["env"])
    assert started["env"]["COLUMNS"] == "160" and started["env"][NICENESS] == "7"
    assert started["env"]["HANDRAIL_PARENT"] == str(os.getpid())
    assert started["env"]["PATH"] == os.environ["PATH"]


def test_an_inherited_socket_is_adopted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    given, address = Address(port=0).bind(moves=False)
    monkeypatch.setenv(LISTENER, str(given.detach()))
    adopted, same = address.bind(moves=False)
    with adopted:
        assert adopted.getsockname()[1] == address.port and same == address
        assert LISTENER not in os.environ
        other, moved = Address(port=0).bind(moves=False)
        with other:
            assert moved.port != address.port
            socket.create_connection((address.host, address.port)).close()


@pytest.mark.parametrize("said", ["", "no json", "3", "[1]"])
def test_a_line_of_an_export_that_makes_no_sense_is_passed_over(tmp_path: Path, said: str) -> None:
    job = Job(Kind("export"), ["export", "csv"])
    export = Export("first.csv", "csv", tmp_path / "export.csv", job)
    job.lines.extend(['{"done": 3, "of": 9}', said])
    assert (export.state, export.progress, export.summary) == ("running", (3, 9), {})
    job.state = "failed"
    assert export.why == (said or "the export ended without a word")


_STUBBORN = """
import os, signal, subprocess, sys
from handrail.launch.console import errand
code = '''
import signal, sys, time
from handrail.launch import cli
from handrail.launch.console import job
signal.signal(signal.SIGTERM, signal.SIG_IGN)
job.GRACE_S = 0.1
def main():
    print("deaf", flush=True)
    time.sleep(600)
cli.main = main
sys.exit(job.main())
'''
with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, **errand.settings()) as child:
    child.stdout.readline()
    print(child.pid, flush=True)
    child.wait()
"""


def test_one_that_is_deaf_is_ended_soon_after_the_console() -> None:
    with subprocess.Popen([sys.executable, "-c", _STUBBORN], stdout=subprocess.PIPE, text=True) as console:
        assert console.stdout is not None
        pid = int(console.stdout.readline())
        os.kill(console.pid, signal.SIGKILL)
    until(lambda: not _alive(pid), "its end")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
