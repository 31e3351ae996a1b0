"""Encodes pictures, with PyAV (the extra `handrail[export]`)."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np

from handrail.robot_env.errors import MissingExtra

_QUIET_AV1 = {"SVT_LOG": "0"}  # SVT-AV1 tells stderr about itself otherwise; what fails is raised here


@dataclass(frozen=True)
class Encoding:
    """How pictures are encoded.

    Attributes:
        encoder: FFmpeg's name of it.
        pixels: the pixel format.
        options: the encoder's own.
    """

    encoder: str
    pixels: str
    options: Mapping[str, str]


def load_av() -> Any:
    """Import PyAV.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtra("export") from error
    return av


def film_encoding() -> Encoding:
    """For a film that every player plays: H.264."""
    return Encoding("libx264", "yuv420p", {"crf": "23", "preset": "superfast"})


def dataset_encoding(height: int, width: int) -> Encoding:
    """For a dataset's images, as LeRobot encodes them: AV1, every second frame on its own, for fast seeking.

    Where PyAV was built without SVT-AV1 it is H.264, which halves colours only along even sides.
    """
    options = {"g": "2", "crf": "30"}
    if "libsvtav1" in load_av().codecs_available:
        return Encoding("libsvtav1", "yuv420p", options)
    halved = height % 2 == 0 and width % 2 == 0
    return Encoding("libx264", "yuv420p" if halved else "yuv444p", {**options, "bf": "0"})


class Video:
    """An MP4 file that pictures are added to; made by `open_video`."""

    def __init__(self, av: Any, container: Any, stream: Any) -> None:
        self._av = av
        self._container = container
        self._stream = stream

    def add(self, picture: np.ndarray) -> None:
        """Append a picture, (H, W, 3) uint8."""
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def flush(self) -> None:
        """Write what the encoder still holds."""
        self._container.mux(self._stream.encode(None))


@contextmanager
def open_video(
    file: IO[bytes], encoding: Encoding, rate: Fraction, height: int, width: int
) -> Iterator[Video]:
    """Open an MP4 file for pictures of one size; complete when the block ends well.

    Args:
        file: where it goes; must be seekable.
        encoding: how.
        rate: pictures a second.
        height: of the pictures [pixels].
        width: of the pictures [pixels].

    Raises:
        MissingExtra: PyAV is not installed.
        OSError: the disk refused.
    """
    av = load_av()
    with _environment(_QUIET_AV1), av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(encoding.encoder, rate=rate, options=dict(encoding.options))
        stream.height, stream.width, stream.pix_fmt = height, width, encoding.pixels
        with _scheduling_kept():
            container.start_encoding()
        video = Video(av, container, stream)
        yield video
        video.flush()


@contextmanager
def _scheduling_kept() -> Iterator[None]:
    """Undo that an encoder gives itself, and whoever opens it, the highest real-time priority.

    SVT-AV1 does so for root; beside a control loop that would be the end of its punctuality.
    """
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    before = _threads()
    yield
    for thread in (0, *(_threads() - before)):
        with suppress(ProcessLookupError):
            os.sched_setscheduler(thread, policy, parameters)


def _threads() -> set[int]:
    """This process's threads, by the kernel's numbers."""
    return {int(task.name) for task in Path("/proc/self/task").iterdir()}


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables that a C library reads, where they are not set already."""
    absent = [name for name in variables if name not in os.environ]
    os.environ.update({name: variables[name] for name in absent})
    try:
        yield
    finally:
        for name in absent:
            os.environ.pop(name, None)
