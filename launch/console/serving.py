"""One console: its parts, and how they are served until it is told to stop."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

import structlog
import uvicorn
import zmq.asyncio

from handrail.agent.config import RunConfig
from handrail.intervention.console.messages import desk_address
from handrail.intervention.run_directory import RunDirectory
from handrail.launch.adviser import Adviser
from handrail.launch.console.access import Door, Hosts, Tokens
from handrail.launch.console.address import Address
from handrail.launch.console.app import PUBLIC, application, sockets, table
from handrail.launch.console.connections import REQUEST_S, Connection
from handrail.launch.console.crowd import Crowd
from handrail.launch.console.entrance import Entrance
from handrail.launch.console.gate import Gate
from handrail.launch.console.hub import Hub
from handrail.launch.console.lease import Lease
from handrail.launch.console.relay import Relay
from handrail.launch.console.sessions import Sessions
from handrail.launch.console.signed_out import SignedOut
from handrail.launch.console.site import Site
from handrail.launch.console.stopping import Stopper
from handrail.launch.console.video import Video

_END_S = 1  # how long pages may take to leave [s]
_STOP_POLL_S = 0.1
_LAST_WORD_S = 0.2  # for so long the news of how a session has ended may be on its way to the pages [s]
_LARGEST_MESSAGE = 1 << 15
_PING_S = 5.0


class _Server(uvicorn.Server):
    """uvicorn, which leaves the signals to the process's own handlers, and strangers no time to waste."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        crowd, settings = Crowd(), self.config
        await self.lifespan.startup()
        entrance = Entrance(
            lambda: Connection(settings, self.server_state, self.lifespan.state, crowd=crowd),
            settings.ssl,
        )
        self.servers = []  # uvicorn's way in, in place of which is ours
        self._entrances = [asyncio.create_task(entrance.serve(each)) for each in sockets or ()]
        for each in self._entrances:
            each.add_done_callback(lambda _: setattr(self, "should_exit", True))
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for each in self._entrances:
            each.cancel()
        ends = await asyncio.gather(*self._entrances, return_exceptions=True)
        await super().shutdown(sockets)
        for end in ends:
            if isinstance(end, Exception):
                raise end


class ConsoleServer:
    """The parts of one console, put together; made and used in one event loop.

    Args:
        run: the run's directory.
        config: its configuration.
        address: where it listens.
        tokens: who may come in.

    Attributes:
        routes: everything that may be asked over HTTP.
        sockets: every WebSocket, by path.
        inner: the application behind the gate.
    """

    def __init__(self, run: RunDirectory, config: RunConfig, address: Address, tokens: Tokens) -> None:
        self._context = zmq.asyncio.Context()
        self._relay = Relay(desk_address(run.socket_dir()), self._context)
        self._video = Video()
        self._hub = Hub(
            run,
            config,
            self._context,
            on_frame=self._video.take,
            watch=self._relay.send,
            advise=Adviser(run, config).say,
        )
        self._stopper = Stopper(run, config, self._relay)
        self._site = Site(run, config, self._hub, self._relay, Lease())
        signed_out = SignedOut(run.socket_dir() / "signed-out")
        door = Door(tokens, address.port, secure=address.secure, signed_out=signed_out)
        hosts = Hosts((address.host, *address.names), secure=address.secure)
        sessions = Sessions()
        self.routes = table(self._site, door, sessions)
        self.sockets = sockets(self._site, self._video, self._stopper, sessions)
        self.inner = application(self._site, self.routes, self.sockets)
        self._gate = Gate(self.inner, door, hosts, PUBLIC)

    async def serve(
        self, listener: socket.socket, stop: threading.Event, tls: ssl.SSLContext | None = None
    ) -> None:
        """Serve until `stop` is set; then everything is closed.

        A part that fails ends the whole: better none, which is seen and started again, than a page that shows
        what was. Its error is raised once everything is closed.

        Args:
            listener: bound and listening; closed at the end.
            stop: ends it.
            tls: certificate and key; None for plain http.
        """
        server = _Server(_settings(self._gate, tls))
        work = [
            asyncio.create_task(each)
            for each in (self._hub.serve(), self._relay.serve(), _until(stop, server))
        ]
        for task in work:
            task.add_done_callback(lambda _: setattr(server, "should_exit", True))
        try:
            await server.serve([listener])
            for part in work[:-1]:
                if part.done():
                    raise _why(part)
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            for each in (self._hub, self._relay, self._video, self._stopper, self._site):
                each.close()
            self._context.term()
            structlog.get_logger().info("ended")


def _settings(app: Gate, tls: ssl.SSLContext | None) -> uvicorn.Config:
    settings = uvicorn.Config(
        app,
        loop="asyncio",
        ws="websockets-sansio",
        ws_max_size=_LARGEST_MESSAGE,
        ws_ping_interval=_PING_S,
        ws_ping_timeout=_PING_S,
        ws_per_message_deflate=False,  # pictures do not shrink, and the rest is small
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=int(REQUEST_S),
        timeout_graceful_shutdown=_END_S,
        proxy_headers=False,
    )
    settings.load()
    settings.ssl = tls
    return settings


def _why(part: asyncio.Task[None]) -> BaseException:
    """Why a part of the console has ended; its log has all of it."""
    error = None if part.cancelled() else part.exception()
    structlog.get_logger().error("a part of the console has ended", exc_info=error)
    return error or RuntimeError("a part of the console has ended")


async def _until(stop: threading.Event, server: uvicorn.Server) -> None:
    while not stop.is_set():
        await asyncio.sleep(_STOP_POLL_S)
    await asyncio.sleep(_LAST_WORD_S)
    server.should_exit = True
