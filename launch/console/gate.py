"""The gate before every request and every socket: host, origin, method, size and cookie.

It is a plain ASGI wrapper, so that nothing behind it can be reached around it, not even what answers that a
path is unknown.
"""

from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from handrail.launch.console.access import IDENTITY, Door, Hosts
from handrail.launch.console.answers import Refused, refuse

LARGEST_BODY = 1 << 16
METHODS = ("GET", "POST")
_TOO_LARGE = f"the body is larger than {LARGEST_BODY >> 10} KB"

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "media-src blob:",
        "manifest-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    )
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not "no-referrer": a browser would post our own form with `Origin: null`, and nobody could sign in.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
}


class Gate:
    """Lets in who may come in, and says who it is.

    Args:
        inner: the application.
        door: knows who is signed in.
        hosts: the names that are answered to.
        public: what needs no cookie: paths, and folders that end in "/".
    """

    def __init__(self, inner: ASGIApp, door: Door, hosts: Hosts, public: Sequence[str]) -> None:
        self._inner, self._door, self._hosts = inner, door, hosts
        self._public = tuple(public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await self._inner(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPConnection(scope)
        identity = self._door.know(connection)
        host, origin = _one(connection.headers, "host"), _one(connection.headers, "origin")
        if not self._hosts.welcome(host) or not self._hosts.ours(origin, host) or identity is None:
            await receive()
            await send({"type": "websocket.close", "code": 4401})  # before it is accepted: HTTP 403
            return
        scope[IDENTITY] = identity
        await self._inner(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                _harden(message, scope["path"])
            await send(message)

        answer = self._refusal(scope)
        if answer is not None:
            await answer(scope, receive, send_on)
        else:
            await self._inner(scope, _bounded(receive), send_on)

    def _refusal(self, scope: Scope) -> Response | None:
        """Why a request goes no further; None when it may, with who asks in its scope."""
        connection = HTTPConnection(scope)
        headers, path, method = connection.headers, scope["path"], scope["method"]
        host = _one(headers, "host")
        if not self._hosts.welcome(host):
            return refuse(421, "this console does not answer to that name; see names= of `handrail console`")
        if method not in METHODS:
            return refuse(405, f"no {method} here")
        if method == "POST" and not self._hosts.ours(_one(headers, "origin"), host):
            return refuse(403, "that page is not one of this console's")
        if _announced(headers) > LARGEST_BODY:
            return refuse(413, _TOO_LARGE)
        identity = self._door.know(connection)
        if identity is not None:
            scope[IDENTITY] = identity
        elif not self._is_public(path):
            if method == "GET" and path == "/":
                return RedirectResponse("/login", 303)
            return refuse(401, "sign in first")
        return None

    def _is_public(self, path: str) -> bool:
        return any(path.startswith(each) if each.endswith("/") else path == each for each in self._public)


def _bounded(receive: Receive) -> Receive:
    """`receive`, which refuses once a body is too large, whatever its length was said to be."""
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > LARGEST_BODY:
            raise Refused(_TOO_LARGE, 413)
        return message

    return counted


def _announced(headers: Headers) -> int:
    text = headers.get("content-length", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else LARGEST_BODY + 1


def _one(headers: Headers, name: str) -> str | None:
    """A header that is there once; None for one that is missing, or there twice."""
    values = headers.getlist(name)
    return values[0] if len(values) == 1 else None


def _harden(message: Message, path: str) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in HEADERS.items():
        headers[name] = value
    if "cache-control" not in headers:
        headers["Cache-Control"] = "no-cache" if path.startswith("/static/") else "no-store"
