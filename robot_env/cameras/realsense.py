"""RealSense cameras, through Intel's SDK.

Facts that shape this file. `pipeline.start` with a serial number that is absent waits 15 s for it *while
holding the interpreter's lock*, which would freeze the control loop: the device is looked up first and handed
to the pipeline. `pipeline.wait_for_frames` restarts the pipeline inside itself when the camera is gone:
frames are taken from a queue of one instead, which gives the newest and never restarts anything. On a D435
the first sensor is the stereo module, on a D405 it is also the colour camera: the sensor is chosen by what it
streams.
"""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from handrail.robot_env.cameras.config import CameraDeviceConfig
from handrail.robot_env.cameras.driver import DeviceFrame
from handrail.robot_env.clock import NS_PER_MS
from handrail.robot_env.errors import CameraError, ConfigError, MissingExtra

RECORDINGS = (".db3", ".bag")
COARSE_EXPOSURE_MAX = 10_000
"""Colour sensors count exposure from 1 to 10000 in 100 µs, as UVC does; a D405's stereo module in 1 µs."""


def load_sdk() -> Any:
    """Intel's SDK.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        import pyrealsense2
    except ImportError as error:
        raise MissingExtra("realsense", "libusb-1.0-0") from error
    return pyrealsense2


def connected() -> str:
    """The RealSense cameras there are, by serial number, for a message.

    Raises:
        MissingExtra: The SDK is not installed.
    """
    rs = load_sdk()
    return _listed(rs, rs.context().query_devices())


def _listed(rs: Any, devices: Iterable[Any]) -> str:
    found = [f"{_info(rs, each, 'serial_number')} ({_info(rs, each, 'name')})" for each in devices]
    return ", ".join(found) or "no RealSense camera"


def _info(rs: Any, device: Any, name: str) -> str:
    """A fact that a camera states of itself; empty where it does not."""
    info = getattr(rs.camera_info, name)
    return device.get_info(info) if device.supports(info) else ""


class RealSenseDriver:
    """The colour stream of one RealSense camera, or of a recording of one.

    A recording (a `.db3` file in place of the serial number) is played in real time, and ends in a
    `CameraError`.

    Args:
        config: The camera; `serial` is its serial number.
        devices: What is connected; None asks the SDK.

    Raises:
        ConfigError: No serial number is given.
        MissingExtra: The SDK is not installed.
    """

    def __init__(
        self, config: CameraDeviceConfig, devices: Callable[[], Sequence[Any]] | None = None
    ) -> None:
        self._rs = load_sdk()
        self._context: Any = None
        self._devices = devices or self._query
        if not config.serial:
            raise ConfigError(
                f"env.camera_devices: {config.name} has no serial; give the number printed on the camera. "
                f"Connected: {self._connected()}"
            )
        self._config = config
        self._device: Any = None
        self._pipeline: Any = None
        self._queue: Any = None
        self._frame: Any = None
        self.identity = config.serial
        self.live = not config.serial.endswith(RECORDINGS)
        self.warnings: tuple[str, ...] = ()

    def open(self) -> None:
        """Find the camera by its serial number, set it up and start its colour stream."""
        rs, config = self._rs, self._config
        pipeline, wanted = rs.pipeline(self._sdk_context()), rs.config()
        if self.live:
            self._device = self._find()
            self._check_usb()
            self._set_options()
            pipeline.set_device(self._device)
        else:
            if not Path(config.serial).is_file():
                raise CameraError(f"the recording {config.serial} is not there")
            wanted.enable_device_from_file(config.serial, repeat_playback=False)
        wanted.enable_stream(rs.stream.color, config.width, config.height, rs.format.rgb8, config.fps)
        self._queue = rs.frame_queue(1)
        try:
            profile = pipeline.start(wanted, self._queue)
        except RuntimeError as error:
            raise CameraError(
                f"{config.width}x{config.height} at {config.fps} frames/s is refused ({error}); it offers "
                f"{self._offers()}, fewer on USB 2; is another program using it?"
            ) from error
        self._pipeline, self._device = pipeline, profile.get_device()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the next frame."""
        arrived, frame = self._queue.try_wait_for_frame(round(1000 * timeout_s))
        if arrived:
            self._frame = frame
        elif not self.live:
            if self._device.as_playback().current_status() == self._rs.playback_status.stopped:
                raise CameraError(f"the recording {self._config.serial} has ended")
        elif not self._device.is_connected():
            raise CameraError(f"{self._config.serial} is unplugged")
        return arrived

    def take(self) -> DeviceFrame:
        """Copy the frame out of the SDK's pool, which has few."""
        colour, self._frame = self._frame.as_frameset().get_color_frame(), None
        image = np.array(np.asanyarray(colour.get_data()), copy=True)
        return DeviceFrame(
            image,
            colour.get_frame_number(),
            round(colour.get_timestamp() * NS_PER_MS),
            colour.get_frame_timestamp_domain().name,
        )

    def close(self) -> None:
        """Stop the stream."""
        self._frame = None
        if self._pipeline is not None:
            with contextlib.suppress(RuntimeError):  # an unplugged camera cannot be stopped, only dropped
                self._pipeline.stop()
        self._pipeline = self._queue = self._device = None

    def _query(self) -> list[Any]:
        return list(self._sdk_context().query_devices())

    def _sdk_context(self) -> Any:
        if self._context is None:
            self._context = self._rs.context()
        return self._context

    def _info(self, device: Any, name: str) -> str:
        return _info(self._rs, device, name)

    def _connected(self) -> str:
        """What is connected, for a message."""
        return _listed(self._rs, self._devices())

    def _find(self) -> Any:
        for device in self._devices():
            if self._info(device, "serial_number") == self._config.serial:
                return device
        raise CameraError(f"{self._config.serial} is not there. Connected: {self._connected()}")

    def _check_usb(self) -> None:
        usb = self._info(self._device, "usb_type_descriptor")
        slow = usb and not usb.startswith("3")
        self.warnings = (
            (f"camera {self._config.name} is on USB {usb}; use a USB 3 port and cable",) if slow else ()
        )

    def _colour_sensor(self) -> Any:
        for sensor in self._device.query_sensors():
            if any(p.stream_type() == self._rs.stream.color for p in sensor.get_stream_profiles()):
                return sensor
        raise CameraError(f"{self._config.serial} has no colour stream; choose a camera that has one")

    def _set_options(self) -> None:
        """Exposure and gain: all of them, since a camera keeps what the last program set."""
        option, sensor, config = self._rs.option, self._colour_sensor(), self._config
        if sensor.supports(option.auto_exposure_priority):
            sensor.set_option(option.auto_exposure_priority, 0.0)  # or it would halve the rate in dim light
        if sensor.supports(option.enable_auto_exposure):
            sensor.set_option(option.enable_auto_exposure, 1.0 if config.exposure_us is None else 0.0)
        if config.exposure_us is not None:
            for needed in (option.exposure, option.gain):
                if not sensor.supports(needed):
                    raise ConfigError(f"it has no {needed.name}; leave exposure_us and gain null")
            coarse = sensor.get_option_range(option.exposure).max <= COARSE_EXPOSURE_MAX
            self._set(sensor, option.exposure, config.exposure_us, "exposure_us", 100.0 if coarse else 1.0)
            default = sensor.get_option_range(option.gain).default
            self._set(sensor, option.gain, default if config.gain is None else config.gain, "gain")

    def _set(self, sensor: Any, option: Any, value: float, name: str, unit: float = 1.0) -> None:
        """Set an option that the sensor counts in `unit`."""
        allowed = sensor.get_option_range(option)
        if not allowed.min <= value / unit <= allowed.max:
            raise ConfigError(
                f"{name} is {value:g}, outside the [{allowed.min * unit:g}, {allowed.max * unit:g}] it takes"
            )
        sensor.set_option(option, value / unit)

    def _offers(self) -> str:
        """Sizes and rates of the colour stream, for a message."""
        if self._device is None:
            return "what was recorded"
        colour = (p.as_video_stream_profile() for p in self._colour_sensor().get_stream_profiles())
        found = {
            (p.width(), p.height(), p.fps())
            for p in colour
            if p.stream_type() == self._rs.stream.color and p.format() == self._rs.format.rgb8
        }
        return ", ".join(f"{w}x{h} at {fps}" for w, h, fps in sorted(found)) or "no rgb8 stream"
