"""Where connections come in: over TLS, each is agreed upon first, and few at a time.

A connection costs a file from the moment it is there, long before it has said a word. So those that have yet
to agree on TLS are counted like any other stranger, have little time, and go for those who come after them.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable

import structlog

from handrail.launch.console.crowd import Room

HANDSHAKE_S = 3.0
"""To agree on TLS, and to part [s]."""
MOST_GREETED = 64
"""Connections that have yet to agree on TLS."""
_BREATH_S = 0.2  # until the next try, when there is no file left for a connection


class _Greeted:
    """One connection that has yet to agree on TLS.

    Args:
        connection: its socket.
        peer: whose machine it is from.
    """

    def __init__(self, connection: socket.socket, peer: str) -> None:
        self.connection, self.peer = connection, peer
        self.task: asyncio.Task[None] | None = None

    def drop(self) -> None:
        """End it at once."""
        if self.task is not None:
            self.task.cancel()


class Entrance:
    """Accepts the connections to one listening socket; belongs to one event loop.

    Args:
        make: makes what serves a connection.
        tls: certificate and key; None for plain http.
    """

    def __init__(self, make: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None) -> None:
        self._make, self._tls = make, tls
        self._greeted = Room(MOST_GREETED)
        self._tasks: set[asyncio.Task[None]] = set()
        self._short = False

    async def serve(self, listener: socket.socket) -> None:
        """Accept until cancelled."""
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        try:
            while True:
                try:
                    connection, address = await loop.sock_accept(listener)
                except OSError as error:
                    await self._wait_for_room(error)
                    continue
                self._short = False
                self._greet(_Greeted(connection, str(address[0])))
                await asyncio.sleep(0)  # however many come, everybody else has their turn
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _greet(self, greeted: _Greeted) -> None:
        def over(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._greeted.leave(greeted)
            if task.cancelled():
                greeted.connection.close()  # it may not even have begun

        greeted.task = asyncio.create_task(self._agree(greeted.connection))
        self._tasks.add(greeted.task)
        greeted.task.add_done_callback(over)
        self._greeted.enter(greeted)

    async def _agree(self, connection: socket.socket) -> None:
        limit_s = None if self._tls is None else HANDSHAKE_S
        try:
            connection.setblocking(False)
            await asyncio.get_running_loop().connect_accepted_socket(
                self._make,
                connection,
                ssl=self._tls,
                ssl_handshake_timeout=limit_s,
                ssl_shutdown_timeout=limit_s,
            )
        except OSError:  # it is no TLS, takes too long, or has gone: nothing that we could mend
            connection.close()

    async def _wait_for_room(self, error: OSError) -> None:
        """A connection that is gone again is nothing; that there is no file for one is told, once."""
        if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
            return
        if not self._short:
            self._short = True
            structlog.get_logger().error("no connection can be accepted", error=error.strerror)
        await asyncio.sleep(_BREATH_S)
