"""Where this user's arm servers are, whatever their addresses: who has to stop an arm need not know.

A server leaves a note in every folder where somebody else of this user may look: a login over the network, a
service and a desktop session do not agree on `XDG_RUNTIME_DIR` or `TMPDIR`. The note is held by a lock that
the kernel lets go of when the server dies.
"""

import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from handrail.robot_env.arms.config import ArmServerConfig
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.remote.endpoints import Endpoints

SHARED_RUNTIME, SHARED_TEMPORARY = Path("/run/user"), Path("/tmp")
"""Where sessions of one user meet, whatever their environment says."""
_PATTERN = "server-*.json"


def announce(endpoints: Endpoints) -> Callable[[], None]:
    """Say that a server listens there, wherever that can be written; returns what takes it back."""
    keys = "" if endpoints.keys is None else str(endpoints.keys.absolute())
    address = endpoints.commands
    if endpoints.folder is not None:
        address = f"ipc://{endpoints.folder.absolute()}"
    text = json.dumps({"address": _reachable(address), "keys": keys, "process": os.getpid()})
    name = _PATTERN.replace("*", f"{os.getpid()}-{secrets.token_hex(4)}")
    held: list[tuple[Path, int]] = []
    for folder in _folders():
        with suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            if _private(folder):
                held.append((folder / name, _hold(folder / name, text)))

    def withdraw() -> None:
        while held:
            note, descriptor = held.pop()
            note.unlink(missing_ok=True)
            os.close(descriptor)

    return withdraw


def announced() -> list[ArmServerConfig]:
    """Address and keys of every server of this user's that runs on this machine."""
    found: dict[str, ArmServerConfig] = {}
    for folder in _folders():
        if not _private(folder):
            continue
        for note in sorted(folder.glob(_PATTERN)):
            with suppress(OSError, ValueError, KeyError, TypeError, ConfigError):
                if _live(note):
                    said = json.loads(note.read_text())
                    server = ArmServerConfig(address=str(said["address"]), keys=str(said["keys"]))
                    found.setdefault(server.address, server)
    return [found[address] for address in sorted(found)]


def _folders() -> Iterator[Path]:
    """Every folder where a note may be, each once; they need not exist."""
    user, runtime = os.getuid(), os.environ.get("XDG_RUNTIME_DIR")
    runtimes = ([Path(runtime)] if runtime else []) + [SHARED_RUNTIME / str(user)]
    temporary = [Path(tempfile.gettempdir()), SHARED_TEMPORARY]
    yield from dict.fromkeys(
        [
            *(folder / "handrail" for folder in runtimes),
            *(folder / f"handrail-{user}" for folder in temporary),
        ]
    )


def _private(folder: Path) -> bool:
    """Whether nobody else can have left a note there."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return status.st_uid == os.getuid() and not status.st_mode & 0o077 and not folder.is_symlink()


def _hold(note: Path, text: str) -> int:
    new = note.with_suffix(".new")  # nobody looks at it before it is whole and held
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.pwrite(descriptor, text.encode(), 0)
    new.rename(note)
    return descriptor


def _live(note: Path) -> bool:
    """Whether the server that left a note still runs; one that does not is cleared away."""
    descriptor = os.open(note, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    note.unlink(missing_ok=True)
    return False


def _reachable(address: str) -> str:
    """The address as somebody on this machine connects to it."""
    for everywhere in ("tcp://0.0.0.0:", "tcp://*:"):
        address = address.replace(everywhere, "tcp://127.0.0.1:")
    return address
