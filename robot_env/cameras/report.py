"""What `handrail doctor` asks of a camera."""

from dataclasses import dataclass, fields


@dataclass
class StreamCounts:
    """What a stream has seen since it was made.

    Attributes:
        frames: Frames that arrived.
        drops: Frames that the device numbered and that never arrived.
        repeats: Frames identical to the one before.
        reopens: Times that the camera was lost and opened again.
    """

    frames: int = 0
    drops: int = 0
    repeats: int = 0
    reopens: int = 0

    def since(self, before: "StreamCounts") -> "StreamCounts":
        """What has been added to `before`."""
        return StreamCounts(*(getattr(self, f.name) - getattr(before, f.name) for f in fields(self)))


@dataclass(frozen=True)
class CameraReport:
    """How a camera did while it was watched.

    Attributes:
        name: What views call it.
        identity: Its serial number, device node or file.
        rate_hz: Frames a second.
        age_p50_ms: Age of the newest frame, at any moment: median [ms]; NaN without a frame.
        age_p99_ms: The same, 99th percentile [ms].
        counts: Frames, drops, repeats and reopenings meanwhile.
        warnings: What is not as it should be, though it works.
        fault: Why there was no usable frame at some moment; empty when there always was.
    """

    name: str
    identity: str
    rate_hz: float
    age_p50_ms: float
    age_p99_ms: float
    counts: StreamCounts
    warnings: tuple[str, ...] = ()
    fault: str = ""
