"""Who may come in: two tokens, a signed cookie, and the hosts and origins that the console answers to.

Whoever holds the operator's token may act once they hold the lease, whoever holds the viewer's may look on.
A page of another site cannot use a cookie of ours (`SameSite=Strict`), cannot post or open a socket (its
`Origin` is not our `Host`), and cannot reach us under a name of its own (its `Host` is not on the list).
"""

import hashlib
import ipaddress
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec
from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import HTTPConnection

from handrail.intervention.labeller import may_be_a_person
from handrail.launch.console.signed_out import COOKIE_S, SignedOut
from handrail.robot_env.errors import ConfigError

ENVIRONMENT = "HANDRAIL_CONSOLE_TOKENS"
"""The variable by which a supervisor gives a console its tokens, so that sessions outlive a restart."""

IDENTITY = "handrail.identity"
"""Where in a request's scope it is said who asks."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NAME_LENGTH = 40
_TOKEN_BYTES = 24
_SHORTEST_TOKEN = 16  # nobody guesses one, however often they may try


@dataclass(frozen=True)
class Tokens:
    """The two words that let somebody in."""

    operator: str
    viewer: str

    @classmethod
    def fresh(cls) -> "Tokens":
        """New random ones."""
        return cls(secrets.token_urlsafe(_TOKEN_BYTES), secrets.token_urlsafe(_TOKEN_BYTES))

    @classmethod
    def given(cls, environment: Mapping[str, str] = os.environ) -> "Tokens | None":
        """Those that a supervisor gave; None where it gave none.

        Raises:
            ConfigError: what it gave are no two long words.
        """
        given = environment.get(ENVIRONMENT, "")
        if not given:
            return None
        operator, _, viewer = given.partition(",")
        if min(len(operator), len(viewer)) < _SHORTEST_TOKEN or operator == viewer:
            raise ConfigError(
                f"{ENVIRONMENT} must be two different tokens with a comma between them, of at least "
                f"{_SHORTEST_TOKEN} characters each; unset it, and there will be new ones"
            )
        return cls(operator, viewer)

    def environment(self) -> dict[str, str]:
        """The variable that gives them to another process."""
        return {ENVIRONMENT: f"{self.operator},{self.viewer}"}

    def role(self, token: str) -> Literal["operator", "viewer"] | None:
        """Whose token it is; None for nobody's. Takes the same time whatever is wrong."""
        given = token.encode()
        operator = secrets.compare_digest(given, self.operator.encode())
        viewer = secrets.compare_digest(given, self.viewer.encode())
        return "operator" if operator else "viewer" if viewer else None


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who is signed in.

    Attributes:
        role: what they may do at all.
        name: as they are known in the log.
        sid: of the session; every tab of one browser shares it.
    """

    role: Literal["operator", "viewer"]
    name: str
    sid: str


class Door:
    """Signs people in and knows them again.

    Args:
        tokens: the two tokens.
        port: the console's; browsers share cookies between ports, so its name has it.
        secure: whether the cookie travels over TLS only.
        signed_out: the sessions that have been signed out; those of this console alone where None.
    """

    def __init__(
        self, tokens: Tokens, port: int, *, secure: bool, signed_out: SignedOut | None = None
    ) -> None:
        self._tokens = tokens
        self._secure = secure
        self.cookie = f"__Host-handrail-{port}" if secure else f"handrail-{port}"
        key = hashlib.sha256(f"{tokens.operator},{tokens.viewer}".encode()).digest()
        self._signer = URLSafeTimedSerializer(key, salt="handrail console session")
        self._signed_out = SignedOut(None) if signed_out is None else signed_out

    def role(self, token: str) -> Literal["operator", "viewer"] | None:
        """Whose token it is; None for nobody's."""
        return self._tokens.role(token)

    def sign_in(self, token: str, name: str) -> tuple[Identity, str] | None:
        """Somebody with a token; returns who they are from now on, and the `Set-Cookie` header.

        Whoever gives no name is known by their role.

        Raises:
            ConfigError: nobody may go by that name.
        """
        role = self._tokens.role(token)
        if role is None:
            return None
        shown = _tidy(name) or role
        if not may_be_a_person(shown):
            raise ConfigError(f"{shown!r} is a machine's name in the log; give your own")
        identity = Identity(role, shown, secrets.token_hex(8))
        value = self._signer.dumps(msgspec.to_builtins(identity))
        assert isinstance(value, str)
        return identity, self._header(value, COOKIE_S)

    def sign_out(self, identity: Identity) -> str:
        """Know a session no more; returns the `Set-Cookie` header that has its browser forget it, too."""
        self._signed_out.add(identity.sid)
        return self._header("", 0)

    def know(self, connection: HTTPConnection) -> Identity | None:
        """Who this is; None without a cookie of ours that is whole and fresh."""
        value = connection.cookies.get(self.cookie)
        if value is None:
            return None
        try:
            identity = msgspec.convert(self._signer.loads(value, max_age=COOKIE_S), Identity)
        except (BadData, msgspec.ValidationError):
            return None
        return None if identity.sid in self._signed_out else identity

    def _header(self, value: str, age_s: int) -> str:
        secure = "; Secure" if self._secure else ""
        return f"{self.cookie}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age_s}{secure}"


class Hosts:
    """The names under which the console is reached, and from whose pages it takes more than a look.

    Args:
        names: host names and addresses beside those of loopback.
        secure: whether it serves https.
    """

    def __init__(self, names: tuple[str, ...], *, secure: bool) -> None:
        self._names = {name.lower() for name in (*LOOPBACK, *names)}
        self._scheme = "https" if secure else "http"

    def welcome(self, host: str | None) -> bool:
        """Whether a `Host` header is one of ours, on whatever port (a tunnel may have its own)."""
        return host is not None and _host_name(host) in self._names

    def ours(self, origin: str | None, host: str | None) -> bool:
        """Whether an `Origin` header is a page that this console has served under that `Host`."""
        return (
            origin is not None and host is not None and origin.lower() == f"{self._scheme}://{host.lower()}"
        )


def identity_of(connection: HTTPConnection) -> Identity:
    """Who was let in; set by the gate before any handler runs."""
    identity = connection.scope[IDENTITY]
    assert isinstance(identity, Identity)
    return identity


def on_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _host_name(host: str) -> str:
    """A `Host` header without its port, and an IPv6 address without its brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _tidy(name: str) -> str:
    """A name in one short line of visible characters."""
    return " ".join("".join(each if each.isprintable() else " " for each in name).split())[:_NAME_LENGTH]
