"""`tests/support/emulate.py`, as docs/emulation.md tells to use it: what it prints is typed elsewhere."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

EMULATE = Path(__file__).parents[1] / "support" / "emulate.py"
DEADLINE_S = 60.0
ROBOTS = {"franka": ("franky", "fault kind=reflex"), "ur": ("rtde_control", "protective_stop")}


@contextmanager
def started(words: list[str], **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process that is spoken with by lines; killed if the test fails."""
    pipe = subprocess.PIPE
    env = {**os.environ, **environment}
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=env) as process:
        try:
            yield process
        finally:
            process.kill()


def printed(stream: IO[str] | None) -> Iterator[str]:
    """The commands among its lines, up to the one that says how to end it."""
    assert stream is not None
    for line in stream:
        if line.startswith("Ctrl-C"):
            return
        if " handrail " in line:
            yield line


def state(words: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """What `handrail arm state --json` prints."""
    asked = [*words, "--json"]
    env = {**os.environ, **environment}
    return json.loads(subprocess.run(asked, capture_output=True, text=True, env=env, check=True).stdout)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ROBOTS)
def test_what_it_prints_finds_it(kind: str) -> None:
    sdk, fault = ROBOTS[kind]
    pytest.importorskip(sdk)
    python = [sys.executable, "-m", "handrail.launch.cli"]
    with started([sys.executable, str(EMULATE), kind]) as emulate:
        commands = {}
        for line in printed(emulate.stdout):
            setting, _, *words = shlex.split(line)
            commands[words[0]] = [*python, *words], dict([setting.split("=", 1)])
        assert list(commands) == ["arm-server", "doctor", "record", "arm"]
        words, environment = commands["arm-server"]
        with started(words, **environment) as server:
            assert server.stdout is not None
            assert server.stdout.readline().startswith(f"Serving 'emulated-{kind}-{emulate.pid}', {kind}, at")
            assert state(*commands["arm"])["mode"] == "hold"

            assert emulate.stdin is not None
            emulate.stdin.write(f"{fault}\n")
            emulate.stdin.flush()
            end_s = time.monotonic() + DEADLINE_S
            while state(*commands["arm"])["mode"] != "fault":
                assert time.monotonic() < end_s, f"{fault!r} does not show"
            server.send_signal(signal.SIGINT)
            assert server.wait(DEADLINE_S) == 0
        emulate.send_signal(signal.SIGINT)
        assert emulate.wait(DEADLINE_S) == 0
        assert emulate.stderr is not None and emulate.stderr.read() == ""
        assert not Path(environment["HANDRAIL_CONF"]).exists()


def test_another_word_is_refused() -> None:
    asked = subprocess.run(
        [sys.executable, str(EMULATE), "kuka"], capture_output=True, text=True, check=False
    )
    assert asked.returncode == 1 and "franka|ur" in asked.stderr
