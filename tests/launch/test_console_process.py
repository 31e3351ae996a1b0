"""The console as a process: beside a run that does without it, by itself, and behind a certificate."""

import io
import json
import os
import signal
import ssl
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import websockets.sync.client as websocket
import zmq
from consoled import PATIENCE_S, TOKENS, make_run, until
from cryptography import x509
from rich.console import Console

from handrail.agent.config import RunConfig
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose, telemetry, train
from handrail.launch.cli import main
from handrail.launch.console import certificate
from handrail.launch.console.access import ENVIRONMENT
from handrail.launch.console.address import Address
from handrail.launch.console.child import beside
from handrail.launch.display import Display
from handrail.launch.processes import ProcessGroup, ProcessSpec
from handrail.launch.supervisor import Interrupt, Supervisor, view_of
from handrail.robot_env.errors import ConfigError

WORKER = """
import signal, sys, threading
from handrail.launch.telemetry import Reporter
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
report = Reporter(sys.argv[1])
"""


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return make_run(tmp_path)


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
    with beside(run, Address(port=0), Console(file=said, width=40)) as (spec,):
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
            let_in = client.get(f"/login?token={TOKENS.operator}")
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
        finally:
            codes = group.stop()
    assert codes == {"actor": 0, "console": 0}
    assert TOKENS.operator not in (run.logs / "console.log").read_text()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/login", trust_env=False)


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
    group = ProcessGroup([optional(run, code)], now=lambda: now[0], on_event=told.append)
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
    finally:
        group.stop()


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
        assert told == ["console has been silent for 15 s: killed"]
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

    class Looking(Display):
        """Ends the run once the report has come."""

        def update(self, *, force: bool = False) -> None:
            while listener.poll(0):
                heard.append(telemetry.decode(listener.recv()) or {})
            if {"actor", "notice"} <= {each["kind"] for each in heard}:
                interrupt(signal.SIGTERM, None)

    view = view_of(run, config)
    specs = [worker(run, "actor", code), optional(run, "import sys; sys.exit(3)")]
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


def start(*words: str, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "handrail.launch.cli", "console", *words]
    known = {name: value for name, value in os.environ.items() if name != ENVIRONMENT}
    return subprocess.Popen(
        command, cwd=cwd, env=known | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def started(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`handrail console` beside no control loop, with tokens of its own."""
    for name in ("old", "new"):
        folder = tmp_path / "runs"
        run = RunDirectory(folder / name).create(compose.dump(RunConfig()), {})
        stamp = time.time() - (100 if name == "old" else 0)
        os.utime(run.path / "meta.json", (stamp, stamp))
    process = start("port=0", cwd=tmp_path)
    yield process
    process.kill()
    process.communicate()


def test_by_itself_it_takes_the_newest_run_and_ends_when_told(started: subprocess.Popen[str]) -> None:
    assert started.stdout is not None
    assert started.stdout.readline().rstrip().endswith("/runs/new")
    operator, viewer = started.stdout.readline().split()[-1], started.stdout.readline().split()[-1]
    assert "token=" in operator and "token=" in viewer and operator != viewer
    url = operator.partition("/login")[0]
    cookie = httpx.get(operator, trust_env=False).headers["set-cookie"].partition(";")[0]
    with websocket.connect(
        url.replace("http", "ws") + "/ws/live",
        origin=url,  # pyright: ignore[reportArgumentType]
        additional_headers={"Cookie": cookie},
        proxy=None,
    ) as page:
        assert json.loads(page.recv(PATIENCE_S))["run"] == "new"
        assert os.getpriority(os.PRIO_PROCESS, started.pid) >= 5
        began = time.monotonic()
        started.send_signal(signal.SIGTERM)
        assert started.wait(PATIENCE_S) == 0
        assert time.monotonic() - began < 4.0  # or it would have been ended the hard way, with another code


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "there is no run in runs yet: `handrail train` makes one"),
        (["run=first", "host=0.0.0.0"], "open to the network and needs TLS"),
        (["run=first", "host=0.0.0.0", "tls=certs"], "cert.pem is missing"),
        (["port=99999"], "must be 0 to 65535"),
        (["certt"], "did you mean 'cert'"),
        (["cert"], "which folder?"),
        (["cert", "more"], "no 'more'"),
    ],
)
def test_what_it_refuses_it_refuses_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["console", *words]) == 2
    complaint = capsys.readouterr().err
    assert said in complaint and len(complaint.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "text", ["yes", "8710", "host:", ":1", "host:x", "[::1]", "10.0.0.1:8710", "a:70000"]
)
def test_train_refuses_a_console_that_cannot_be(text: str) -> None:
    with pytest.raises(ConfigError):
        Address.parse(text)


def test_addresses_that_can_be() -> None:
    assert Address.parse("on") == Address() and Address.parse("off") is None
    assert Address.parse("localhost:0") == Address("localhost", 0)
    assert Address.parse("[::1]:99") == Address("::1", 99)
    assert Address("::1", 99).url("t") == "http://[::1]:99/login?token=t"
    assert Address("0.0.0.0", 9, ("cell.local",), True).url() == "https://cell.local:9/"
    with pytest.raises(ConfigError, match="needs names="):
        Address("0.0.0.0", 9, (), True)


def test_a_port_that_is_taken_is_left_or_refused() -> None:
    taken, address = Address(port=0).bind(moves=False)
    try:
        other, moved = address.bind(moves=True)
        other.close()
        assert moved.port not in (0, address.port)
        with pytest.raises(ConfigError, match=f"port={address.port}"):
            address.bind(moves=False)
    finally:
        taken.close()


def test_a_certificate_serves_https_with_a_secure_cookie(run: RunDirectory, tmp_path: Path) -> None:
    folder = tmp_path / "certs"
    assert main(["console", "cert", f"folder={folder}", "names=cell.local,10.0.0.5"]) == 0
    key, cert = folder / certificate.KEY, folder / certificate.CERTIFICATE
    assert key.stat().st_mode & 0o777 == 0o600
    made = x509.load_pem_x509_certificate(cert.read_bytes())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["cell.local", "localhost"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == [
        "10.0.0.5",
        "127.0.0.1",
        "::1",
    ]
    assert (made.not_valid_after_utc - made.not_valid_before_utc).days == certificate.DAYS
    assert main(["console", "cert", f"folder={folder}"]) == 2  # nothing is replaced
    assert made == x509.load_pem_x509_certificate(cert.read_bytes())

    trusting = ssl.create_default_context(cafile=str(cert))
    process = start(f"run={run.path}", "port=0", f"tls={folder}", cwd=tmp_path)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        operator = process.stdout.readline().split()[-1]
        assert operator.startswith("https://127.0.0.1:")
        answer = httpx.get(operator, verify=trusting, trust_env=False)
        assert answer.status_code == 303
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-") and "; Secure" in cookie
        url = operator.partition("/login")[0]
        with websocket.connect(
            url.replace("https", "wss") + "/ws/live",
            origin=url,  # pyright: ignore[reportArgumentType]
            additional_headers={"Cookie": cookie.partition(";")[0]},
            ssl=trusting,
            proxy=None,
        ) as page:
            assert json.loads(page.recv(PATIENCE_S))["kind"] == "hello"
        key.chmod(0o644)
        assert main(["console", f"run={run.path}", "port=0", f"tls={folder}"]) == 2
    finally:
        process.kill()
        process.communicate()


def test_it_stays_small() -> None:
    """Neither torch nor the physics: the console's memory is promised."""
    code = (
        "import sys, handrail.launch.console.command; "
        "print([name for name in ('torch', 'mujoco', 'pyarrow', 'av') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
