"""`/ws/video`: pictures, encoded once for everybody, the newest first and no more than a page can show.

A page says which picture it has on its screen. Two may be under way to it per camera; while they are, the
newest takes the place of whichever waits. So a slow page sees fewer pictures, not older ones, and nobody
waits for it.
"""

import asyncio
import io
import struct
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import msgspec
from PIL import Image
from starlette.websockets import WebSocket

from handrail.intervention.console.messages import FrameHead
from handrail.launch.console import wire
from handrail.launch.console.site import Site

IN_FLIGHT = 2
"""Pictures of one camera that may be under way to one page."""
_QUALITY = 80
_THREADS = 2


class Screen:
    """One page's view of the cameras."""

    def __init__(self) -> None:
        self.wanted: frozenset[str] | None = None
        self._under_way: defaultdict[str, list[int]] = defaultdict(list)
        self._waiting: dict[str, tuple[int, bytes]] = {}
        self._news = asyncio.Event()

    def wants(self, camera: str) -> bool:
        """Whether it shows this camera."""
        return self.wanted is None or camera in self.wanted

    def offer(self, camera: str, sequence: int, picture: bytes) -> None:
        """A new picture, which takes the place of one that waits."""
        self._waiting[camera] = sequence, picture
        self._news.set()

    def saw(self, camera: str, sequence: int) -> None:
        """A picture is on its screen, and with it all before it have arrived."""
        sent = self._under_way.get(camera, [])
        if sequence in sent:
            del sent[: sent.index(sequence) + 1]
            self._news.set()

    async def next(self) -> list[bytes]:
        """The pictures to send now; waits for the first."""
        while not (ready := [camera for camera in self._waiting if self._has_room(camera)]):
            self._news.clear()
            await self._news.wait()
        pictures = []
        for camera in ready:
            sequence, picture = self._waiting.pop(camera)
            self._under_way[camera].append(sequence)
            pictures.append(picture)
        return pictures

    def _has_room(self, camera: str) -> bool:
        return self.wants(camera) and len(self._under_way[camera]) < IN_FLIGHT


class Video:
    """Encodes what somebody wants to see, off the event loop, and hands it out.

    Attributes:
        screens: the pages that look on.
    """

    def __init__(self) -> None:
        self.screens: set[Screen] = set()
        self._newest: dict[str, tuple[FrameHead, bytes]] = {}
        self._encoding: dict[str, asyncio.Task[None]] = {}
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="jpeg")

    @property
    def busy(self) -> bool:
        """Whether something is being encoded."""
        return bool(self._encoding)

    def take(self, head: FrameHead, pixels: bytes) -> None:
        """A new picture from the control loop; replaces one that has not been encoded yet."""
        if any(screen.wants(head.camera) for screen in self.screens):
            self._newest[head.camera] = head, pixels
            if head.camera not in self._encoding:
                self._encoding[head.camera] = asyncio.create_task(self._encode(head.camera))

    async def _encode(self, camera: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            while (newest := self._newest.pop(camera, None)) is not None:
                picture = await loop.run_in_executor(self._threads, encode, *newest)
                for screen in self.screens:
                    if screen.wants(camera):
                        screen.offer(camera, newest[0].sequence, picture)
        finally:
            del self._encoding[camera]

    async def serve(self, site: Site, socket: WebSocket) -> None:
        """One page's screen, until it leaves."""
        screen = Screen()
        await socket.accept()
        self.screens.add(screen)
        try:
            with site.lease.present(site.who(socket)):
                await wire.until_any(_send(socket, screen), _receive(socket, screen))
        finally:
            self.screens.discard(screen)

    def close(self) -> None:
        """Encode no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def encode(head: FrameHead, pixels: bytes) -> bytes:
    """A picture as it travels: length of the head (u32, little-endian), head (JSON), JPEG."""
    height, width, _ = head.shape
    about = msgspec.json.encode(
        {
            "camera": head.camera,
            "sequence": head.sequence,
            "t_ms": head.t_ns / 1e6,
            "width": width,
            "height": height,
        }
    )
    jpeg = io.BytesIO()
    Image.frombuffer("RGB", (width, height), pixels).save(jpeg, "JPEG", quality=_QUALITY)
    return b"".join((struct.pack("<I", len(about)), about, jpeg.getbuffer()))


async def _send(socket: WebSocket, screen: Screen) -> None:
    while True:
        for picture in await screen.next():
            await socket.send_bytes(picture)


async def _receive(socket: WebSocket, screen: Screen) -> None:
    decoder = msgspec.json.Decoder(wire.FromScreen)
    while True:
        match await wire.receive(socket, decoder):
            case wire.Seen(camera, sequence):
                screen.saw(camera, sequence)
            case wire.Want(cameras):
                screen.wanted = None if cameras is None else frozenset(cameras)
