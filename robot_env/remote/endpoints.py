"""Where an arm server listens, and who may talk to it.

On one machine: two ipc sockets in a folder that only this user can enter. Across machines: two TCP ports with
CURVE, both sides authenticated; a server refuses to listen off loopback without keys, and a client to talk.
"""

import fcntl
import ipaddress
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.auth

from handrail.robot_env.arms.config import ArmConfig
from handrail.robot_env.errors import ArmError, ConfigError

_LONGEST_FOLDER = 107 - len("/commands")  # bytes in the path of a Unix socket


@dataclass(frozen=True)
class Endpoints:
    """Addresses of one arm server.

    Attributes:
        commands: of its ROUTER socket.
        state: of its PUB socket.
        folder: where its ipc sockets and its lock are; None for TCP.
        keys: folder with the CURVE keys; None for none.
    """

    commands: str
    state: str
    folder: Path | None = None
    keys: Path | None = None

    @classmethod
    def of(cls, arm: ArmConfig) -> "Endpoints":
        """The addresses that a configuration means.

        Raises:
            ConfigError: a port is missing, the folder's path is too long, or keys are.
        """
        address = arm.server.address
        keys = Path(arm.server.keys) if arm.server.keys else None
        if address.startswith("tcp://"):
            host, _, port = address.removeprefix("tcp://").rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 65535:
                raise ConfigError(
                    f"arm.server.address is {address!r}; give tcp://<host>:<port> with a port from 1 to 65534"
                )
            if keys is None and not is_loopback(host):
                raise ConfigError(
                    f"arm.server.address is {address!r}, off loopback, and arm.server.keys is empty: anybody "
                    "on the network could move the arm; make keys and name their folder, or use 127.0.0.1"
                )
            return cls(address, f"tcp://{host}:{int(port) + 1}", None, keys)
        folder = Path(address.removeprefix("ipc://")) if address else _private_base() / f"arm-{arm.name}"
        if len(os.fsencode(folder)) > _LONGEST_FOLDER:
            raise ConfigError(
                f"arm.server.address: {folder} is too long for a socket's path; use a shorter one"
            )
        return cls(f"ipc://{folder}/commands", f"ipc://{folder}/state", folder, keys)

    def secure(self, socket: "zmq.Socket[bytes]", *, server: bool) -> None:
        """Give a socket its limits, and its keys where there are any; before it binds or connects.

        Raises:
            ConfigError: a key file is missing or unreadable.
        """
        socket.setsockopt(zmq.LINGER, 0)
        if self.keys is None:
            return
        public, secret = _load(self.keys / ("server.key_secret" if server else "client.key_secret"))
        if secret is None:
            raise ConfigError(f"{self.keys} holds no secret key; make the keys anew")
        socket.curve_publickey, socket.curve_secretkey = public, secret
        if server:
            socket.curve_server = True
        else:
            socket.curve_serverkey = _load(self.keys / "server.key")[0]


class ServerLock:
    """Holds the folder of an arm server; a second server there is refused.

    ZMQ would let it take the sockets over without a word. The kernel lets go when the holder dies.

    Args:
        folder: made where it is missing, for this user alone.

    Raises:
        ArmError: another server holds it; names its process.
        ConfigError: the folder is somebody else's.
    """

    def __init__(self, folder: Path) -> None:
        _make_private(folder)
        for each in (folder.parent, folder) if folder.parent == _private_base() else (folder,):
            status = each.lstat()
            if status.st_uid != os.getuid() or status.st_mode & 0o077 or each.is_symlink():
                raise ConfigError(f"{each} is not a private folder of this user (mode 0700); remove it")
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 100, 0).decode(errors="replace") or "another process"
            os.close(descriptor)
            raise ArmError(f"an arm server already runs in {folder}: {holder}; stop it first") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()}".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go. Safe to call twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def make_keys(folder: Path) -> None:
    """Make the CURVE keys of an arm server and its clients.

    The server's machine keeps the folder as it is. A client's machine gets `server.key` and
    `client.key_secret`. Every `*.key` in the server's folder may command the arm; remove one to shut it out.

    Raises:
        ConfigError: there are keys already.
    """
    if (folder / "server.key_secret").exists():
        raise ConfigError(f"{folder} already holds keys; remove them first if they are to change")
    _make_private(folder)
    before = os.umask(0o077)
    try:
        for name in ("server", "client"):
            zmq.auth.create_certificates(folder, name)
    finally:
        os.umask(before)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by a name that nobody else can give it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def _load(path: Path) -> tuple[bytes, bytes | None]:
    try:
        return zmq.auth.load_certificate(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"arm.server.keys: {path} cannot be read ({error}); make the keys first") from error


def _make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for this user alone."""
    before = os.umask(0o077)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    finally:
        os.umask(before)


def _private_base() -> Path:
    """This user's folder for sockets."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.access(runtime, os.W_OK):
        return Path(runtime) / "handrail"
    return Path(tempfile.gettempdir()) / f"handrail-{os.getuid()}"
