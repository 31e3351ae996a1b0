"""The actor's feature maps on their way to the learner: what one process has computed the other need not.

Lossy by design: the actor never waits, and a map that is lost or late is computed again by the learner. The
log stays the only truth; nothing here is stored.

    message = msgpack MapHeader | the map's bytes, float16, (C, S)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import numpy as np
import zmq
from torch import Tensor

from handrail.robot_env.unpacking import unpack

_MOST_WAITING = 256
MAX_MAP_BYTES = 8 << 20


class MapHeader(msgspec.Struct, frozen=True, array_like=True):
    """Whose features these are, of which image, and with which trunk."""

    frame_id: int
    key: str
    shape: tuple[int, int]


_header = msgspec.msgpack.Decoder(MapHeader)


def features_address(socket_dir: Path) -> str:
    """Where the learner takes feature maps."""
    return f"ipc://{socket_dir}/features"


class FeatureSender:
    """The actor's side. One thread may use it."""

    def __init__(self, address: str) -> None:
        self._socket = zmq.Context.instance().socket(zmq.PUSH)
        self._socket.setsockopt(zmq.SNDHWM, _MOST_WAITING)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.connect(address)

    def send(self, key: str, maps: Mapping[int, Tensor]) -> None:
        """Offer maps (C, S) float16 by the log's frame id; what does not fit in the queue is dropped."""
        for frame_id, features in maps.items():
            header = MapHeader(frame_id, key, (features.shape[0], features.shape[1]))
            try:
                parts = [msgspec.msgpack.encode(header), features.numpy().tobytes()]
                self._socket.send_multipart(parts, flags=zmq.NOBLOCK)
            except zmq.Again:
                return

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class FeatureReceiver:
    """The learner's side. One thread may use it.

    Args:
        address: To bind.
        key: Of the learner's trunk; maps of another are dropped.
        shape: (C, S) of a map; others are dropped.

    Attributes:
        rejected: Messages that were dropped.
    """

    def __init__(self, address: str, key: str, shape: tuple[int, int]) -> None:
        self.rejected = 0
        self._key, self._shape = key, shape
        self._socket = zmq.Context.instance().socket(zmq.PULL)
        self._socket.setsockopt(zmq.RCVHWM, _MOST_WAITING)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_MAP_BYTES)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(address)

    def arrived(self) -> Iterator[tuple[int, np.ndarray]]:
        """Each map that has arrived: the frame's id, and (C, S) float16."""
        for _ in range(_MOST_WAITING):
            try:
                parts = self._socket.recv_multipart(flags=zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                head, body = parts
                header = unpack(_header, head)
                features = np.frombuffer(body, np.float16).reshape(header.shape)
            except ValueError:  # no two parts, no header, or no map of its shape
                self.rejected += 1
                continue
            if (header.key, tuple(header.shape)) == (self._key, self._shape):
                yield header.frame_id, features
            else:
                self.rejected += 1

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
