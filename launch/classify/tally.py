"""How many examples a reward classifier has been shown, and what it is to be shown next, by the log."""

from dataclasses import dataclass, field

from handrail.intervention.collector import NEAR_MISSES, Posture
from handrail.intervention.labeller import Label
from handrail.intervention.log_format import LABELLING, EpisodeStart, Event, Record, StepRecord
from handrail.intervention.log_reader import LogReader
from handrail.intervention.transition import Source
from handrail.robot_env.clock import NS_PER_S
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


class Fresh:
    """Tells the steps of an episode that show something from those that only show it once more.

    Of an arm that nobody drives one a second counts, so that waiting is no way to enough examples.
    """

    def __init__(self) -> None:
        self._counted_ns: int | None = None

    def shows(self, reward: float, source: int, t_ns: int) -> bool:
        """Whether the next step is an example; with the success button held it always is."""
        waited = self._counted_ns is None or t_ns - self._counted_ns >= NS_PER_S
        if reward > 0.0 or source != Source.SCRIPT or waited:
            self._counted_ns = t_ns
            return True
        return False


@dataclass
class Tally:
    """Counts the examples in a log; feed it every record in order.

    Attributes:
        sequence: of the last record counted.
    """

    sequence: int = 0
    _examples: dict[int, list[int]] = field(default_factory=dict)
    _excluded: set[int] = field(default_factory=set)
    _fresh: Fresh = field(default_factory=Fresh)

    def read(self, reader: LogReader) -> None:
        """Count what the log holds beyond what has been counted."""
        for sequence, record in reader.records(self.sequence):
            self._take(record)
            self.sequence = sequence

    def _take(self, record: Record) -> None:
        match record:
            case EpisodeStart(purpose="classify"):
                self._examples[record.episode] = [0, 0]
                self._fresh = Fresh()
            case StepRecord() if record.episode in self._examples:
                if self._fresh.shows(record.reward, record.source, record.t_ns):
                    self._examples[record.episode][record.reward > 0.0] += 1
            case Event() if record.kind in LABELLING:
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
        """Steps that led to none, and of an arm that nobody drove one a second."""
        return sum(negatives for negatives, _ in self._kept)


@dataclass(frozen=True)
class Wanted:
    """How much is to be collected.

    Attributes:
        positives, negatives: examples of success, and others, as `Tally` counts them.
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
