"""The real SDK, with its own software devices in place of USB ones, and its own recordings."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from emulators.camera import until

from handrail.robot_env.cameras.config import CameraDeviceConfig
from handrail.robot_env.cameras.realsense import RealSenseDriver
from handrail.robot_env.cameras.stream import FrameStream, StreamTiming
from handrail.robot_env.errors import CameraError, ConfigError, MissingExtra

pytest.importorskip("pyrealsense2", reason="needs the extra 'realsense'")
from emulators.realsense import EmulatedRealSense, UsbBus

QUICK = StreamTiming(wait_s=0.02, first_frame_s=5.0, lost_s=0.3, backoff_s=(0.02, 0.05))
PATIENT = StreamTiming(wait_s=0.02, first_frame_s=5.0, lost_s=5.0, backoff_s=(0.02, 0.05))


def config(serial: str = "A1", **values) -> CameraDeviceConfig:
    """Of a small camera, whose frames may be old: the machine that runs the tests is busy."""
    small = {"name": "wrist", "serial": serial, "width": 64, "height": 48, "max_age_s": 2.0}
    return CameraDeviceConfig(**small | values)


def pictures(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (count, 48, 64, 3), np.uint8))


@pytest.fixture
def camera() -> EmulatedRealSense:
    return EmulatedRealSense("A1")


@pytest.fixture
def bus(camera) -> UsbBus:
    return UsbBus(camera, EmulatedRealSense("B2"))


@pytest.fixture
def driver(bus):
    made = RealSenseDriver(config(), bus.devices)
    yield made
    made.close()


def test_picture_number_and_stamp_pass_through_the_pipeline(driver, camera):
    driver.open()
    picture = pictures(1)[0]
    camera.show(picture, number=30)
    assert driver.wait(2.0)
    frame = driver.take()
    assert np.array_equal(frame.image, picture)
    assert frame.number == 30
    assert (frame.device_ns, frame.device_clock) == (1_000_000_000, "hardware_clock")
    assert not driver.wait(0.02)


def test_frames_that_nobody_fetched_leave_only_the_newest(driver, camera):
    driver.open()
    for picture in pictures(10):
        camera.show(picture)
    assert driver.wait(2.0)
    assert driver.take().number == 9
    assert not driver.wait(0.02)


def test_frames_are_copied_out_of_the_sdks_pool(driver, camera):
    """Views into the pool would stop the stream after some twenty frames."""
    driver.open()
    held = []
    for picture in pictures(60):
        camera.show(picture)
        assert driver.wait(2.0)
        held.append(driver.take())
    assert [frame.number for frame in held] == list(range(60))
    assert all(np.array_equal(f.image, p) for f, p in zip(held, pictures(60), strict=True))


def test_exposure_and_gain_go_to_the_colour_sensor(camera, bus):
    """On a D435 the first sensor is the stereo module; its colour sensor counts in 100 µs."""
    driver = RealSenseDriver(config(exposure_us=5000.0, gain=32.0), bus.devices)
    driver.open()
    driver.close()
    assert camera.option(camera.colour, "exposure") == 50.0
    assert camera.option(camera.colour, "gain") == 32.0
    assert camera.option(camera.colour, "enable_auto_exposure") == 0.0
    assert camera.option(camera.colour, "auto_exposure_priority") == 0.0
    assert camera.option(camera.stereo, "exposure") == 8500.0
    assert camera.option(camera.stereo, "enable_auto_exposure") == 1.0


def test_colour_of_a_d405_comes_from_its_stereo_module():
    camera = EmulatedRealSense("D4", "D405")
    driver = RealSenseDriver(config("D4", exposure_us=5000.0), UsbBus(camera).devices)
    driver.open()
    camera.show(pictures(1)[0])
    assert driver.wait(2.0)
    driver.close()
    assert camera.option(camera.stereo, "exposure") == 5000.0
    assert camera.option(camera.stereo, "gain") == 16.0, "the default beside a fixed exposure"


def test_exposure_left_by_another_program_is_undone(driver, camera):
    camera.set_option(camera.colour, "enable_auto_exposure", 0.0)
    driver.open()
    assert camera.option(camera.colour, "enable_auto_exposure") == 1.0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"exposure_us": 50.0}, r"exposure_us is 50, outside the \[100, 1e\+06\] it takes"),
        ({"exposure_us": 500.0, "gain": 500.0}, r"gain is 500, outside the \[16, 248\]"),
    ],
)
def test_exposure_out_of_range_is_refused(bus, values, words):
    driver = RealSenseDriver(config(**values), bus.devices)
    with pytest.raises(ConfigError, match=words):
        driver.open()


def test_size_that_is_not_offered_is_refused_naming_those_that_are(bus):
    driver = RealSenseDriver(config(width=128), bus.devices)
    with pytest.raises(CameraError, match=r"128x48 at 30 frames/s is refused .* it offers 64x48 at 30"):
        driver.open()


def test_serial_that_is_not_there_is_refused_at_once_listing_what_is(bus):
    """`pipeline.start` itself would wait 15 s, with the interpreter's lock held."""
    driver = RealSenseDriver(config("C3"), bus.devices)
    began = time.monotonic()
    with pytest.raises(CameraError, match=r"C3 is not there\. Connected: A1 \(Emulated D435\), B2 \(Emul"):
        driver.open()
    assert time.monotonic() - began < 5.0


def test_missing_serial_is_refused_listing_what_is_connected(bus):
    with pytest.raises(ConfigError, match=r"wrist has no serial; .* Connected: A1 \(Emulated D435\)"):
        RealSenseDriver(config(""), bus.devices)
    with pytest.raises(ConfigError, match=r"Connected: "):
        RealSenseDriver(config(""))


def test_slow_usb_port_is_mentioned():
    driver = RealSenseDriver(config("U2"), UsbBus(EmulatedRealSense("U2", usb="2.1")).devices)
    driver.open()
    driver.close()
    assert driver.warnings == ("camera wrist is on USB 2.1; use a USB 3 port and cable",)


def test_missing_extra_names_it_and_its_system_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyrealsense2", None)
    with pytest.raises(MissingExtra, match=r"handrail\[realsense\].*apt-get install libusb-1\.0-0"):
        RealSenseDriver(config())


@contextmanager
def filming(camera: EmulatedRealSense) -> Iterator[None]:
    """The camera runs at 50 frames/s meanwhile."""
    done = threading.Event()

    def film() -> None:
        rng = np.random.default_rng(1)
        while not done.wait(0.02):
            camera.show(rng.integers(0, 256, (48, 64, 3), np.uint8))

    thread = threading.Thread(target=film)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_unplugged_camera_comes_back_by_itself(bus, camera):
    stream = FrameStream(config(), RealSenseDriver(config(), bus.devices), timing=QUICK)
    with filming(camera):
        stream.open()
        assert stream.latest().identical == 1
    bus.unplug(camera)
    until(lambda: "A1 is not there. Connected: B2" in stream._why)
    with pytest.raises(CameraError, match="camera wrist is lost: A1 is not there"):
        stream.latest()
    bus.plug(camera)
    with filming(camera):
        until(lambda: stream._latest is not None)
        assert stream.latest().identical == 1
    assert stream.counts.reopens >= 1
    stream.close()


def test_frozen_sensor_is_flagged_at_the_third_picture(bus, camera):
    """The SDK's numbers go on and its frames keep coming: only the pictures tell."""
    stream = FrameStream(config(), RealSenseDriver(config(), bus.devices), timing=PATIENT)
    with filming(camera):
        stream.open()
    picture = pictures(1)[0]
    for shows in (1, 2, 3):
        number = camera.show(picture)
        until(lambda number=number: (a := stream._latest) is not None and a.number == number)
        if shows < 3:
            assert stream.latest().identical == shows
    with pytest.raises(CameraError, match="3 identical frames in a row"):
        stream.latest()
    stream.close()


def test_recording_plays_through_the_pipeline_and_ends(tmp_path: Path):
    shown = pictures(20)
    path = tmp_path / "demo.db3"
    EmulatedRealSense("A1").record(path, shown)
    driver = RealSenseDriver(config(str(path)))
    assert not driver.live
    driver.open()
    frames = []
    with pytest.raises(CameraError, match=r"demo\.db3 has ended"):
        while True:
            if driver.wait(0.1):
                frames.append(driver.take())
    driver.close()
    numbers = [frame.number for frame in frames]
    assert numbers == sorted(set(numbers))
    assert len(numbers) >= 10, "played in real time: a slow machine may miss some, never most"
    assert all(np.array_equal(frame.image, shown[frame.number]) for frame in frames)


def test_recording_that_is_not_there_is_refused():
    with pytest.raises(CameraError, match=r"none\.db3 is not there"):
        RealSenseDriver(config("/tmp/none.db3")).open()
