"""Episodes seen by cameras, as records of a log: a picture tells its episode, moment and camera."""

from collections.abc import Iterator, Sequence

import numpy as np

from handrail.intervention.log_format import (
    EpisodeStart,
    FrameRecord,
    Record,
    StepRecord,
    frame_id,
    step_record,
    transition_from,
)
from handrail.intervention.transition import Source, Transition

CAMERAS = ("left", "right")
SIDE = 32


def picture(episode: int, index: int, camera: int, side: int = SIDE) -> np.ndarray:
    """(side, side, 3) uint8: noise of its own, and in the first pixel what it is a picture of."""
    image = np.random.default_rng([episode, index, camera]).integers(0, 256, (side, side, 3), dtype=np.uint8)
    image[0, 0] = episode, index, camera
    return image


def frame_records(
    episode: int, index: int, cameras: Sequence[str] = CAMERAS, side: int = SIDE
) -> list[FrameRecord]:
    """The pictures of one moment."""
    found = []
    for camera, name in enumerate(cameras):
        image = picture(episode, index, camera, side)
        found.append(FrameRecord(frame_id(episode, index, camera), name, 0, image.shape, image.tobytes()))
    return found


def frame_ids(episode: int, index: int, cameras: Sequence[str] = CAMERAS) -> dict[str, int]:
    """What a step calls them."""
    return {name: frame_id(episode, index, camera) for camera, name in enumerate(cameras)}


def episode_records(
    episode: int,
    steps: int,
    *,
    purpose: str = "train",
    human: Sequence[int] = (),
    cameras: Sequence[str] = CAMERAS,
    side: int = SIDE,
    state_size: int = 2,
    action_size: int = 1,
) -> Iterator[Record]:
    """An episode that ends in success, in the order of the log."""
    yield EpisodeStart(episode, (0, episode), purpose, 0, 0, -1)
    yield from frame_records(episode, 0, cameras, side)
    for number in range(steps):
        last = number == steps - 1
        step = Transition(
            episode=episode,
            step=number,
            observation=_state(episode, number, state_size),
            action=np.full(action_size, number / 100.0, np.float32),
            policy_action=np.zeros(action_size, np.float32),
            reward=float(last),
            terminated=last,
            truncated=False,
            next_observation=_state(episode, number + 1, state_size),
            source=Source.HUMAN if purpose == "demo" or number in human else Source.POLICY,
            t_ns=0,
            wall_ns=0,
            weights_version=-1,
        )
        yield from frame_records(episode, number + 1, cameras, side)
        ids = frame_ids(episode, number, cameras), frame_ids(episode, number + 1, cameras)
        yield step_record(step, *ids)


def feed(memory, records) -> None:
    """Give records to a replay memory as the learner does."""
    for record in records:
        match record:
            case EpisodeStart():
                memory.begin(record.episode, record.purpose)
            case FrameRecord():
                memory.add_image(record)
            case StepRecord():
                memory.add(transition_from(record), record.frames, record.next_frames)


def _state(episode: int, index: int, size: int) -> np.ndarray:
    state = np.zeros(size, np.float32)
    state[:2] = episode, index
    return state
