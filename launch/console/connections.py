"""Connections to the console: whoever has not signed in has little time, and nobody has all the room.

A connection that is opened and left would stay for ever, and a few hundred of them would shut everybody out.
So each has to bring its next whole request soon, and stands in the crowd's room for those of its kind from
the first byte to the last.
"""

import asyncio
import functools
from typing import Any, Literal

import h11
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from handrail.launch.console.access import IDENTITY
from handrail.launch.console.crowd import Crowd

REQUEST_S = 10.0
"""From the opening of a connection, or from an answer, to the end of the next request [s]."""
CROWDED = 4429
"""With this a socket is closed for whose session, or for all viewers, there are too many."""


class Connection(H11Protocol):
    """uvicorn's, which ends when it is waited for in vain.

    Args:
        config, server_state, app_state: uvicorn's.
        crowd: where it belongs.
    """

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], *, crowd: Crowd
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._crowd = crowd
        self._late: asyncio.TimerHandle | None = None
        self._serve: ASGIApp = self.app  # pyright: ignore[reportAttributeAccessIssue]
        self.app: Any = self._introduced
        self.ws_protocol_class: Any = functools.partial(PageSocket, crowd=crowd)

    @property
    def peer(self) -> str:
        """Whose machine it is from."""
        return self.client[0] if self.client else ""

    def drop(self) -> None:
        """End it at once, without a word."""
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """It has been opened."""
        super().connection_made(transport)
        self._expect()
        self._crowd.meet(self)

    def data_received(self, data: bytes) -> None:
        """A part of a request, or all of it, or several."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """A request has been answered."""
        self._expect()
        super().on_response_complete()
        self._look()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """It becomes a socket."""
        self._relax()
        self._crowd.leave(self)
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        self._relax()
        self._crowd.leave(self)
        super().connection_lost(exc)

    async def _introduced(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The application; once it answers, it is known who has asked."""

        async def send_on(message: Message) -> None:
            if IDENTITY in scope and not self.transport.is_closing():
                self._crowd.know(self, scope[IDENTITY])
            await send(message)

        await self._serve(scope, receive, send_on)

    def _look(self) -> None:
        """Once a request is there as a whole it may take its time; one that comes in drops may not."""
        if self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete:
            self._relax()

    def _expect(self) -> None:
        self._relax()
        self._late = self.loop.call_later(REQUEST_S, self.drop)

    def _relax(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class PageSocket(WebSocketsSansIOProtocol):
    """uvicorn's, which may have to go for another.

    Args:
        config, server_state, app_state: uvicorn's.
        crowd: where it belongs.
    """

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], *, crowd: Crowd
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._crowd = crowd

    @property
    def peer(self) -> str:
        """Whose machine it is from."""
        return self.client[0] if self.client else ""

    def drop(self) -> None:
        """End it at once, with a word to the page if that can be had at once."""
        if self.handshake_complete and not self.close_sent and not self.transport.is_closing():
            self.close_sent = self.disconnected = True
            self.conn.send_close(CROWDED, "too many pages")
            self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection has become one."""
        super().connection_made(transport)
        self._crowd.meet(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        self._crowd.leave(self)
        super().connection_lost(exc)

    async def send(self, message: Any) -> None:
        """What the application says; it accepts only whoever has signed in."""
        kind: Literal["websocket.accept"] | str = message["type"]
        await super().send(message)
        if kind == "websocket.accept" and not self.transport.is_closing():
            self._crowd.host(self, self.scope[IDENTITY])  # pyright: ignore[reportGeneralTypeIssues]
