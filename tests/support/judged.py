"""Episodes with pictures, as a run's log has them where a classifier judged: dark, until the lamp is lit."""

import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from handrail.intervention.labeller import Label
from handrail.intervention.labels import label_event
from handrail.intervention.log_format import (
    LOG_SCHEMA,
    EpisodeEnd,
    EpisodeStart,
    FrameRecord,
    Record,
    SegmentHeader,
    frame_id,
    step_record,
)
from handrail.intervention.log_writer import LogWriter
from handrail.intervention.transition import Source, Transition
from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.spec import ActionSpec, schema_hash, state_spec

SIDE = 32
CAMERAS = (CameraConfig(name="wrist", width=SIDE, height=SIDE),)
ENV = EnvConfig(cameras=CAMERAS)
LIT, DARK = 200, 60


def picture(lit: bool, seed: int) -> np.ndarray:
    """(32, 32, 3) uint8: noise around a brightness, and a bright square where the lamp is."""
    rng = np.random.default_rng(seed)
    image = rng.normal(DARK, 12.0, (SIDE, SIDE, 3))
    if lit:
        image[8:24, 8:24] += LIT - DARK
    return image.clip(0, 255).astype(np.uint8)


def open_log(folder: Path, env: EnvConfig = ENV) -> LogWriter:
    """The log of a run in that environment."""
    shapes = {camera.name: (camera.height, camera.width, 3) for camera in env.cameras}
    spec = state_spec(env)
    layout = schema_hash(spec, ActionSpec(*env.action_scale), shapes)
    header = SegmentHeader(LOG_SCHEMA, folder.name, layout, spec.size, 6, 0)
    return LogWriter(folder, header, reserve_bytes=0)


def state(height_m: float = 0.0) -> np.ndarray:
    """(19,) of a tool at rest, so high above the nominal seated pose."""
    vector = np.zeros(19, np.float32)
    vector[2] = height_m
    return vector


def write_episode(
    writer: LogWriter,
    episode: int,
    lit: Sequence[bool],
    *,
    scores: Sequence[float | None] | None = None,
    classifier: str = "",
    purpose: str = "train",
    label: tuple[str, str] | None = None,
    heights_m: Sequence[float] | None = None,
    rewards: Sequence[float] | None = None,
    seated: Sequence[bool] | None = None,
    ended: bool = True,
) -> None:
    """Append an episode with a step for each of `lit`; `label` is (what, who says so) at its end.

    One that is not `ended` was killed after its last step.
    """
    steps = len(lit)
    seeds = itertools.count(1000 * episode)
    pictures = [picture(False, next(seeds)), *(picture(each, next(seeds)) for each in lit)]

    def frame(index: int) -> FrameRecord:
        image = pictures[index]
        return FrameRecord(frame_id(episode, index, 0), CAMERAS[0].name, index, image.shape, image.tobytes())

    records: list[Record] = [EpisodeStart(episode, (0, episode), purpose, 0, time.time_ns(), -1), frame(0)]
    heights = [0.0] * steps if heights_m is None else heights_m
    for number in range(steps):
        fields: dict[str, Any] = dict.fromkeys(("action", "policy_action"), np.zeros(6, np.float32))
        succeeded = label is not None and label[0] in ("success", "demo") and number == steps - 1
        transition = Transition(
            episode=episode,
            step=number,
            observation=state(),
            reward=float(succeeded) if rewards is None else rewards[number],
            terminated=succeeded,
            truncated=number == steps - 1 and not succeeded,
            next_observation=state(heights[number]),
            source=Source.POLICY,
            t_ns=number,
            wall_ns=number,
            weights_version=0,
            score=None if scores is None else scores[number],
            classifier=classifier,
            seated=None if seated is None else seated[number],
            **fields,
        )
        ids = {CAMERAS[0].name: frame_id(episode, number, 0)}
        next_ids = {CAMERAS[0].name: frame_id(episode, number + 1, 0)}
        records += [frame(number + 1), step_record(transition, ids, next_ids)]
    success = label is not None and label[0] in ("success", "demo")
    truth = None if seated is None else seated[-1]
    if ended:
        records.append(EpisodeEnd(episode, steps, success, None, True, 0, 0, 0.0, time.time_ns(), truth))
    if label is not None:
        records.append(label_event(episode, None, Label(label[0]), label[1]))
    writer.append(*records)
