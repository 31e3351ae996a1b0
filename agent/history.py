"""What a run's log adds up to. Actor and learner both keep one, fed with the same records, so they agree."""

from __future__ import annotations

from handrail.intervention.episode import Purpose
from handrail.intervention.labeller import Label, result_of
from handrail.intervention.log_format import (
    LABELLING,
    NO_RESULT,
    EpisodeEnd,
    EpisodeStart,
    Event,
    Record,
    StepRecord,
)
from handrail.intervention.transition import Source

DEMONSTRATION: Purpose = "demo"
TRAINING: Purpose = "train"
EVALUATION: Purpose = "evaluate"
FINISHED = 100
"""Finished episodes that are looked back at."""


class RunHistory:
    """Counters over the records of a log, in order.

    Attributes:
        online_steps: environment steps of training episodes (demonstrations are counted apart).
        demonstration_steps: steps of demonstration episodes, failed ones too.
        next_episode: number of the next episode.
        human_steps, takeovers: of training episodes.
        robot_ns: time on the robot in training, resets included [ns].
    """

    def __init__(self) -> None:
        self.online_steps = 0
        self.demonstration_steps = 0
        self.next_episode = 0
        self.human_steps = 0
        self.takeovers = 0
        self.robot_ns = 0
        self.sequence = 0
        self._purpose: str = TRAINING
        self._ended: dict[int, tuple[bool | None, bool]] = {}  # of training: recorded success, unaided
        self._labels: dict[int, str | None] = {}
        self._t_ns: int | None = None

    def ingest(self, sequence: int, record: Record) -> None:
        """Count one record."""
        self.sequence = sequence
        match record:
            case EpisodeStart():
                self.next_episode = record.episode + 1
                if self._purpose != TRAINING:  # what came before a first training episode is not its time
                    self._t_ns = None
                self._purpose = record.purpose
                self._tick(record.t_ns)
            case StepRecord() if self._purpose == DEMONSTRATION:
                self.demonstration_steps += 1
            case StepRecord() if self._purpose == TRAINING:
                self._tick(record.t_ns)
                self.online_steps += 1
                self.human_steps += record.source == Source.HUMAN
            case EpisodeEnd() if self._purpose == TRAINING:
                self.takeovers += record.takeovers
                result = None if record.truncated_by in NO_RESULT else record.success
                self._ended[record.episode] = result, record.unaided
            case Event() if record.kind in LABELLING:
                self._labels[record.episode] = record.new

    @property
    def demonstrations(self) -> int:
        """Episodes that carry the label "demo" now."""
        return sum(label == Label.DEMO for label in self._labels.values())

    @property
    def finished(self) -> list[tuple[bool, bool]]:
        """(success, unaided) of the last 100 training episodes that count, as labelled now, newest last."""
        found: list[tuple[bool, bool]] = []
        for episode, (recorded, unaided) in reversed(self._ended.items()):
            success = result_of(self._labels.get(episode), recorded)
            if success is not None:
                found.append((success, unaided))
            if len(found) == FINISHED:
                break
        return found[::-1]

    def _tick(self, t_ns: int) -> None:
        """Add the time since the last record; a restarted process's clock begins anew, which adds nothing."""
        if self._purpose == TRAINING and self._t_ns is not None:
            self.robot_ns += max(0, t_ns - self._t_ns)
        self._t_ns = t_ns

    def unaided_rate(self, window: int = 20) -> float:
        """Share of the last `window` training episodes that succeeded without a human step; 0 at first."""
        recent = self.finished[-window:]
        return sum(success and unaided for success, unaided in recent) / window if recent else 0.0
