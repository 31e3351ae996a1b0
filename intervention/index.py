"""An SQLite index of the episode log: what an episode was, how it is labelled, what was said about it.

The log is the truth and the index its shadow: it can be deleted at any time and is rebuilt on demand. A
refresh reads what was appended since the last one and moves its own position in the same database
transaction, so a crash in between repeats work and never counts anything twice.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from handrail.intervention.log_format import (
    EpisodeEnd,
    EpisodeStart,
    Event,
    LogError,
    Record,
    StepRecord,
    decode_record,
)
from handrail.intervention.log_reader import LogReader
from handrail.intervention.transition import Source

_INDEX_SCHEMA = 2
_BATCH = 2000
_BUSY_S = 5.0

_TABLES = """
CREATE TABLE IF NOT EXISTS position (sequence INTEGER NOT NULL);
INSERT INTO position SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM position);
CREATE TABLE IF NOT EXISTS episodes (
    episode INTEGER PRIMARY KEY, purpose TEXT NOT NULL, seed TEXT NOT NULL, weights_version INTEGER NOT NULL,
    started_wall_ns INTEGER NOT NULL, ended_wall_ns INTEGER, first_sequence INTEGER NOT NULL,
    last_sequence INTEGER NOT NULL, steps INTEGER NOT NULL DEFAULT 0, human_steps INTEGER NOT NULL DEFAULT 0,
    reward REAL NOT NULL DEFAULT 0, status TEXT NOT NULL DEFAULT 'open', success INTEGER, truncated_by TEXT,
    unaided INTEGER, takeovers INTEGER, peak_force_n REAL, label TEXT, label_step INTEGER,
    score REAL, classifier TEXT NOT NULL DEFAULT '', seated INTEGER
);
CREATE INDEX IF NOT EXISTS episodes_by_label ON episodes (label);
CREATE TABLE IF NOT EXISTS events (
    sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, episode INTEGER NOT NULL, who TEXT NOT NULL,
    wall_ns INTEGER NOT NULL, old TEXT, new TEXT, why TEXT NOT NULL, step INTEGER
);
CREATE INDEX IF NOT EXISTS events_by_episode ON events (episode);
CREATE VIEW IF NOT EXISTS labels AS SELECT * FROM events WHERE kind = 'label';
"""


@dataclass(frozen=True)
class EpisodeRow:
    """One episode as the index knows it; the fields after `status` are None until it has ended.

    `status` is "open", "ended" or "aborted"; `label` is the current one, or None, and `label_step` the step
    at which its success was, where that is not the last. `score` is the highest that `classifier`, the
    version that ran last, gave to any step; None and "" without one. `seated` is whether the task was truly
    done at the end; None where nobody can know.
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
    label: str | None
    label_step: int | None
    score: float | None
    classifier: str
    status: str
    ended_wall_ns: int | None
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


_COLUMNS = ", ".join(field.name for field in fields(EpisodeRow))


class EpisodeIndex:
    """The index of one run; open one per thread.

    SQLite's WAL lets readers work while another process refreshes.

    Args:
        path: The database file; made where missing, replaced where damaged or of another version.
        reader: The log.
    """

    def __init__(self, path: Path, reader: LogReader) -> None:
        self._path = path
        self._reader = reader
        self._database = self._opened()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def __enter__(self) -> "EpisodeIndex":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def refresh(self) -> int:
        """Take in what was appended since the last refresh, and return the sequence reached."""
        while True:
            with self._transaction() as database:
                (position,) = database.execute("SELECT sequence FROM position").fetchone()
                batch = self._reader.read(position, _BATCH)
                for sequence, payload in batch:
                    self._take(database, sequence, decode_record(payload))
                if batch:
                    position = batch[-1][0]
                    database.execute("UPDATE position SET sequence = ?", (position,))
            if len(batch) < _BATCH:
                return position

    def rebuild(self) -> int:
        """Forget everything, read the whole log again, and return the sequence reached."""
        self._database.close()
        self._remove()
        self._database = self._opened()
        return self.refresh()

    def episode(self, episode: int) -> EpisodeRow | None:
        """Return one episode, or None."""
        return next(iter(self._rows("WHERE episode = ?", episode)), None)

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
        """Return the episodes that match every condition given, oldest first.

        Args:
            label: Current label.
            purpose: "train", "demo" or "classify".
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
        return list(self._rows(f"WHERE {where} ORDER BY episode", since, *asked.values()))

    def events(self, episode: int) -> list[tuple[int, Event]]:
        """Return what was said about an episode: (sequence, event), oldest first."""
        found = self._database.execute(
            "SELECT sequence, kind, episode, who, wall_ns, old, new, why, step FROM events "
            "WHERE episode = ? ORDER BY sequence",
            (episode,),
        )
        return [(row[0], Event(*row[1:])) for row in found]

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

    def _rows(self, condition: str, *values: object) -> Iterator[EpisodeRow]:
        for row in self._database.execute(f"SELECT {_COLUMNS} FROM episodes {condition}", values):
            named = dict(zip((field.name for field in fields(EpisodeRow)), row, strict=True))
            named["seed"] = tuple(json.loads(named["seed"]))
            for flag in ("success", "unaided", "seated"):
                named[flag] = None if named[flag] is None else bool(named[flag])
            yield EpisodeRow(**named)

    def _take(self, database: sqlite3.Connection, sequence: int, record: Record) -> None:
        """Enter one record."""
        match record:
            case EpisodeStart(episode=episode):
                database.execute(
                    "INSERT OR IGNORE INTO episodes (episode, purpose, seed, weights_version, "
                    "started_wall_ns, first_sequence, last_sequence) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        episode,
                        record.purpose,
                        json.dumps(record.seed),
                        record.weights_version,
                        record.wall_ns,
                        sequence,
                        sequence,
                    ),
                )
            case StepRecord(episode=episode):
                # SQLite's two-valued MAX is NULL if either is: a step without a score changes nothing.
                database.execute(
                    "UPDATE episodes SET steps = steps + 1, human_steps = human_steps + :human, "
                    "reward = reward + :reward, score = COALESCE(MAX(score, :score), :score, score), "
                    "classifier = :classifier, last_sequence = :sequence WHERE episode = :episode",
                    {
                        "human": record.source == Source.HUMAN,
                        "reward": record.reward,
                        "score": record.score,
                        "classifier": record.classifier,
                        "sequence": sequence,
                        "episode": episode,
                    },
                )
            case EpisodeEnd(episode=episode):
                database.execute(
                    "UPDATE episodes SET status = 'ended', success = ?, truncated_by = ?, unaided = ?, "
                    "takeovers = ?, peak_force_n = ?, ended_wall_ns = ?, seated = ?, last_sequence = ? "
                    "WHERE episode = ?",
                    (
                        record.success,
                        record.truncated_by,
                        record.unaided,
                        record.takeovers,
                        record.peak_force_n,
                        record.wall_ns,
                        record.seated,
                        sequence,
                        episode,
                    ),
                )
            case Event(episode=episode, kind=kind):
                database.execute(
                    "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        sequence,
                        kind,
                        episode,
                        record.who,
                        record.wall_ns,
                        record.old,
                        record.new,
                        record.why,
                        record.step,
                    ),
                )
                if kind == "label":
                    database.execute(
                        "UPDATE episodes SET label = ?, label_step = ? WHERE episode = ?",
                        (record.new, record.step, episode),
                    )
                elif kind == "aborted":
                    database.execute(
                        "UPDATE episodes SET status = 'aborted' WHERE episode = ? AND status = 'open'",
                        (episode,),
                    )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; the write lock is taken first, so two refreshing processes take turns.

        Raises:
            LogError: the database is locked for too long, damaged or out of space; nothing was changed.
        """
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            raise LogError(f"Index {self._path}: {error}; it may be deleted, the log rebuilds it.") from error

    def _opened(self) -> sqlite3.Connection:
        """Open the database; one that cannot be used is only a shadow, and is made anew."""
        try:
            return self._connected()
        except sqlite3.OperationalError as error:
            raise LogError(f"Index {self._path} cannot be opened: {error}; check the disk.") from error
        except sqlite3.DatabaseError:
            self._remove()
            return self._connected()

    def _connected(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            (schema,) = database.execute("PRAGMA user_version").fetchone()
            if schema != _INDEX_SCHEMA:
                if schema != 0:
                    raise sqlite3.DatabaseError(f"index schema {schema}")
                self._create(database)
            database.execute("SELECT sequence FROM position").fetchone()
        except BaseException:
            database.close()
            raise
        return database

    def _create(self, database: sqlite3.Connection) -> None:
        with closing(database.cursor()) as cursor:
            cursor.executescript(f"BEGIN IMMEDIATE;{_TABLES}PRAGMA user_version = {_INDEX_SCHEMA};COMMIT;")

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
