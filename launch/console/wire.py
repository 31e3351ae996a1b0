"""What pages send over their sockets; msgspec checks every message against it."""

import asyncio
import contextlib
import math
from collections.abc import Coroutine
from typing import Annotated, TypeVar

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from handrail.intervention.console.messages import Verb
from handrail.launch.console.audience import message
from handrail.robot_env.unpacking import Malformed, unpack

_FAREWELL_S = 1.0

_T = TypeVar("_T")
_Text = Annotated[str, msgspec.Meta(max_length=2000)]
_Name = Annotated[str, msgspec.Meta(max_length=64)]
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Whole = Annotated[int, msgspec.Meta(ge=-1, le=2**53)]


class _OfLive(msgspec.Struct, frozen=True, tag_field="kind", tag=str.lower):
    pass


class Ping(_OfLive, frozen=True):
    """Asks for the server's clock; `t` comes back."""

    t: float


class Claim(_OfLive, frozen=True):
    """Asks for the lease."""


class Release(_OfLive, frozen=True):
    """Gives the lease back."""


class Watch(_OfLive, frozen=True):
    """What this page wants to see; sent once a second."""

    fps: Annotated[float, msgspec.Meta(ge=0, le=120)]
    real_time: bool = False

    def __post_init__(self) -> None:
        if 0 < self.fps < 1:
            raise ValueError(f"fps={self.fps}: must be 0 or 1 to 120")


class Command(_OfLive, frozen=True):
    """A command of the operator's; `issued_ms` is on the server's clock."""

    id: _Id
    verb: Verb
    issued_ms: float
    ttl_ms: Annotated[int, msgspec.Meta(ge=100, le=10_000)] = 2000
    episode: _Whole | None = None
    label: _Name | None = None
    step: _Whole | None = None
    why: _Text = ""


FromPage = Ping | Claim | Release | Watch | Command


class Seen(msgspec.Struct, frozen=True, tag_field="kind", tag="seen"):
    """A picture is on the screen."""

    camera: _Name
    sequence: int


class Want(msgspec.Struct, frozen=True, tag_field="kind", tag="want"):
    """Which cameras this page shows; None for all."""

    cameras: Annotated[list[_Name], msgspec.Meta(max_length=32)] | None


FromScreen = Seen | Want

_Deflection = Annotated[float, msgspec.Meta(ge=-1, le=1)]
Twist = tuple[_Deflection, _Deflection, _Deflection, _Deflection, _Deflection, _Deflection]


class HandNow(msgspec.Struct, frozen=True):
    """What the hand at the browser does; `t_ms` is on the server's clock."""

    sequence: _Whole
    t_ms: float
    twist: Twist
    drive: bool
    held: Annotated[list[_Name], msgspec.Meta(max_length=16)] = msgspec.field(default_factory=list)


async def receive(socket: WebSocket, decoder: msgspec.json.Decoder[_T]) -> _T | None:
    """The next message of a page; None for one that is malformed, which the page is told.

    Raises:
        WebSocketDisconnect: the page has gone.
    """
    event = await socket.receive()
    if event["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(event.get("code", 1006))
    try:
        return unpack(decoder, event.get("text") or event.get("bytes") or b"")
    except Malformed as error:
        await socket.send_text(message("error", why=f"not understood: {error}"))
        return None


async def farewell(socket: WebSocket, code: int, why: str) -> None:
    """Close a page's socket with a word; it may have gone, or be in no state to be told."""
    with contextlib.suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
        await asyncio.wait_for(socket.close(code, why), _FAREWELL_S)


async def until_any(*works: Coroutine[None, None, None]) -> None:
    """Run all until one ends, then end the others. That a page leaves is no error."""
    tasks = [asyncio.ensure_future(each) for each in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception) and not isinstance(end, WebSocketDisconnect):
            raise end


def nanoseconds(t_ms: float) -> int | None:
    """A page's time on the server's clock [ns]; None for none."""
    return int(t_ms * 1e6) if math.isfinite(t_ms) and abs(t_ms) < 1e15 else None
