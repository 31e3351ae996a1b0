"""What a run's files say, for the page: labels that changed, the cycle time, and what nobody reports.

While a supervisor relays its processes' reports, those are fresher. Beside `handrail record` or after a run
nobody reports, and the log is all there is.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from handrail.intervention.index import EpisodeIndex
from handrail.intervention.log_format import NO_RESULT
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import runs

_REPORTED = 100  # finished episodes, as an actor reports them
_CYCLES = 20


@dataclass(frozen=True)
class Entry:
    """What one look at the files has found.

    Attributes:
        sequence: how far the log has been read.
        labelled: episodes whose label has changed since the last look.
        actor: what an actor would report, as far as the log knows it.
        cycle_steps: mean length of the last unaided successes; None before the first.
        evaluations: every one, oldest first.
    """

    sequence: int = 0
    labelled: tuple[int, ...] = ()
    actor: dict[str, Any] = field(default_factory=dict)
    cycle_steps: float | None = None
    evaluations: tuple[dict[str, Any], ...] = ()


class Logbook:
    """Looks at the files again and again; its calls may come from any thread, one at a time.

    Args:
        run: the run's directory.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._reader = LogReader(run.segments)
        self._sequence: int | None = None
        self._next = 0  # the first episode that has not been counted
        self._finished: deque[tuple[bool, bool]] = deque(maxlen=_REPORTED)
        self._cycles: deque[int] = deque(maxlen=_CYCLES)

    def look(self) -> Entry:
        """What is there now.

        Raises:
            LogError: the index cannot be opened, or is kept busy.
        """
        # Opened anew each time: a connection belongs to one thread, and whoever deletes the index means it.
        with EpisodeIndex(self._run.index_file, self._reader) as index:
            sequence = index.refresh()
            labelled = index.labelled_since(self._sequence) if self._sequence is not None else []
            self._sequence = sequence
            self._count(index)
            totals = index.totals()
            actor = {
                "env_steps": totals.train_steps,
                "episode": max(0, totals.next_episode - 1),
                "demonstrations": len(index.episodes(label="demo")),
                "demonstration_steps": totals.demo_steps,
                "human_steps": totals.human_steps,
                "takeovers": totals.takeovers,
                "intervention_rate": totals.human_steps / max(1, totals.train_steps),
                "unaided": [success and unaided for success, unaided in self._finished],
                "assisted": [success for success, _ in self._finished],
            }
        cycle = sum(self._cycles) / len(self._cycles) if self._cycles else None
        return Entry(sequence, tuple(labelled), actor, cycle, tuple(runs.evaluations(self._run)))

    def _count(self, index: EpisodeIndex) -> None:
        """Take in the training episodes that have ended since."""
        for row in index.episodes(purpose="train", status="ended", since=self._next):
            self._next = row.episode + 1
            if row.truncated_by in NO_RESULT:
                continue
            self._finished.append((bool(row.success), bool(row.unaided)))
            if row.success and row.unaided:
                self._cycles.append(row.steps)
