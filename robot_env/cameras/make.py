"""Putting the cameras of an environment together."""

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from handrail.robot_env.cameras.camera import Camera
from handrail.robot_env.cameras.config import CameraDeviceConfig
from handrail.robot_env.cameras.driver import CameraDriver
from handrail.robot_env.cameras.stream import FrameStream
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import ConfigError

if TYPE_CHECKING:
    from handrail.robot_env.cameras.mirror import LiveCell
    from handrail.robot_env.cameras.recorder import Recorder


def make_cameras(config: EnvConfig, cell: "LiveCell | None" = None) -> list[Camera]:
    """The images of the observation, from the station's cameras; nothing is started yet.

    Several images may look through one camera, which is then opened once.

    Args:
        config: The images and the cameras.
        cell: The simulated cell behind the arm server. Its own cameras are used where the station has none.

    Raises:
        ConfigError: An image looks through a camera that there is not, two cameras are the same one, or
            their rate cannot keep images within `camera_skew_s`.
        MissingExtra: A camera's SDK is not installed.
    """
    names = [device.name for device in config.camera_devices]
    if cell is not None and not names:
        from handrail.robot_env.cameras.mirror import MirrorCamera, MirrorCell

        mirror = MirrorCell(config.sim, cell)
        return [MirrorCamera(mirror, image) for image in config.cameras]
    for image in config.cameras:
        if image.source not in names:
            near = difflib.get_close_matches(image.source, names, 1)
            raise ConfigError(
                f"camera {image.name} looks through {image.source!r}, which is no camera of this station"
                + (f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(names) or 'none'}")
            )
    used = {image.source for image in config.cameras}
    for device in config.camera_devices:
        if device.record and device.name not in used:
            raise ConfigError(
                f"camera device {device.name} is to be recorded, but no image of env.cameras looks through "
                "it, so that it is never opened; add one, or leave record empty"
            )
    devices = [device for device in config.camera_devices if device.name in used]
    _check_rates(devices, config.camera_skew_s)
    streams = make_streams(devices)
    from handrail.robot_env.cameras.view import CroppedView

    return [CroppedView(streams[image.source], image) for image in config.cameras]


def make_streams(devices: Iterable[CameraDeviceConfig]) -> dict[str, FrameStream]:
    """One stream for each physical camera, by name; none is started yet.

    Raises:
        ConfigError: Two of them are the same camera, or one has no serial number.
        MissingExtra: A camera's SDK is not installed.
        CameraError: A serial number fits several cameras.
    """
    streams: dict[str, FrameStream] = {}
    by_identity: dict[str, str] = {}
    for device in devices:
        driver = make_driver(device)
        other = by_identity.setdefault(driver.identity, device.name)
        if other != device.name:
            raise ConfigError(
                f"camera devices {other} and {device.name} are both {driver.identity}; "
                "give each the serial number of its own camera"
            )
        streams[device.name] = FrameStream(device, driver, _make_recorder(device))
    return streams


def make_driver(device: CameraDeviceConfig) -> CameraDriver:
    """The SDK of a camera, not opened yet.

    Raises:
        ConfigError: The camera has no serial number.
        MissingExtra: The SDK is not installed.
    """
    if device.driver == "realsense":
        from handrail.robot_env.cameras.realsense import RealSenseDriver

        return RealSenseDriver(device)
    from handrail.robot_env.cameras.opencv import OpenCVDriver

    return OpenCVDriver(device)


def _make_recorder(device: CameraDeviceConfig) -> "Recorder | None":
    if not device.record:
        return None
    from handrail.robot_env.cameras.recorder import Recorder

    return Recorder(device)


def _check_rates(devices: list[CameraDeviceConfig], skew_s: float) -> None:
    """Cameras run freely: the newest frames of two lie up to a period of the slower one apart."""
    slowest = min(devices, key=lambda device: device.fps, default=None)
    if len(devices) > 1 and slowest is not None and 1.0 / slowest.fps > skew_s:
        raise ConfigError(
            f"camera device {slowest.name} runs at {slowest.fps} frames/s, so that its images lie up to "
            f"{1000 / slowest.fps:.0f} ms behind another camera's, env.camera_skew_s is {skew_s} s; "
            "raise its fps, or camera_skew_s"
        )
