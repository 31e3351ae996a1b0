"""An HTTP server in a thread."""

import socket
import threading
import time
from typing import Any

from handrail.robot_env.errors import ConfigError

START_S = 10.0


class HttpThread:
    """Serves an ASGI application until it is closed.

    Args:
        app: the application.
        host: interface to listen on.
        port: port; 0 lets the system choose.
        name: of the thread.

    Attributes:
        port: the port it listens on.

    Raises:
        ConfigError: the address cannot be had.
    """

    def __init__(self, app: Any, host: str, port: int, name: str) -> None:
        import uvicorn  # A tenth of a second of imports, for those who serve.

        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it. Without, a reply's body waits 40 ms for the acknowledgement of its head.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._socket.bind((host, port))
        except OSError as error:
            self._socket.close()
            raise ConfigError(
                f"cannot listen on {host}:{port}: {error.strerror or error}; choose another port, or end "
                "the program that has it"
            ) from error
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            # A handful of robots' clients, not the internet.
            limit_concurrency=64,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=2,
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name=name, daemon=True
        )

    def start(self) -> None:
        """Begin to serve; returns when it does."""
        self._thread.start()
        deadline_s = time.monotonic() + START_S
        while not self._server.started and self._thread.is_alive() and time.monotonic() < deadline_s:
            time.sleep(0.005)

    def close(self) -> None:
        """Answer what is under way, then end. Safe to call twice."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()
