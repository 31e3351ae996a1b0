"""An SQLite index of the episode log: what an episode was, how it is labelled, what was said about it.

The log is the truth and the index its shadow: it can be deleted at any time and is rebuilt on demand. A
refresh reads what was appended since the last one and moves its own position in the same database
transaction, so a crash in between repeats work and never counts anything twice. Beside its position it keeps
the sum of the frame there: a log that lost its tail (power, a copy put back) and went on otherwise is noticed
when the index is next opened, and read anew.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from zlib import crc32

from handrail.intervention.index_query import EpisodeRow, IndexQueries, Totals
from handrail.intervention.index_schema import open_index
from handrail.intervention.labeller import said_by_machine
from handrail.intervention.log_format import (
    HALTS,
    EpisodeEnd,
    EpisodeStart,
    Event,
    LogError,
    Record,
    SegmentHeader,
    StepRecord,
    decode_record,
    holds_image,
)
from handrail.intervention.log_reader import LogReader
from handrail.intervention.transition import Source

__all__ = ["EpisodeIndex", "EpisodeRow", "Totals"]

_BATCH = 2000
_BATCH_BYTES = 4 << 20  # a batch is held in memory, and a console has little


class EpisodeIndex(IndexQueries):
    """The index of one run; open one per thread.

    SQLite's WAL lets readers work while another process refreshes.

    Args:
        path: The database file; made where missing, replaced where damaged or of another version.
        reader: The log.
    """

    def __init__(self, path: Path, reader: LogReader) -> None:
        self._path = path
        self._reader = reader
        self._of_this_log = False
        super().__init__(open_index(path))

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
                self._forget_another_log(database)
                position, session = database.execute("SELECT sequence, session FROM position").fetchone()
                batch = self._reader.read(position, _BATCH, limit_bytes=_BATCH_BYTES)
                if not batch:
                    return position
                entry = _Entry(database, session)
                for sequence, payload in batch:
                    if not holds_image(payload):
                        entry.take(sequence, decode_record(payload))
                entry.finish()
                sequence, payload = batch[-1]
                reached = sequence, entry.session, crc32(payload)
                database.execute("UPDATE position SET sequence = ?, session = ?, crc = ?", reached)

    def _forget_another_log(self, database: sqlite3.Connection) -> None:
        """Once: begin anew where the log no longer has the frame up to which it was read."""
        if self._of_this_log:
            return
        position, crc = database.execute("SELECT sequence, crc FROM position").fetchone()
        last = self._reader.read(position - 1, 1) if position else []
        if position and [(sequence, crc32(payload)) for sequence, payload in last] != [(position, crc)]:
            for table in ("episodes", "events"):
                database.execute(f"DELETE FROM {table}")
            database.execute("UPDATE position SET sequence = 0, session = 0, crc = 0")
        self._of_this_log = True

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


@dataclass(slots=True)
class _Steps:
    """Steps of one episode that are not entered yet: an UPDATE a step is most of a refresh."""

    steps: int = 0
    human: int = 0
    reward: float = 0.0
    score: float | None = None
    classifier: str = ""
    sequence: int = 0


class _Entry:
    """Enters records, in the log's order, within one transaction."""

    def __init__(self, database: sqlite3.Connection, session: int) -> None:
        self._database = database
        self.session = session
        self._steps: dict[int, _Steps] = {}

    def take(self, sequence: int, record: Record) -> None:
        """Enter one record."""
        match record:
            case StepRecord():
                self._step(sequence, record)
            case SegmentHeader():
                self.session = record.created_wall_ns
            case EpisodeStart():
                self._start(sequence, record)
            case EpisodeEnd():
                self.finish()
                self._end(sequence, record)
            case Event():
                self._event(sequence, record)

    def finish(self) -> None:
        """Enter the steps that are held back."""
        for episode, held in self._steps.items():
            # SQLite's two-valued MAX is NULL if either is: steps without a score change nothing.
            self._database.execute(
                "UPDATE episodes SET steps = steps + :steps, human_steps = human_steps + :human, "
                "reward = reward + :reward, score = COALESCE(MAX(score, :score), :score, score), "
                "classifier = :classifier, last_sequence = :sequence WHERE episode = :episode",
                {**asdict(held), "episode": episode},
            )
        self._steps.clear()

    def _step(self, sequence: int, record: StepRecord) -> None:
        held = self._steps.setdefault(record.episode, _Steps())
        held.steps += 1
        held.human += record.source == Source.HUMAN
        held.reward += record.reward
        if record.score is not None:
            held.score = record.score if held.score is None else max(held.score, record.score)
        held.classifier = record.classifier
        held.sequence = sequence

    def _start(self, sequence: int, record: EpisodeStart) -> None:
        self._database.execute(
            "INSERT OR IGNORE INTO episodes (episode, purpose, seed, weights_version, started_ns, "
            "started_wall_ns, first_sequence, last_sequence, session) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                record.episode,
                record.purpose,
                json.dumps(record.seed),
                record.weights_version,
                record.t_ns,
                record.wall_ns,
                sequence,
                sequence,
                self.session,
            ),
        )

    def _end(self, sequence: int, record: EpisodeEnd) -> None:
        self._database.execute(
            "UPDATE episodes SET status = 'ended', success = ?, truncated_by = ?, unaided = ?, "
            "takeovers = ?, peak_force_n = ?, ended_wall_ns = ?, seated = ?, last_sequence = ?, "
            "operator = COALESCE(NULLIF(?, ''), operator) WHERE episode = ?",
            (
                record.success,
                record.truncated_by,
                record.unaided,
                record.takeovers,
                record.peak_force_n,
                record.wall_ns,
                record.seated,
                sequence,
                record.operator,
                record.episode,
            ),
        )

    def _event(self, sequence: int, record: Event) -> None:
        execute, episode = self._database.execute, record.episode
        execute(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                sequence,
                record.kind,
                episode,
                record.who,
                record.wall_ns,
                record.old,
                record.new,
                record.why,
                record.step,
            ),
        )
        if record.kind in HALTS:  # whoever stops an arm is not thereby its operator
            return
        if record.kind == "undo":
            self._restore(episode)
        elif record.why:
            execute("UPDATE episodes SET note = ? WHERE episode = ?", (record.why, episode))
        if record.kind == "aborted":
            execute(
                "UPDATE episodes SET status = 'aborted' WHERE episode = ? AND status = 'open'", (episode,)
            )
            return
        if record.kind == "label":
            execute(
                "UPDATE episodes SET label = ?, label_step = ?, labeller = ?, labelled_wall_ns = ? "
                "WHERE episode = ?",
                (record.new, record.step, record.who, record.wall_ns, episode),
            )
        if not said_by_machine(record.who):
            execute(
                "UPDATE episodes SET operator = ? WHERE episode = ? AND operator = ''", (record.who, episode)
            )

    def _restore(self, episode: int) -> None:
        """Take a label back: the one before it stands again, if any, and the newest reason of what stands."""
        known = IndexQueries(self._database)
        stand = known.labels(episode)
        said = [each for each in known.events(episode) if each[1].kind not in (*HALTS, "label")]
        notes = [event.why for _, event in sorted([*said, *stand], key=lambda each: each[0]) if event.why]
        label = stand[-1][1] if stand else None
        self._database.execute(
            "UPDATE episodes SET label = ?, label_step = ?, labeller = ?, labelled_wall_ns = ?, note = ? "
            "WHERE episode = ?",
            (
                *((label.new, label.step, label.who, label.wall_ns) if label else (None,) * 4),
                notes[-1] if notes else "",
                episode,
            ),
        )
