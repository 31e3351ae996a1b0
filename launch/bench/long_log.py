"""A long run's log, written at the disk's speed: episodes with pictures, labels and reasons, over days."""

import dataclasses
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from handrail.agent.config import RunConfig
from handrail.intervention.labeller import TASK, Label
from handrail.intervention.log_format import (
    LOG_SCHEMA,
    EpisodeEnd,
    EpisodeStart,
    Event,
    FrameRecord,
    Record,
    SegmentHeader,
    frame_id,
    step_record,
)
from handrail.intervention.log_writer import LogWriter
from handrail.intervention.run_directory import RunDirectory
from handrail.intervention.transition import Source, Transition
from handrail.launch import compose
from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.spec import ActionSpec, schema_hash, state_spec

OPERATORS = ("Ada", "Grace")
DAYS = 4
NAMES = ("wrist", "wrist_2", "side", "front")
_NS = 1_000_000_000
_DAY_S = 86_400
_RESET_S = 4
_PICTURES = 25  # different ones a camera: enough to tell steps apart, few enough to make quickly
_DEMONSTRATIONS = 20


def write_long_log(folder: Path, episodes: int, steps: int, cameras: int = 2, side: int = 96) -> RunDirectory:
    """Make a run of so many episodes, spread over the last days; its log is whole and its index not yet made.

    Every fourth episode was helped, every ninth failed; failures were labelled by an operator, with a reason.

    Args:
        folder: of the new run.
        episodes: how many.
        steps: of each.
        cameras: how many, at most four; 0 for a run without pictures.
        side: of a picture [pixels].

    Raises:
        RunError: the folder holds a run already.
    """
    config = _config(cameras, side)
    run = RunDirectory(folder).create(compose.dump(config), {"seed": 0, "choices": {}})
    env = config.env
    spec, action = state_spec(env), ActionSpec(*env.action_scale)
    shapes = {camera.name: (side, side, 3) for camera in env.cameras}
    layout = schema_hash(spec, action, shapes)
    pictures = {name: [_picture(side, camera, index) for index in range(_PICTURES)]
                for camera, name in enumerate(shapes)}  # fmt: skip
    per_day = -(-episodes // DAYS)
    today_ns = time.time_ns() // _NS * _NS - int(per_day * (steps / env.hz + _RESET_S)) * _NS
    for day, first in enumerate(range(0, episodes, per_day)):
        began_ns = today_ns - (DAYS - 1 - day) * _DAY_S * _NS
        header = SegmentHeader(LOG_SCHEMA, run.id, layout, spec.size, 6, began_ns)
        with LogWriter(run.segments, header, reserve_bytes=0) as writer:
            clock = itertools.count(began_ns, int((steps / env.hz + _RESET_S) * _NS))
            for number, start_ns in zip(range(first, min(first + per_day, episodes)), clock, strict=False):
                for records in _episode(number, steps, start_ns, env, pictures):
                    writer.append(*records)
    return run


def _config(cameras: int, side: int) -> RunConfig:
    config = compose.compose(["task=ram_insertion_cameras"] if cameras else []).config
    seen = tuple(CameraConfig(name=name, width=side, height=side) for name in NAMES[:cameras])
    return dataclasses.replace(config, env=dataclasses.replace(config.env, cameras=seen))


def _episode(
    number: int, steps: int, start_ns: int, env: EnvConfig, pictures: dict[str, list[bytes]]
) -> Iterator[list[Record]]:
    """The records of one episode, as they would be appended."""
    rng = np.random.default_rng(number)
    demonstration = number < _DEMONSTRATIONS
    helped = demonstration or number % 4 == 1
    success = demonstration or number % 9 != 0
    helped_from, helped_to = (0, steps) if demonstration else (int(0.4 * steps), int(0.6 * steps))
    period_ns = int(_NS / env.hz)
    version = -1 if demonstration else number
    purpose = "demo" if demonstration else "train"
    states = _states(steps + 1, env, rng)
    actions = np.tanh(rng.normal(0.0, 0.5, (steps, 6))).astype(np.float32)
    yield [
        EpisodeStart(number, (0, number), purpose, start_ns, start_ns, version),
        *_frames(number, 0, pictures),
    ]
    for step in range(steps):
        human = helped and helped_from <= step < helped_to
        last = step == steps - 1
        transition = Transition(
            episode=number,
            step=step,
            observation=states[step],
            action=actions[step],
            policy_action=actions[step] if not human else np.zeros(6, np.float32),
            reward=float(last and success),
            terminated=last and success,
            truncated=last and not success,
            next_observation=states[step + 1],
            source=Source.HUMAN if human else Source.POLICY,
            t_ns=start_ns + step * period_ns,
            wall_ns=start_ns + step * period_ns,
            weights_version=version,
            score=float(0.9 * (step / steps) ** 2) if success else 0.1,
            latency_ms=float(rng.uniform(2.0, 9.0)),
            value=float(0.98 ** (steps - step)) if success else 0.2,
            classifier="0123456789ab",
        )
        ids, next_ids = _ids(number, step, pictures), _ids(number, step + 1, pictures)
        yield [*_frames(number, step + 1, pictures), step_record(transition, ids, next_ids)]
    end_ns = start_ns + steps * period_ns
    yield _end(number, steps, success, helped, helped_to - helped_from, end_ns, rng)


def _end(
    number: int, steps: int, success: bool, helped: bool, human: int, end_ns: int, rng: np.random.Generator
) -> list[Record]:
    operator = OPERATORS[number // 50 % len(OPERATORS)]
    cut = None if success else "time_limit"
    force_n = float(rng.gamma(4.0, 4.0))
    driven = human if helped else 0
    end = EpisodeEnd(
        number, steps, success, cut, not helped, driven, int(helped), force_n, end_ns, success, operator
    )
    if number < _DEMONSTRATIONS:
        return [end, Event("label", number, operator, end_ns, None, Label.DEMO, "")]
    if success:
        return [end, Event("label", number, TASK, end_ns, None, Label.SUCCESS, "")]
    return [end, Event("label", number, operator, end_ns, None, Label.FAILURE, "the module sat askew")]


def _states(moments: int, env: EnvConfig, rng: np.random.Generator) -> np.ndarray:
    """(T, D) float32: the tool comes down, and pushes at the end."""
    spec = state_spec(env)
    states = np.zeros((moments, spec.size), np.float32)
    states[:, spec.slices["tcp_position"]] = np.linspace([0.01, -0.01, 0.05], [0.0, 0.0, 0.0], moments)
    push = 20.0 * np.linspace(0.0, 1.0, moments) ** 4
    states[:, spec.slices["force"]] = np.stack([0 * push, 0 * push, push], axis=1)
    states[:, spec.slices["force"]] += rng.normal(0.0, 0.4, (moments, 3))
    return states


def _picture(side: int, camera: int, index: int) -> bytes:
    """(side, side, 3) uint8 as bytes: a shaded board with a bright part that moves, and a sensor's noise."""
    rng = np.random.default_rng((camera, index))
    x, y = np.meshgrid(np.linspace(0.0, 1.0, side), np.linspace(0.0, 1.0, side))
    image = np.stack([60 + 60 * x, 70 + 50 * y, np.full_like(x, 80 + 30 * camera)], axis=2)
    part = (np.abs(x - 0.5) < 0.12) & (np.abs(y - (0.1 + 0.7 * index / _PICTURES)) < 0.1)
    image[part] = (230, 200, 90)
    return (image + rng.normal(0.0, 3.0, image.shape)).clip(0, 255).astype(np.uint8).tobytes()


def _ids(episode: int, moment: int, pictures: dict[str, list[bytes]]) -> dict[str, int]:
    return {name: frame_id(episode, moment, camera) for camera, name in enumerate(pictures)}


def _frames(episode: int, moment: int, pictures: dict[str, list[bytes]]) -> list[FrameRecord]:
    records = []
    for name, id_ in _ids(episode, moment, pictures).items():
        pixels = pictures[name][(moment // 4 + episode) % _PICTURES]
        side = int((len(pixels) // 3) ** 0.5)
        records.append(FrameRecord(id_, name, moment, (side, side, 3), pixels))
    return records
