"""One camera's images as video files of many episodes each.

Every episode is encoded by itself, so that it begins with a key frame and its size is known before it is put
into a file; the packets are then copied behind those of the episodes before it. Frame k of a file is shown at
k / fps, exactly.
"""

import io
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from handrail.launch.export.lerobot_files import MEGABYTE, VIDEO_PATH, FileLimits, Place
from handrail.launch.export.video import Video, dataset_encoding, load_av, open_video


class VideoFiles:
    """Appends the episodes of one camera; a context manager, complete when it ends.

    Args:
        folder: the dataset's.
        key: the feature's name, such as "observation.images.wrist".
        rate: frames a second.
        shape: (height, width).
        limits: how large a file grows.

    Raises:
        MissingExtra: PyAV is not installed.
    """

    def __init__(
        self, folder: Path, key: str, rate: Fraction, shape: tuple[int, int], limits: FileLimits
    ) -> None:
        self._av = load_av()
        self._folder = folder
        self._key = key
        self._rate = rate
        self._shape = shape
        self._limits = limits
        self._place = Place()
        self._encoding = ExitStack()
        self._episode: tuple[io.BytesIO, Video] | None = None
        self._frames = 0  # of the running episode
        self._file = ExitStack()
        self._container: Any = None
        self._stream: Any = None
        self._file_bytes = 0
        self._file_frames = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._encoding.__exit__(kind, error, trace)
        self._close()

    def add(self, image: np.ndarray) -> None:
        """Append an image, (H, W, 3) uint8, to the running episode; the first one begins it."""
        if self._episode is None:
            buffer = io.BytesIO()
            opened = open_video(buffer, dataset_encoding(*self._shape), self._rate, *self._shape)
            self._episode = buffer, self._encoding.enter_context(opened)
        self._episode[1].add(image)
        self._frames += 1

    def end_episode(self) -> dict[str, int | float]:
        """Put the running episode into a file.

        Returns:
            Its columns of `meta/episodes`: in which file it is, from when to when [s].
        """
        assert self._episode is not None, "an episode has at least one image"
        buffer, _ = self._episode
        self._encoding.close()
        size = buffer.getbuffer().nbytes
        if self._file_frames and self._file_bytes + size >= self._limits.video_mb * MEGABYTE:
            self._close()
            self._place = self._place.next(self._limits.chunk_files)
        begin = self._file_frames
        self._copy(buffer)
        self._file_bytes += size
        self._file_frames += self._frames
        self._episode, self._frames = None, 0
        prefix = f"videos/{self._key}"
        return {
            **self._place.columns(prefix),
            f"{prefix}/from_timestamp": float(begin / self._rate),
            f"{prefix}/to_timestamp": float(self._file_frames / self._rate),
        }

    def _close(self) -> None:
        self._file.close()
        self._container = self._stream = None
        self._file_bytes = self._file_frames = 0

    def _copy(self, buffer: io.BytesIO) -> None:
        """Append the packets of a video to the file, which the first ones begin."""
        buffer.seek(0)
        with self._av.open(buffer, "r", format="mp4") as episode:
            source = episode.streams.video[0]
            if self._container is None:
                path = self._folder / self._place.path(VIDEO_PATH, video_key=self._key)
                path.parent.mkdir(parents=True, exist_ok=True)
                file = self._file.enter_context(path.open("wb"))
                self._container = self._file.enter_context(self._av.open(file, "w", format="mp4"))
                # Opaque: packets are copied, so that no encoder is needed of the decoder's name.
                self._stream = self._container.add_stream_from_template(source, opaque=True)
            shift = round(self._file_frames / self._rate / source.time_base)
            for packet in episode.demux(source):
                if packet.dts is None:  # the mark of the end
                    continue
                packet.pts += shift
                packet.dts += shift
                packet.stream = self._stream
                self._container.mux(packet)
