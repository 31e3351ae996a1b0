"""How many examples a reward classifier has been shown, and what it is to be shown next, by the log."""

from dataclasses import dataclass, field

from handrail.intervention.collector import NEAR_MISSES, Posture
from handrail.intervention.labeller import Label
from handrail.intervention.log_format import EpisodeStart, Event, Record, StepRecord
from handrail.intervention.log_reader import LogReader
from handrail.robot_env.errors import ConfigError

FEWEST_EPISODES = 10
"""Data are split by episode, so that a few long ones are not enough, whatever they hold."""

PROMPTS = {
    Posture.SEATED: (
        "Seat the module. Once it is all the way in, hold the SUCCESS button, and keep it held while you "
        "press and wriggle a little; let go of the button before you pull the module out."
    ),
    Posture.HALF: (
        "Push the module in half-way, all but the last millimetre, or with one end only, and leave it there. "
        "No success."
    ),
    Posture.ELSEWHERE: "Put the module down in a wrong place: on another slot, on the board. No success.",
    Posture.BESIDE: "Rest the module on the rim, a little beside the slot or turned against it. No success.",
}
"""What whoever collects is asked for."""
NEXT = "The FAILURE button goes on to the next one, DISCARD throws this one away."


@dataclass
class Tally:
    """Counts the examples in a log; feed it every record in order.

    Attributes:
        sequence: of the last record counted.
    """

    sequence: int = 0
    _examples: dict[int, list[int]] = field(default_factory=dict)
    _excluded: set[int] = field(default_factory=set)

    def read(self, reader: LogReader) -> None:
        """Count what the log holds beyond what has been counted."""
        for sequence, record in reader.records(self.sequence):
            self._take(record)
            self.sequence = sequence

    def _take(self, record: Record) -> None:
        match record:
            case EpisodeStart(purpose="classify"):
                self._examples[record.episode] = [0, 0]
            case StepRecord() if record.episode in self._examples:
                self._examples[record.episode][record.reward > 0.0] += 1
            case Event(kind="label"):
                exclude = record.new == Label.EXCLUDE
                (self._excluded.add if exclude else self._excluded.discard)(record.episode)

    def without(self, episode: int) -> "Tally":
        """The same without one episode: the one that runs is no reason yet to ask for something else."""
        others = {number: counts for number, counts in self._examples.items() if number != episode}
        return Tally(self.sequence, others, self._excluded)

    @property
    def _kept(self) -> list[list[int]]:
        return [counts for episode, counts in self._examples.items() if episode not in self._excluded]

    @property
    def episodes(self) -> int:
        """Episodes that show examples."""
        return sum(any(counts) for counts in self._kept)

    @property
    def positives(self) -> int:
        """Steps that led to a success."""
        return sum(positives for _, positives in self._kept)

    @property
    def negatives(self) -> int:
        """Steps that led to none."""
        return sum(negatives for negatives, _ in self._kept)


@dataclass(frozen=True)
class Wanted:
    """How much is to be collected.

    Attributes:
        positives, negatives: steps that led to a success, and that did not.
        longest_s: an episode ends after so long [s].
    """

    positives: int = 200
    negatives: int = 600
    longest_s: int = 30

    def __post_init__(self) -> None:
        for name in ("positives", "negatives", "longest_s"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}: must be at least 1")

    def are_there(self, tally: Tally) -> bool:
        """Whether that much has been collected."""
        enough = tally.positives >= self.positives and tally.negatives >= self.negatives
        return enough and tally.episodes >= FEWEST_EPISODES

    def next_posture(self, tally: Tally) -> Posture:
        """What the next episode is to show: success and a near miss in turn, or what is still lacking."""
        number = tally.episodes
        lacks_only_negatives = tally.positives >= self.positives and tally.negatives < self.negatives
        lacks_only_positives = tally.negatives >= self.negatives and tally.positives < self.positives
        if lacks_only_positives or (number % 2 == 0 and not lacks_only_negatives):
            return Posture.SEATED
        return NEAR_MISSES[(number if lacks_only_negatives else number // 2) % len(NEAR_MISSES)]
