"""Batches drawn ahead are those that would have been drawn, whatever happens meanwhile."""

import numpy as np
import pytest
import torch
from pictures import CAMERAS, SIDE, episode_records, feed, picture

from handrail.agent.batch import Batch
from handrail.agent.frames import FramePool
from handrail.agent.image_source import ShiftedImages
from handrail.agent.prefetch import Prefetcher
from handrail.agent.replay import ReplayMemory
from handrail.agent.sampling import Sampler, SamplingError


def sampler_of(*lengths: int, capacity: int = 200, shift_px: int = 2) -> Sampler:
    pool = FramePool(CAMERAS, (SIDE, SIDE))
    memory = ReplayMemory(capacity, 2, 1, pool)
    for number, length in enumerate(lengths):
        feed(memory, episode_records(number, length, human=(0, 1)))
    return Sampler(memory, 16, 0.9, 3, np.random.default_rng(0), ShiftedImages(pool, shift_px))


def assert_same(a: Batch, b: Batch) -> None:
    assert a.pixels is not None and b.pixels is not None
    assert torch.equal(a.observation, b.observation) and torch.equal(a.pixels, b.pixels)


def test_batches_come_in_the_sampler_s_own_order():
    plain, ahead = sampler_of(30), sampler_of(30)
    batches = Prefetcher(ahead, ahead.symmetric)
    for _ in range(10):
        assert_same(batches.next(), plain.symmetric())
    batches.close()
    assert ahead.random_state == plain.random_state  # as if none had been drawn ahead
    assert_same(ahead.symmetric(), plain.symmetric())


def test_a_checkpoint_between_two_batches_goes_on_exactly():
    sampler, again = sampler_of(30), sampler_of(30)
    batches, resumed = Prefetcher(sampler, sampler.symmetric), Prefetcher(again, again.symmetric)
    for _ in range(3):
        batches.next()
    state = batches.random_state
    resumed.next()
    resumed.random_state = state
    for _ in range(3):
        assert_same(batches.next(), resumed.next())
    batches.close()
    resumed.close()


def test_an_empty_view_is_the_sampler_s_error_and_mends():
    sampler = sampler_of()
    batches = Prefetcher(sampler, sampler.symmetric)
    with pytest.raises(SamplingError, match="replay buffer is empty"):
        batches.next()
    feed(sampler.memory, episode_records(0, 10, human=(0,)))
    assert len(batches.next()) == 16
    batches.close()


def test_what_is_added_and_dropped_meanwhile_never_mixes_pictures():
    sampler = sampler_of(20, 20, capacity=40, shift_px=0)
    batches = Prefetcher(sampler, sampler.symmetric)
    for number in range(2, 40):
        batch = batches.next()
        feed(sampler.memory, episode_records(number, 20, human=(0, 1)))
        sampler.memory.label(number, "failure" if number % 2 else "success", 12)
        assert batch.pixels is not None and batch.next_pixels is not None
        for states, pixels in (
            (batch.observation, batch.pixels),
            (batch.next_observation, batch.next_pixels),
        ):
            for (episode, index), images in zip(states.int().tolist(), pixels.numpy(), strict=True):
                assert images[0, 0, 0].tolist() == [episode, index, 0]
                assert images[1, 0, 0].tolist() == [episode, index, 1]
    assert picture(39, 20, 1)[0, 0].tolist() == [39, 20, 1]
    batches.close()


@pytest.mark.gpu
def test_batches_travel_to_the_gpu_from_pinned_memory():
    sampler, plain = sampler_of(30), sampler_of(30)
    batches = Prefetcher(sampler, sampler.symmetric, "cuda")
    for _ in range(3):
        found, wanted = batches.next(), plain.symmetric()
        assert found.pixels is not None and wanted.pixels is not None
        assert found.pixels.is_cuda and found.reward.is_cuda
        assert torch.equal(found.pixels.cpu(), wanted.pixels)
    batches.close()
