"""The episode log's bytes: frames on disk and on the wire, and the records inside them.

A segment is a run of frames and nothing else:

    magic (4) | length u32 | sequence u64 | crc32 u32 | payload (length bytes)        little-endian

The CRC covers length, sequence and payload, so a frame is either whole or not a frame. The magic exists for
resynchronisation only: after damage, `scan` looks for the next place where a whole frame stands and goes on
from there. The sequence grows by one a frame over all segments and restarts of a run; readers ask "what
follows N?".

Payloads are msgpack arrays (`msgspec.Struct`, tagged). A newer writer may append fields to a record: an older
reader ignores them. Nothing is ever removed or reordered without raising `LOG_SCHEMA`.

Errors (all under `HandrailError`):
    LogError            the log cannot be written or read as asked
    └── SchemaError     the log was written by another schema, or for other specs
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec
import numpy as np

from handrail.intervention.transition import Source, Transition
from handrail.robot_env.errors import HandrailError
from handrail.robot_env.unpacking import Malformed, unpack

LOG_SCHEMA = 1
MAGIC = b"\xf5HR\x01"
HEADER = struct.Struct("<4sIQI")
_COVERED = struct.Struct("<IQ")
MAX_PAYLOAD = 16 << 20  # a frame that claims more is damage, not a frame


class LogError(HandrailError):
    """The episode log cannot be written or read as asked."""

    exit_code = 10


class SchemaError(LogError):
    """The log was written by another schema or for other observation and action specs."""


class SegmentHeader(msgspec.Struct, frozen=True, array_like=True, tag="segment"):
    """First frame of every segment: what the rest was written for."""

    schema: int
    run_id: str
    schema_hash: str
    state_size: int
    action_size: int
    created_wall_ns: int


class EpisodeStart(msgspec.Struct, frozen=True, array_like=True, tag="start"):
    """An episode began: the reset had succeeded. `purpose` is "train", "demo", "classify" or "evaluate".

    In a "classify" episode a step's reward says whether it led to a success as the operator showed it.
    """

    episode: int
    seed: tuple[int, ...]
    purpose: str
    t_ns: int
    wall_ns: int
    weights_version: int


class StepRecord(msgspec.Struct, frozen=True, array_like=True, tag="step"):
    """A `Transition`; arrays as raw little-endian float32, images as ids of `FrameRecord`s."""

    episode: int
    step: int
    observation: bytes
    action: bytes
    policy_action: bytes
    reward: float
    terminated: bool
    truncated: bool
    next_observation: bytes
    source: int
    t_ns: int
    wall_ns: int
    weights_version: int
    gate_flags: int
    score: float | None
    latency_ms: float
    log_prob: float | None
    frames: dict[str, int] = {}
    next_frames: dict[str, int] = {}
    classifier: str = ""
    seated: bool | None = None
    value: float | None = None


class FrameRecord(msgspec.Struct, frozen=True, array_like=True, tag="frame"):
    """One camera image, stored once and losslessly, before the first step that refers to it."""

    frame_id: int
    camera: str
    t_ns: int
    shape: tuple[int, int, int]
    pixels: bytes


class EpisodeEnd(msgspec.Struct, frozen=True, array_like=True, tag="end"):
    """An episode was closed. Readers cut n-step returns here, whatever the last step says.

    `unaided` is true when no step was human; `truncated_by` is None, "time_limit", "force", "operator",
    "stopped" (somebody else held the arm), "watchdog", "overrun", "abandoned" (by the operator, without a
    verdict, or paused for too long) or "stop" (the caller). `seated` is
    whether the task was truly done at the last look, whoever said what; None where nobody can know.
    `operator` is who was at the arm's device when it ended; "" in logs that do not say.
    """

    episode: int
    steps: int
    success: bool
    truncated_by: str | None
    unaided: bool
    human_steps: int
    takeovers: int
    peak_force_n: float
    wall_ns: int
    seated: bool | None = None
    operator: str = ""


LABELLING = ("label", "undo")
"""Events after which an episode is taken for what they call `new`."""
HALTS = ("stopped", "paused", "resumed")
"""Events that say who held the policy, and not what an episode was."""
NO_RESULT = ("stop", "abandoned")
"""What cuts an episode from outside: it is neither a success nor a failure of the policy's."""


class Event(msgspec.Struct, frozen=True, array_like=True, tag="event"):
    """Something said *about* an episode: who, when, what it was, what it is, why.

    Kinds: "label" (old and new are labels, `step` the one at which a success was, where that is not the
        last), "undo" (the newest label is taken back: old was that, new and step are those of the one that
        stands again, None without any), "comment" (the text is `why`), "aborted" (the episode has no end),
        and those of `HALTS` (said at a console while it was the running or the last episode; -1 before any).
    """

    kind: str
    episode: int
    who: str
    wall_ns: int
    old: str | None
    new: str | None
    why: str
    step: int | None = None


Record = SegmentHeader | EpisodeStart | StepRecord | FrameRecord | EpisodeEnd | Event

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)
_IMAGE_TAG = b"\xa5frame"  # behind the array's head, as msgpack writes a short text


class ScannedFrame(NamedTuple):
    """A whole frame: its sequence number, the offset of its first byte, its payload."""

    sequence: int
    offset: int
    payload: bytes


class Damage(NamedTuple):
    """Bytes of a segment that hold no whole frame, although whole frames follow."""

    segment: str
    offset: int
    length: int


def encode_frame(sequence: int, payload: bytes) -> bytes:
    """Return the bytes of one frame.

    Raises:
        LogError: the payload is larger than a frame may be.
    """
    if len(payload) > MAX_PAYLOAD:
        raise LogError(
            f"Log record of {len(payload)} bytes, limit {MAX_PAYLOAD}; store smaller camera images."
        )
    crc = zlib.crc32(payload, zlib.crc32(_COVERED.pack(len(payload), sequence)))
    return HEADER.pack(MAGIC, len(payload), sequence, crc) + payload


def encode_record(record: Record) -> bytes:
    """Return a record's payload."""
    return _encoder.encode(record)


def decode_record(payload: bytes) -> Record:
    """Return the record in a payload.

    Raises:
        SchemaError: the payload is no record of this schema.
    """
    try:
        return unpack(_decoder, payload)
    except Malformed as error:
        raise SchemaError(
            f"Log record is not of schema {LOG_SCHEMA}: {error}; use the version that wrote it."
        ) from error


def holds_image(payload: bytes) -> bool:
    """Whether a payload is a `FrameRecord`, without decoding it: images are most of a log."""
    return payload[1:7] == _IMAGE_TAG


class Scan:
    """Finds the whole frames of a buffer.

    Args:
        data: Bytes of a segment, beginning where a frame should begin.
        final: Whether nothing follows `data` in the segment. If more may follow, the scan stops before an
            incomplete frame instead of searching inside it.

    Attributes:
        end: Offset behind the last whole frame (or behind the damage before it); what follows is a tail that
            may yet become whole. Valid at any point of the iteration.
        damaged: (offset, length) of every stretch that was skipped to reach a whole frame.
    """

    def __init__(self, data: bytes, *, final: bool = True) -> None:
        self._data = data
        self._final = final
        self.end = 0
        self.damaged: list[tuple[int, int]] = []

    def __iter__(self) -> Iterator[ScannedFrame]:
        offset = 0
        while (found := self._next(offset)) is not None:
            if found.offset > self.end:
                self.damaged.append((self.end, found.offset - self.end))
            offset = self.end = found.offset + HEADER.size + len(found.payload)
            yield found

    def _next(self, offset: int) -> ScannedFrame | None:
        """The first whole frame at or after `offset`, or None."""
        while True:
            frame, incomplete = self._at(offset)
            if frame is not None or (incomplete and not self._final):
                return frame
            offset = self._data.find(MAGIC, offset + 1)
            if offset < 0:
                return None

    def _at(self, offset: int) -> tuple[ScannedFrame | None, bool]:
        """(the frame at `offset` or None, whether more bytes could make it whole)."""
        available = len(self._data) - offset
        if available < HEADER.size:
            return None, True
        magic, length, sequence, crc = HEADER.unpack_from(self._data, offset)
        if magic != MAGIC or length > MAX_PAYLOAD:
            return None, False
        if available < HEADER.size + length:
            return None, True
        start = offset + HEADER.size
        payload = self._data[start : start + length]
        if crc != zlib.crc32(payload, zlib.crc32(_COVERED.pack(length, sequence))):
            return None, False
        return ScannedFrame(sequence, offset, payload), False


def scan(data: bytes) -> Iterator[ScannedFrame]:
    """Yields every whole frame of a complete segment, skipping damage."""
    return iter(Scan(data))


def frame_id(episode: int, index: int, camera: int) -> int:
    """Return the id of a camera image: unique in a run without any counter to restore after a restart.

    Args:
        episode: The episode's number.
        index: 0 for the image of the reset, n for the image after n steps (below 2^24).
        camera: The camera's position in the environment's list (below 2^8).
    """
    return (episode << 32) | (index << 8) | camera


def moment_of(frame_id: int) -> tuple[int, int]:
    """Return (moment, camera) of a camera image's id: the images of one moment differ in the camera alone."""
    return frame_id >> 8, frame_id & 0xFF


def step_record(
    transition: Transition,
    frames: Mapping[str, int] | None = None,
    next_frames: Mapping[str, int] | None = None,
) -> StepRecord:
    """Return the record of a transition; the images travel apart, under the given ids."""
    t = transition
    return StepRecord(
        episode=t.episode,
        step=t.step,
        observation=_float32(t.observation),
        action=_float32(t.action),
        policy_action=_float32(t.policy_action),
        reward=t.reward,
        terminated=t.terminated,
        truncated=t.truncated,
        next_observation=_float32(t.next_observation),
        source=int(t.source),
        t_ns=t.t_ns,
        wall_ns=t.wall_ns,
        weights_version=t.weights_version,
        gate_flags=t.gate_flags,
        score=t.score,
        latency_ms=t.latency_ms,
        log_prob=t.log_prob,
        frames=dict(frames or {}),
        next_frames=dict(next_frames or {}),
        classifier=t.classifier,
        seated=t.seated,
        value=t.value,
    )


def transition_from(
    record: StepRecord,
    images: Mapping[str, np.ndarray] | None = None,
    next_images: Mapping[str, np.ndarray] | None = None,
) -> Transition:
    """Return a record's transition, bit for bit; its arrays are read-only views of the record's bytes."""
    r = record
    return Transition(
        episode=r.episode,
        step=r.step,
        observation=np.frombuffer(r.observation, "<f4"),
        action=np.frombuffer(r.action, "<f4"),
        policy_action=np.frombuffer(r.policy_action, "<f4"),
        reward=r.reward,
        terminated=r.terminated,
        truncated=r.truncated,
        next_observation=np.frombuffer(r.next_observation, "<f4"),
        source=Source(r.source),
        t_ns=r.t_ns,
        wall_ns=r.wall_ns,
        weights_version=r.weights_version,
        gate_flags=r.gate_flags,
        score=r.score,
        latency_ms=r.latency_ms,
        log_prob=r.log_prob,
        images=images or {},
        next_images=next_images or {},
        classifier=r.classifier,
        seated=r.seated,
        value=r.value,
    )


def image_from(record: FrameRecord) -> np.ndarray:
    """Return a stored image, (H, W, 3) uint8, read-only."""
    return np.frombuffer(record.pixels, np.uint8).reshape(record.shape)


def _float32(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array, dtype="<f4").tobytes()
