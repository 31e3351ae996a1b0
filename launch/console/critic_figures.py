"""The learner's diagnostics as the critic view draws them: aligned columns, few enough points, snapshots.

A run of hours has more points than a page can show: neighbours are joined, so the page gets at most
`MOST_ROWS`. A page that has some already is sent only what is new, and what is known already is not read
again.
"""

import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from handrail.agent.diagnostics_store import RESTORED, DiagnosticsReader, Point
from handrail.launch.critic_words import SOURCES

MOST_ROWS = 500
AXES = 6
_BY_SOURCE = (
    "share", "gradient_norm", "cosine", "effective", "td_median", "td_p95", "q_mean", "reward_density",
    "rows",
)  # fmt: skip
_OF_ALL = (
    "effective_samples", "q_gap", "overestimation", "above_ceiling", "value_gap", "entropy", "target_entropy",
    "temperature", "saturation", "actor_human_distance", "clone_share", "cem_gap",
)  # fmt: skip
NAMES = (
    *(f"{kind}/{source}" for kind in _BY_SOURCE for source in SOURCES),
    *_OF_ALL,
    *(f"sigma/{axis}" for axis in range(AXES)),
)
"""The scalars of the critic view, as the learner names them."""
SNAPSHOTS = ("histogram", "value", "overestimation")
_LARGEST = frozenset({"above_ceiling"})  # what is impossible once must not be averaged away
_KEPT = 4000  # rows: the last 400,000 updates at one record every hundred
_AT_ONCE = 6  # names that are read together: points take much more room than what becomes of them
_DIGITS = 5
_SMOOTH = 5


@dataclass(frozen=True)
class Columns:
    """Scalars side by side, a row for each number of updates at which there were some.

    Attributes:
        updates, env_steps: (N,) int64 of each row; updates grow.
        series: by name, (N,) float64; NaN where nothing was recorded.
    """

    updates: np.ndarray
    env_steps: np.ndarray
    series: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.updates)

    def lately(self, name: str) -> float | None:
        """Mean of the last few values: one batch says little. None without any."""
        known = self._known(name)
        return float(known[-_SMOOTH:].mean()) if len(known) else None

    def at_first(self, name: str) -> float | None:
        """Mean of the first few values; None unless there are enough others after them."""
        known = self._known(name)
        return float(known[:_SMOOTH].mean()) if len(known) >= 3 * _SMOOTH else None

    def _known(self, name: str) -> np.ndarray:
        values = self.series.get(name, np.empty(0))
        return values[~np.isnan(values)]


@dataclass(frozen=True)
class Figures:
    """What the critic view is made of.

    Attributes:
        last: the largest id in it; what follows it is new.
        whole: whether `columns` replaces what the page has, or comes behind it.
        columns: of the charts.
        every: all rows, for the sentences, whatever the page has.
        snapshots: the newest of each of `SNAPSHOTS` that there is: its body, with `updates` and `env_steps`.
    """

    last: int
    whole: bool
    columns: Columns
    every: Columns
    snapshots: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class _Rows:
    """N rows as they are kept: ids up to which each is complete, and a value for each of `NAMES`."""

    updates: np.ndarray  # (N,) int64
    env_steps: np.ndarray  # (N,) int64
    ids: np.ndarray  # (N,) int64
    values: np.ndarray  # (N, K) float64, NaN where nothing was recorded

    def __len__(self) -> int:
        return len(self.updates)

    def of(self, rows: slice | np.ndarray) -> "_Rows":
        return _Rows(self.updates[rows], self.env_steps[rows], self.ids[rows], self.values[rows])

    def columns(self) -> Columns:
        there = np.flatnonzero((~np.isnan(self.values)).any(0))
        series = {NAMES[k]: self.values[:, k] for k in there}
        return Columns(self.updates, self.env_steps, series)


_NONE = np.empty(0, np.int64)
_NO_ROWS = _Rows(_NONE, _NONE, _NONE, np.empty((0, len(NAMES))))


class History:
    """The diagnostics of one run, kept between requests; any thread may ask.

    Args:
        reader: of the run's diagnostics.
    """

    def __init__(self, reader: DiagnosticsReader) -> None:
        self._reader = reader
        self._rows = _NO_ROWS
        self._last = 0
        self._restored = 0  # id of the last mark that the rows know of
        self._lock = threading.Lock()

    def read(self, since: int = 0) -> Figures | None:
        """What there is after `since`; None while the learner has recorded nothing.

        Raises:
            DiagnosticsError: the file cannot be read.
        """
        with self._lock:
            self._catch_up()
            rows, last, restored = self._rows, self._last, self._restored
        if not len(rows):
            return None
        # Behind a return to a checkpoint, part of what the page has is no more.
        known = 0 < since <= last and since >= restored
        fresh = rows.of(rows.ids > since)
        whole = not known or len(fresh) > MOST_ROWS
        return Figures(
            last=last,
            whole=whole,
            columns=thin(rows.columns()) if whole else fresh.columns(),
            every=rows.columns(),
            snapshots={name: body for name in SNAPSHOTS if (body := self._snapshot(name)) is not None},
        )

    def _catch_up(self) -> None:
        marks = self._reader.series([RESTORED], since=self._restored, limit=1)[RESTORED]
        if marks:
            self._rows, self._last, self._restored = _NO_ROWS, 0, marks[-1].id
        since = self._last
        newest = self._reader.series(NAMES, since=since, limit=1)
        upto = max((points[-1].id for points in newest.values() if points), default=since)
        if upto == since:
            return
        for first in range(0, len(NAMES), _AT_ONCE):
            found = self._reader.series(NAMES[first : first + _AT_ONCE], since=since, limit=_KEPT)
            for name, points in found.items():
                # What has come between two reads waits for the next time, with the rest of its row.
                points = [point for point in points if point.id <= upto]
                if points:
                    self._rows = _with(self._rows, NAMES.index(name), points)
        self._last = upto
        if len(self._rows) > 2 * _KEPT:
            self._rows = self._rows.of(slice(-_KEPT, None))

    def _snapshot(self, name: str) -> dict[str, Any] | None:
        found = self._reader.snapshot(name)
        return found and {**found.body, "updates": found.updates, "env_steps": found.env_steps}


def _with(rows: _Rows, column: int, points: Sequence[Point]) -> _Rows:
    """The rows with the points of one name; what was recorded at the same number of updates is one row."""
    ids, _, env_steps, updates, values = (np.array(each) for each in zip(*points, strict=True))
    every = np.union1d(rows.updates, updates)
    before, now = np.searchsorted(every, rows.updates), np.searchsorted(every, updates)
    all_ids, all_steps = np.zeros(len(every), np.int64), np.zeros(len(every), np.int64)
    all_values = np.full((len(every), len(NAMES)), np.nan)
    all_ids[before], all_steps[before], all_values[before] = rows.ids, rows.env_steps, rows.values
    all_ids[now], all_steps[now] = np.maximum(all_ids[now], ids), env_steps
    all_values[now, column] = _rounded(values)
    return _Rows(every, all_steps, all_ids, all_values)


def thin(columns: Columns, most: int = MOST_ROWS) -> Columns:
    """Join neighbouring rows until there are at most so many: means, of what is known."""
    size = -(-len(columns) // most)
    if size <= 1:
        return columns
    ends = np.minimum(np.arange(size, len(columns) + size, size), len(columns)) - 1
    joined = {name: _joined(values, size, name in _LARGEST) for name, values in columns.series.items()}
    return Columns(columns.updates[ends], columns.env_steps[ends], joined)


def _joined(values: np.ndarray, size: int, largest: bool) -> np.ndarray:
    padded = np.full(-(-len(values) // size) * size, np.nan)
    padded[: len(values)] = values
    with warnings.catch_warnings():  # a span of which nothing is known stays unknown
        warnings.simplefilter("ignore", RuntimeWarning)
        spans = padded.reshape(-1, size)
        return _rounded(np.nanmax(spans, 1) if largest else np.nanmean(spans, 1))


def _rounded(values: np.ndarray) -> np.ndarray:
    """To as many digits as a chart shows: the page is sent thousands."""
    size = np.abs(values)
    digits = 10.0 ** (_DIGITS - 1 - np.floor(np.log10(np.where(size > 0, size, 1.0))))
    return np.round(values * digits) / digits
