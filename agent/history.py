"""What a run's log adds up to. Actor and learner both keep one, fed with the same records, so they agree."""

from __future__ import annotations

from collections import deque

from handrail.intervention.log_format import EpisodeEnd, EpisodeStart, Event, Record, StepRecord
from handrail.intervention.transition import Source

DEMONSTRATION = "demo"
TRAINING = "train"


class RunHistory:
    """Counters over the records of a log, in order.

    Attributes:
        online_steps: environment steps of training episodes (demonstrations are counted apart).
        demonstration_steps: steps of demonstration episodes, failed ones too.
        demonstrations: episodes that carry the label "demo".
        next_episode: number of the next episode.
        human_steps, takeovers: of training episodes.
        finished: (success, unaided) of finished training episodes, the newest last.
    """

    def __init__(self) -> None:
        self.online_steps = 0
        self.demonstration_steps = 0
        self.demonstrations = 0
        self.next_episode = 0
        self.human_steps = 0
        self.takeovers = 0
        self.finished: deque[tuple[bool, bool]] = deque(maxlen=100)
        self.sequence = 0
        self._demonstrating = False

    def ingest(self, sequence: int, record: Record) -> None:
        """Count one record."""
        self.sequence = sequence
        match record:
            case EpisodeStart():
                self.next_episode = record.episode + 1
                self._demonstrating = record.purpose == DEMONSTRATION
            case StepRecord() if self._demonstrating:
                self.demonstration_steps += 1
            case StepRecord():
                self.online_steps += 1
                self.human_steps += record.source == Source.HUMAN
            case EpisodeEnd() if not self._demonstrating and record.truncated_by != "stop":
                self.takeovers += record.takeovers
                self.finished.append((record.success, record.unaided))
            case Event() if record.kind == "label" and record.new == DEMONSTRATION:
                self.demonstrations += 1

    def unaided_rate(self, window: int = 20) -> float:
        """Share of the last `window` training episodes that succeeded without a human step; 0 at first."""
        recent = list(self.finished)[-window:]
        return sum(success and unaided for success, unaided in recent) / window if recent else 0.0
