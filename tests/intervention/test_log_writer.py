import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from handrail.intervention.locks import RunLocked
from handrail.intervention.log_format import EpisodeEnd, Event, LogError, SegmentHeader, StepRecord, scan
from handrail.intervention.log_reader import LogReader
from handrail.intervention.recovery import recover

END = EpisodeEnd(0, 3, False, None, True, 0, 0, 0.0, 0)
EVENT = Event("aborted", 0, "test", 0, None, None, "")


def steps(directory: Path) -> list[tuple[int, int, int]]:
    """(sequence, episode, step) of every step on disk."""
    return [(s, r.episode, r.step) for s, r in LogReader(directory).records() if isinstance(r, StepRecord)]


def test_records_are_read_back_in_order_with_consecutive_sequences(samples, tmp_path: Path) -> None:
    with samples.writer(tmp_path) as writer:
        last = writer.append(samples.step(0, 0), samples.step(0, 1))
        assert writer.append(END) == last + 1
        writer.wait_committed(last + 1, timeout_s=10)
        assert writer.committed == writer.appended == last + 1
    records = list(LogReader(tmp_path).records())
    assert [s for s, _ in records] == [1, 2, 3, 4]
    assert isinstance(records[0][1], SegmentHeader)
    assert records[1:] == [(2, samples.step(0, 0)), (3, samples.step(0, 1)), (4, END)]


def test_sequences_go_on_over_segments_and_restarts(samples, tmp_path: Path) -> None:
    for restart in range(3):
        with samples.writer(tmp_path, segment_bytes=600) as writer:
            for n in range(20):
                writer.append(samples.step(restart, n))
    records = list(LogReader(tmp_path).records())
    assert [s for s, _ in records] == list(range(1, len(records) + 1))
    assert [(e, n) for _, e, n in steps(tmp_path)] == [(r, n) for r in range(3) for n in range(20)]
    assert len(list(tmp_path.glob("*.seg"))) > 6


def test_a_second_writer_is_refused_and_told_who_the_first_is(samples, tmp_path: Path) -> None:
    with (
        samples.writer(tmp_path),
        pytest.raises(RunLocked, match=rf"log writer .* process {os.getpid()}, since 20"),
    ):
        samples.writer(tmp_path)
    samples.writer(tmp_path).close()


def test_a_step_of_another_size_is_refused(samples, tmp_path: Path) -> None:
    with samples.writer(tmp_path) as writer, pytest.raises(LogError, match="has 7 state"):
        writer.append(samples.step(observation=np.zeros(7, np.float32)))


def test_a_closed_writer_says_so(samples, tmp_path: Path) -> None:
    writer = samples.writer(tmp_path)
    writer.close()
    writer.close()
    with pytest.raises(LogError, match="closed"):
        writer.append(END)


def test_below_the_reserve_a_log_does_not_open(samples, tmp_path: Path) -> None:
    with pytest.raises(LogError, match="MB free; free some space or lower"):
        samples.writer(tmp_path, reserve_bytes=1 << 60)
    samples.writer(tmp_path).close()


def test_below_the_reserve_steps_are_refused_but_an_episode_can_be_closed(samples, tmp_path: Path) -> None:
    with samples.writer(tmp_path) as writer:
        writer.append(samples.step())
        writer._reserve_bytes = 1 << 60  # the disk fills up: free space falls below the reserve
        writer._short_of_space = writer._is_short_of_space()
        with pytest.raises(LogError, match="MB free"):
            writer.append(samples.step(0, 1))
        writer.append(END, EVENT)
        writer._reserve_bytes = 0
        writer._short_of_space = writer._is_short_of_space()
        writer.append(samples.step(1, 0))
    assert [(e, n) for _, e, n in steps(tmp_path)] == [(0, 0), (1, 0)]


def test_what_cannot_be_synced_is_never_acknowledged(samples, tmp_path: Path) -> None:
    broken = False

    def sync(fd: int) -> None:
        if broken:
            raise OSError(errno.EIO, "Input/output error")
        os.fdatasync(fd)

    writer = samples.writer(tmp_path, sync=sync)
    good = writer.append(samples.step(0, 0))
    writer.wait_committed(good, timeout_s=10)
    broken = True
    bad = writer.append(samples.step(0, 1))
    with pytest.raises(LogError, match=rf"frames {bad} to {bad} could not"):
        writer.wait_committed(bad, timeout_s=10)
    assert writer.committed == good
    broken = False  # a later success would prove nothing: the writer stays failed
    with pytest.raises(LogError, match="not acknowledged"):
        writer.append(samples.step(0, 2))
    with pytest.raises(LogError):
        writer.close()
    with samples.writer(tmp_path) as again:
        again.append(samples.step(0, 2))


def test_waiting_for_a_disk_that_does_not_answer_ends(samples, tmp_path: Path) -> None:
    writer = samples.writer(tmp_path, sync_interval_s=60.0)
    with pytest.raises(LogError, match=r"not on the disk after 0\.01 s"):
        writer.wait_committed(writer.append(END), timeout_s=0.01)
    writer.close()
    assert writer.committed == writer.appended


FULL_DISK = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from conftest import Samples
from handrail.intervention.log_format import LogError
samples = Samples()
writer = samples.writer(Path({directory!r}))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
n = 0
try:
    while True:
        writer.append(samples.step(0, n))
        n += 1
except LogError as error:
    assert "space" in str(error), error
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
writer.append(samples.step(0, n))
writer.close()
sys.stdout.write(str(n))
"""


def test_a_write_that_fits_only_in_part_is_undone_and_the_log_goes_on(tmp_path: Path) -> None:
    """The kernel itself cuts the write short, at a file-size limit."""
    code = FULL_DISK.format(tests=str(Path(__file__).parent), directory=str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    count = int(done.stdout)
    assert 0 < count < 1000
    assert [n for _, _, n in steps(tmp_path)] == list(range(count + 1))


ENDLESS = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from conftest import Samples
samples = Samples()
writer = samples.writer(Path({directory!r}), segment_bytes=20_000, sync_interval_s=0.002)
n = {first}
while True:
    writer.append(samples.step(0, n))
    n += 1
    if n % 50 == 0:
        sys.stdout.write(f"{{writer.committed}}\\n")
        sys.stdout.flush()
"""


def test_kill_9_loses_no_committed_step_and_duplicates_none(samples, tmp_path: Path) -> None:
    log = tmp_path / "segments"
    known: dict[int, int] = {}
    for _ in range(4):
        first = max(known.values(), default=-1) + 1
        code = ENDLESS.format(tests=str(Path(__file__).parent), directory=str(log), first=first)
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            acknowledged = [int(process.stdout.readline()) for _ in range(10)]
            process.send_signal(signal.SIGKILL)
            acknowledged += [int(line) for line in process.stdout.read().splitlines() if line]
        on_disk = {s: n for s, _, n in steps(log)}
        assert list(on_disk.values()) == list(range(len(on_disk)))  # none lost in between, none twice
        assert max(on_disk) >= max(acknowledged)
        assert known.items() <= on_disk.items()  # what was recovered once is never taken back
        known = on_disk
        samples.writer(log).close()
        assert {s: n for s, _, n in steps(log)} == known


def test_recovery_cuts_the_torn_tail_of_the_last_segment_only(samples, tmp_path: Path) -> None:
    for episode in range(2):
        with samples.writer(tmp_path) as writer:
            for n in range(5):
                writer.append(samples.step(episode, n))
    earlier, last = sorted(tmp_path.glob("*.seg"))
    earlier.write_bytes(earlier.read_bytes() + b"half a frame")
    before = earlier.read_bytes()
    whole = last.read_bytes()
    for cut in range(len(whole)):
        last.write_bytes(whole[:cut])
        frames = list(scan(whole[:cut]))
        recovery = recover(tmp_path)
        assert (recovery.frames, recovery.damaged) == (len(frames), ())
        assert recovery.last_sequence == (frames[-1].sequence if frames else 6)
        assert last.read_bytes() == whole[: cut - recovery.torn_bytes]
    assert earlier.read_bytes() == before


def test_damage_inside_a_segment_is_reported_and_left_alone(samples, tmp_path: Path) -> None:
    with samples.writer(tmp_path) as writer:
        for n in range(5):
            writer.append(samples.step(0, n))
    (segment,) = tmp_path.glob("*.seg")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0x10
    segment.write_bytes(data)
    with samples.writer(tmp_path) as writer:
        assert [d.segment for d in writer.recovery.damaged] == [segment.name]
        assert writer.recovery.torn_bytes == 0
    assert segment.read_bytes() == data
    assert len(steps(tmp_path)) == 4


@pytest.mark.parametrize("left", [0, 3, 30])
def test_a_segment_torn_in_its_header_is_survived(samples, tmp_path: Path, left: int) -> None:
    with samples.writer(tmp_path) as writer:
        writer.append(samples.step(0, 0))
    samples.writer(tmp_path).close()
    last = sorted(tmp_path.glob("*.seg"))[-1]
    last.write_bytes(last.read_bytes()[:left])
    with samples.writer(tmp_path) as writer:
        assert writer.append(samples.step(0, 1)) == 4
    assert steps(tmp_path) == [(2, 0, 0), (4, 0, 1)]
