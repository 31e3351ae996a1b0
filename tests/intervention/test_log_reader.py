from pathlib import Path

import numpy as np
import pytest

from handrail.intervention.log_format import (
    EpisodeStart,
    FrameRecord,
    LogError,
    SchemaError,
    StepRecord,
    decode_record,
    encode_frame,
    encode_record,
    frame_id,
    step_record,
)
from handrail.intervention.log_reader import LogReader, TransitionAssembler, iter_transitions


def test_an_empty_log_has_nothing_to_read_until_it_begins(samples, tmp_path: Path) -> None:
    reader = LogReader(tmp_path)
    assert reader.read(0) == [] and reader.header() is None
    with samples.writer(tmp_path):
        assert len(reader.read(0)) == 1 and reader.header() is not None


def test_every_position_limit_and_bound_gives_exactly_what_follows(samples, tmp_path: Path) -> None:
    with samples.writer(tmp_path, segment_bytes=500) as writer:
        for n in range(30):
            writer.append(samples.step(0, n))
        last = writer.appended
    everything = LogReader(tmp_path).read(0)
    assert [s for s, _ in everything] == list(range(1, last + 1))
    shared = LogReader(tmp_path)
    for after in range(last + 1):
        for limit in (1, 3, 1000):
            for upto in (None, after, last - 2):
                expected = [f for f in everything if f[0] > after and (upto is None or f[0] <= upto)][:limit]
                assert shared.read(after, limit, upto) == expected
                assert LogReader(tmp_path).read(after, limit, upto) == expected


def test_two_readers_tail_a_log_while_it_grows_and_rotates(samples, tmp_path: Path) -> None:
    reader = LogReader(tmp_path)
    positions, seen = [0, 0], [[], []]
    with samples.writer(tmp_path, segment_bytes=700) as writer:
        for n in range(60):
            writer.append(samples.step(0, n))
            for who, every in enumerate((1, 7)):
                if n % every == 0:
                    batch = reader.read(positions[who], limit=5 if who == 0 else 1000)
                    seen[who] += [s for s, _ in batch]
                    positions[who] = batch[-1][0] if batch else positions[who]
        last = writer.appended
    for who in range(2):
        seen[who] += [s for s, _ in reader.read(positions[who])]
        assert seen[who] == list(range(1, last + 1))


def test_a_frame_larger_than_a_read_is_read_whole(samples, tmp_path: Path) -> None:
    pixels = bytes(1000 * 1000 * 3)
    with samples.writer(tmp_path) as writer:
        writer.append(FrameRecord(1, "wrist", 0, (1000, 1000, 3), pixels), samples.step(0, 0))
    records = [decode_record(payload) for _, payload in LogReader(tmp_path).read(1)]
    assert records[0].pixels == pixels  # type: ignore[union-attr]
    assert isinstance(records[1], StepRecord)


def test_a_limit_of_bytes_ends_an_answer_and_loses_nothing(samples, tmp_path: Path) -> None:
    with samples.writer(tmp_path, segment_bytes=50_000) as writer:
        for n in range(60):
            writer.append(FrameRecord(n, "wrist", 0, (10, 100, 3), bytes(3000)), samples.step(0, n))
        last = writer.appended
    reader, seen = LogReader(tmp_path), []
    while batch := reader.read(seen[-1] if seen else 0, limit_bytes=10_000):
        seen += [sequence for sequence, _ in batch]
        sizes = [len(payload) for _, payload in batch]
        assert sum(sizes[:-1]) < 10_000  # the one that reaches it is still there, so it always goes on
        assert len(batch) > 2 or seen[-1] == last
    assert seen == list(range(1, last + 1))


def test_a_half_written_frame_is_waited_for(samples, tmp_path: Path) -> None:
    with samples.writer(tmp_path) as writer:
        writer.append(samples.step(0, 0))
    (segment,) = tmp_path.glob("*.seg")
    reader = LogReader(tmp_path)
    frame = encode_frame(3, encode_record(samples.step(0, 1)))
    whole = segment.read_bytes()
    for cut in range(len(frame)):
        segment.write_bytes(whole + frame[:cut])
        assert [s for s, _ in reader.read(1)] == [2]
        assert reader.read(2) == []
    segment.write_bytes(whole + frame)
    assert [s for s, _ in reader.read(2)] == [3]
    assert reader.damaged == []


def test_damage_is_skipped_and_reported_once(samples, tmp_path: Path) -> None:
    with samples.writer(tmp_path, segment_bytes=900) as writer:
        for n in range(12):
            writer.append(samples.step(0, n))
    first = sorted(tmp_path.glob("*.seg"))[0]
    data = bytearray(first.read_bytes())
    data[len(data) // 2] ^= 1
    first.write_bytes(bytes(data) + b"torn")
    reader = LogReader(tmp_path)
    for _ in range(2):
        steps = [r.step for _, r in reader.records() if isinstance(r, StepRecord)]
        assert len(steps) == 11 and steps == sorted(set(steps))
    assert [d.segment for d in reader.damaged] == [first.name, first.name]
    assert reader.damaged[1].length == len(b"torn")


@pytest.mark.parametrize("after", [0, 2])
def test_another_schema_is_refused_naming_both(samples, tmp_path: Path, after: int) -> None:
    data = (
        encode_frame(1, encode_record(samples.header(schema=2))) + encode_frame(2, b"") + encode_frame(3, b"")
    )
    (tmp_path / "00000001.seg").write_bytes(data)
    with pytest.raises(SchemaError, match="schema 2, this version reads 1"):
        LogReader(tmp_path).read(after)


def test_another_layout_is_refused_naming_both(samples, tmp_path: Path) -> None:
    samples.writer(tmp_path).close()
    assert LogReader(tmp_path, "aaaa").header() == samples.header()
    with pytest.raises(SchemaError, match="layout aaaa, this program uses bbbb"):
        LogReader(tmp_path, "bbbb").read(0)


def image(value: int) -> np.ndarray:
    return np.full((2, 3, 3), value, np.uint8)


def frame(index: int) -> FrameRecord:
    return FrameRecord(frame_id(0, index, 0), "wrist", index, (2, 3, 3), image(index).tobytes())


def test_images_are_stored_once_and_joined_by_id(samples, tmp_path: Path) -> None:
    with samples.writer(tmp_path) as writer:
        writer.append(EpisodeStart(0, (0,), "train", 0, 0, 0), frame(0))
        for n in range(4):
            ids = {"wrist": frame_id(0, n, 0)}, {"wrist": frame_id(0, n + 1, 0)}
            writer.append(frame(n + 1), step_record(samples.transition(0, n), *ids))
    reader = LogReader(tmp_path)
    for n, (_, transition) in enumerate(iter_transitions(reader)):
        assert np.array_equal(transition.images["wrist"], image(n))
        assert np.array_equal(transition.next_images["wrist"], image(n + 1))
    middle = next(s for s, r in reader.records() if isinstance(r, StepRecord) and r.step == 1)
    with pytest.raises(LogError, match="Step 2 of episode 0 refers to image"):
        list(iter_transitions(reader, after=middle))


def test_an_assembler_keeps_only_the_images_the_next_step_needs(samples) -> None:
    assembler = TransitionAssembler()
    assembler.feed(frame(0))
    for n in range(50):
        assembler.feed(frame(n + 1))
        ids = {"wrist": frame_id(0, n, 0)}, {"wrist": frame_id(0, n + 1, 0)}
        assert assembler.feed(step_record(samples.transition(0, n), *ids)) is not None
        assert len(assembler._images) == 1
