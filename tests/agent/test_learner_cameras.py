"""A learner with cameras says what its memory has no room for, and what makes it slow."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from pictures import CAMERAS, SIDE, episode_records, frame_ids

from handrail.agent.config import ActorConfig, AgentConfig, LearnerConfig, RunConfig
from handrail.agent.feature_link import FeatureSender, features_address
from handrail.agent.learner import Learner
from handrail.intervention.log_format import EpisodeEnd, FrameRecord, encode_record
from handrail.intervention.run_directory import RunDirectory
from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.spec import STATE_SPEC
from handrail.vision.config import VisionConfig
from handrail.vision.trunk import build
from handrail.vision.weights import save_weights

CONFIG = RunConfig(
    env=EnvConfig(cameras=tuple(CameraConfig(name, width=SIDE, height=SIDE) for name in CAMERAS)),
    agent=AgentConfig(hidden=(16, 16), batch_size=16, clone_updates=5),
    vision=VisionConfig(trunk="cnn", bottleneck=16),
    learner=LearnerConfig(capacity=1000),
    actor=ActorConfig(demonstrations=2),
)


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    run = RunDirectory(tmp_path / "run").create("", {})
    save_weights(run.trunk_file, "cnn", build("cnn").state_dict(), "random", "a test")
    return run


def with_memory(**settings: int) -> RunConfig:
    return replace(CONFIG, learner=replace(CONFIG.learner, **settings))


def read(learner: Learner, *episodes: int, lacking: str = "") -> None:
    """Give a learner episodes of so many steps; without the pictures of a camera, if one is named."""
    sequence = itertools.count(learner.history.sequence + 1)
    for number, steps in enumerate(episodes):
        for record in episode_records(number, steps, state_size=STATE_SPEC.size, action_size=6):
            if not (isinstance(record, FrameRecord) and record.camera == lacking):
                learner.ingest(next(sequence), encode_record(record))
    end = EpisodeEnd(len(episodes) - 1, episodes[-1], True, None, True, 0, 0, 0.0, 0)
    learner.ingest(next(sequence), encode_record(end))


def test_a_memory_without_room_for_the_images_is_refused(run):
    with pytest.raises(
        ConfigError, match=r"frame_mb=6 has room for 976 steps .* 1000 are the least, .* 6 MB"
    ):
        Learner(run, with_memory(frame_mb=6))


def test_a_memory_that_images_make_smaller_than_was_asked_for_says_so(run):
    (notice,) = Learner(run, with_memory(frame_mb=7, capacity=2000)).notices
    assert "learner.frame_mb=7 has room for 1139 steps" in notice and "learner.capacity=2000" in notice
    assert Learner(run, with_memory(frame_mb=7)).notices == []


def test_steps_without_their_images_are_counted_in_one_notice_an_episode(run):
    learner = Learner(run, CONFIG)
    read(learner, 5, 7, lacking="right")  # the first has no end in the log
    assert learner.notices == [
        f"{steps} steps of episode {episode} are left out: the log lacks images"
        for episode, steps in ((0, 5), (1, 7))
    ]


def test_maps_that_are_refused_are_reported(run):
    learner = Learner(run, CONFIG)
    assert learner.pixels is not None
    learner.pixels.listen(run.socket_dir())
    sender = FeatureSender(features_address(run.socket_dir()))
    image = frame_ids(0, 0)["left"]
    while learner.status()["maps_rejected"] < 2:
        sender.send("another trunk's key", {image: torch.zeros(64, 1, dtype=torch.float16)})
        learner.pixels.take(complete=False)
    (notice,) = learner.pixels.notices()
    assert "map of the actor's is refused" in notice
    assert list(learner.pixels.notices()) == []  # said once
    sender.close()
    learner.close()


def test_a_cache_with_too_little_room_is_reported(run):
    learner = Learner(run, replace(CONFIG, vision=replace(CONFIG.vision, views=16, cache_mb=1)))
    assert learner.pixels is not None
    read(learner, 150, 150)
    learner.pixels.source.gather(np.arange(4), learner.rng)
    status = learner.status()
    assert status["maps_computed"] == 2 * 4 and status["cache_bytes"] > 0
    (notice,) = learner.pixels.notices()
    assert "vision.cache_mb has room for" in notice and "16 views" in notice
    learner.close()
