"""The feed: what a control loop shows of itself, and the console's end of it."""

import threading
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import zmq

from handrail.intervention.console.messages import FrameHead, Live
from handrail.robot_env.unpacking import Malformed, unpack

_LIVE, _FRAME = b"live", b"frame"
_QUEUE = 100  # messages a slow subscriber may be behind; beyond, it loses them

_LAST_MS = 200  # for so long the last word may be on its way when the socket closes


class Feed:
    """The sending end; any thread of the control loop's process may call it. Nothing here waits.

    Args:
        address: to bind.
    """

    def __init__(self, address: str) -> None:
        self._socket = zmq.Context.instance().socket(zmq.PUB)
        self._socket.setsockopt(zmq.SNDHWM, _QUEUE)
        self._socket.setsockopt(zmq.LINGER, _LAST_MS)
        self._socket.bind(address)
        self._lock = threading.Lock()
        self._encoder = msgspec.msgpack.Encoder()

    def send(self, news: Live) -> None:
        """Show what is new."""
        self._send(_LIVE, self._encoder.encode(news))

    def show(self, head: FrameHead, image: np.ndarray) -> None:
        """Show a picture, (H, W, 3) uint8 RGB."""
        self._send(_FRAME, self._encoder.encode(head), np.ascontiguousarray(image).data)

    def _send(self, *parts: bytes | memoryview) -> None:
        with self._lock:
            if not self._socket.closed:
                self._socket.send_multipart(parts, flags=zmq.NOBLOCK)

    def close(self) -> None:
        """Close the socket; harmless when closed already."""
        with self._lock:
            self._socket.close()


class FeedReader:
    """The receiving end; for one thread, or as an asyncio socket through `socket`.

    Args:
        address: of the feed; it need not be there yet.
        context: a `zmq.Context`, or a `zmq.asyncio.Context`: then await `socket.recv_multipart()` and give
            the parts to `decode`.
        topics: what to hear of: "live", "frame" or both. Who wants both, and must not lose news to pictures,
            opens two readers: each has a queue of its own.
    """

    def __init__(
        self, address: str, context: zmq.Context | None = None, topics: Sequence[str] = ("live", "frame")
    ) -> None:
        self.socket = (context or zmq.Context.instance()).socket(zmq.SUB)
        self.socket.setsockopt(zmq.RCVHWM, _QUEUE)
        self.socket.setsockopt(zmq.LINGER, 0)
        for topic in topics:
            self.socket.setsockopt(zmq.SUBSCRIBE, topic.encode())
        self.socket.connect(address)
        self.malformed = 0
        self._live = msgspec.msgpack.Decoder(Live)
        self._head = msgspec.msgpack.Decoder(FrameHead)

    def decode(self, parts: list[bytes]) -> Live | tuple[FrameHead, bytes] | None:
        """One message: news, or a picture with its pixels; None, and counted, for what is neither."""
        try:
            match parts:
                case [topic, body] if topic == _LIVE:
                    return unpack(self._live, body)
                case [topic, body, pixels] if topic == _FRAME:
                    head = unpack(self._head, body)
                    height, width, channels = head.shape
                    if len(pixels) == height * width * channels and channels == 3:
                        return head, pixels
        except Malformed:
            pass
        self.malformed += 1
        return None

    def poll(self, timeout_s: float) -> Iterator[Live | tuple[FrameHead, bytes]]:
        """Everything that is there; waits up to `timeout_s` for the first."""
        wait_ms = int(timeout_s * 1000)
        while self.socket.poll(wait_ms):
            wait_ms = 0
            if (message := self.decode(self.socket.recv_multipart())) is not None:
                yield message

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()
