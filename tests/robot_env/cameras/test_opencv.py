"""The real OpenCV, on lossless video files and on links such as udev makes for cameras."""

import sys
from pathlib import Path

import numpy as np
import pytest
from emulators.camera import until

from handrail.robot_env.cameras.config import CameraDeviceConfig
from handrail.robot_env.cameras.opencv import OpenCVDriver, connected, device_node, load_cv2
from handrail.robot_env.cameras.stream import FrameStream
from handrail.robot_env.errors import CameraError, ConfigError, MissingExtra

pytest.importorskip("cv2", reason="needs the extra 'opencv'")
from emulators.v4l2 import link_by_id, nodes, write_video

COUNT = 12


def config(serial: str, **values) -> CameraDeviceConfig:
    device = {"name": "side", "driver": "opencv", "serial": serial, "width": 64, "height": 48, "fps": 100}
    return CameraDeviceConfig(**device | values)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (COUNT, 48, 64, 3), np.uint8)


@pytest.fixture
def video(tmp_path: Path, pictures) -> Path:
    return write_video(tmp_path / "clip.mkv", pictures, fps=100)


def test_video_gives_every_frame_in_rgb_and_then_ends(video, pictures):
    driver = OpenCVDriver(config(str(video)))
    driver.open()
    for number, picture in enumerate(pictures, start=1):
        while not driver.wait(1.0):
            pass
        frame = driver.take()
        assert np.array_equal(frame.image, picture)
        assert frame.number == number
        assert frame.device_ns == (number - 1) * 10_000_000
    with pytest.raises(CameraError, match=r"clip\.mkv has ended after 12 frames"):
        driver.wait(1.0)
    driver.close()
    driver.close()


def test_video_is_paced_and_does_not_hold_its_reader_up(video):
    driver = OpenCVDriver(config(str(video), fps=2, max_age_s=1.0))
    driver.open()
    assert driver.wait(0.0), "the first frame is there at once"
    driver.take()
    assert not driver.wait(0.01), "the second one half a second later"
    driver.close()


def test_stream_of_a_video_ends_and_starts_anew_when_opened_again(video):
    slow = config(str(video), fps=20, max_age_s=1.0)  # not over before it has been looked at
    stream = FrameStream(slow, OpenCVDriver(slow))
    for _ in range(2):
        stream.open()
        assert stream.latest().frame.image.shape == (48, 64, 3)
        until(lambda: stream._latest is None)
        with pytest.raises(CameraError, match=r"side is lost: the video .* has ended"):
            stream.latest()
        stream.close()
    assert stream.counts.frames == 2 * COUNT
    assert stream.counts.reopens == 0


def test_camera_is_found_by_its_serial_number(tmp_path, video):
    by_id = tmp_path / "by-id"
    link = link_by_id(by_id, "SN123", video)
    for name in ("SN123", str(link)):
        driver = OpenCVDriver(config(name), by_id)
        assert driver.identity == str(video)
        driver.open()
        driver.close()
    assert connected(by_id) == link.name


def test_camera_that_is_not_there_is_refused_listing_those_that_are(tmp_path, video):
    by_id = tmp_path / "by-id"
    link_by_id(by_id, "SN123", video)
    driver = OpenCVDriver(config("SN999"), by_id)
    with pytest.raises(CameraError, match=r"SN999 is not there\. Connected: usb-ACME_Webcam_SN123"):
        driver.open()
    with pytest.raises(ConfigError, match=r"side has no serial; .* Connected: usb-ACME_Webcam_SN123"):
        OpenCVDriver(config(""), by_id)
    with pytest.raises(CameraError, match="Connected: no V4L2 camera"):
        OpenCVDriver(config("SN999"), tmp_path / "none").open()


def test_serial_that_fits_two_cameras_is_refused(tmp_path, video):
    by_id = tmp_path / "by-id"
    link_by_id(by_id, "SN123", video)
    link_by_id(by_id, "SN124", video)
    with pytest.raises(CameraError, match=r"'SN12' fits usb-ACME_Webcam_SN123.*, usb-ACME_Webcam_SN124"):
        OpenCVDriver(config("SN12"), by_id)


def test_numbers_name_video_nodes():
    assert device_node("7") == Path("/dev/video7")


def test_size_must_be_what_the_camera_delivers(video):
    driver = OpenCVDriver(config(str(video), width=640, height=480))
    with pytest.raises(ConfigError, match="delivers 64x48 pixels, asked for were 640x480"):
        driver.open()
    driver.close()


def test_file_that_is_no_video_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no video")
    with pytest.raises(CameraError, match="cannot be opened as a camera or video"):
        OpenCVDriver(config(str(path))).open()


def test_missing_extra_names_it_and_its_system_packages(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtra, match=r"handrail\[opencv\].*apt-get install libgl1 libglib2\.0-0"):
        load_cv2()


@pytest.mark.skipif(not nodes(), reason="no /dev/video*: neither a webcam nor v4l2loopback is here")
def test_v4l2_device_delivers_fresh_frames():
    node = nodes()[0]
    device = CameraDeviceConfig(name="side", driver="opencv", serial=str(node))
    stream = FrameStream(device, OpenCVDriver(device))
    stream.open()
    report = stream.probe(1.0)
    stream.close()
    assert report.counts.frames > 5
    assert not report.fault
