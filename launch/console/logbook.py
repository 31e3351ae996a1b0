"""What a run's files say, for the page: labels that changed, the pace, and what nobody reports.

While a supervisor relays its processes' reports, those are fresher. Beside `handrail record` or after a run
nobody reports, and the log is all there is.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from handrail.agent.history import FINISHED
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.index_query import Pace
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import runs

_PACED = 20  # episodes


@dataclass(frozen=True)
class Entry:
    """What one look at the files has found.

    Attributes:
        sequence: how far the log has been read.
        labelled: episodes whose label has changed since the last look.
        actor: what an actor would report, as far as the log knows it.
        pace: of the last training episodes.
        evaluations: every one, oldest first.
    """

    sequence: int = 0
    labelled: tuple[int, ...] = ()
    actor: dict[str, Any] = field(default_factory=dict)
    pace: Pace = field(default_factory=Pace)
    evaluations: tuple[dict[str, Any], ...] = ()


class Logbook:
    """Looks at the files again and again; its calls may come from any thread, one at a time.

    Args:
        run: the run's directory.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._reader = LogReader(run.segments)
        self._last: Entry | None = None

    def look(self) -> Entry:
        """What is there now.

        Raises:
            LogError: the index cannot be opened, or is kept busy.
        """
        # Opened anew each time: a connection belongs to one thread, and whoever deletes the index means it.
        with EpisodeIndex(self._run.index_file, self._reader) as index:
            sequence = index.refresh()
            last = self._last
            if last is None or sequence != last.sequence:
                labelled = index.labelled_since(last.sequence) if last is not None else []
                last = Entry(sequence, tuple(labelled), self._actor(index), index.pace(_PACED))
            else:
                last = dataclasses.replace(last, labelled=())
        self._last = dataclasses.replace(last, evaluations=tuple(runs.evaluations(self._run)))
        return self._last

    def _actor(self, index: EpisodeIndex) -> dict[str, Any]:
        totals, results = index.totals(), index.results(FINISHED)
        return {
            "env_steps": totals.train_steps,
            "episode": max(0, totals.next_episode - 1),
            "demonstrations": len(index.episodes(label="demo")),
            "demonstration_steps": totals.demo_steps,
            "human_steps": totals.human_steps,
            "takeovers": totals.takeovers,
            "intervention_rate": totals.human_steps / max(1, totals.train_steps),
            "unaided": [success and unaided for success, unaided in results],
            "assisted": [success for success, _ in results],
        }
