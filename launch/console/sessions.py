"""Who is signed in with which sockets, so that signing out ends them all."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from starlette.websockets import WebSocket

from handrail.launch.console import wire
from handrail.launch.console.access import identity_of

SIGNED_OUT = 4401

Socket = Callable[[WebSocket], Awaitable[None]]


class Sessions:
    """The open sockets of every session. Belongs to one event loop."""

    def __init__(self) -> None:
        self._open: dict[str, set[asyncio.Event]] = {}

    def end(self, sid: str) -> None:
        """Have every socket of a session closed."""
        for ended in self._open.get(sid, ()):
            ended.set()

    def until_signed_out(self, serve: Socket) -> Socket:
        """`serve`, which ends when the session does."""

        async def serve_for_now(socket: WebSocket) -> None:
            with self._entered(identity_of(socket).sid) as ended:

                async def until_ended() -> None:
                    await ended.wait()

                async def serve_it() -> None:
                    await serve(socket)

                await wire.until_any(serve_it(), until_ended())
            if ended.is_set():
                await wire.farewell(socket, SIGNED_OUT, "signed out")

        return serve_for_now

    @contextmanager
    def _entered(self, sid: str) -> Iterator[asyncio.Event]:
        ended = asyncio.Event()
        self._open.setdefault(sid, set()).add(ended)
        try:
            yield ended
        finally:
            self._open[sid].discard(ended)
            if not self._open[sid]:
                del self._open[sid]
