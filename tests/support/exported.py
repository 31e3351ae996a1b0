"""A run with pictures, of which every number is known: what an export of it must hold."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from judged import open_log

from handrail.agent.config import RunConfig
from handrail.intervention.labeller import Label
from handrail.intervention.labels import label_event
from handrail.intervention.log_format import (
    EpisodeEnd,
    EpisodeStart,
    Event,
    FrameRecord,
    Record,
    frame_id,
    step_record,
)
from handrail.intervention.run_directory import RunDirectory
from handrail.intervention.transition import Source, Transition
from handrail.launch import compose
from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.config import EnvConfig

HUMAN, POLICY, SCRIPT = Source.HUMAN, Source.POLICY, Source.SCRIPT
BEGAN_NS = 1_750_000_000_000_000_000


@dataclass
class Told:
    """What an episode of the run is; by default four steps of the policy's that end in success."""

    steps: int = 4
    purpose: str = "train"
    sources: tuple[Source, ...] = (POLICY,)
    success: bool = True
    truncated_by: str | None = None
    labels: tuple[tuple[str, str, str, int | None], ...] = ()  # (label, who, why, step)
    remarks: tuple[str, ...] = ()
    classifier: str = ""
    end: str = "ended"
    transitions: list[Transition] = field(default_factory=list)

    def source(self, step: int) -> Source:
        """Who drove a step; the last one named goes on."""
        return self.sources[min(step, len(self.sources) - 1)]


def cameras(*sizes: tuple[int, int]) -> tuple[CameraConfig, ...]:
    """Cameras of these (height, width)."""
    names = ("wrist", "wrist_2", "side")
    return tuple(
        CameraConfig(name=name, height=height, width=width)
        for name, (height, width) in zip(names, sizes, strict=False)
    )


def picture(episode: int, index: int, camera: int, height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8: smooth, as a picture is, and another one at every step, episode and camera."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    phase = 0.7 * index + 1.9 * episode + 0.5 * camera
    waves = [np.sin(x / 9 + phase), np.cos(y / 7 - phase), np.sin((x + y) / 11 + 2 * phase)]
    return np.stack([127 + 90 * wave for wave in waves], axis=-1).astype(np.uint8)


def make_run(
    folder: Path, episodes: list[Told], shown: tuple[CameraConfig, ...] = (), hz: float = 10.0
) -> RunDirectory:
    """Write a run; fills in each episode's `transitions`, with their pictures."""
    config = RunConfig(env=EnvConfig(cameras=shown, hz=hz))
    run = RunDirectory(folder).create(compose.dump(config), {})
    rng = np.random.default_rng(3)
    with open_log(run.segments, config.env) as writer:
        for number, told in enumerate(episodes):
            for records in _records(number, told, config.env, rng):
                writer.append(*records)
    return run


def _records(number: int, told: Told, env: EnvConfig, rng: np.random.Generator) -> list[list[Record]]:
    began = BEGAN_NS + number * 60_000_000_000

    def moment(index: int) -> dict[str, np.ndarray]:
        return {
            each.name: picture(number, index, position, each.height, each.width)
            for position, each in enumerate(env.cameras)
        }

    def frames(index: int) -> list[FrameRecord]:
        return [
            FrameRecord(frame_id(number, index, position), name, index, image.shape, image.tobytes())
            for position, (name, image) in enumerate(moment(index).items())
        ]

    def ids(index: int) -> dict[str, int]:
        return {each.name: frame_id(number, index, position) for position, each in enumerate(env.cameras)}

    groups: list[list[Record]] = [[EpisodeStart(number, (3, number), told.purpose, 0, began, 7), *frames(0)]]
    state = rng.normal(size=19).astype(np.float32)
    for index in range(told.steps):
        last = index == told.steps - 1
        action = rng.uniform(-1, 1, 6).astype(np.float32)
        after = rng.normal(size=19).astype(np.float32)
        human = told.source(index) is HUMAN
        step = Transition(
            episode=number,
            step=index,
            observation=state,
            action=action,
            policy_action=rng.uniform(-1, 1, 6).astype(np.float32) if human else action,
            reward=float(last and told.success),
            terminated=last and told.success,
            truncated=last and not told.success and told.truncated_by not in ("stop", "stopped"),
            next_observation=after,
            source=told.source(index),
            t_ns=5_000_000_000 + int(index * 1e9 / env.hz),
            wall_ns=began + int(index * 1e9 / env.hz),
            weights_version=7,
            gate_flags=4 if index == 1 else 0,
            score=float(rng.uniform()) if told.classifier else None,
            latency_ms=float(rng.uniform(1, 9)),
            log_prob=None if human else float(rng.normal()),
            images=moment(index),
            next_images=moment(index + 1),
            classifier=told.classifier,
        )
        told.transitions.append(step)
        groups.append([*frames(index + 1), step_record(step, ids(index), ids(index + 1))])
        state = after
    humans = sum(step.source is HUMAN for step in told.transitions)
    ended = began + told.steps * 100_000_000
    if told.end == "ended":
        end = EpisodeEnd(
            number,
            told.steps,
            told.success,
            told.truncated_by,
            humans == 0,
            humans,
            int(humans > 0),
            12.5,
            ended,
        )
        groups.append([end])
    elif told.end == "aborted":
        groups.append([Event("aborted", number, "recovery", ended, None, None, "the process ended")])
    for label, who, why, step in told.labels:
        groups.append([label_event(number, None, Label(label), who, why, step)])
    for text in told.remarks:
        groups.append([Event("comment", number, "Ada", ended, None, None, text)])
    return groups


def info_of(folder: Path) -> dict:
    """A dataset's `info.json`."""
    return json.loads((folder / "meta" / "info.json").read_text())
