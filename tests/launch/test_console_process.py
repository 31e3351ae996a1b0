"""The console as a process beside a run, which does without it."""

import dataclasses
import io
import os
import signal
import ssl
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import zmq
from consoled import PATIENCE_S, TOKENS, until
from rich.console import Console

from handrail.agent.config import RunConfig
from handrail.intervention.locks import RunLocked
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose, runs, telemetry, train
from handrail.launch.cli import main
from handrail.launch.console import certificate
from handrail.launch.console.address import Address
from handrail.launch.console.child import alongside
from handrail.launch.display import Display
from handrail.launch.processes import ProcessGroup, ProcessSpec
from handrail.launch.supervisor import Interrupt, Outcome, Supervisor, view_of

WORKER = """
import signal, sys, threading
from handrail.launch.telemetry import Reporter
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
report = Reporter(sys.argv[1])
"""


@pytest.fixture(autouse=True)
def tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tokens of every console that a test starts."""
    for name, value in TOKENS.environment().items():
        monkeypatch.setenv(name, value)


def worker(run: RunDirectory, role: str, code: str) -> ProcessSpec:
    where = telemetry.address(run.socket_dir())
    command = (sys.executable, "-c", WORKER + textwrap.dedent(code), where)
    return ProcessSpec(role, command, run.logs / f"{role}.log")


@contextmanager
def printed(run: RunDirectory) -> Iterator[tuple[ProcessSpec, str]]:
    """A console's spec and its address, as it was printed."""
    said = io.StringIO()
    with alongside(run, Address(port=0), Console(file=said, width=40)) as (spec,):
        lines = said.getvalue().splitlines()
        assert TOKENS.operator in lines[0] and TOKENS.viewer in lines[1]
        yield spec, lines[0].split()[-1].partition("/login")[0]


def test_killing_the_console_stops_nothing_and_nobody_has_to_sign_in_again(run: RunDirectory) -> None:
    """Whoever asks meanwhile waits, and is answered: the supervisor holds the socket."""
    told: list[str] = []
    with printed(run) as (console, url), httpx.Client(base_url=url, trust_env=False) as client:
        client.timeout = PATIENCE_S
        group = ProcessGroup([worker(run, "actor", "stop.wait()"), console], on_event=told.append)
        group.start()
        try:
            form = {"token": TOKENS.operator, "name": "Ada"}
            let_in = client.post("/login", data=form, headers={"Origin": url})
            headers = {"Cookie": let_in.headers["set-cookie"].partition(";")[0], "Origin": url}
            actor, first = group.pid("actor"), group.pid("console")
            assert first is not None
            os.kill(first, signal.SIGKILL)

            def again() -> bool:
                group.poll()
                return group.pid("console") not in (None, first)

            until(again, "another console")
            client.cookies.clear()
            assert client.post("/logout", headers=headers).status_code == 303
            assert group.pid("actor") == actor
            assert told == ["the console died (killed by SIGKILL); restart 1 of 3"]
            second = first = group.pid("console")
            assert second is not None
            os.kill(second, signal.SIGKILL)
            until(again, "a third console")
            assert client.get("/api/episodes", headers=headers).status_code == 401, "who left stays out"
        finally:
            codes = group.stop()
    assert codes == {"actor": 0, "console": 0}
    assert TOKENS.operator not in (run.logs / "console.log").read_text()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/login", trust_env=False)


def test_beside_training_it_is_served_over_tls_under_the_certificate_s_names(
    run: RunDirectory, tmp_path: Path
) -> None:
    folder, said = tmp_path / "certs", io.StringIO()
    certificate.make(folder, ("127.0.0.2",))
    page = train.page("127.0.0.1:0", folder)
    assert page == Address("127.0.0.1", 0, ("127.0.0.2",), secure=True)
    with alongside(run, page, Console(file=said, width=40), folder) as (spec,):
        url = said.getvalue().splitlines()[0].split()[-1].partition("/login")[0]
        assert url.startswith("https://127.0.0.1:")
        group = ProcessGroup([spec], on_event=lambda _: None)
        group.start()
        try:
            trusting = ssl.create_default_context(cafile=str(folder / certificate.CERTIFICATE))
            headers = {"Host": url.removeprefix("https://").replace("127.0.0.1", "127.0.0.2")}
            with httpx.Client(verify=trusting, trust_env=False, timeout=PATIENCE_S) as client:
                assert client.get(f"{url}/login", headers=headers).status_code == 200
                assert client.get(f"{url}/login", headers={"Host": "elsewhere"}).status_code == 421
        finally:
            assert group.stop() == {"console": 0}


@pytest.mark.parametrize("console", ["on", "0.0.0.0:0", "off"])
def test_a_certificate_that_cannot_be_used_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], console: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", f"console={console}", "tls=nowhere"]) == 2
    assert "tls=nowhere" in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def optional(run: RunDirectory, code: str) -> ProcessSpec:
    return ProcessSpec("console", (sys.executable, "-c", code), run.logs / "console.log", optional=True)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; print('handrail: port taken', file=sys.stderr); sys.exit(2)", "port taken"),
        ("import sys; sys.exit(1)", "exit code 1"),
        ("import os; os.kill(os.getpid(), 9)", "SIGKILL"),
    ],
)
def test_an_optional_process_that_keeps_failing_is_left_dead(
    run: RunDirectory, code: str, words: str
) -> None:
    told: list[str] = []
    now = [0.0]
    given_up: list[bool] = []
    spec = dataclasses.replace(optional(run, code), on_given_up=lambda: given_up.append(True))
    group = ProcessGroup([spec], now=lambda: now[0], on_event=told.append)
    group.start()
    try:

        def left() -> bool:
            now[0] += 0.2
            group.poll()
            return "stays so" in "".join(told)

        until(left, "the end")
        assert words in told[-1] and "everything else goes on" in told[-1]
        for _ in range(50):
            now[0] += 1.0
            group.poll()
        assert "stays so" in told[-1] and group.pid("console") is None
        assert given_up == [True]
    finally:
        group.stop()


def test_the_address_of_a_console_that_stays_dead_refuses(run: RunDirectory) -> None:
    with printed(run) as (console, url):
        group = ProcessGroup([dataclasses.replace(console, command=(sys.executable, "-c", "exit(2)"))])
        group.start()
        try:

            def refused() -> bool:
                group.poll()
                return group.ended("console")

            until(refused, "its end")
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"{url}/login", trust_env=False)
        finally:
            group.stop()


def test_the_console_is_there_before_the_arm_is(run: RunDirectory) -> None:
    """An operator wants to see why the arm server says nothing."""
    seen = run.path / "seen"
    looks = f"import pathlib, time; pathlib.Path({str(seen)!r}).touch(); time.sleep(60)"
    code = f"""
        import pathlib
        while not pathlib.Path({str(seen)!r}).exists() and not stop.wait(0.02):
            pass
        report({{"kind": "arm"}})
        stop.wait()
    """
    arm = dataclasses.replace(worker(run, "arm-server", code), outlives=True)
    actor = worker(run, "actor", 'report({"kind": "actor"}); stop.wait()')
    interrupt = Interrupt()

    class Looking(Display):
        def update(self, *, force: bool = False) -> None:
            if view.actor:
                interrupt(signal.SIGTERM, None)

    view = view_of(run, RunConfig())
    supervisor = Supervisor(
        run, view, Looking(view, Console(quiet=True), "plain"), [arm, actor, optional(run, looks)]
    )
    assert supervisor.supervise(interrupt) is Outcome.STOPPED
    assert view.arm and view.actor


def test_no_address_is_printed_for_a_run_that_somebody_supervises(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = runs.create(str(tmp_path / "real"), "runs", compose.compose(["arm=franka", "device=keyboard"]), [])
    with run.lock("supervisor"):
        assert main(["train", f"run={run.path}", "console=127.0.0.1:0"]) == RunLocked.exit_code
    said = capfd.readouterr()
    assert "login" not in said.out and "supervisor" in said.err


def test_an_optional_process_may_be_silent_until_it_has_spoken(run: RunDirectory) -> None:
    told: list[str] = []
    now = [0.0]
    spec = optional(run, "import time; time.sleep(60)")
    group = ProcessGroup([spec], now=lambda: now[0], on_event=told.append)
    group.start()
    try:
        for _ in range(60):
            now[0] += 1.0
            group.poll()
        assert told == [] and group.pid("console") is not None
        group.heard("console")
        for _ in range(20):
            now[0] += 1.0
            group.poll()
        assert told[0] == "console has been silent for 15 s: killed"
    finally:
        group.stop()


def test_the_supervisor_tells_again_what_it_is_told(run: RunDirectory) -> None:
    config = RunConfig()
    code = """
        while not stop.wait(0.02):
            report({"kind": "actor", "env_steps": 7})
    """
    listener = zmq.Context.instance().socket(zmq.SUB)
    listener.setsockopt(zmq.LINGER, 0)
    listener.setsockopt(zmq.SUBSCRIBE, b"")
    listener.connect(telemetry.relay_address(run.socket_dir()))
    heard: list[telemetry.Report] = []
    interrupt = Interrupt()

    connected = run.path / "connected"
    dies = (
        f"import os, sys, time\nwhile not os.path.exists({str(connected)!r}): time.sleep(0.02)\nsys.exit(3)"
    )

    class Looking(Display):
        """Ends the run once both have come; what is told before its socket has connected, it misses."""

        def update(self, *, force: bool = False) -> None:
            while listener.poll(0):
                heard.append(telemetry.decode(listener.recv()) or {})
                connected.touch()
            if {"actor", "notice"} <= {each["kind"] for each in heard}:
                interrupt(signal.SIGTERM, None)

    view = view_of(run, config)
    specs = [worker(run, "actor", code), optional(run, dies)]
    try:
        Supervisor(run, view, Looking(view, Console(quiet=True), "plain"), specs).supervise(interrupt)
    finally:
        listener.close()
    assert {"kind": "actor", "env_steps": 7} in heard
    assert any(each["kind"] == "notice" and "the console has ended" in each["text"] for each in heard)


@pytest.mark.parametrize("console", ["on", "127.0.0.1:0", "off"])
def test_train_starts_it_and_says_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], console: str
) -> None:
    """Its actor ends the run once the console answers."""

    def specs(run: RunDirectory, config: RunConfig, arm_address: str | None) -> list[ProcessSpec]:
        code = f"""
            import pathlib
            log = pathlib.Path({str(run.logs / "console.log")!r})
            while not log.exists() and {console != "off"} and not stop.wait(0.05):
                pass
            report({{"kind": "actor", "env_steps": 100000}}); report.close()
        """
        return [worker(run, "actor", code)]

    monkeypatch.setattr(train, "process_specs", specs)
    words = ["arm=franka", "device=keyboard", "goal.max_env_steps=1000", f"console={console}"]
    assert main(["train", f"run={tmp_path / 'real'}", "display=plain", *words]) == 0
    said = capfd.readouterr().out
    assert (said.count("/login?token=") == 2) == (console != "off")
    if console != "off":
        assert said.index(TOKENS.operator) < said.index(TOKENS.viewer) < said.index("starting")
        assert (tmp_path / "real" / "logs" / "console.log").exists()
