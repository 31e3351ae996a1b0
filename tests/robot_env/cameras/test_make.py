"""A station's cameras become the images of an observation, or are refused with the reason."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from handrail.robot_env.cameras.config import CameraConfig, CameraDeviceConfig
from handrail.robot_env.cameras.make import make_cameras, make_streams
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import CameraError, ConfigError

pytest.importorskip("cv2", reason="needs the extra 'opencv'")
from emulators.v4l2 import write_video


@pytest.fixture
def device(tmp_path: Path) -> CameraDeviceConfig:
    pictures = np.random.default_rng(0).integers(0, 256, (30, 48, 64, 3), np.uint8)
    video = write_video(tmp_path / "clip.mkv", pictures)
    return CameraDeviceConfig(name="wrist", driver="opencv", serial=str(video), width=64, height=48)


def test_two_images_of_one_camera_open_it_once(device):
    images = (CameraConfig("wrist", width=16, height=16), CameraConfig("close", "wrist", 32, 16))
    cameras = make_cameras(EnvConfig(cameras=images, camera_devices=(device,)))
    for camera in cameras:
        camera.open()
    frames = {camera.name: camera.read() for camera in cameras}
    for camera in cameras:
        camera.close()
    assert {name: frame.image.shape for name, frame in frames.items()} == {
        "wrist": (16, 16, 3),
        "close": (16, 32, 3),
    }
    with pytest.raises(CameraError, match="not open"):
        cameras[0].read()


def test_view_that_there_is_not_is_refused_naming_the_nearest(device):
    with pytest.raises(ConfigError, match=r"camera image looks through 'wrst', .* did you mean 'wrist'"):
        make_cameras(EnvConfig(cameras=(CameraConfig("image", "wrst"),), camera_devices=(device,)))
    with pytest.raises(ConfigError, match="no camera of this station; it has none"):
        make_cameras(EnvConfig(cameras=(CameraConfig("image"),)))


def test_one_camera_under_two_names_is_refused(device):
    with pytest.raises(ConfigError, match=r"devices wrist and side are both .*clip\.mkv"):
        make_streams((device, replace(device, name="side")))


def test_cameras_of_other_tasks_are_left_alone(device):
    other = CameraDeviceConfig(name="other", driver="opencv", serial="")
    cameras = make_cameras(EnvConfig(cameras=(CameraConfig("wrist"),), camera_devices=(other, device)))
    assert [camera.name for camera in cameras] == ["wrist"]


def test_recording_a_camera_that_nobody_opens_is_refused(device):
    silent = replace(device, name="side", record="/tmp/films")
    with pytest.raises(ConfigError, match="side is to be recorded, but no image"):
        make_cameras(EnvConfig(cameras=(CameraConfig("wrist"),), camera_devices=(device, silent)))


def test_rates_too_slow_for_the_skew_limit_are_refused(device):
    slow = replace(device, name="side", fps=15, serial="elsewhere.mkv")
    images = (CameraConfig("wrist"), CameraConfig("side"))
    with pytest.raises(
        ConfigError, match=r"side runs at 15 frames/s, .* up to 67 ms .*camera_skew_s is 0\.05"
    ):
        make_cameras(EnvConfig(cameras=images, camera_devices=(device, slow)))
    assert make_cameras(EnvConfig(cameras=images, camera_devices=(device, slow), camera_skew_s=0.1))


def test_recorder_comes_with_the_stream(device, tmp_path):
    streams = make_streams(
        (replace(device, record=str(tmp_path / "films")), replace(device, name="no", serial="1"))
    )
    assert streams["wrist"].recorder is not None
    assert streams["no"].recorder is None
