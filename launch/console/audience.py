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
        waiting: messages to be sent to it.
        fps: pictures a second it wants.
        real_time: whether it wants a simulated arm at the speed of a real one.
    """

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.fps = 0.0
        self.real_time = False
        self.waiting: asyncio.Queue[str] = asyncio.Queue(BACKLOG)
        self._dropped = asyncio.Event()

    @property
    def dropped(self) -> bool:
        """Whether it has been too slow, and hears nothing more."""
        return self._dropped.is_set()

    def tell(self, text: str) -> None:
        """Have a message sent; one who does not keep up is dropped."""
        if self.waiting.full():
            self._dropped.set()
        if not self.dropped:
            self.waiting.put_nowait(text)

    async def until_dropped(self) -> None:
        """Wait until it has been too slow."""
        await self._dropped.wait()


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
