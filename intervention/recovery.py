"""What opening a log for writing does to it: the torn tail is cut, nothing else is touched.

A process killed in the middle of an append leaves, at worst, an incomplete frame at the end of the *last*
segment: earlier segments were left whole by rotation, and a writer never opens a segment twice. Damage in the
middle of a segment (a bit flip, a bad sector) is reported and left as it is: readers skip it, and evidence is
not destroyed.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from handrail.intervention.log_format import Damage, Scan
from handrail.intervention.log_reader import segment_paths


@dataclass(frozen=True)
class Recovery:
    """What was found when a log was opened for writing.

    Attributes:
        frames: Whole frames in the last segment.
        last_sequence: Sequence of the last whole frame of the log; 0 when it has none.
        torn_bytes: Bytes cut from the end of the last segment.
        damaged: Stretches of the last segment that hold no whole frame; they were left in place.
    """

    frames: int
    last_sequence: int
    torn_bytes: int
    damaged: tuple[Damage, ...]


def recover(directory: Path) -> Recovery:
    """Cut the torn tail of the last segment and make what remains durable.

    Frames that were appended but never committed before a crash become part of the log here, so they are
    synced before anybody is told of them. To be called by the log's only writer, under its lock.
    """
    segments = segment_paths(directory)
    if not segments:
        return Recovery(0, 0, 0, ())
    path = segments[-1]
    data = path.read_bytes()
    scan = Scan(data)
    sequences = [frame.sequence for frame in scan]
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        if scan.end < len(data):
            os.ftruncate(fd, scan.end)
        os.fsync(fd)
    finally:
        os.close(fd)
    last = max(sequences, default=0) or _last_sequence(segments[:-1])
    damaged = tuple(Damage(path.name, offset, length) for offset, length in scan.damaged)
    return Recovery(len(sequences), last, len(data) - scan.end, damaged)


def _last_sequence(segments: list[Path]) -> int:
    """Sequence of the last whole frame in the newest segment that has one."""
    for path in reversed(segments):
        if sequences := [frame.sequence for frame in Scan(path.read_bytes())]:
            return max(sequences)
    return 0
