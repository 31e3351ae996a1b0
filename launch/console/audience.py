"""Who looks on, and how news reaches them: encoded once for all, and never waited for."""

import asyncio
from collections.abc import Iterator

from handrail.launch.console.access import Identity
from handrail.launch.console.answers import encode

BACKLOG = 256
"""Messages that may wait for a page."""


class Listener:
    """One open page.

    Args:
        identity: whose it is.

    Attributes:
        dropped: whether it has been too slow, and is to be closed.
        fps: pictures a second it wants.
        real_time: whether it wants a simulated arm at the speed of a real one.
    """

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.dropped = False
        self.fps = 0.0
        self.real_time = False
        self.waiting: asyncio.Queue[str | None] = asyncio.Queue(BACKLOG)

    def tell(self, text: str) -> None:
        """Have a message sent; one who does not keep up is dropped."""
        if self.dropped:
            return
        if self.waiting.full():
            self.drop()
        else:
            self.waiting.put_nowait(text)

    def drop(self) -> None:
        """Send nothing more, and have it closed."""
        self.dropped = True
        while not self.waiting.empty():
            self.waiting.get_nowait()
        self.waiting.put_nowait(None)

    async def next(self) -> str | None:
        """The next message to send; None when it is to be closed."""
        return await self.waiting.get()


class Audience:
    """Everybody who looks on. Belongs to one event loop."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()

    def __len__(self) -> int:
        return len(self._listeners)

    def __iter__(self) -> Iterator[Listener]:
        return iter(tuple(self._listeners))

    def join(self, listener: Listener) -> None:
        """From now on it hears everything."""
        self._listeners.add(listener)

    def leave(self, listener: Listener) -> None:
        """It hears nothing more."""
        self._listeners.discard(listener)

    def tell(self, kind: str, **facts: object) -> None:
        """Tell everybody; nothing is encoded for nobody."""
        if self._listeners:
            self.send(message(kind, **facts))

    def send(self, text: str) -> None:
        """Send everybody a message that is encoded already."""
        for listener in self._listeners:
            listener.tell(text)


def message(kind: str, **facts: object) -> str:
    """A message to a page, as text."""
    return encode({"kind": kind, **facts}).decode()
