"""The memory's pictures: every step has its own, there is one copy of each, the oldest leave first."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from pictures import CAMERAS, SIDE, episode_records, feed, frame_ids, frame_records, picture

from handrail.agent.batch import Batch
from handrail.agent.frames import FramePool
from handrail.agent.image_source import ShiftedImages
from handrail.agent.replay import ReplayMemory
from handrail.agent.sampling import Sampler
from handrail.intervention.log_format import LOG_SCHEMA, FrameRecord, SegmentHeader, decode_record
from handrail.intervention.log_reader import LogReader
from handrail.intervention.log_writer import LogWriter
from handrail.robot_env.errors import CameraError, ConfigError
from handrail.vision.augment import shifted

IMAGE = (SIDE, SIDE)
GAMMA = 0.9


def memory_of(*lengths: int, capacity: int = 500, cameras=CAMERAS, **episode) -> ReplayMemory:
    memory = ReplayMemory(capacity, 2, 1, FramePool(cameras, IMAGE))
    for number, length in enumerate(lengths):
        feed(memory, episode_records(number, length, **episode))
    return memory


def pool_of(memory: ReplayMemory) -> FramePool:
    assert memory.frames is not None
    return memory.frames


def sampler_of(memory: ReplayMemory, shift_px: int = 0) -> Sampler:
    source = ShiftedImages(pool_of(memory), shift_px)
    return Sampler(memory, 64, GAMMA, 3, np.random.default_rng(0), source)


def seen(batch: Batch) -> Iterator[tuple[int, int, np.ndarray]]:
    """(episode, index, images) of every row's observation, then of every row's next one."""
    assert batch.pixels is not None and batch.next_pixels is not None
    states = torch.cat([batch.observation, batch.next_observation]).int().tolist()
    images = torch.cat([batch.pixels, batch.next_pixels]).numpy()
    for (episode, index), pictures in zip(states, images, strict=True):
        yield episode, index, pictures


def test_every_row_of_a_batch_has_the_pictures_of_its_own_moments():
    memory = memory_of(7, 12, 3, human=(1, 2))
    rows = list(seen(sampler_of(memory).symmetric()))
    assert len(rows) == 2 * 64
    for episode, index, images in rows:
        assert np.array_equal(images, [picture(episode, index, camera) for camera in range(2)])


def test_a_frame_is_kept_once():
    memory = memory_of(10, 20)
    assert pool_of(memory).added == 11 + 21
    assert pool_of(memory).frame_bytes == 2 * SIDE * SIDE * 3


def test_frames_leave_with_the_last_step_that_needs_them():
    memory = memory_of(*[40] * 12, capacity=100)
    frames = pool_of(memory)
    assert frames.added == 12 * 41
    assert frames.added - frames.oldest == 100 + 3  # of the 100 steps, in three episodes
    assert frames.bytes <= 4 * 64 * frames.frame_bytes
    for episode, index, images in seen(sampler_of(memory).only("replay")):
        assert np.array_equal(images[1], picture(episode, index, 1))


def test_pictures_that_no_step_can_name_leave_too():
    """A log that lacks one camera gives pictures and no steps; they may not fill the memory."""
    memory = memory_of(60, 60, capacity=100)
    drawn = sampler_of(memory)
    for episode in range(2, 8):
        for record in episode_records(episode, 80):
            if not (isinstance(record, FrameRecord) and record.camera == "right"):
                feed(memory, [record])
        memory.label(0, "success")  # of an episode of which little or nothing is left
        memory.label(1, "demo")
        assert pool_of(memory).held <= 100 + 2 + 64
        for number, index, images in [] if len(memory.replay) == 0 else seen(drawn.only("replay")):
            assert np.array_equal(images, [picture(number, index, camera) for camera in range(2)])
    assert memory.left_out == 6 * 80
    assert len(memory.replay) == len(memory.demo) == 0
    feed(memory, episode_records(8, 20))
    assert len(memory.replay) == 20
    assert {episode for episode, _, _ in seen(drawn.only("replay"))} == {8}


def test_a_camera_that_is_the_classifiers_alone_is_left_out():
    memory = memory_of(5, cameras=("right",))
    for episode, index, images in seen(sampler_of(memory).only("replay")):
        assert np.array_equal(images, [picture(episode, index, 1)])


def test_a_step_whose_picture_is_lost_is_left_out_and_counted():
    memory = ReplayMemory(100, 2, 1, FramePool(CAMERAS, IMAGE))
    lost = frame_ids(0, 3)["right"]
    feed(
        memory, (r for r in episode_records(0, 8) if not (isinstance(r, FrameRecord) and r.frame_id == lost))
    )
    assert memory.left_out == 2 and memory.added == len(memory.replay) == 6
    columns = memory.gather(np.arange(6), GAMMA, 3)
    assert columns["observation"][:, 1].tolist() == [0, 1, 4, 5, 6, 7]
    assert columns["next_observation"][:, 1].tolist() == [2, 2, 7, 8, 8, 8]  # nothing bridges the gap


def test_what_was_collected_for_a_classifier_is_not_for_a_policy():
    memory = memory_of(10, purpose="classify")
    assert (memory.added, pool_of(memory).added, len(memory.replay), memory.left_out) == (0, 0, 0, 0)


def test_a_picture_of_another_size_is_refused_in_one_line():
    pool = FramePool(CAMERAS, (64, 64))
    with pytest.raises(CameraError, match=r"camera 'left' is \(32, 32, 3\), the policy sees \(64, 64, 3\)"):
        pool.put(frame_records(0, 0)[0])


def test_a_shift_larger_than_the_picture_is_refused():
    with pytest.raises(ConfigError, match=r"vision\.shift_px is 32, the images have 32x32"):
        ShiftedImages(FramePool(CAMERAS, IMAGE), 32)


def test_shifts_are_drawn_for_each_row_camera_and_side_apart():
    rows = seen(sampler_of(memory_of(30), shift_px=2).only("replay"))
    found = np.array(
        [
            [shift_of(images[c], picture(episode, index, c)) for c in range(2)]
            for episode, index, images in rows
        ]
    )  # (rows of both sides, cameras, 2)
    assert set(np.unique(found)) == {-2, -1, 0, 1, 2}
    s, s_next = np.split(found, 2)
    for a, b in ((s, s_next), (found[:, 0], found[:, 1]), (s[1:], s[:-1])):
        assert (a == b).mean() < 0.4  # 0.2 if they have nothing to do with each other


def shift_of(image: np.ndarray, original: np.ndarray) -> tuple[int, int]:
    """By how much it was shifted."""
    for dy, dx in itertools.product(range(-2, 3), repeat=2):
        shift = dy, dx
        if np.array_equal(shifted(original[None], np.array([shift]))[0], image):
            return shift
    raise AssertionError("no shift of this picture")


def test_the_memory_is_the_same_after_a_reload_from_the_log(tmp_path):
    live = ReplayMemory(150, 2, 1, FramePool(CAMERAS, IMAGE))
    header = SegmentHeader(LOG_SCHEMA, "run", "", 2, 1, 0)
    with LogWriter(tmp_path, header, reserve_bytes=0, segment_bytes=300_000) as writer:
        for number, length in enumerate((40, 60, 90)):
            records = list(episode_records(number, length, human=range(5)))
            feed(live, records)
            for record in records:
                writer.append(record)
    again = ReplayMemory(150, 2, 1, FramePool(CAMERAS, IMAGE))
    feed(again, (decode_record(payload) for _, payload in LogReader(tmp_path).frames()))
    assert len(list(tmp_path.glob("*.seg"))) > 2
    samplers = [sampler_of(memory, shift_px=2) for memory in (live, again)]
    for _ in range(5):
        first, second = (sampler.symmetric() for sampler in samplers)
        for name in ("observation", "action", "reward", "discount", "pixels", "next_pixels"):
            assert torch.equal(getattr(first, name), getattr(second, name)), name
