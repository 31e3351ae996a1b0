"""What stands in for V4L2 cameras: lossless video files, and links to them by serial number."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def write_video(path: Path, pictures: Iterable[NDArray[np.uint8]], fps: float = 30.0) -> Path:
    """Write RGB pictures to a lossless video (FFV1 in Matroska), which plays back pixel by pixel."""
    writer = None
    for picture in pictures:
        if writer is None:
            height, width = picture.shape[:2]
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), fps, (width, height))
            assert writer.isOpened()
        writer.write(picture[..., ::-1])
    assert writer is not None
    writer.release()
    return path


def link_by_id(folder: Path, serial: str, target: Path) -> Path:
    """A link as udev makes it for a camera's picture node."""
    folder.mkdir(exist_ok=True)
    link = folder / f"usb-ACME_Webcam_{serial}-video-index0"
    link.symlink_to(target)
    return link


def nodes() -> list[Path]:
    """The V4L2 devices of this machine."""
    return sorted(Path("/dev").glob("video*"))
