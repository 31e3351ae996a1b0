"""Recording keeps every frame it can, counts the others, and never holds the camera up."""

import threading
from pathlib import Path

import numpy as np
import pytest
from emulators.camera import until

from handrail.robot_env.cameras.camera import Frame
from handrail.robot_env.cameras.config import CameraDeviceConfig
from handrail.robot_env.cameras.driver import DeviceFrame
from handrail.robot_env.cameras.stream import FrameStream

cv2 = pytest.importorskip("cv2", reason="needs the extra 'opencv'")
from handrail.robot_env.cameras.recorder import RESERVE_BYTES, Recorder  # noqa: E402


def config(folder: Path) -> CameraDeviceConfig:
    return CameraDeviceConfig(name="wrist", serial="S1", width=64, height=48, record=str(folder))


def frame(sequence: int) -> Frame:
    """One grey level for each."""
    return Frame(np.full((48, 64, 3), 10 * sequence, np.uint8), 1000 * sequence, sequence)


def taken(number: int, device_ns: int | None = None) -> DeviceFrame:
    """What the recorder wants to know of a frame beside its picture."""
    return DeviceFrame(np.zeros(0, np.uint8), number, device_ns, "hardware_clock")


def written(folder: Path) -> tuple[list[list[str]], list[int]]:
    """The lines of the table, and the grey levels of the video."""
    (table,), (video,) = folder.glob("*.csv"), folder.glob("*.mkv")
    header, *lines = table.read_text().splitlines()
    assert header == "index,sequence,number,t_ns,device_ns,device_clock"
    capture, levels = cv2.VideoCapture(str(video)), []
    while (read := capture.read())[0]:
        levels.append(round(read[1].mean() / 10))
    capture.release()
    return [line.split(",") for line in lines], levels


def test_every_frame_is_in_the_video_and_in_the_table(tmp_path):
    recorder = Recorder(config(tmp_path / "made" / "here"))
    recorder.start()
    for n in range(12):
        recorder.put(frame(n), taken(100 + n, None if n == 3 else 7 * n))
    recorder.close()
    recorder.close()
    lines, levels = written(tmp_path / "made" / "here")
    assert levels == list(range(12))
    assert lines[2] == ["2", "2", "102", "2000", "14", "hardware_clock"]
    assert lines[3] == ["3", "3", "103", "3000", "", "hardware_clock"]
    assert (recorder.written, recorder.dropped, recorder.fault) == (12, 0, "")


def test_what_the_disk_does_not_keep_up_with_is_dropped_and_counted(tmp_path):
    disk = threading.Event()

    def slow(folder: Path) -> int:
        disk.wait(10.0)
        return 10 * RESERVE_BYTES

    recorder = Recorder(config(tmp_path), waiting=5, free=slow)
    recorder.start()
    recorder.put(frame(0), taken(0))
    until(lambda: recorder._frames.empty())  # the writer holds the first one
    for n in range(1, 11):
        recorder.put(frame(n), taken(n))
    assert recorder.dropped == 5
    disk.set()
    recorder.close()
    lines, levels = written(tmp_path)
    assert [line[1] for line in lines] == ["0", "1", "2", "3", "4", "5"]
    assert levels == [0, 1, 2, 3, 4, 5]


def test_recording_ends_before_the_disk_is_full(tmp_path, caplog):
    free = iter([RESERVE_BYTES, RESERVE_BYTES - 1])
    recorder = Recorder(config(tmp_path), waiting=100, free=lambda folder: next(free))
    recorder.start()
    for n in range(80):
        recorder.put(frame(n % 20), taken(n))
    until(lambda: recorder.fault)
    recorder.put(frame(0), taken(80))
    recorder.close()
    assert recorder.fault == (f"camera wrist is no longer recorded to {tmp_path}: less than 500 MB are free")
    assert recorder.fault in caplog.text
    lines, levels = written(tmp_path)
    assert len(lines) == len(levels) == recorder.written == 30


def test_full_disk_ends_the_recording_and_nothing_else(tmp_path, monkeypatch):
    """/dev/full answers every write as a full disk does."""
    original = Path.open

    def full(path: Path, *args, **words):
        return original(Path("/dev/full") if path.suffix == ".csv" else path, *args, **words)

    monkeypatch.setattr(Path, "open", full)
    recorder = Recorder(config(tmp_path))
    recorder.start()
    for n in range(40):
        recorder.put(frame(n % 20), taken(n))
    until(lambda: recorder.fault)
    assert "No space left on device" in recorder.fault
    recorder.close()


def test_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    recorder = Recorder(config(tmp_path / "file"))
    recorder.start()
    recorder.put(frame(0), taken(0))
    until(lambda: recorder.fault)
    assert "File exists" in recorder.fault
    recorder.close()


def test_stream_records_at_the_cameras_rate_whatever_is_read(bench, tmp_path):
    recorder = Recorder(config(tmp_path))
    stream = FrameStream(config(tmp_path), bench.driver, recorder)
    for n in range(10):
        bench.driver.script.put(DeviceFrame(frame(n).image, n, n))
    stream.open()
    until(lambda: stream.counts.frames == 10)
    stream.close()
    lines, levels = written(tmp_path)
    assert levels == list(range(10))
    assert [line[2] for line in lines] == [str(n) for n in range(10)]


def test_stream_goes_on_when_recording_ends(bench, tmp_path):
    recorder = Recorder(config(tmp_path), free=lambda folder: 0)
    stream = FrameStream(config(tmp_path), bench.driver, recorder)
    bench.driver.script.put(DeviceFrame(frame(0).image, 0))
    stream.open()
    until(lambda: recorder.fault)
    bench.driver.script.put(DeviceFrame(frame(1).image, 1))
    until(lambda: stream.counts.frames == 2)
    assert stream.probe(0.01).warnings == (recorder.fault,)
    stream.close()


def test_what_a_killed_process_leaves_can_be_read(tmp_path):
    """Files are copied while the recording runs: the last second may be missing, the rest is whole."""
    recorder = Recorder(config(tmp_path), waiting=1000)
    recorder.start()
    rng = np.random.default_rng(0)
    for n in range(400):  # noise: what is written fills OpenCV's buffers
        recorder.put(Frame(rng.integers(0, 256, (48, 64, 3), np.uint8), n, n), taken(n))
    until(lambda: recorder.written == 400)
    (table,), (video,) = tmp_path.glob("*.csv"), tmp_path.glob("*.mkv")
    cut = tmp_path / "cut.avi"
    cut.write_bytes(video.read_bytes())
    lines = table.read_text().splitlines()
    recorder.close()
    assert len(lines) == 401
    capture, count = cv2.VideoCapture(str(cut)), 0
    while capture.grab():
        count += 1
    capture.release()
    assert count > 100
