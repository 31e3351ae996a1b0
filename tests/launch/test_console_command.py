"""`handrail console` by itself: the run that it takes, the address, a certificate, and what it refuses."""

import io
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import websockets.sync.client as websocket
from consoled import PATIENCE_S
from cryptography import x509
from rich.console import Console

from handrail.agent.config import RunConfig
from handrail.intervention.locks import RunLocked
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose
from handrail.launch.cli import main
from handrail.launch.console import certificate
from handrail.launch.console.access import ENVIRONMENT
from handrail.launch.console.address import Address
from handrail.launch.console.child import alongside
from handrail.robot_env.errors import ConfigError


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
    form = {"token": operator.partition("token=")[2], "name": "Ada"}
    answer = httpx.post(f"{url}/login", data=form, headers={"Origin": url}, trust_env=False)
    cookie = answer.headers["set-cookie"].partition(";")[0]
    with websocket.connect(
        url.replace("http", "ws") + "/ws/live",
        origin=url,  # pyright: ignore[reportArgumentType]
        additional_headers={"Cookie": cookie},
        proxy=None,
    ) as page:
        assert json.loads(page.recv(PATIENCE_S))["run"] == "new"
        assert os.getpriority(os.PRIO_PROCESS, started.pid) >= 5
        started.send_signal(signal.SIGTERM)
        assert started.wait(PATIENCE_S) == 0  # what is ended the hard way has another code


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


def test_a_run_has_one_console(
    started: subprocess.Popen[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The controls are lent out once a console: two consoles would lend them to two people."""
    assert started.stdout is not None and started.stdout.readline()
    new = tmp_path / "runs" / "new"
    assert main(["console", f"run={new}", "port=0"]) == 12
    assert f"console of {new} is already held by process {started.pid}" in capsys.readouterr().err
    said = io.StringIO()
    with alongside(RunDirectory(new), Address(port=0), Console(file=said)) as specs:
        assert specs == [] and f"process {started.pid}" in said.getvalue()


@pytest.mark.parametrize("asked", ["console=127.0.0.1:0", "tls"])
def test_training_goes_without_no_console_that_was_asked_for(
    started: subprocess.Popen[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], asked: str
) -> None:
    """Tablets would have nothing, STOP included; so nothing is started."""
    assert started.stdout is not None and started.stdout.readline()
    if asked == "tls":
        certificate.make(tmp_path / "certs", ("cell.local",))
        asked = f"tls={tmp_path / 'certs'}"
    new = tmp_path / "runs" / "new"
    assert main(["train", f"run={new}", asked]) == RunLocked.exit_code
    said = capsys.readouterr()
    assert "login" not in said.out and not (new / "logs" / "actor.log").exists()
    complaint = said.err.strip()
    assert "No console at http" in complaint and f"process {started.pid}" in complaint
    assert len(complaint.splitlines()) == 1


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


def test_a_certificate_serves_https_with_a_secure_cookie(
    run: RunDirectory, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
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
    other = tmp_path / "other"
    other.mkdir()
    (other / certificate.CERTIFICATE).write_bytes(cert.read_bytes())
    assert main(["console", "cert", f"folder={other}"]) == 2
    assert not (other / certificate.KEY).exists()  # nor is a key left without its certificate
    assert made == x509.load_pem_x509_certificate(cert.read_bytes())

    assert certificate.names_of(folder) == ("cell.local", "10.0.0.5")

    trusting = ssl.create_default_context(cafile=str(cert))
    process = start(f"run={run.path}", "port=0", f"tls={folder}", cwd=tmp_path)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        operator = process.stdout.readline().split()[-1]
        assert operator.startswith("https://127.0.0.1:")
        url, _, token = operator.partition("/login?token=")
        form, headers = {"token": token, "name": "Ada"}, {"Origin": url}
        answer = httpx.post(f"{url}/login", data=form, headers=headers, verify=trusting, trust_env=False)
        assert answer.status_code == 303
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-") and "; Secure" in cookie
        with websocket.connect(
            url.replace("https", "wss") + "/ws/live",
            origin=url,  # pyright: ignore[reportArgumentType]
            additional_headers={"Cookie": cookie.partition(";")[0]},
            ssl=trusting,
            proxy=None,
        ) as page:
            assert json.loads(page.recv(PATIENCE_S))["kind"] == "hello"
        capfd.readouterr()
        assert main(["console", "cert", f"folder={tmp_path / 'third'}"]) == 0
        (tmp_path / "third" / certificate.CERTIFICATE).write_bytes(cert.read_bytes())
        assert main(["console", f"run={run.path}", "port=0", f"tls={tmp_path / 'third'}"]) == 2
        assert "cannot be used" in capfd.readouterr().err  # a key of another certificate
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
