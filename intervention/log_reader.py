"""Reads the episode log while it is being written: it answers "what follows sequence N?".

A reader holds no position of its own that could be lost: the caller names the last sequence it has, and a
small memory of recent answers makes the usual question (the same one, a little later) cost one read at the
end of the last segment. So any number of readers, at any positions, share one `LogReader` or open their own,
in this process or another; they never disturb the writer.
"""

import math
import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from handrail.intervention.log_format import (
    LOG_SCHEMA,
    Damage,
    FrameRecord,
    LogError,
    Record,
    Scan,
    SchemaError,
    SegmentHeader,
    StepRecord,
    decode_record,
    image_from,
    transition_from,
)
from handrail.intervention.transition import Transition

_SEGMENT_NAME = re.compile(r"\d{8}\.seg")  # a copy that somebody made beside it is none of the log's
_CHUNK_BYTES = 1 << 18
_CURSORS = 32


def segment_paths(directory: Path) -> list[Path]:
    """Return the log's segments, oldest first."""
    return sorted(path for path in directory.glob("*.seg") if _SEGMENT_NAME.fullmatch(path.name))


@dataclass(slots=True)
class _Segment:
    """A segment file and the sequence of its first whole frame (None while it has none)."""

    path: Path
    first: int | None = None


@dataclass(slots=True)
class _Want:
    """What a read is still looking for: frames after `last`, none beyond `upto`, as far as there is room."""

    last: int
    limit: int
    upto: int | None
    room_bytes: float

    def is_satisfied(self, sequence: int, found: int) -> bool:
        full = found >= self.limit or self.room_bytes <= 0
        return full or (self.upto is not None and sequence > self.upto)


class LogReader:
    """Reads the segments of one directory; for one thread.

    Args:
        directory: Where the segments are; it may still be empty.
        schema_hash: The observation and action layout the caller can read; None accepts any.

    Attributes:
        damaged: Stretches met so far that hold no whole frame although the log goes on behind them.

    Raises:
        SchemaError: from any read that meets a segment of another log schema or another layout.
    """

    def __init__(self, directory: Path, schema_hash: str | None = None) -> None:
        self._directory = directory
        self._schema_hash = schema_hash
        self._segments: list[_Segment] = []
        self._cursors: OrderedDict[int, tuple[int, int]] = OrderedDict()
        self.damaged: list[Damage] = []

    def read(
        self, after: int, limit: int = 1000, upto: int | None = None, limit_bytes: float = math.inf
    ) -> list[tuple[int, bytes]]:
        """Return the frames that follow sequence `after`: (sequence, payload), in order.

        Args:
            after: The last sequence the caller has; 0 for none.
            limit: At most so many frames.
            upto: No frame beyond this sequence; a reader that must not see what a crash could take back
                passes the writer's `committed`.
            limit_bytes: No further frame once their payloads have reached it.
        """
        found: list[tuple[int, bytes]] = []
        want = _Want(after, limit, upto, limit_bytes)
        index, offset = self._locate(after)
        while index < len(self._segments):
            # Before reading: a segment with a successor is complete, whatever is appended meanwhile.
            if index + 1 == len(self._segments):
                self._discover()
            complete = index + 1 < len(self._segments)
            offset, satisfied = self._collect(index, offset, want, found)
            if satisfied or not complete:
                break
            self._report_tail(self._segments[index].path, offset)
            index, offset = index + 1, 0
        if self._segments:  # in an empty log there is no place to remember: it may yet begin
            self._remember(want.last, (index, offset))
        return found

    def frames(self, after: int = 0, upto: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield every frame that follows `after`: (sequence, payload), in order."""
        while batch := self.read(after, upto=upto):
            yield from batch
            after = batch[-1][0]

    def records(self, after: int = 0, upto: int | None = None) -> Iterator[tuple[int, Record]]:
        """Yield every record that follows `after`, decoded, with its sequence."""
        for sequence, payload in self.frames(after, upto):
            yield sequence, decode_record(payload)

    def header(self) -> SegmentHeader | None:
        """Return the newest readable segment header, or None in an empty log."""
        self._discover()
        for segment in reversed(self._segments):
            frame = _first_frame(segment.path)
            if frame is not None and isinstance(header := decode_record(frame[1]), SegmentHeader):
                self._check(segment.path, header)
                return header
        return None

    def _discover(self) -> None:
        """Take note of segments created since the last look."""
        known = len(self._segments)
        self._segments += [_Segment(path) for path in segment_paths(self._directory)[known:]]

    def _locate(self, after: int) -> tuple[int, int]:
        """(segment index, offset) from which to look for what follows `after`."""
        if (cursor := self._cursors.get(after)) is not None:
            return cursor
        self._discover()
        for index in reversed(range(len(self._segments))):
            first = self._opened(self._segments[index])
            if first is not None and first <= after + 1:
                return index, 0
        return 0, 0

    def _remember(self, last: int, place: tuple[int, int]) -> None:
        self._cursors[last] = place
        self._cursors.move_to_end(last)
        if len(self._cursors) > _CURSORS:
            self._cursors.popitem(last=False)

    def _opened(self, segment: _Segment) -> int | None:
        """Sequence of the first whole frame; the header is checked the first time it is readable."""
        if segment.first is None and (frame := _first_frame(segment.path)) is not None:
            record = decode_record(frame[1])
            if isinstance(record, SegmentHeader):
                self._check(segment.path, record)
            segment.first = frame[0]
        return segment.first

    def _check(self, path: Path, header: SegmentHeader) -> None:
        if header.schema != LOG_SCHEMA:
            raise SchemaError(
                f"Segment {path} has log schema {header.schema}, this version reads {LOG_SCHEMA}; "
                "use the version that recorded the run."
            )
        if self._schema_hash is not None and header.schema_hash != self._schema_hash:
            raise SchemaError(
                f"Segment {path} was recorded for layout {header.schema_hash}, this program uses "
                f"{self._schema_hash}; start a new run or restore the run's own configuration."
            )

    def _collect(
        self, index: int, offset: int, want: _Want, found: list[tuple[int, bytes]]
    ) -> tuple[int, bool]:
        """Append a segment's frames from `offset` on to `found`.

        Returns:
            (offset behind the last frame that was looked at, whether `want` is satisfied).
        """
        segment = self._segments[index]
        self._opened(segment)
        chunk_bytes = _CHUNK_BYTES
        with segment.path.open("rb", buffering=0) as file:
            while True:
                file.seek(offset)
                data = file.read(chunk_bytes)
                final = len(data) < chunk_bytes
                scan = Scan(data, final=final)
                satisfied, looked_at = False, 0
                for frame in scan:
                    if satisfied := want.is_satisfied(frame.sequence, len(found)):
                        break
                    looked_at = scan.end
                    if frame.sequence > want.last:
                        found.append((frame.sequence, frame.payload))
                        want.last = frame.sequence
                        want.room_bytes -= len(frame.payload)
                self._report(segment.path, offset, [d for d in scan.damaged if sum(d) <= looked_at])
                offset += looked_at
                if satisfied or final:
                    return offset, satisfied
                # A frame larger than the chunk: look again with more of it.
                chunk_bytes = _CHUNK_BYTES if looked_at else chunk_bytes * 4

    def _report_tail(self, path: Path, offset: int) -> None:
        """A complete segment should end with a whole frame."""
        if (left := path.stat().st_size - offset) > 0:
            self._report(path, offset, [(0, left)])

    def _report(self, path: Path, base: int, stretches: list[tuple[int, int]]) -> None:
        for offset, length in stretches:
            damage = Damage(path.name, base + offset, length)
            if damage not in self.damaged:
                self.damaged.append(damage)


def _first_frame(path: Path) -> tuple[int, bytes] | None:
    """(sequence, payload) of a segment's first whole frame, or None while it has none."""
    with path.open("rb", buffering=0) as file:
        frame = next(iter(Scan(file.read(_CHUNK_BYTES))), None)
        if frame is None:
            file.seek(0)
            frame = next(iter(Scan(file.readall())), None)
    return None if frame is None else (frame.sequence, frame.payload)


class TransitionAssembler:
    """Turns records, in the log's order, into transitions with their images.

    It keeps the images that the next step may refer to: those of the latest step of the running episode.
    Keep one assembler for as long as the position moves on; a reader of images starts at an `EpisodeStart`.
    """

    def __init__(self) -> None:
        self._images: dict[int, np.ndarray] = {}

    def feed(self, record: Record) -> Transition | None:
        """Return the transition a record completes; None for every record that is not a step.

        Raises:
            LogError: the step refers to an image that came before the first record fed.
        """
        if isinstance(record, FrameRecord):
            self._images[record.frame_id] = image_from(record)
        if not isinstance(record, StepRecord):
            return None
        images = self._resolve(record, record.frames)
        next_images = self._resolve(record, record.next_frames)
        self._images = {record.next_frames[camera]: image for camera, image in next_images.items()}
        return transition_from(record, images, next_images)

    def _resolve(self, record: StepRecord, frames: dict[str, int]) -> dict[str, np.ndarray]:
        try:
            return {camera: self._images[frame] for camera, frame in frames.items()}
        except KeyError as error:
            raise LogError(
                f"Step {record.step} of episode {record.episode} refers to image {error}, which lies before "
                "the reading position or in a damaged stretch; read from the episode's start."
            ) from None


def iter_transitions(
    reader: LogReader, after: int = 0, upto: int | None = None
) -> Iterator[tuple[int, Transition]]:
    """Yield (sequence, transition) for every step that follows `after`."""
    assembler = TransitionAssembler()
    for sequence, record in reader.records(after, upto):
        if (transition := assembler.feed(record)) is not None:
            yield sequence, transition
