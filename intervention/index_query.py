"""What can be asked of the index: episodes by a filter, their history, counts and statistics.

All of it is SQL over the view `overview`: an episode with its outcome, its day and its times.
"""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Literal, get_args

from handrail.intervention.episode_filter import NONE, EpisodeFilter
from handrail.intervention.index_verdicts import VerdictQueries
from handrail.intervention.log_format import Event
from handrail.intervention.proportion import wilson_interval
from handrail.intervention.standing import standing

GroupBy = Literal["day", "version", "operator"]
GROUPINGS: tuple[GroupBy, ...] = get_args(GroupBy)
_BANDS = 10  # weights versions are too many to be groups of their own
_WIDTHS = (1, 2, 5)  # of a band, times a power of ten
_FACETS = ("outcome", "label", "purpose", "labeller", "operator", "day")


@dataclass(frozen=True)
class EpisodeRow:
    """One episode as the index knows it.

    Attributes:
        episode: its number.
        purpose: "train", "demo", "classify" or "evaluate".
        seed: names its randomness.
        weights_version: of the policy's weights at its start; -1 without a policy.
        started_wall_ns: when it began [ns since 1970].
        first_sequence: of the log, where it begins.
        last_sequence: of the log, where it ends so far.
        steps: steps of it.
        human_steps: steps that a human drove.
        reward: sum of the steps' rewards, as they were stored.
        outcome: "success", "failure", "shown" (to a classifier), "aborted" (without a result) or "open"; a
            label that says success or failure overrules what the task or its classifier saw.
        label: the current one, or None.
        label_step: the step at which its success was, where that is not the last.
        labeller: who gave the current label.
        labelled_wall_ns: when.
        note: the last remark or reason that was given, "" without any.
        operator: who was at the arm: as the log says, or else the first person who spoke of the episode; "".
        day: on which it began, in this machine's time zone, as 2026-03-01.
        score: highest that `classifier` gave to any step; None without one.
        classifier: version of the one that ran last; "".
        status: "open", "ended" or "aborted"; the fields below are None until it has ended.
        ended_wall_ns: when it ended [ns since 1970].
        duration_s: from its start to its end [s].
        cycle_s: from its start to the next one's in the same session of the control loop, so with the reset,
            in robot time: in lockstep the simulation's, whatever the computer took [s]; None for a session's
            last.
        success: whether it ended in success, as the log has it.
        truncated_by: what cut it, if anything.
        unaided: whether no human drove a step.
        takeovers: how often a human took over.
        peak_force_n: largest force on the tool [N].
        seated: whether the task was truly done at the end; None where nobody can know.
    """

    episode: int
    purpose: str
    seed: tuple[int, ...]
    weights_version: int
    started_wall_ns: int
    first_sequence: int
    last_sequence: int
    steps: int
    human_steps: int
    reward: float
    outcome: str
    label: str | None
    label_step: int | None
    labeller: str | None
    labelled_wall_ns: int | None
    note: str
    operator: str
    day: str
    score: float | None
    classifier: str
    status: str
    ended_wall_ns: int | None
    duration_s: float | None
    cycle_s: float | None
    success: bool | None
    truncated_by: str | None
    unaided: bool | None
    takeovers: int | None
    peak_force_n: float | None
    seated: bool | None


@dataclass(frozen=True)
class Totals:
    """Counters of a whole run, exact after any restart because they are counted from the log.

    Attributes:
        next_episode: The number the next episode should take.
        episodes: Episodes begun.
        train_steps: Steps of training episodes.
        demo_steps: Steps of demonstrations.
        human_steps: Steps a human drove in training episodes.
        takeovers: Take-overs in ended training episodes.
    """

    next_episode: int
    episodes: int
    train_steps: int
    demo_steps: int
    human_steps: int
    takeovers: int


@dataclass(frozen=True)
class Statistics:
    """What a group of episodes came to.

    Attributes:
        group: the day, the operator, or a band of weights versions ("40" or "40-59"; "none" for episodes
            without a policy), in the form that `EpisodeFilter` takes; "" for all.
        episodes: how many there are.
        counted: those that the figures below are of: with a result, not excluded, and training episodes
            unless the filter names another purpose.
        unaided: successes of them without a human step.
        assisted: successes of them, with help or without.
        human_share: share of their steps that a human drove; None without any.
        takeovers: how often a human took over.
        cycle_s: mean from start to start in robot time [s]; None where no episode followed another.
        peak_force_n: largest force on the tool [N]; None before the first end.
    """

    group: str
    episodes: int
    counted: int
    unaided: int
    assisted: int
    human_share: float | None
    takeovers: int
    cycle_s: float | None
    peak_force_n: float | None

    @property
    def unaided_bounds(self) -> tuple[float, float]:
        """Wilson's 95 % bounds of the share that succeeded unaided."""
        return wilson_interval(self.unaided, self.counted)

    @property
    def assisted_bounds(self) -> tuple[float, float]:
        """Wilson's 95 % bounds of the share that succeeded, with help or without."""
        return wilson_interval(self.assisted, self.counted)


@dataclass(frozen=True)
class Pace:
    """How the last training episodes went, one after another.

    Attributes:
        cycle_s: mean from start to start within a session of the control loop, so with the reset, in robot
            time [s]; None where none followed another.
        human_share: share of their steps that a human drove; None without any.
    """

    cycle_s: float | None = None
    human_share: float | None = None


_NAMES = tuple(field.name for field in fields(EpisodeRow))
_COLUMNS = ", ".join(_NAMES)
_SEED, *_FLAGS = (_NAMES.index(name) for name in ("seed", "success", "unaided", "seated"))
_ALL = EpisodeFilter()


class IndexQueries(VerdictQueries):
    """Questions to the index of one run.

    Args:
        database: with the tables of `index_schema`.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def episode(self, episode: int) -> EpisodeRow | None:
        """Return one episode, or None."""
        return next(self._rows("WHERE episode = ?", [episode]), None)

    def select(
        self, chosen: EpisodeFilter = _ALL, *, limit: int | None = None, offset: int = 0
    ) -> list[EpisodeRow]:
        """Return the episodes that a filter lets through, oldest first.

        Args:
            chosen: the filter.
            limit: at most so many, the newest.
            offset: leave out so many of the newest before that.
        """
        where, values = self._where(chosen)
        page = [-1 if limit is None else limit, offset]
        rows = list(self._rows(f"WHERE {where} ORDER BY episode DESC LIMIT ? OFFSET ?", [*values, *page]))
        return rows[::-1]

    def numbers(self, chosen: EpisodeFilter = _ALL) -> list[int]:
        """Return the numbers of the episodes that a filter lets through, oldest first."""
        where, values = self._where(chosen)
        found = self._database.execute(f"SELECT episode FROM overview WHERE {where} ORDER BY episode", values)
        return [number for (number,) in found]

    def neighbours(self, episode: int, chosen: EpisodeFilter = _ALL) -> tuple[int | None, int | None]:
        """Return the numbers before and after `episode` of those that a filter lets through, or None."""
        where, values = self._where(chosen)
        below, above = (
            self._database.execute(
                f"SELECT {bound}(episode) FROM overview WHERE {where} AND episode {side} ?",
                [*values, episode],
            ).fetchone()[0]
            for bound, side in (("MAX", "<"), ("MIN", ">"))
        )
        return below, above

    def episodes(
        self,
        *,
        label: str | None = None,
        purpose: str | None = None,
        status: str | None = None,
        success: bool | None = None,
        unaided: bool | None = None,
        since: int = 0,
    ) -> list[EpisodeRow]:
        """Return the episodes of which the log says so, oldest first.

        Args:
            label: Current label.
            purpose: "train", "demo", "classify" or "evaluate".
            status: "open", "ended" or "aborted".
            success: Whether it ended in success.
            unaided: Whether it ended without a human step.
            since: Lowest episode number.
        """
        conditions = {
            "label": label,
            "purpose": purpose,
            "status": status,
            "success": success,
            "unaided": unaided,
        }
        asked = {name: value for name, value in conditions.items() if value is not None}
        where = " AND ".join(["episode >= ?", *(f"{name} = ?" for name in asked)])
        return list(self._rows(f"WHERE {where} ORDER BY episode", [since, *asked.values()]))

    def statistics(self, by: GroupBy | None = None, chosen: EpisodeFilter = _ALL) -> list[Statistics]:
        """Return what the chosen episodes came to, group by group in order; without `by` all in one."""
        where, values = self._where(chosen)
        width = self._band_width(where, values) if by == "version" else 1
        group = {
            None: "''",
            "day": "day",
            "operator": "operator",
            "version": f"CASE WHEN weights_version < 0 THEN -1 ELSE weights_version / {width} END",
        }[by]
        counted = (
            "outcome IN ('success', 'failure') AND label IS NOT 'exclude' "
            f"AND purpose = '{chosen.purpose or 'train'}'"  # one of the known purposes
        )
        found = self._database.execute(
            f"SELECT {group} AS kin, COUNT(*), COUNT(*) FILTER (WHERE {counted}), "
            f"COUNT(*) FILTER (WHERE {counted} AND outcome = 'success' AND human_steps = 0), "
            f"COUNT(*) FILTER (WHERE {counted} AND outcome = 'success'), "
            f"1.0 * SUM(human_steps) FILTER (WHERE {counted}) / "
            f"NULLIF(SUM(steps) FILTER (WHERE {counted}), 0), "
            f"COALESCE(SUM(takeovers) FILTER (WHERE {counted}), 0), "
            f"AVG(cycle_s) FILTER (WHERE {counted}), MAX(peak_force_n) FILTER (WHERE {counted}) "
            f"FROM overview WHERE {where} {'' if by is None else 'GROUP BY kin ORDER BY kin'}",
            values,
        )
        return [Statistics(_band(kin, width) if by == "version" else kin, *row) for kin, *row in found]

    def pace(self, last: int) -> Pace:
        """Return how the last so many training episodes that have ended went."""
        found = self._database.execute(
            "SELECT AVG(next_ns - started_ns) / 1e9, 1.0 * SUM(human_steps) / NULLIF(SUM(steps), 0) "
            "FROM (SELECT started_ns, human_steps, steps, ("
            "SELECT started_ns FROM episodes AS later WHERE later.session = each.session "
            "AND later.episode > each.episode ORDER BY later.episode LIMIT 1"
            ") AS next_ns FROM episodes AS each "
            "WHERE purpose = 'train' AND status = 'ended' ORDER BY episode DESC LIMIT ?)",
            (last,),
        )
        return Pace(*found.fetchone())

    def _band_width(self, where: str, values: list[object]) -> int:
        """A round width at which the chosen episodes' weights versions fall into few bands."""
        (highest,) = self._database.execute(
            f"SELECT MAX(weights_version) FROM overview WHERE {where}", values
        ).fetchone()
        scale = 1
        while True:
            for width in _WIDTHS:
                if (highest or 0) < _BANDS * width * scale:
                    return width * scale
            scale *= 10

    def facets(self) -> dict[str, list[tuple[str, int]]]:
        """Return which values the conditions can have in this run, and how many episodes have each."""
        facets = {}
        for column in _FACETS:
            found = self._database.execute(
                f"SELECT COALESCE({column}, ?), COUNT(*) FROM overview GROUP BY {column} ORDER BY {column}",
                (NONE,),
            )
            facets[column] = [(value, count) for value, count in found if value != ""]
        facets["labeller"] = [(who, count) for who, count in facets["labeller"] if who != NONE]
        return facets

    def events(self, episode: int) -> list[tuple[int, Event]]:
        """Return what was said about an episode: (sequence, event), oldest first."""
        found = self._database.execute(
            "SELECT sequence, kind, episode, who, wall_ns, old, new, why, step FROM events "
            "WHERE episode = ? ORDER BY sequence",
            (episode,),
        )
        return [(row[0], Event(*row[1:])) for row in found]

    def labels(self, episode: int) -> list[tuple[int, Event]]:
        """Return the labels of an episode that stand: (sequence, event), oldest first."""
        return standing(self.events(episode))

    def labelled_since(self, sequence: int) -> list[int]:
        """Return the episodes of which something was said after `sequence`, by number."""
        found = self._database.execute(
            "SELECT DISTINCT episode FROM events WHERE sequence > ? ORDER BY episode", (sequence,)
        )
        return [episode for (episode,) in found]

    def totals(self) -> Totals:
        """Return the run's counters as of the last refresh."""
        found = self._database.execute(
            "SELECT COALESCE(MAX(episode) + 1, 0), COUNT(*), "
            "COALESCE(SUM(steps) FILTER (WHERE purpose = 'train'), 0), "
            "COALESCE(SUM(steps) FILTER (WHERE purpose = 'demo'), 0), "
            "COALESCE(SUM(human_steps) FILTER (WHERE purpose = 'train'), 0), "
            "COALESCE(SUM(takeovers) FILTER (WHERE purpose = 'train'), 0) FROM episodes"
        )
        return Totals(*found.fetchone())

    def describe(self) -> str:
        """Return which episodes there are, in words for an error."""
        low, high = self._database.execute("SELECT MIN(episode), MAX(episode) FROM episodes").fetchone()
        return "none" if low is None else f"{low} to {high}"

    def _where(self, chosen: EpisodeFilter) -> tuple[str, list[object]]:
        where, values = chosen.where()
        if chosen.last is None:
            return where, values
        newest = f"SELECT episode FROM overview WHERE {where} ORDER BY episode DESC LIMIT ?"
        return f"episode IN ({newest})", [*values, chosen.last]

    def _rows(self, condition: str, values: list) -> Iterator[EpisodeRow]:
        for row in self._database.execute(f"SELECT {_COLUMNS} FROM overview {condition}", values):
            told = list(row)
            told[_SEED] = tuple(json.loads(told[_SEED]))
            for flag in _FLAGS:
                told[flag] = None if told[flag] is None else bool(told[flag])
            yield EpisodeRow(*told)


def _band(number: int, width: int) -> str:
    if number < 0:
        return NONE
    low = number * width
    return str(low) if width == 1 else f"{low}-{low + width - 1}"
