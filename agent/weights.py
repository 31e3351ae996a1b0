"""Weights on the wire: one frame, because ZMQ may only conflate single-frame messages.

    frame = u32 header length | msgpack header | safetensors

The header names who published what (boot id, version) and carries the SHA-256 of the tensors. A frame that is
damaged, foreign, of other shapes, or not finite is refused before anything is swapped.
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import msgspec
import torch
from safetensors.torch import load, save
from torch import Tensor

from handrail.robot_env.errors import HandrailError
from handrail.robot_env.unpacking import Malformed, unpack

PROTOCOL = 1
PASSED_FILE = "policy.weights"
"""In a run's `policy/`: the weights that reached the goal, as they came over the wire."""
LATEST_FILE = "latest.weights"
"""Beside it: the weights of the newest checkpoint."""
_LENGTH = struct.Struct("<I")


class WeightsError(HandrailError):
    """A set of weights that must not be used."""

    exit_code = 16


class WeightsHeader(msgspec.Struct, frozen=True):
    """What a set of weights says of itself."""

    protocol: int
    run_id: str
    schema_hash: str
    boot_id: str  # of the learner process that published it
    version: int  # counts up within a boot
    updates: int  # critic updates behind it
    online_steps: int  # environment steps behind it, demonstrations not counted
    sha256: str


_header = msgspec.msgpack.Decoder(WeightsHeader)


def encode_weights(tensors: dict[str, Tensor], **facts: str | int) -> bytes:
    """A frame of `tensors`; `facts` are the header's fields but `protocol` and `sha256`."""
    body = save({name: tensor.contiguous() for name, tensor in tensors.items()})
    header = WeightsHeader(protocol=PROTOCOL, sha256=hashlib.sha256(body).hexdigest(), **facts)  # type: ignore[arg-type]
    head = msgspec.msgpack.encode(header)
    return b"".join((_LENGTH.pack(len(head)), head, body))


def decode_weights(frame: bytes, *, run_id: str, schema_hash: str) -> tuple[WeightsHeader, dict[str, Tensor]]:
    """The header and the tensors of a frame.

    Raises:
        WeightsError: on a damaged or foreign frame, or a value that is not finite.
    """
    header, body = decode_header(frame)
    for name, ours in (("run_id", run_id), ("schema_hash", schema_hash)):
        theirs = getattr(header, name)
        if theirs != ours:
            raise WeightsError(
                f"weights of {name} {theirs!r} refused, this process has {ours!r}: restart the older side"
            )
    if hashlib.sha256(body).hexdigest() != header.sha256:
        raise WeightsError(
            f"weights version {header.version} refused: the SHA-256 of its tensors does not match"
        )
    tensors = load(body)
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise WeightsError(
                f"weights version {header.version} refused: {name} holds values that are not finite"
            )
    return header, tensors


def decode_header(frame: bytes) -> tuple[WeightsHeader, bytes]:
    """The header of a frame and its undecoded tensors."""
    try:
        (length,) = _LENGTH.unpack_from(frame)
        header = unpack(_header, frame[_LENGTH.size : _LENGTH.size + length])
    except (struct.error, Malformed) as error:
        raise WeightsError(f"a frame of {len(frame)} bytes is not a set of weights: {error}") from error
    if header.protocol != PROTOCOL:
        raise WeightsError(f"weights of protocol {header.protocol} refused, this process speaks {PROTOCOL}")
    return header, frame[_LENGTH.size + length :]


def keep_weights(path: Path, frame: bytes) -> None:
    """Keep a frame on disk; whoever looks finds the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    aside.write_bytes(frame)
    aside.rename(path)
