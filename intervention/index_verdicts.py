"""What can be asked of the index again and again while a run grows: SQL counts, and stops where it may."""

import sqlite3
from dataclasses import dataclass

from handrail.intervention.labeller import CLASSIFIER, TASK

_TRAINED = "purpose = 'train' AND status = 'ended' AND steps > 0"
_COUNTED = "outcome IN ('success', 'failure') AND label IS NOT 'exclude'"  # as `labeller.result_of`
_BY_A_PERSON = f"who != '{TASK}' AND who NOT GLOB '{CLASSIFIER}*'"  # as `labeller.said_by_machine`


@dataclass(frozen=True)
class Judged:
    """Where the log has an episode that a classifier looked at and a person labelled.

    Attributes:
        episode: its number.
        first_sequence: where it begins.
        last_sequence: where it ends so far.
    """

    episode: int
    first_sequence: int
    last_sequence: int


class VerdictQueries:
    """Questions to the index of one run."""

    _database: sqlite3.Connection

    def judged_by_both(self, *, trained: bool = False, newest: int | None = None) -> list[Judged]:
        """Return the episodes that a classifier looked at and a person labelled, newest first.

        Args:
            trained: training episodes that have ended, and no others.
            newest: at most so many.
        """
        found = self._database.execute(
            "SELECT episode, first_sequence, last_sequence FROM episodes WHERE "
            f"(classifier != '' OR score IS NOT NULL) AND {_TRAINED if trained else 'steps > 0'} AND EXISTS "
            "(SELECT 1 FROM events WHERE events.episode = episodes.episode AND kind = 'label' AND "
            f"{_BY_A_PERSON}) ORDER BY episode DESC LIMIT ?",
            (-1 if newest is None else newest,),
        )
        return [Judged(*row) for row in found]

    def steps_since_unaided(self) -> tuple[int, int]:
        """Return the training steps since the last unaided success, or since the first; and all of them."""
        return self._database.execute(
            "SELECT COALESCE(SUM(steps) FILTER (WHERE episode > last), 0), COALESCE(SUM(steps), 0) "
            "FROM episodes, (SELECT COALESCE(MAX(episode), -1) AS last FROM overview "
            f"WHERE {_TRAINED} AND {_COUNTED} AND outcome = 'success' AND unaided) WHERE {_TRAINED}"
        ).fetchone()

    def results(self, last: int) -> list[tuple[bool, bool]]:
        """Return (success, unaided) of the last training episodes that count, as labelled; oldest first."""
        found = self._database.execute(
            "SELECT outcome = 'success', unaided FROM overview "
            f"WHERE {_TRAINED} AND {_COUNTED} ORDER BY episode DESC LIMIT ?",
            (last,),
        )
        return [(bool(success), bool(unaided)) for success, unaided in found][::-1]

    def human_share(self, last: int, before: int = 0) -> float | None:
        """Return which share of the steps of the last so many training episodes a human drove.

        Args:
            last: how many episodes.
            before: leave out so many of the newest.
        """
        (share,) = self._database.execute(
            "SELECT 1.0 * SUM(human_steps) / SUM(steps) FROM (SELECT human_steps, steps FROM episodes "
            f"WHERE {_TRAINED} ORDER BY episode DESC LIMIT ? OFFSET ?)",
            (last, before),
        ).fetchone()
        return share
