"""Connections to the console: whoever has not signed in has little time, and little room.

A connection that is opened and left would stay for ever, and a few hundred of them would shut everybody out.
So each has to bring its next whole request soon, and of those that have shown no cookie of ours a few dozen
may be open: one more, and whoever has most of them loses the oldest.
"""

import asyncio
from collections import Counter
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from handrail.launch.console.access import IDENTITY

REQUEST_S = 10.0
"""From the opening of a connection, or from an answer, to the end of the next request [s]."""
MOST_STRANGERS = 64
"""Connections that have not signed in."""


class Crowd:
    """The connections that have not signed in. Belongs to one event loop."""

    def __init__(self) -> None:
        self._strangers: dict[Connection, None] = {}  # the oldest first

    def join(self, connection: "Connection") -> None:
        """One more; somebody else may have to go for it."""
        self._strangers[connection] = None
        if len(self._strangers) > MOST_STRANGERS:
            peers = Counter(each.peer for each in self._strangers)
            most = max(peers, key=lambda peer: peers[peer])
            oldest = next(each for each in self._strangers if each.peer == most)
            self.leave(oldest)
            oldest.drop()

    def leave(self, connection: "Connection") -> None:
        """It has gone, or signed in; harmless when it has left already."""
        self._strangers.pop(connection, None)


class Connection(H11Protocol):
    """uvicorn's, which ends when it is waited for in vain.

    Args:
        config, server_state, app_state: uvicorn's.
        crowd: where it belongs until it has signed in.
    """

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], *, crowd: Crowd
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._crowd = crowd
        self._late: asyncio.TimerHandle | None = None

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
        self._crowd.join(self)

    def data_received(self, data: bytes) -> None:
        """A part of a request, or all of it, or several."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """A request has been answered."""
        if self.scope is not None and IDENTITY in self.scope:
            self._crowd.leave(self)
        self._expect()
        super().on_response_complete()
        self._look()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """It becomes a socket, which only opens to whoever has signed in."""
        self._relax()
        self._crowd.leave(self)
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        self._relax()
        self._crowd.leave(self)
        super().connection_lost(exc)

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
