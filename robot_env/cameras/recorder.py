"""Everything a camera sees, written to disk beside the run, and never in its way.

A stream hands frames over and goes on at once; a thread encodes and writes them. When the disk or the
processor cannot keep up, frames are left out and counted. When the disk is nearly full, recording ends and
says so: the robot needs the space for its log.

The video is MPEG-4 in a Matroska file, which can be read up to its last second even when the process was
killed. Beside it, a CSV file has one line a frame: its place in the video and its stamps.
"""

import contextlib
import logging
import queue
import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from handrail.robot_env.cameras.camera import Frame
from handrail.robot_env.cameras.config import CameraDeviceConfig
from handrail.robot_env.cameras.driver import DeviceFrame
from handrail.robot_env.cameras.opencv import load_cv2

COLUMNS = "index,sequence,number,t_ns,device_ns,device_clock\n"
RESERVE_BYTES = 500_000_000
"""Free space below which nothing is recorded: what the episode log may still need."""
CHECK_EVERY = 30
"""Frames between two looks at the disk."""

log = logging.getLogger(__name__)


def free_bytes(folder: Path) -> int:
    """Free space where `folder` is [bytes]."""
    return shutil.disk_usage(folder).free


class Recorder:
    """Writes one camera's frames to `<name>-<time>.mkv` and `.csv`.

    Args:
        config: The camera; its `record` is the folder.
        waiting: Frames that may wait to be written; further ones are dropped.
        free: Free space in a folder [bytes].

    Attributes:
        written: Frames in the video.
        dropped: Frames left out because writing did not keep up.
        fault: Why recording ended early; empty while it is well.
    """

    def __init__(
        self, config: CameraDeviceConfig, waiting: int = 30, free: Callable[[Path], int] = free_bytes
    ) -> None:
        self._cv2 = load_cv2()
        self._config = config
        self._folder = Path(config.record).expanduser()
        self._free = free
        self._frames: queue.Queue[tuple[Frame, DeviceFrame] | None] = queue.Queue(waiting)
        self._thread: threading.Thread | None = None
        self.written = 0
        self.dropped = 0
        self.fault = ""

    def start(self) -> None:
        """Begin; the files are made with the first frame."""
        self.fault = ""
        self._frames = queue.Queue(self._frames.maxsize)
        self._thread = threading.Thread(target=self._run, name=f"record-{self._config.name}", daemon=True)
        self._thread.start()

    def put(self, frame: Frame, taken: DeviceFrame) -> None:
        """Hand over a frame; returns at once. Its image must not be changed any more.

        Args:
            frame: The frame as it arrived.
            taken: The same as the device delivered it.
        """
        if self.fault or self._thread is None:
            return
        try:
            self._frames.put_nowait((frame, taken))
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write what waits and finish the files."""
        thread, self._thread = self._thread, None
        while thread is not None and thread.is_alive():
            try:
                self._frames.put(None, timeout=0.1)
                thread.join()
            except queue.Full:
                continue

    def _run(self) -> None:
        try:
            self._write()
        except OSError as error:
            self._stop(error.strerror or str(error))

    def _write(self) -> None:
        """Write frames until the end or until the disk is nearly full.

        Raises:
            OSError: The files cannot be made or written.
        """
        video, table = None, None
        with contextlib.ExitStack() as files:
            while (item := self._frames.get()) is not None:
                frame, taken = item
                if self.written % CHECK_EVERY == 0:
                    self._folder.mkdir(parents=True, exist_ok=True)
                    if self._free(self._folder) < RESERVE_BYTES:
                        self._stop(f"less than {RESERVE_BYTES / 1e6:.0f} MB are free")
                        return
                if video is None or table is None:
                    stem = self._folder / f"{self._config.name}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
                    # Whole lines, even after a crash.
                    table = files.enter_context(stem.with_suffix(".csv").open("w", buffering=1))
                    table.write(COLUMNS)
                    video = self._video(stem.with_suffix(".mkv"), frame)
                    files.callback(video.release)
                video.write(self._cv2.cvtColor(frame.image, self._cv2.COLOR_RGB2BGR))
                stamp = "" if taken.device_ns is None else taken.device_ns
                table.write(
                    f"{self.written},{frame.sequence},{taken.number},{frame.t_ns},{stamp},{taken.device_clock}\n"
                )
                self.written += 1

    def _video(self, path: Path, first: Frame) -> Any:
        """A video for frames like the first."""
        height, width = first.image.shape[:2]
        code = self._cv2.VideoWriter.fourcc(*"mp4v")
        video = self._cv2.VideoWriter(str(path), code, self._config.fps, (width, height))
        if not video.isOpened():
            raise OSError("OpenCV cannot write MPEG-4 here")
        return video

    def _stop(self, why: str) -> None:
        self.fault = f"camera {self._config.name} is no longer recorded to {self._folder}: {why}"
        log.warning(self.fault)
