"""Where a console listens, and how that is written."""

import dataclasses
import errno
import os
import socket
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from handrail.launch.console.access import Tokens, on_loopback
from handrail.robot_env.errors import ConfigError

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 8710
LISTENER = "HANDRAIL_CONSOLE_FD"
"""The variable by which a supervisor names the listening socket that a console inherits from it."""
_DEAF_MS = 10_000
_EVERYWHERE = ("0.0.0.0", "::")


@dataclass(frozen=True)
class Address:
    """Where a console listens.

    Attributes:
        host: address or name of this machine.
        port: its port; 0 takes a free one.
        names: other names under which it is reached.
        secure: whether over TLS.

    Raises:
        ConfigError: it would be open to a network without TLS, or the port is none.
    """

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    names: tuple[str, ...] = ()
    secure: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.port < 1 << 16:
            raise ConfigError(f"port={self.port}: must be 0 to 65535")
        if not on_loopback(self.host) and not self.secure:
            raise ConfigError(
                f"host={self.host} is open to the network and needs TLS: make a certificate with "
                "`handrail console cert folder=… names=…`, and give that folder as tls="
            )
        if self.host in _EVERYWHERE and not self.names:
            raise ConfigError(f"host={self.host} needs names=: the names this console is to answer to")

    @classmethod
    def parse(cls, text: str, names: tuple[str, ...] = (), secure: bool = False) -> "Address | None":
        """What `console=` of `handrail train` says: "on", "off" (None), or "host:port".

        Raises:
            ConfigError: none of these.
        """
        if text in ("on", "off"):
            return cls(names=names, secure=secure) if text == "on" else None
        host, colon, port = text.rpartition(":")
        if not colon or not host or not port.isdecimal():
            raise ConfigError(f"console={text}: must be on, off, or <host>:<port>, such as 127.0.0.1:8710")
        return cls(host.strip("[]"), int(port), names, secure)

    def bind(self, *, moves: bool) -> "tuple[socket.socket, Address]":
        """A listening socket, and the address with its port; the supervisor's, where there is one.

        Args:
            moves: whether to take a free port where this one is taken.

        Raises:
            ConfigError: the address cannot be had.
        """
        inherited = os.environ.pop(LISTENER, "")  # for nobody after us: the number will be another file's
        if inherited.isdecimal():
            return socket.socket(fileno=int(inherited)), self
        try:
            listener = _bound(self.host, self.port)
        except OSError as error:
            if moves and error.errno == errno.EADDRINUSE:
                return dataclasses.replace(self, port=0).bind(moves=False)
            raise ConfigError(
                f"host={self.host} port={self.port}: {error.strerror or error}; choose another port=, or 0"
            ) from error
        return listener, dataclasses.replace(self, port=listener.getsockname()[1])

    def url(self, token: str = "") -> str:
        """What a person opens; with a token they need only say who they are."""
        name = self.names[0] if self.host in _EVERYWHERE else self.host
        shown = f"[{name}]" if ":" in name else name
        scheme = "https" if self.secure else "http"
        return f"{scheme}://{shown}:{self.port}/" + (f"login?token={token}" if token else "")

    def tell(self, console: Console, tokens: Tokens) -> None:
        """Print where an operator opens the page, and where a viewer does."""
        operator = Text.assemble(("Console", "bold"), " ", (self.url(tokens.operator), "underline"))
        console.print(operator, soft_wrap=True)
        console.print(f"  to look on only {self.url(tokens.viewer)}", soft_wrap=True, highlight=False)


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Every connection inherits it: a page that takes nothing more is gone, whatever its machine says.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAF_MS)
        listener.bind(where)
        listener.listen(128)  # a port is only taken for good once somebody listens
    except OSError:
        listener.close()
        raise
    return listener
