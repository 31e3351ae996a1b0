"""Batches drawn ahead are those that would have been drawn, whatever happens meanwhile."""

import numpy as np
import pytest
import torch
from pictures import CAMERAS, SIDE, episode_records, feed, picture

from handrail.agent.batch import Batch
from handrail.agent.config import AgentConfig, RunConfig
from handrail.agent.frames import FramePool
from handrail.agent.image_source import ShiftedImages
from handrail.agent.learner import Learner
from handrail.agent.pixels import Pixels
from handrail.agent.prefetch import Prefetcher
from handrail.agent.replay import ReplayMemory
from handrail.agent.sampling import Sampler, SamplingError
from handrail.agent.sight import sight_of
from handrail.intervention.log_format import encode_record
from handrail.intervention.run_directory import RunDirectory
from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.config import EnvConfig
from handrail.vision.config import VisionConfig
from handrail.vision.weights import keep_in_run, resolve


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


@pytest.mark.parametrize("shift_px", [0, 3])
def test_a_trained_trunk_sees_every_image_shifted_anew_without_views(tmp_path, shift_px):
    vision = VisionConfig(trunk="cnn", frozen=False, views=1, shift_px=shift_px)
    config = RunConfig(
        env=EnvConfig(cameras=tuple(CameraConfig(name, "wrist", SIDE, SIDE) for name in CAMERAS)),
        vision=vision,
    )
    keep_in_run(tmp_path, *resolve(vision, None, 0, None))
    sight = sight_of(tmp_path, config)
    assert sight is not None
    pixels = Pixels(sight, config)
    feed(ReplayMemory(100, 2, 1, pixels.frames), episode_records(0, 3))
    for image in pixels.frames.images(1):
        image[:] = np.arange(SIDE * SIDE * 3, dtype=np.uint32).astype(np.uint8).reshape(image.shape)
    seen = pixels.source.gather(np.full(32, 1), np.random.default_rng(0))
    assert (len(seen[:, 0].flatten(1).unique(dim=0)) > 8) == (shift_px > 0)
    assert bool((seen == seen[0]).all()) == (shift_px == 0)


def test_a_learner_with_a_trained_trunk_is_restored_exactly(tmp_path):
    vision = VisionConfig(trunk="cnn", frozen=False, views=2, bottleneck=16, proprioception=8)
    config = RunConfig(
        env=EnvConfig(cameras=tuple(CameraConfig(name, "wrist", SIDE, SIDE) for name in CAMERAS)),
        agent=AgentConfig(hidden=(16, 16), batch_size=8, clone_updates=0, second_proposal=False),
        vision=vision,
    )
    run = RunDirectory(tmp_path / "run").create("", {})
    keep_in_run(run.path, *resolve(vision, None, 0, None))
    records = [
        r for n in range(2) for r in episode_records(n, 15, human=(0, 1), state_size=19, action_size=6)
    ]

    def restored() -> Learner:
        found = Learner(run, config)
        found.restore()
        for sequence, record in enumerate(records, start=1):
            found.ingest(sequence, encode_record(record))
        return found

    learner = restored()
    for _ in range(4):
        learner.update()
    learner.save()
    again = restored()
    for each in (learner, again):
        for _ in range(4):
            each.update()
        each.close()
    trunk = {name: value for name, value in learner.agent.weights().items() if "perception.trunk" in name}
    assert trunk
    for name, value in learner.agent.weights().items():
        assert torch.equal(value, again.agent.weights()[name]), name


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
