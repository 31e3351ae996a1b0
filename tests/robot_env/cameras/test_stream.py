"""A stream gives the newest frame or says why there is none, and gets a lost camera back."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from emulators.camera import MS, Film, until

from handrail.robot_env.cameras.config import CameraDeviceConfig
from handrail.robot_env.cameras.driver import DeviceFrame
from handrail.robot_env.cameras.stream import FrameStream, same_picture
from handrail.robot_env.errors import CameraError, ConfigError


def test_newest_frame_is_stamped_on_arrival_and_keeps_the_devices_facts(bench):
    bench.open()
    bench.now_ns = 40 * MS
    picture = bench.picture()
    bench.show(1, picture)
    bench.now_ns = 55 * MS
    arrival = bench.stream.latest()
    assert np.array_equal(arrival.frame.image, picture)
    assert arrival.frame.t_ns == 40 * MS
    assert (arrival.frame.sequence, arrival.number, arrival.device_ns) == (1, 1, 33 * MS)
    with pytest.raises(ValueError, match="read-only"):
        arrival.frame.image[:] = 0


def test_frame_is_stale_after_its_limit_and_not_before(bench):
    bench.open()
    bench.now_ns = 150 * MS
    assert bench.stream.latest().number == 0
    bench.now_ns = 151 * MS
    with pytest.raises(CameraError, match=r"wrist: last frame 151 ms old, limit 150 ms; check its cable"):
        bench.stream.latest()
    bench.show(1)
    assert bench.stream.latest().number == 1


@pytest.mark.parametrize("numbers_advance", [False, True], ids=["same number", "same picture"])
def test_third_identical_frame_is_a_fault(bench, numbers_advance):
    bench.open()
    picture = bench.stream.latest().frame.image
    bench.show(1 if numbers_advance else 0, picture)
    assert bench.stream.latest().identical == 2
    bench.show(2 if numbers_advance else 0, picture)
    with pytest.raises(CameraError, match="3 identical frames in a row, limit 3; it is frozen or covered"):
        bench.stream.latest()
    assert bench.stream.counts.repeats == 2
    bench.show(3)
    assert bench.stream.latest().identical == 1, "a new picture ends it"


@pytest.mark.parametrize("now", ["frozen", "silent"])
def test_in_real_time_it_is_refused_soon_after_its_last_good_frame(now, figure):
    config = CameraDeviceConfig(name="wrist", serial="S1", width=64, height=48)
    with Film(config) as film:
        stream = FrameStream(config, film.driver)
        stream.open()
        for _ in range(5):
            film.now = "live"
            until(lambda: sees(stream))
            film.now = now
            until(lambda: not sees(stream))
            took_ms = (time.monotonic_ns() - film.fresh_ns) / MS
            figure(f"camera {now}: last good frame to CameraError", took_ms, "ms", limit=150.0)
            assert took_ms < 150.0 + 500.0
        stream.close()


def sees(stream):
    try:
        return stream.latest()
    except CameraError:
        return None


def test_frame_delivered_again_is_no_younger_for_it(bench):
    bench.open()
    bench.now_ns = 100 * MS
    bench.show(0)
    assert bench.stream.latest().frame.t_ns == 0
    assert bench.stream.latest().frame.sequence == 0
    bench.now_ns = 151 * MS
    with pytest.raises(CameraError, match="151 ms old"):
        bench.stream.latest()


def test_frames_that_never_arrived_are_counted(bench):
    bench.open()
    bench.show(1)
    bench.show(5)
    assert bench.stream.counts.drops == 3
    assert bench.stream.counts.frames == 3
    assert bench.stream.latest().frame.sequence == 2, "sequence counts what arrived"


def test_unplugged_camera_is_refused_at_once_and_comes_back_by_itself(bench):
    bench.open()
    bench.driver.on_open = CameraError("S1 is not there. Connected: nothing")
    bench.driver.script.put(CameraError("S1 is unplugged"))
    until(lambda: bench.driver.opened >= 4)
    with pytest.raises(CameraError, match=r"wrist is lost: S1 is not there\. Connected: nothing"):
        bench.stream.latest()
    bench.driver.on_open = None
    until(lambda: bench.stream.counts.reopens == 1)
    with pytest.raises(CameraError, match="is lost"):
        bench.stream.latest()
    bench.show(0)
    arrival = bench.stream.latest()
    assert arrival.identical == 1
    assert arrival.frame.sequence == 1, "the count of frames goes on"
    assert bench.driver.closed == bench.driver.opened - 1, "each failed attempt was closed"


def test_camera_that_falls_silent_is_opened_again(bench):
    bench.open()
    bench.now_ns = 501 * MS
    until(lambda: bench.driver.opened == 2)
    with pytest.raises(CameraError, match=r"no new picture for 0\.5 s"):
        bench.stream.latest()
    bench.show(0)
    assert bench.stream.latest().frame.t_ns == 501 * MS


def test_camera_that_stays_frozen_is_opened_again(bench):
    bench.open()
    picture = bench.stream.latest().frame.image
    bench.show(1, picture)
    bench.show(2, picture)
    bench.now_ns = 501 * MS
    bench.driver.script.put(DeviceFrame(picture.copy(), 3))
    until(lambda: bench.driver.opened == 2)
    with pytest.raises(CameraError, match=r"no new picture for 0\.5 s"):
        bench.stream.latest()


def test_camera_that_is_still_frozen_when_it_is_back_is_no_new_one(bench):
    bench.open()
    picture = bench.stream.latest().frame.image
    bench.show(1, picture)
    bench.driver.script.put(CameraError("S1 is unplugged"))
    until(lambda: bench.driver.opened == 2)
    bench.show(0, picture)
    with pytest.raises(CameraError, match="3 identical frames in a row"):
        bench.stream.latest()
    bench.show(1)
    assert bench.stream.latest().identical == 1


def test_sdk_may_raise_anything(bench):
    bench.open()
    bench.driver.script.put(RuntimeError("xioctl failed"))
    until(lambda: bench.driver.opened == 2)
    with pytest.raises(CameraError, match=r"its SDK failed \(RuntimeError: xioctl failed\)"):
        bench.stream.latest()
    bench.show(0)
    assert bench.stream.latest().number == 0


@pytest.mark.parametrize("kind", [CameraError, ConfigError])
def test_camera_that_cannot_be_opened_refuses_to_start(bench, kind):
    bench.driver.on_open = kind("S1 is not there. Connected: S2")
    with pytest.raises(kind, match=r"camera wrist cannot be started: S1 is not there\. Connected: S2"):
        bench.stream.open()
    assert bench.driver.opened == bench.driver.closed == 1, "no second try at the start"
    with pytest.raises(CameraError, match="not open"):
        bench.stream.latest()
    bench.driver.on_open = None
    bench.open()
    assert bench.stream.latest().number == 0


def test_camera_that_gives_no_frame_refuses_to_start(bench):
    threading.Timer(0.05, lambda: setattr(bench, "now_ns", 201 * MS)).start()
    with pytest.raises(CameraError, match=r"cannot be started: no new picture for 0\.2 s"):
        bench.stream.open()


def test_recording_is_not_opened_again_when_it_is_over(bench):
    bench.driver.live = False
    bench.open()
    bench.driver.script.put(CameraError("the video has ended"))
    until(lambda: bench.stream._latest is None)
    with pytest.raises(CameraError, match="the video has ended"):
        bench.stream.latest()
    bench.stream.close()
    assert bench.driver.opened == 1


def test_last_reader_closes_the_camera(bench):
    bench.open()
    bench.stream.open()
    assert bench.driver.opened == 1
    bench.stream.close()
    assert bench.stream.latest().number == 0
    bench.stream.close()
    bench.stream.close()
    assert bench.driver.closed == 1
    with pytest.raises(CameraError, match="not open; call open"):
        bench.stream.latest()


def test_never_opened_is_refused(bench):
    with pytest.raises(CameraError, match="wrist is not open"):
        bench.stream.latest()
    with pytest.raises(CameraError, match="wrist is not open"):
        bench.stream.probe(0.1)


def test_probe_tells_rate_age_and_repeats(bench):
    bench.driver.warnings = ("on USB 2.1",)
    stream = FrameStream(bench.stream.config, bench.driver)
    stop = threading.Event()

    def film() -> None:
        number = 0
        picture = bench.picture()
        while not stop.wait(0.01):
            number += 1
            if number % 10:  # every tenth frame shows what the one before showed
                picture = bench.picture()
            bench.driver.script.put(DeviceFrame(picture.copy(), number))

    filming = threading.Thread(target=film)
    filming.start()
    stream.open()
    began_s = time.monotonic()
    report = stream.probe(0.5)
    took_s = time.monotonic() - began_s
    stop.set()
    filming.join()
    stream.close()
    assert (report.name, report.identity, report.warnings) == ("wrist", "S1", ("on USB 2.1",))
    assert report.counts.frames >= 10
    assert report.rate_hz == pytest.approx(report.counts.frames / took_s, rel=0.2)
    assert 0.0 <= report.age_p50_ms <= report.age_p99_ms
    assert report.counts.repeats >= 1
    assert report.counts.drops == 0


def test_probe_of_a_lost_camera_says_what_is_wrong(bench):
    bench.driver.live = False
    stream = FrameStream(bench.stream.config, bench.driver)
    bench.driver.script.put(DeviceFrame(bench.picture(), 0))
    stream.open()
    bench.driver.script.put(CameraError("the video has ended"))
    until(lambda: stream._latest is None)
    report = stream.probe(0.05)
    stream.close()
    assert np.isnan(report.age_p99_ms)
    assert report.rate_hz == 0.0
    assert "the video has ended" in report.fault


def test_reader_never_sees_half_a_frame(bench):
    """Frames of one colour each: a torn one would show two."""
    patient = replace(bench.stream.config, max_age_s=2.0)  # a busy machine's frames may be old
    stream = FrameStream(patient, bench.driver)
    shape = (48, 64, 3)
    bench.driver.script.put(DeviceFrame(np.zeros(shape, np.uint8), 0))
    stream.open()
    for number in range(1, 200):
        bench.driver.script.put(DeviceFrame(np.full(shape, number, np.uint8), number))
        arrival = stream.latest()
        assert arrival.number == arrival.frame.image[0, 0, 0]
        assert (arrival.frame.image == arrival.number).all()
    stream.close()


def test_one_pixel_is_enough_to_be_another_picture():
    a = np.zeros((48, 64, 3), np.uint8)
    b = a.copy()
    b[47, 62, 1] = 1
    assert same_picture(a, a.copy())
    assert not same_picture(a, b)
    assert not same_picture(a, a[:, ::2])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"name": ""}, "no name"),
        ({"width": 8}, "width is 8"),
        ({"fps": 0}, "fps is 0"),
        ({"max_age_s": 0.01}, r"max_age_s is 0\.01"),
        ({"max_repeats": 1}, "max_repeats is 1"),
        ({"exposure_us": 0.0}, "exposure_us is 0"),
        ({"gain": -1.0, "exposure_us": 100.0}, r"gain is -1\.0"),
        ({"gain": 16.0}, "without exposure_us"),
    ],
)
def test_device_config_is_checked(values, words):
    with pytest.raises(ConfigError, match=words):
        CameraDeviceConfig(**values)
