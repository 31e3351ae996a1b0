"""Servers leave word of themselves where any session of their user finds it, and only while they live."""

import json
from pathlib import Path

import pytest

from handrail.robot_env.arms.config import ArmConfig, ArmServerConfig
from handrail.robot_env.remote import whereabouts
from handrail.robot_env.remote.endpoints import Endpoints


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of this test's own."""
    monkeypatch.setattr(whereabouts, "SHARED_RUNTIME", tmp_path / "run-user")
    monkeypatch.setattr(whereabouts, "SHARED_TEMPORARY", tmp_path)
    monkeypatch.setattr(whereabouts.tempfile, "gettempdir", lambda: str(tmp_path / "t"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "a"))
    for name in ("a", "b", "t"):
        (tmp_path / name).mkdir()
    return tmp_path


def endpoints(address: str, keys: str = "") -> Endpoints:
    return Endpoints.of(ArmConfig(kind="sim_server", server=ArmServerConfig(address=address, keys=keys)))


def found() -> list[str]:
    return [server.address for server in whereabouts.announced()]


def test_another_session_of_the_same_user_finds_it(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    withdraw = [
        whereabouts.announce(endpoints(address))
        for address in (f"ipc://{places}/own", "tcp://127.0.0.1:7000", "tcp://127.0.0.1:7002")
    ]
    addresses = [f"ipc://{places}/own", "tcp://127.0.0.1:7000", "tcp://127.0.0.1:7002"]
    assert found() == addresses
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(places / "b"))
    monkeypatch.setattr(whereabouts.tempfile, "gettempdir", lambda: str(places / "b"))
    assert found() == addresses
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert found() == addresses
    for each in withdraw:
        each()
        each()  # a second time is harmless
    assert found() == [] and list(places.rglob("server-*")) == []


def test_a_server_off_loopback_is_found_with_its_keys(places: Path) -> None:
    withdraw = whereabouts.announce(endpoints("tcp://0.0.0.0:7004", str(places / "keys")))
    (server,) = whereabouts.announced()
    assert (server.address, server.keys) == ("tcp://127.0.0.1:7004", str(places / "keys"))
    withdraw()


def test_the_dead_and_the_torn_are_left_out(places: Path) -> None:
    withdraw = whereabouts.announce(endpoints("tcp://127.0.0.1:7000"))
    (note, *_) = places.glob("handrail-*/server-*.json")
    dead = note.with_name("server-1-dead.json")  # nobody holds it
    dead.write_text(json.dumps({"address": "tcp://127.0.0.1:7006", "keys": "", "process": 1}))
    (note.parent / "server-2-torn.json").write_text("{")
    assert found() == ["tcp://127.0.0.1:7000"] and not dead.exists()
    withdraw()


def test_a_note_in_a_folder_that_others_can_enter_is_not_believed(places: Path) -> None:
    withdraw = whereabouts.announce(endpoints("tcp://127.0.0.1:7000"))
    for folder in {each.parent for each in places.rglob("server-*.json")}:
        folder.chmod(0o755)
    assert found() == []
    withdraw()
