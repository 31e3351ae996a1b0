"""Episodes as CSV: one row a step, or one row an episode.

Numbers are written in the fewest digits that read back as the very same number; nothing is rounded. The
header names each column's unit in brackets. What is not known is an empty cell. Rewards and ends are those
of the episodes' labels (`verdict`), as a learner is given them; what was recorded has columns of its own.
"""

import csv
import time
from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import IO, Literal

import numpy as np

from handrail.intervention.index_query import EpisodeRow
from handrail.intervention.log_format import Event
from handrail.intervention.standing import standing
from handrail.intervention.transition import Transition
from handrail.launch.export.columns import action_components, state_components
from handrail.launch.export.material import Material
from handrail.launch.export.progress import Advance
from handrail.launch.export.verdict import Verdict, as_recorded, judge_steps

Per = Literal["step", "episode"]

_CHUNK = 200  # steps that are turned into text at once
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_STEP = (
    "episode",
    "step",
    "purpose",
    "label",
    "driver",
    "time [ns]",
    "wall clock [ns since 1970]",
    "reward",
    "terminated",
    "truncated",
    "reward_recorded",
    "terminated_recorded",
    "truncated_recorded",
    "score",
    "classifier",
    "value",
    "seated",
    "weights version",
    "gate flags",
    "latency [ms]",
    "log probability",
)
_EPISODE = (
    "episode",
    "purpose",
    "outcome",
    "label",
    "label step",
    "labelled by",
    "why",
    "remarks",
    "operator",
    "began",
    "began [ns since 1970]",
    "duration [s]",
    "steps",
    "human steps",
    "takeovers",
    "unaided",
    "cut by",
    "reward",
    "reward_recorded",
    "peak force [N]",
    "score",
    "classifier",
    "seated",
    "weights version",
    "seed",
)


def write(material: Material, file: IO[str], per: Per, advance: Advance) -> None:
    """Write the table.

    Args:
        material: the episodes.
        file: open for text with `newline=""`.
        per: whether a row is a step or an episode.
        advance: told of the steps done.

    Raises:
        LogError: an episode is damaged.
    """
    writer = csv.writer(file)
    if per == "episode":
        writer.writerow(_EPISODE)
        for row in material.selection.rows:
            events, worth = material.events(row.episode), _worth(material, row)
            writer.writerow(_episode_cells(row, events, worth))
            advance(row.steps)
        return
    writer.writerow([*_STEP, *_array_names(material)])
    for row in material.selection.rows:
        label = row.label or ""
        episode = [*material.steps(row, images=False)]
        judged = _judged_cells(judge_steps(row, episode))
        for first in range(0, len(episode), _CHUNK):
            steps = episode[first : first + _CHUNK]
            arrays = [
                np.stack([getattr(step, name) for step in steps]).astype(str)
                for name in ("observation", "action", "policy_action")
            ]
            for step, *numbers in zip(steps, *arrays, strict=True):
                heads = (step.episode, step.step, row.purpose, label, *_step_cells(step, next(judged)))
                writer.writerow([*heads, *(cell for part in numbers for cell in part)])
            advance(len(steps))


def plain(text: str) -> str:
    """Somebody's words as a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _array_names(material: Material) -> list[str]:
    state, action = state_components(material.state), action_components(material.action)
    return [
        *(f"{each.name} [{each.unit}]" for each in state),
        *(f"{who}_{each.name} [{each.unit}]" for who in ("action", "policy_action") for each in action),
    ]


def _judged_cells(verdict: Verdict) -> Iterator[tuple[object, ...]]:
    """(reward, terminated, truncated) of step after step; behind those that count there is nothing."""
    flags = ([_word(flag) for flag in column.tolist()] for column in (verdict.terminated, verdict.truncated))
    return chain(zip(verdict.reward.tolist(), *flags, strict=True), repeat(("", "", "")))


def _worth(material: Material, row: EpisodeRow) -> float:
    """The sum of an episode's rewards under its label; the log is read only where that may be another one."""
    return row.reward if as_recorded(row) else float(material.verdict(row).reward.sum())


def _step_cells(step: Transition, judged: tuple[object, ...]) -> tuple[object, ...]:
    return (
        step.source.name.lower(),
        step.t_ns,
        step.wall_ns,
        *judged,
        step.reward,
        _word(step.terminated),
        _word(step.truncated),
        step.score,
        plain(step.classifier),
        step.value,
        _word(step.seated),
        step.weights_version,
        step.gate_flags,
        step.latency_ms,
        step.log_prob,
    )


def _episode_cells(row: EpisodeRow, events: Sequence[Event], worth: float) -> list[object]:
    labels = [event for _, event in standing(enumerate(events))]
    remarks = [f"{event.who}: {event.why}" for event in events if event.kind == "comment"]
    began = row.started_wall_ns
    return [
        row.episode,
        row.purpose,
        row.outcome,
        row.label,
        row.label_step,
        plain(row.labeller or ""),
        plain(labels[-1].why) if labels else "",
        plain("; ".join(remarks)),
        plain(row.operator),
        time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(began / 1e9)),
        began,
        row.duration_s,
        row.steps,
        row.human_steps,
        row.takeovers,
        _word(row.unaided),
        row.truncated_by,
        worth,
        row.reward,
        row.peak_force_n,
        row.score,
        plain(row.classifier),
        _word(row.seated),
        row.weights_version,
        " ".join(map(str, row.seed)),
    ]


def _word(flag: bool | None) -> str:
    return "" if flag is None else str(flag).lower()
