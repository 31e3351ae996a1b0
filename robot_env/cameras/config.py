"""Settings of cameras: the devices of a station, and the views of the policy."""

import math
from dataclasses import dataclass
from typing import Literal

from handrail.robot_env.checks import require_range
from handrail.robot_env.errors import ConfigError

CameraDriver = Literal["realsense", "opencv"]

SIM_PICTURE = (640, 480)
"""Width and height of a simulated camera's picture [pixels]; a crop is a part of it, as of a real one's."""


@dataclass(frozen=True)
class CameraConfig:
    """One image of the observation: a crop of a camera, resized.

    Several of them may look through the same camera.

    Attributes:
        name: The key under which its image appears in the observation.
        view: The camera it looks through: one of `camera_devices` by name or, in the simulated cell, "wrist",
            "wrist_2", "side" or "overview"; empty means the camera of the same name.
        width: Image width [pixels].
        height: Image height [pixels].
        crop: Part of the camera's picture that is used: left, top, width, height [pixels of the camera];
            None for the largest part in the middle that has the image's shape. The picture of a simulated
            camera has 640x480 (`SIM_PICTURE`).
    """

    name: str = "wrist"
    view: str = ""
    width: int = 128
    height: int = 128
    crop: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        """Check the name and the size.

        Raises:
            ConfigError: An empty name, one that clashes with the state, a size outside [16, 1280], or an
                impossible crop.
        """
        if not self.name or self.name == "state":
            raise ConfigError(f"camera name is {self.name!r}; give a name that is neither empty nor 'state'")
        for side, value in (("width", self.width), ("height", self.height)):
            if not 16 <= value <= 1280:
                raise ConfigError(
                    f"camera {self.name}: {side} is {value} pixels, outside [16, 1280]; use 128"
                )
        if self.crop is not None and (min(self.crop[:2]) < 0 or min(self.crop[2:]) < 16):
            raise ConfigError(
                f"camera {self.name}: crop is {self.crop}; give left and top from 0, width and height from 16"
            )

    @property
    def source(self) -> str:
        """The camera to look through."""
        return self.view or self.name


@dataclass(frozen=True)
class CameraDeviceConfig:
    """One physical camera of the station.

    Attributes:
        name: What views call it.
        driver: "realsense", or "opencv" for V4L2 devices and video files.
        serial: Serial number, or for RealSense a recording (.db3), for OpenCV a device path, the number of
            a /dev/video or a video file; a machine fact.
        width: Width that the camera delivers [pixels].
        height: Height that the camera delivers [pixels].
        fps: Frames a second.
        exposure_us: Exposure of the colour sensor [µs]; None for automatic.
        gain: Gain of the colour sensor, beside a fixed exposure; None for the camera's default.
        max_age_s: Age beyond which a frame is no observation [s].
        max_repeats: Identical frames in a row that mean a frozen camera.
        record: Folder to record every frame to, as a video; empty for none.
    """

    name: str = "wrist"
    driver: CameraDriver = "realsense"
    serial: str = ""
    width: int = 640
    height: int = 480
    fps: int = 30
    exposure_us: float | None = None
    gain: float | None = None
    max_age_s: float = 0.15
    max_repeats: int = 3
    record: str = ""

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            ConfigError: One of them is refused.
        """
        where = f"camera device {self.name}"
        if not self.name:
            raise ConfigError("a camera device has no name; give it one")
        require_range(where, 16, 4096, width=self.width, height=self.height)
        require_range(where, 1, 300, fps=self.fps)
        require_range(where, 1.0 / self.fps, 2.0, max_age_s=self.max_age_s)
        require_range(where, 2, 100, max_repeats=self.max_repeats)
        if self.exposure_us is not None:
            require_range(where, 1.0, 200_000.0, exposure_us=self.exposure_us)
        if self.gain is not None and not (math.isfinite(self.gain) and self.gain >= 0.0):
            raise ConfigError(f"{where}.gain is {self.gain}, must be 0 or more, or null for automatic")
        if self.gain is not None and self.exposure_us is None:
            raise ConfigError(
                f"{where}.gain is {self.gain} without exposure_us; a camera sets both by itself or neither: "
                "give exposure_us too, or leave both null"
            )
