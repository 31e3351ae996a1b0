"""The feature cache changes when a map is computed, and never what a batch holds."""

import functools

import numpy as np
import pytest
import torch
from pictures import CAMERAS, SIDE, episode_records, feed, frame_records, picture

from handrail.agent.config import AgentConfig
from handrail.agent.feature_cache import FeatureCache
from handrail.agent.feature_link import FeatureReceiver, FeatureSender, features_address
from handrail.agent.frames import FramePool
from handrail.agent.networks.perception import PixelSpec
from handrail.agent.replay import ReplayMemory
from handrail.agent.sac import SAC
from handrail.agent.sampling import Sampler
from handrail.agent.sight import Sight
from handrail.intervention.log_format import frame_id
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.spec import ArraySpec, StateSpec
from handrail.vision.augment import shifted, view_shifts
from handrail.vision.config import VisionConfig
from handrail.vision.trunk import Trunk, build

GAMMA = 0.9


@functools.cache
def trunk(seed: int = 0) -> Trunk:
    return Trunk("cnn", build("cnn", seed).state_dict(), torch.float32)


def filled(*lengths: int, capacity: int = 500, **episode) -> tuple[ReplayMemory, FramePool]:
    pool = FramePool(CAMERAS, (SIDE, SIDE))
    memory = ReplayMemory(capacity, 2, 1, pool)
    for number, length in enumerate(lengths):
        feed(memory, episode_records(number, length, **episode))
    return memory, pool


def cache_of(pool: FramePool, *, views: int = 1, megabytes: float = 10) -> FeatureCache:
    return FeatureCache(pool, trunk(), views=views, shift_px=4, megabytes=megabytes)


def room_for(frames: int, pool: FramePool, views: int = 1) -> float:
    """Megabytes for so many frames."""
    return (frames + 0.5) * cache_of(pool, views=views).row_bytes / 1e6


def maps_of(pool: FramePool, number: int, view: int = 0) -> torch.Tensor:
    """What the trunk makes of a view of a frame, without any cache."""
    shifts = view_shifts(np.array([number]), np.array([view]), 2, 4)[0]
    return trunk()(torch.from_numpy(shifted(pool.images(number), shifts)))


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    """As far as the order of additions within a batch, and float16, allow."""
    return torch.allclose(a.float(), b.float(), rtol=5e-3, atol=5e-3)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_row_holds_the_maps_of_its_frame_which_are_computed_once():
    _, pool = filled(20)
    cache = cache_of(pool)
    numbers = np.array([3, 17, 3, 20])
    for _ in range(3):
        found = cache.gather(numbers, rng())
        assert found.shape == (4, 2, trunk().channels, 1) and found.dtype == torch.float16
        for number, row in zip(numbers, found, strict=True):
            assert same(row, maps_of(pool, number))
        assert cache.computed == 3 * 2
    assert cache.bytes == 3 * cache.row_bytes


def test_maps_of_the_actor_are_taken_and_nothing_is_computed():
    pool = FramePool(CAMERAS, (SIDE, SIDE))
    memory, cache = ReplayMemory(100, 2, 1, pool), cache_of(pool)
    known = {frame_id(0, index, c): 10 * index + c for index in range(6) for c in range(2)}
    for number, (identity, value) in enumerate(known.items()):
        if number == 5:  # from here on a map comes after its frame, not before
            feed(memory, episode_records(0, 6))
        cache.put(identity, np.full((trunk().channels, 1), value, np.float16))
    found = cache.gather(np.arange(6), rng())
    assert cache.computed == 0
    for index in range(6):
        assert [set(found[index, c].flatten().tolist()) for c in range(2)] == [{10 * index}, {10 * index + 1}]
    cache.put(frame_id(0, 6, 0), np.zeros((trunk().channels, 1), np.float16))
    assert same(cache.gather(np.array([6]), rng())[0], maps_of(pool, 6))  # the other camera's map was lost
    assert cache.computed == 2


def test_maps_made_with_other_weights_are_never_mixed_in(tmp_path):
    _, pool = filled(3)
    cache = cache_of(pool)
    receiver = FeatureReceiver(features_address(tmp_path), trunk().key, cache.shape[1:])
    sender = FeatureSender(features_address(tmp_path))
    strange = {frame_id(0, i, c): torch.full((64, 1), 7.0).half() for i in range(4) for c in range(2)}
    sender.send(trunk(1).key, strange)
    sender.send(trunk().key, {frame_id(0, 3, 1): torch.zeros(64, 1).half()})
    taken = []
    while not taken:
        for identity, features in receiver.arrived():
            cache.put(identity, features)
            taken.append(identity)
    assert taken == [frame_id(0, 3, 1)] and receiver.rejected == 8
    assert same(cache.gather(np.arange(3), rng())[2], maps_of(pool, 2))
    sender.close()
    receiver.close()


def test_each_row_draws_a_view_of_its_own_for_both_of_its_frames():
    memory, pool = filled(40)
    cache = cache_of(pool, views=3)
    batch = Sampler(memory, 200, GAMMA, 1, rng(), cache).only("replay")
    assert batch.pixels is not None and batch.next_pixels is not None
    drawn = []
    for states, pixels in ((batch.observation, batch.pixels), (batch.next_observation, batch.next_pixels)):
        wanted = {i: [maps_of(pool, i, view) for view in range(3)] for i in range(41)}
        for index, row in zip(states[:, 1].int().tolist(), pixels, strict=True):
            (view,) = (view for view in range(3) if same(row, wanted[index][view]))
            drawn.append(view)
    s, s_next = np.array(drawn).reshape(2, 200)
    for side in (s, s_next):
        assert np.bincount(side, minlength=3).min() > 40
    assert 0.15 < (s == s_next).mean() < 0.5


def test_a_view_that_was_dropped_comes_back_as_it_was():
    _, pool = filled(30)
    cache = cache_of(pool, views=2, megabytes=room_for(5, pool, views=2))
    assert cache.rows == 5
    first = cache.gather(np.arange(31), rng())
    assert same(cache.gather(np.arange(31), rng()), first)
    assert cache.computed > 2 * 31  # they were really computed again


@pytest.mark.parametrize("room", [0, 1, 7])
def test_the_size_of_the_cache_changes_no_batch(room):
    memory, pool = filled(30, 25, human=range(8))
    full, little = cache_of(pool, views=2), cache_of(pool, views=2, megabytes=room_for(room, pool, views=2))
    assert little.rows == room and little.rows * little.row_bytes <= room_for(room, pool, 2) * 1e6
    ours, theirs = (Sampler(memory, 64, GAMMA, 3, rng(), cache) for cache in (full, little))
    for _ in range(4):
        a, b = ours.symmetric(), theirs.symmetric()
        assert a.pixels is not None and b.pixels is not None
        assert a.next_pixels is not None and b.next_pixels is not None
        assert torch.equal(a.observation, b.observation)
        assert same(a.pixels, b.pixels) and same(a.next_pixels, b.next_pixels)
    assert full.computed < little.computed


def test_what_is_missing_is_completed_from_the_newest_frame_on():
    _, pool = filled(30)
    cache = cache_of(pool, views=2)
    left = cache.complete(0.0)
    assert 0 < left < 31
    done = 31 - left
    cache.gather(np.repeat(np.arange(left, 31), 8), rng())
    assert cache.computed == done * 2 * 2  # all of them were there, in both views
    assert cache.complete(60.0) == 0
    assert cache.computed == 31 * 2 * 2
    cache.gather(np.repeat(np.arange(31), 8), rng())
    assert cache.computed == 31 * 2 * 2


def test_completion_leaves_the_newest_where_there_is_no_room_for_all():
    _, pool = filled(30)
    cache = cache_of(pool, megabytes=room_for(10, pool))
    assert cache.complete(60.0) == 0
    assert cache.computed == 10 * 2
    cache.gather(np.arange(21, 31), rng())
    assert cache.computed == 10 * 2


def test_a_frame_of_which_only_one_picture_is_here_waits():
    _, pool = filled(3)
    pool.put(frame_records(1, 0)[0])
    cache = cache_of(pool)
    assert cache.complete(60.0) == 0
    assert cache.computed == 4 * 2
    assert pool.number({"left": frame_id(1, 0, 0), "right": frame_id(1, 0, 1)}) is None


def test_frames_that_have_left_are_not_completed():
    _, pool = filled(*[20] * 10, capacity=50)
    cache = cache_of(pool)
    assert cache.complete(60.0) == 0
    assert cache.computed == (pool.added - pool.oldest) * 2
    assert np.array_equal(pool.images(pool.added - 1)[0], picture(9, 20, 0))


def test_a_shift_larger_than_the_picture_is_refused():
    with pytest.raises(ConfigError, match=r"vision\.shift_px is 32"):
        FeatureCache(FramePool(CAMERAS, (SIDE, SIDE)), trunk(), views=2, shift_px=32, megabytes=1)


def test_cached_and_uncached_updates_agree():
    """50 updates with augmentation off: the loss differs by less than a thousandth."""
    memory, pool = filled(40, 40, human=range(15))
    resnet = Trunk("resnet10", build("resnet10").state_dict(), torch.float32)
    vision = VisionConfig(bottleneck=32, proprioception=8)
    spec = PixelSpec(CAMERAS, (SIDE, SIDE), (resnet.channels, 1))
    state = StateSpec((ArraySpec("moment", (2,), "1", "none", 10.0, "episode and index"),))
    config = AgentConfig(hidden=(32, 32), batch_size=4, clone_updates=0, second_proposal=False)
    losses = []
    for megabytes in (10, 0):
        cache = FeatureCache(pool, resnet, views=1, shift_px=4, megabytes=megabytes)
        agent = SAC(config, state, 1, 0, Sight(vision, spec, resnet))
        sampler = Sampler(memory, 4, GAMMA, 3, rng(), cache)
        updates = (agent.update(sampler.symmetric(), with_actor=i % 2 == 0) for i in range(50))
        losses.append([float(metrics["critic_loss"]) for metrics in updates])
        assert cache.computed <= 82 * 2 if megabytes else cache.computed > 50 * 4 * 2
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert losses[0][-1] != losses[0][0]
