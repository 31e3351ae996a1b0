import os
import subprocess
import sys

import pytest

from handrail.robot_env.arms.config import ArmConfig, ArmServerConfig
from handrail.robot_env.errors import ArmError, ConfigError
from handrail.robot_env.remote.endpoints import Endpoints, ServerLock, make_keys


def arm(**server):
    return ArmConfig(kind="franka", name="cell-1", server=ArmServerConfig(**server))


def test_by_default_it_listens_in_a_folder_of_this_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    endpoints = Endpoints.of(arm())
    folder = tmp_path / "handrail" / "arm-cell-1"
    assert endpoints.folder == folder and endpoints.commands == f"ipc://{folder}/commands"
    assert not folder.exists()  # asking changes nothing
    lock = ServerLock(folder)
    assert folder.stat().st_mode & 0o777 == folder.parent.stat().st_mode & 0o777 == 0o700
    lock.release()
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert Endpoints.of(arm()).folder == tmp_path / f"handrail-{os.getuid()}" / "arm-cell-1"


def test_tcp_takes_two_ports():
    endpoints = Endpoints.of(arm(address="tcp://127.0.0.1:5810"))
    assert (endpoints.commands, endpoints.state) == ("tcp://127.0.0.1:5810", "tcp://127.0.0.1:5811")


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1", "tcp://127.0.0.1:0", "tcp://:5810", "tcp://host:99999"]
)
def test_an_address_without_a_usable_port_is_refused(address):
    with pytest.raises(ConfigError, match="port"):
        Endpoints.of(arm(address=address))


@pytest.mark.parametrize(
    "host",
    ["*", "0.0.0.0", "192.168.1.5", "robot.local", "127.evil.example.org", "127.0.0.1.evil.example.org"],
)
def test_off_loopback_keys_are_needed(host, tmp_path):
    with pytest.raises(ConfigError, match="anybody on the network"):
        Endpoints.of(arm(address=f"tcp://{host}:5810"))
    make_keys(tmp_path)
    assert Endpoints.of(arm(address=f"tcp://{host}:5810", keys=str(tmp_path))).keys == tmp_path


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.3.2.1", "[::1]"])
def test_on_loopback_they_are_not(host):
    assert Endpoints.of(arm(address=f"tcp://{host}:5810")).keys is None


def test_a_folder_that_is_too_long_for_a_socket_is_refused():
    with pytest.raises(ConfigError, match="too long"):
        Endpoints.of(arm(address="ipc:///tmp/" + 120 * "x"))


def test_keys_are_made_once_and_readable_by_their_owner_alone(tmp_path):
    folder = tmp_path / "keys"
    make_keys(folder)
    assert {path.name for path in folder.iterdir()} == {
        f"{name}.{kind}" for name in ("server", "client") for kind in ("key", "key_secret")
    }
    assert all(path.stat().st_mode & 0o077 == 0 for path in (folder, *folder.iterdir()))
    with pytest.raises(ConfigError, match="already"):
        make_keys(folder)


def test_a_second_server_is_refused_naming_the_first_and_welcome_when_that_has_died(tmp_path):
    folder = tmp_path / "arm"
    code = (
        "import sys, time; from pathlib import Path;"
        "from handrail.robot_env.remote.endpoints import ServerLock;"
        "lock = ServerLock(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, folder], stdout=subprocess.PIPE) as first:
        assert first.stdout is not None and first.stdout.readline() == b"held\n"
        with pytest.raises(ArmError, match=f"process {first.pid}"):
            ServerLock(folder)
        first.kill()
    ServerLock(folder).release()


def test_a_folder_open_to_others_is_refused(tmp_path):
    tmp_path.chmod(0o755)
    with pytest.raises(ConfigError, match="0700"):
        ServerLock(tmp_path)
