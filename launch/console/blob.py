"""One episode packed for a browser: what happened at each step, and the pictures, in one answer.

    length u32 little-endian | head (JSON, `length` bytes) | JPEGs, one behind the other

The head holds the steps as columns of numbers and, for each camera, where its pictures are: [offset, length]
from the end of the head, one for the moment before each step and one after the last; null for one that is not
in the log. So a page decodes once and then scrubs from memory.
"""

import io
import struct
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
from PIL import Image

from handrail.intervention.index_query import EpisodeRow
from handrail.intervention.log_format import (
    FrameRecord,
    LogError,
    Record,
    StepRecord,
    decode_record,
    image_from,
    moment_of,
)
from handrail.intervention.log_reader import LogReader
from handrail.launch.console.answers import Refused
from handrail.launch.export.verdict import judge_steps
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.spec import state_spec

_LENGTH = struct.Struct("<I")
_QUALITY = 88
_BATCH, _BATCH_BYTES = 2000, 8 << 20  # pictures as they are in the log, of which there may be many
_MOMENT_BITS = 24  # of a moment within its episode, as in `log_format.frame_id`


LARGEST = 32 << 20
"""Of the pictures of one episode [bytes]: they are in memory twice, and a console has little."""


def pack_episode(reader: LogReader, row: EpisodeRow, env: EnvConfig, largest: int = LARGEST) -> bytes:
    """Read an episode and pack it.

    Args:
        reader: of the run's log; nobody else's meanwhile.
        row: the episode.
        env: of the run: it says where in the state the force is.
        largest: of its pictures [bytes].

    Raises:
        LogError: the episode is not in the log as the index has it.
        Refused: its pictures are too many to be sent at once.
    """
    steps: list[StepRecord] = []
    pictures = _Pictures()
    for record in _records(reader, row):
        if isinstance(record, FrameRecord):
            pictures.add(record)
            if pictures.size > largest:
                raise Refused(
                    f"the pictures of episode {row.episode} take more than {largest / 1e6:.0f} MB, "
                    "too much for the page; export it as a film",
                    413,
                )
        elif isinstance(record, StepRecord) and record.episode == row.episode:
            steps.append(record)
    _require_whole(row, steps)
    head = {
        "episode": row.episode,
        "period_s": 1.0 / env.hz,
        "steps": columns(steps, env),
        "cameras": pictures.places(row.steps + 1),
    }
    encoded = msgspec.json.encode(head)
    return b"".join((_LENGTH.pack(len(encoded)), encoded, *pictures.encoded))


def worth(reader: LogReader, row: EpisodeRow) -> list[float | None]:
    """The rewards of the N steps under the label that the episode has now; None after the labelled step.

    Raises:
        LogError: the episode is not in the log as the index has it.
    """
    steps = [
        record
        for record in _records(reader, row)
        if isinstance(record, StepRecord) and record.episode == row.episode
    ]
    _require_whole(row, steps)
    if not steps:
        return []
    rewards = judge_steps(row, steps).reward.tolist()
    return [*map(_rounded, rewards), *[None] * (len(steps) - len(rewards))]


def _require_whole(row: EpisodeRow, steps: list[StepRecord]) -> None:
    if len(steps) != row.steps:
        raise LogError(
            f"Episode {row.episode} has {len(steps)} whole steps in the log, {row.steps} in the index; part "
            "of the log is damaged or missing. Delete index.db, and it is made anew of what there is."
        )


def columns(steps: list[StepRecord], env: EnvConfig) -> dict[str, list[Any]]:
    """The N steps as columns.

    `action`, `policy_action`: N times six numbers in [-1, 1]; `force`: on the tool after the step [N];
    `reward` as recorded (`worth` has it under the label); `value` (the critics' opinion of the proposal),
    `score` (of the reward classifier); `source`: see `transition.Source`; `gate`: `GateFlag` bits;
    `latency_ms`; `weights`: version. null where not known.
    """
    spec = state_spec(env)
    where = spec.slices["force"]

    def force_n(step: StepRecord) -> float | None:
        state = np.frombuffer(step.next_observation, "<f4")
        return float(np.linalg.norm(state[where])) if state.size == spec.size else None

    return {
        "action": [_numbers(step.action) for step in steps],
        "policy_action": [_numbers(step.policy_action) for step in steps],
        "force": [_rounded(force_n(step)) for step in steps],
        "reward": [_rounded(step.reward) for step in steps],
        "value": [_rounded(step.value) for step in steps],
        "score": [_rounded(step.score) for step in steps],
        "source": [step.source for step in steps],
        "gate": [step.gate_flags for step in steps],
        "latency_ms": [_rounded(step.latency_ms) for step in steps],
        "weights": [step.weights_version for step in steps],
    }


class _Pictures:
    """Pictures of one episode, encoded as they come."""

    def __init__(self) -> None:
        self.encoded: list[bytes] = []
        self.size = 0
        self._sizes: dict[str, tuple[int, int]] = {}
        self._places: dict[str, dict[int, tuple[int, int]]] = {}

    def add(self, record: FrameRecord) -> None:
        height, width, _ = record.shape
        buffer = io.BytesIO()
        Image.fromarray(image_from(record)).save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
        jpeg = buffer.getvalue()
        moment, _ = moment_of(record.frame_id)
        self._sizes[record.camera] = (width, height)
        places = self._places.setdefault(record.camera, {})
        places[moment % (1 << _MOMENT_BITS)] = (self.size, len(jpeg))
        self.encoded.append(jpeg)
        self.size += len(jpeg)

    def places(self, moments: int) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "width": self._sizes[name][0],
                "height": self._sizes[name][1],
                "frames": [places.get(moment) for moment in range(moments)],
            }
            for name, places in self._places.items()
        ]


def _records(reader: LogReader, row: EpisodeRow) -> Iterator[Record]:
    """The records of an episode, a few megabytes at a time."""
    after = row.first_sequence - 1
    while batch := reader.read(after, _BATCH, row.last_sequence, _BATCH_BYTES):
        for _, payload in batch:
            yield decode_record(payload)
        after = batch[-1][0]


def _numbers(data: bytes) -> list[float | None]:
    return [_rounded(value) for value in np.frombuffer(data, "<f4").tolist()]


def _rounded(value: float | None) -> float | None:
    """In few characters; what is no number becomes null in JSON."""
    return None if value is None else round(value, 4)
