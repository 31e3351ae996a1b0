"""Cameras through OpenCV: V4L2 devices (any UVC webcam) and video files.

OpenCV itself is imported here and nowhere else; `load_cv2` hands it to the crops and to the recorder too.

A V4L2 device is best named by its serial number or its link in `/dev/v4l/by-id`: numbers like `/dev/video0`
change places when two cameras are plugged in another order, and nothing in a picture would tell.
"""

import os
import time
from pathlib import Path
from typing import Any

from handrail.robot_env.cameras.config import CameraDeviceConfig
from handrail.robot_env.cameras.driver import DeviceFrame
from handrail.robot_env.errors import CameraError, ConfigError, MissingExtra

BY_ID = Path("/dev/v4l/by-id")
US_PER_EXPOSURE_UNIT = 100.0
"""V4L2_CID_EXPOSURE_ABSOLUTE counts in 100 µs."""
AUTO_EXPOSURE, MANUAL_EXPOSURE = 3, 1
"""V4L2_EXPOSURE_APERTURE_PRIORITY and V4L2_EXPOSURE_MANUAL, which OpenCV hands through."""
RAW_PIXELS = 640 * 480
"""Larger pictures are asked for as motion JPEG: USB 2 does not carry them raw at 30 frames a second."""


def load_cv2() -> Any:
    """The OpenCV module.

    Raises:
        MissingExtra: It is not installed, or lacks a system library.
    """
    try:
        import cv2
    except ImportError as error:
        raise MissingExtra("opencv", "libgl1 libglib2.0-0") from error
    # One thread: the control thread would wait for the slowest of a pool, on cores that a learner shares.
    cv2.setNumThreads(1)
    return cv2


def device_node(name: str, by_id: Path = BY_ID) -> Path:
    """The device or file that a configured name means.

    Args:
        name: A path, a number as in `/dev/video<number>`, or part of a link in `by_id`: a serial number.
        by_id: Where the links lie.

    Raises:
        CameraError: A serial number fits several cameras.
    """
    if name.isdecimal() and len(name) < 3:
        return Path(f"/dev/video{name}").resolve()
    if "/" not in name and not Path(name).exists():
        # A camera has several nodes (picture, metadata); index 0 is the picture.
        links = sorted(by_id.glob(f"*{name}*-video-index0"))
        if len(links) > 1:
            raise CameraError(
                f"{name!r} fits {', '.join(link.name for link in links)}; write one of them in full"
            )
        return links[0].resolve() if links else by_id / name
    return Path(name).expanduser().resolve()


class OpenCVDriver:
    """A V4L2 device or a video file.

    A file is played at the device's `fps`, from its start at each opening, and ends in a `CameraError`.

    Args:
        config: The camera; `serial` names the device or file.
        by_id: Where V4L2's links by serial number lie.

    Raises:
        ConfigError: No device is named.
        MissingExtra: OpenCV is not installed.
        CameraError: The name fits several devices.
    """

    warnings: tuple[str, ...] = ()

    def __init__(self, config: CameraDeviceConfig, by_id: Path = BY_ID) -> None:
        self._cv2 = load_cv2()
        if not config.serial:
            raise ConfigError(
                f"env.camera_devices: {config.name} has no serial; give a path (/dev/v4l/by-id/…), a serial "
                f"number or a video file. Connected: {connected(by_id)}"
            )
        self._config = config
        self._by_id = by_id
        self._path = device_node(config.serial, by_id)
        self._capture: Any = None
        self._number = 0
        self._due_s = 0.0
        self.identity = str(self._path)
        self.live = not self._path.is_file()

    def open(self) -> None:
        """Start the device, or the file from its beginning."""
        config, cv2 = self._config, self._cv2
        # Anew each time: a camera that was replugged may come back as another node.
        self._path = device_node(config.serial, self._by_id)
        if not self._path.exists():
            raise CameraError(f"{config.serial} is not there. Connected: {connected(self._by_id)}")
        if self.live:
            # Read by OpenCV on the first timeout [s]; its own 10 s would hold up the end of the program.
            os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "1")
            self._capture = cv2.VideoCapture(str(self._path), cv2.CAP_V4L2)
        else:
            self._capture = cv2.VideoCapture(str(self._path))
        if not self._capture.isOpened():
            raise CameraError(
                f"{self._path} cannot be opened as a camera or video; is another program using it?"
            )
        if self.live:
            self._set_up()
        width = round(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = round(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if (width, height) != (config.width, config.height):
            raise ConfigError(
                f"it delivers {width}x{height} pixels, asked for were {config.width}x{config.height}; "
                "set width and height to what it offers"
            )
        self._number = 0
        self._due_s = time.monotonic()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the next frame; a V4L2 device that hangs may take a second longer."""
        if not self.live:
            remaining_s = self._due_s - time.monotonic()
            time.sleep(min(timeout_s, max(0.0, remaining_s)))
            if remaining_s > timeout_s:
                return False
            self._due_s += 1.0 / self._config.fps
        if not self._capture.grab():
            if self.live:
                raise CameraError(f"{self._path} gives no more frames; is it unplugged?")
            raise CameraError(f"the video {self._path} has ended after {self._number} frames")
        return True

    def take(self) -> DeviceFrame:
        """Decode the frame."""
        stamp_ms = self._capture.get(self._cv2.CAP_PROP_POS_MSEC)
        decoded, picture = self._capture.retrieve()
        if not decoded:
            raise CameraError(f"{self._path} gave a frame that cannot be decoded")
        self._number += 1
        image = self._cv2.cvtColor(picture, self._cv2.COLOR_BGR2RGB)
        # uvcvideo stamps with the kernel's monotonic clock; a file counts from its start.
        return DeviceFrame(image, self._number, round(stamp_ms * 1e6), "monotonic" if self.live else "file")

    def close(self) -> None:
        """Let go of the device."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _set_up(self) -> None:
        """Format, rate, exposure and gain of a device."""
        config, cv2 = self._config, self._cv2
        if config.width * config.height > RAW_PIXELS:
            self._set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"), "motion JPEG")
        self._set(cv2.CAP_PROP_FRAME_WIDTH, config.width, "width")
        self._set(cv2.CAP_PROP_FRAME_HEIGHT, config.height, "height")
        self._set(cv2.CAP_PROP_FPS, config.fps, "fps")
        # One buffer would make a camera skip the frame that comes while the last is read; two hold one back.
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 2)
        if config.exposure_us is None:
            self._capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, AUTO_EXPOSURE)  # a device keeps what was last set
            return
        self._set(cv2.CAP_PROP_AUTO_EXPOSURE, MANUAL_EXPOSURE, "manual exposure")
        self._set(cv2.CAP_PROP_EXPOSURE, config.exposure_us / US_PER_EXPOSURE_UNIT, "exposure_us")
        if config.gain is not None:
            self._set(cv2.CAP_PROP_GAIN, config.gain, "gain")

    def _set(self, prop: int, value: float, name: str) -> None:
        if not self._capture.set(prop, value):
            raise ConfigError(f"it refuses {name} = {value:g}; set what it offers (v4l2-ctl --list-ctrls)")


def connected(by_id: Path = BY_ID) -> str:
    """The V4L2 cameras there are, for a message."""
    names = sorted(link.name for link in by_id.glob("*-video-index0"))
    return ", ".join(names) or "no V4L2 camera"
