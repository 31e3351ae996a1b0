"""Made-up experience for benchmarks: steps and images with random numbers in them, of the product's form."""

import dataclasses
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from handrail.agent.config import RunConfig
from handrail.intervention.log_format import (
    EpisodeStart,
    FrameRecord,
    Record,
    encode_record,
    frame_id,
    step_record,
)
from handrail.intervention.run_directory import RunDirectory
from handrail.intervention.transition import Source, Transition
from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.spec import StateSpec, state_spec

ACTION_SIZE = 6
EPISODE_STEPS = 60
_WRIST = ("wrist", "wrist_2")
_IMAGES = 23  # a prime: neighbouring frames differ, and no cache of a few pictures helps


def transitions(count: int, spec: StateSpec) -> Iterator[Transition]:
    """Random steps in episodes of one length, every fifth of which a human drove."""
    rng = np.random.default_rng(0)
    states = (rng.standard_normal((count + 1, spec.size)) * spec.scale).astype(np.float32)
    actions = rng.uniform(-1.0, 1.0, (count, ACTION_SIZE)).astype(np.float32)
    for number in range(count):
        episode, step = divmod(number, EPISODE_STEPS)
        last = step == EPISODE_STEPS - 1
        yield Transition(
            episode=episode,
            step=step,
            observation=states[number],
            action=actions[number],
            policy_action=actions[number],
            reward=float(last),
            terminated=last,
            truncated=False,
            next_observation=states[number + 1],
            source=Source.HUMAN if episode % 5 == 0 else Source.POLICY,
            t_ns=number,
            wall_ns=number,
            weights_version=0,
        )


def seeing(config: RunConfig, cameras: int) -> RunConfig:
    """The configuration with so many 128×128 cameras at the wrist, and a policy that looks through all."""
    views = tuple(CameraConfig(name) for name in _WRIST[:cameras])
    return dataclasses.replace(
        config,
        env=dataclasses.replace(config.env, cameras=views),
        vision=dataclasses.replace(config.vision, cameras=None),
    )


def appends(count: int, config: RunConfig) -> Iterator[list[Record]]:
    """Random steps with their images: what the rollout appends to the log in one write."""
    cameras = config.env.cameras
    pictures = [_pictures(camera) for camera in cameras]

    def frames(episode: int, index: int) -> list[Record]:
        found: list[Record] = []
        for number, (camera, images) in enumerate(zip(cameras, pictures, strict=True)):
            image = images[(episode + index) % _IMAGES]
            identity = frame_id(episode, index, number)
            found.append(FrameRecord(identity, camera.name, 0, image.shape, image.tobytes()))
        return found

    def ids(episode: int, index: int) -> dict[str, int]:
        return {camera.name: frame_id(episode, index, number) for number, camera in enumerate(cameras)}

    for transition in transitions(count, state_spec(config.env)):
        episode, step = transition.episode, transition.step
        begin: list[Record] = []
        if step == 0:
            begin = [EpisodeStart(episode, (0, episode), "train", 0, 0, 0), *frames(episode, 0)]
        before, after = ids(episode, step), ids(episode, step + 1)
        yield [*begin, *frames(episode, step + 1), step_record(transition, before, after)]


def observations(config: RunConfig) -> Iterator[dict[str, np.ndarray]]:
    """Observations without end, no two neighbours with the same images."""
    pictures = {camera.name: _pictures(camera) for camera in config.env.cameras}
    state = state_spec(config.env).scale.astype(np.float32)
    for number in itertools.count():
        yield {"state": state, **{name: images[number % _IMAGES] for name, images in pictures.items()}}


def _pictures(camera: CameraConfig) -> np.ndarray:
    """(images, H, W, 3) uint8."""
    rng = np.random.default_rng(list(camera.name.encode()))
    return rng.integers(0, 256, (_IMAGES, camera.height, camera.width, 3), dtype=np.uint8)


def new_learner(run: RunDirectory, config: RunConfig) -> Any:
    """A learner (`agent.learner.Learner`); a trunk's weights are random, whatever the task asks for.

    What they are changes no speed, and a frozen small trunk would have to be taught first.
    """
    from handrail.agent.learner import Learner
    from handrail.agent.sight import policy_cameras
    from handrail.vision.trunk import build
    from handrail.vision.weights import save_weights

    if policy_cameras(config) and not run.trunk_file.is_file():
        name = config.vision.trunk
        save_weights(run.trunk_file, name, build(name, config.seed).state_dict(), "random", "a benchmark")
    return Learner(run, config)


def filled_learner(run: RunDirectory, config: RunConfig, stored: int) -> Any:
    """A learner with so many random transitions in memory, and the feature maps of their images."""
    learner = new_learner(run, config)
    if learner.pixels is None:
        for transition in transitions(stored, state_spec(config.env)):
            learner.memory.add(transition)
    else:
        _see(learner, stored)
    if config.agent.second_proposal:
        learner.agent.freeze_clone()
    return learner


def _see(learner: Any, stored: int) -> None:
    """Give a learner steps with images, and random feature maps as if the actor had sent them."""
    from handrail.agent.feature_cache import FeatureCache

    source, rng, sequence = learner.pixels.source, np.random.default_rng(0), itertools.count(1)
    cache = source if isinstance(source, FeatureCache) else None
    for records in appends(stored, learner.config):
        for record in records:
            learner.ingest(next(sequence), encode_record(record))
            if cache is not None and isinstance(record, FrameRecord):
                cache.put(record.frame_id, rng.random(cache.shape[1:], np.float32).astype(np.float16))
    if cache is not None:
        cache.complete(math.inf)  # shifted views, which no actor sends
