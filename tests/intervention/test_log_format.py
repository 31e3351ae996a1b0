import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handrail.intervention.log_format import (
    HEADER,
    MAGIC,
    MAX_PAYLOAD,
    EpisodeEnd,
    EpisodeStart,
    Event,
    FrameRecord,
    LogError,
    Scan,
    SchemaError,
    SegmentHeader,
    StepRecord,
    decode_record,
    encode_frame,
    encode_record,
    frame_id,
    image_from,
    scan,
    step_record,
    transition_from,
)
from handrail.intervention.transition import Source, Transition

float32 = st.floats(width=32, allow_nan=True, allow_infinity=True)


def vector(size: int) -> st.SearchStrategy[np.ndarray]:
    return st.lists(float32, min_size=size, max_size=size).map(lambda x: np.array(x, np.float32))


transitions = st.builds(
    Transition,
    episode=st.integers(0, 2**40),
    step=st.integers(0, 10_000),
    observation=vector(5),
    action=vector(3),
    policy_action=vector(3),
    reward=st.floats(),
    terminated=st.booleans(),
    truncated=st.booleans(),
    next_observation=vector(5),
    source=st.sampled_from(Source),
    t_ns=st.integers(0, 2**62),
    wall_ns=st.integers(0, 2**62),
    weights_version=st.integers(-1, 2**40),
    gate_flags=st.integers(0, 2**16),
    score=st.none() | st.floats(),
    latency_ms=st.floats(),
    log_prob=st.none() | st.floats(),
    classifier=st.text(max_size=12),
    seated=st.none() | st.booleans(),
)


def same_float(a: float | None, b: float | None) -> bool:
    return a is b if a is None or b is None else np.float64(a).tobytes() == np.float64(b).tobytes()


@given(transitions)
@settings(max_examples=200, deadline=None)
def test_a_transition_survives_the_log_bit_for_bit(transition: Transition) -> None:
    record = decode_record(encode_record(step_record(transition, {"wrist": 7}, {"wrist": 8})))
    decoded = transition_from(record)  # type: ignore[arg-type]
    for name in Transition.__dataclass_fields__:
        before, after = getattr(transition, name), getattr(decoded, name)
        if isinstance(before, np.ndarray):
            assert after.dtype == np.float32 and after.tobytes() == before.tobytes(), name
        elif isinstance(before, float) or before is None:
            assert same_float(before, after), name
        else:
            assert before == after, name
    assert record.frames == {"wrist": 7} and record.next_frames == {"wrist": 8}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "record",
    [
        SegmentHeader(1, "run", "0123456789abcdef", 19, 6, 5),
        EpisodeStart(3, (1, 2, 3), "demo", 4, 5, -1),
        FrameRecord(frame_id(1, 2, 3), "wrist", 9, (2, 2, 3), bytes(range(12))),
        EpisodeEnd(3, 10, False, "force", True, 0, 0, 12.5, 7),
        EpisodeEnd(3, 10, False, "force", True, 0, 0, 12.5, 7, seated=True),
        Event("label", 3, "ana", 8, None, "success", "seated"),
        Event("label", 3, "classifier 0123456789ab", 8, "failure", "success", "", step=41),
    ],
)
def test_every_record_survives(record: object) -> None:
    assert decode_record(encode_record(record)) == record  # type: ignore[arg-type]


def test_an_image_keeps_its_shape_and_pixels() -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    record = FrameRecord(1, "side", 0, image.shape, image.tobytes())
    assert np.array_equal(image_from(record), image)


def test_frame_ids_never_collide() -> None:
    ids = {frame_id(e, i, c) for e in (0, 1, 999) for i in (0, 1, 100) for c in (0, 1, 3)}
    assert len(ids) == 27


def test_a_reader_ignores_fields_that_a_newer_writer_appends() -> None:
    payload = encode_record(Event("comment", 1, "ana", 2, None, None, "x"))
    longer = bytes([payload[0] + 1]) + payload[1:] + b"\xc0"  # one more array item: nil
    assert decode_record(longer) == decode_record(payload)


@pytest.mark.parametrize(
    ("record", "appended"),
    [
        (EpisodeEnd(3, 10, False, "force", True, 0, 0, 12.5, 7), 1),
        (Event("label", 3, "ana", 8, None, "success", "seated"), 1),
        (StepRecord(0, 1, b"", b"", b"", 0.0, False, False, b"", 0, 2, 3, 4, 0, None, 0.0, None), 2),
    ],
)
def test_a_record_from_before_the_classifier_is_read_as_one_without(record, appended: int) -> None:
    fields = msgspec.msgpack.decode(encode_record(record))
    assert decode_record(msgspec.msgpack.encode(fields[:-appended])) == record


def test_an_unknown_payload_is_refused() -> None:
    with pytest.raises(SchemaError, match="not of schema 1"):
        decode_record(b"\x93\x01\x02\x03")


def test_a_payload_beyond_the_limit_is_refused() -> None:
    with pytest.raises(LogError, match=f"limit {MAX_PAYLOAD}"):
        encode_frame(1, bytes(MAX_PAYLOAD + 1))


SEGMENT_FRAMES = [(n, bytes([n]) * (n % 7)) for n in range(1, 13)]
SEGMENT = b"".join(encode_frame(n, payload) for n, payload in SEGMENT_FRAMES)
ENDS = np.cumsum([HEADER.size + len(p) for _, p in SEGMENT_FRAMES])


def found(data: bytes) -> list[tuple[int, bytes]]:
    return [(frame.sequence, frame.payload) for frame in scan(data)]


def test_truncation_at_every_byte_keeps_every_whole_frame() -> None:
    for cut in range(len(SEGMENT) + 1):
        whole = int(np.searchsorted(ENDS, cut, side="right"))
        assert found(SEGMENT[:cut]) == SEGMENT_FRAMES[:whole]


def test_every_single_bit_flip_loses_only_its_own_frame() -> None:
    for bit in range(8 * len(SEGMENT)):
        data = bytearray(SEGMENT)
        data[bit // 8] ^= 1 << (bit % 8)
        hit = int(np.searchsorted(ENDS, bit // 8, side="right"))
        assert found(bytes(data)) == SEGMENT_FRAMES[:hit] + SEGMENT_FRAMES[hit + 1 :]


def test_a_deleted_stretch_anywhere_loses_only_the_frames_it_touches() -> None:
    rng = np.random.default_rng(1)
    for _ in range(500):
        a, b = sorted(rng.integers(0, len(SEGMENT), 2).tolist())
        left = int(np.searchsorted(ENDS, a, side="right"))
        starts = [0, *ENDS[:-1].tolist()]
        right = next((i for i, s in enumerate(starts) if s >= b), len(starts))
        survivors = found(SEGMENT[:a] + SEGMENT[b:])
        untouched = SEGMENT_FRAMES[:left] + SEGMENT_FRAMES[max(left, right) :]
        # The two ends may complete each other by chance; that is still a frame that was written.
        assert [f for f in SEGMENT_FRAMES if f in survivors] == survivors
        assert [f for f in survivors if f in untouched] == untouched


@given(st.binary(max_size=400), st.binary(max_size=40))
def test_noise_around_frames_never_hides_or_invents_one(noise: bytes, payload: bytes) -> None:
    data = noise + MAGIC + encode_frame(5, payload) + MAGIC + noise
    assert found(data) == [(5, payload)]


def test_an_unfinished_buffer_is_not_searched_inside_its_last_frame() -> None:
    nested = encode_frame(99, b"not a frame of its own")
    data = encode_frame(1, b"a") + encode_frame(2, nested + b"tail")
    cut = len(data) - 2
    live = Scan(data[:cut], final=False)
    assert [frame.sequence for frame in live] == [1]
    assert live.end == len(encode_frame(1, b"a"))


def test_damage_is_reported_with_its_place() -> None:
    data = bytearray(SEGMENT)
    data[int(ENDS[2]) + 1] ^= 0xFF
    damaged = Scan(bytes(data))
    list(damaged)
    assert damaged.damaged == [(int(ENDS[2]), int(ENDS[3] - ENDS[2]))]
