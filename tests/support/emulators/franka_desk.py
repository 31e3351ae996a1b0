"""The web interface of a Franka as franky's `Desk` uses it (API v1), over plain HTTP on a port of its own.

The real one speaks TLS with a certificate that franky does not verify; a test swaps the transport for this
one and keeps everything above it.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

JOINTS = 7


class FakeDesk:
    """Brakes, FCI and control token of one robot. Use as a context manager.

    Attributes:
        calls: (method, path) of every request, in order.
        locked: how many brakes are still closed; `opening` of them open with each look after an unlock.
        recovery: what a safety recovery waits for; None for nothing.
        password_ok: whether it lets anybody in.
        fci: whether FCI is active.
        token: the control token given out; "" while nobody has control.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.locked, self.opening = JOINTS, 0
        self.recovery: dict[str, str] | None = None
        self.password_ok, self.fci = True, False
        self.token = ""
        desk = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._serve()

            def do_POST(self) -> None:
                self._serve()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

            def _serve(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, reply = desk.answer(self.command, self.path, self.headers.get("X-Control-Token", ""))
                body = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def answer(self, method: str, path: str, token: str) -> tuple[int, Any]:
        """Status and reply to one request."""
        self.calls.append((method, path))
        if not self.password_ok:
            return 401, {"error": "unauthorised"}
        changes = (":unlock", ":activate", ":change", ":release")
        if path.endswith(changes) and token != (self.token or None):
            return 403, {"error": "no control"}
        match method, path:
            case "POST", "/api/system/control-token:take":
                self.token = "a-token"
                return 200, {"tokenId": 7, "token": self.token}
            case "POST", "/api/system/control-token:release":
                self.token = ""
            case "GET", "/api/system/control-token":
                return 200, {"tokenId": 7 if self.token else None}
            case "GET", "/api/safety/recovery":
                return 200, {"recovery": self.recovery}
            case "GET", "/api/arm/joints":
                self.locked = max(0, self.locked - self.opening)
                closed = ["Locked"] * self.locked + ["Unlocked"] * (JOINTS - self.locked)
                return 200, [{"brakeStatus": status} for status in closed]
            case "POST", "/api/arm/joints:unlock":
                self.opening = 4
            case "GET", "/api/system/operating-mode":
                return 200, {"status": "Programming"}
            case "POST", "/api/fci:activate":
                self.fci = True
        return 200, {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
