"""RealSense cameras without hardware: the SDK's own software devices, plugged into a bus of ours.

Everything behind the enumeration is the real SDK: pipeline, frame queue, options, recorder and playback.
"""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyrealsense2
from numpy.typing import NDArray

rs: Any = pyrealsense2


class EmulatedRealSense:
    """A camera that shows what it is told to.

    Args:
        serial: its serial number.
        model: a D435 has a colour sensor beside the stereo module; a D405's colour comes from that module.
        width: of the colour picture [pixels].
        height: of the colour picture [pixels].
        fps: that the colour stream claims [1/s].
        usb: as the SDK describes the port.
    """

    def __init__(
        self,
        serial: str,
        model: Literal["D435", "D405"] = "D435",
        width: int = 64,
        height: int = 48,
        fps: int = 30,
        usb: str = "3.2",
    ) -> None:
        self.serial = serial
        self.width, self.height, self.fps = width, height, fps
        self.number = -1
        self.device = rs.software_device()
        for info, value in (
            (rs.camera_info.serial_number, serial),
            (rs.camera_info.name, f"Emulated {model}"),
            (rs.camera_info.usb_type_descriptor, usb),
        ):
            self.device.register_info(info, value)
        self.stereo = self.device.add_sensor("Stereo Module")
        self.stereo.add_video_stream(self._stream(rs.stream.depth, 1, rs.format.z16, 2))
        self._add_options(self.stereo, exposure_max=165_000, exposure=8_500)
        self.colour = self.stereo
        if model == "D435":
            self.colour = self.device.add_sensor("RGB Camera")
            self._add_options(self.colour, exposure_max=10_000, exposure=156)
            self._option(self.colour, rs.option.auto_exposure_priority, 0, 1, 1)
        self._profile = self.colour.add_video_stream(self._stream(rs.stream.color, 2, rs.format.rgb8, 3))

    def show(self, picture: NDArray[np.uint8], number: int | None = None) -> int:
        """Deliver a frame, as the USB thread of the SDK would; returns its number."""
        self.number = self.number + 1 if number is None else number
        frame = rs.software_video_frame()
        frame.stride, frame.bpp = 3 * self.width, 3
        frame.timestamp = 1000.0 * self.number / self.fps
        frame.domain = rs.timestamp_domain.hardware_clock
        frame.frame_number = self.number
        frame.profile = self._profile.as_video_stream_profile()
        frame.pixels = picture
        self.colour.on_video_frame(frame)
        return self.number

    def option(self, sensor: Any, name: str) -> float:
        """An option's value, by the SDK's name of it."""
        return sensor.get_option(getattr(rs.option, name))

    def set_option(self, sensor: Any, name: str, value: float) -> None:
        """Set an option as another program would."""
        sensor.set_option(getattr(rs.option, name), value)

    def record(self, path: Path, pictures: Iterable[NDArray[np.uint8]], period_s: float = 0.01) -> None:
        """Record frames with the SDK's recorder, in real time."""
        recorder = rs.recorder(str(path), self.device)
        sensors = recorder.query_sensors()
        colour = rs.stream.color
        sensor = next(s for s in sensors if any(p.stream_type() == colour for p in s.get_stream_profiles()))
        sensor.open(self._profile)
        sensor.start(rs.frame_queue(50))
        for picture in pictures:
            self.show(picture)
            time.sleep(period_s)
        sensor.stop()
        sensor.close()

    def _stream(self, kind: Any, uid: int, pixels: Any, bytes_per_pixel: int) -> Any:
        lens = rs.intrinsics()
        lens.width, lens.height = self.width, self.height
        lens.ppx, lens.ppy, lens.fx, lens.fy = self.width / 2, self.height / 2, 600.0, 600.0
        lens.model, lens.coeffs = rs.distortion.brown_conrady, [0.0] * 5
        stream = rs.video_stream()
        stream.type, stream.index, stream.uid, stream.fmt, stream.bpp = kind, 0, uid, pixels, bytes_per_pixel
        stream.width, stream.height, stream.fps, stream.intrinsics = self.width, self.height, self.fps, lens
        return stream

    def _add_options(self, sensor: Any, exposure_max: int, exposure: int) -> None:
        self._option(sensor, rs.option.exposure, 1, exposure_max, exposure)
        self._option(sensor, rs.option.gain, 16, 248, 16)
        self._option(sensor, rs.option.enable_auto_exposure, 0, 1, 1)

    @staticmethod
    def _option(sensor: Any, option: Any, low: float, high: float, default: float) -> None:
        allowed = rs.option_range()
        allowed.min, allowed.max, allowed.step, allowed.default = low, high, 1, default
        sensor.add_option(option, allowed, True)
        sensor.set_option(option, default)


class UsbBus:
    """What is plugged in; cameras come and go."""

    def __init__(self, *cameras: EmulatedRealSense) -> None:
        self.cameras = list(cameras)

    def devices(self) -> list[Any]:
        """As the SDK would list them."""
        return [camera.device for camera in self.cameras]

    def unplug(self, camera: EmulatedRealSense) -> None:
        """Pull the cable."""
        self.cameras.remove(camera)

    def plug(self, camera: EmulatedRealSense) -> None:
        """Put it back."""
        self.cameras.append(camera)
