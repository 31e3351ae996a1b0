"""What the learner found out about itself, kept in the run: `diagnostics.db`.

One learner writes, any number of readers look on (SQLite's WAL). No torch here: a console reads it too. The
writer owns a thread, so training never waits for a disk; what it is given it writes in order, one database
transaction a call.

The history only grows. A learner that goes back to a checkpoint, after a restart or a rollback, leaves a
mark: a scalar named `restored` whose value is the number of updates it came back to. What was recorded before
a mark and beyond its number of updates was said of networks that no longer exist; readers leave it out, and
nobody deletes it. So in what a reader gets `updates` never decreases. Whoever keeps earlier answers asks for
`restored` as well, and drops what stands before the mark and beyond its value.
"""

from __future__ import annotations

import json
import math
import queue
import sqlite3
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from handrail.robot_env.errors import HandrailError

RESTORED = "restored"
"""Name of the mark of a return to a checkpoint; its value is the number of updates there."""
_SCHEMA = 1
_BUSY_S = 5.0
_CLOSING_S = 10.0
_WAITING = 256  # entries that a slow disk may leave waiting

_TABLES = """
CREATE TABLE scalars (
    id INTEGER PRIMARY KEY, wall_ns INTEGER NOT NULL, env_steps INTEGER NOT NULL, updates INTEGER NOT NULL,
    name TEXT NOT NULL, value REAL NOT NULL
);
CREATE INDEX scalars_by_name ON scalars (name, id);
CREATE TABLE snapshots (
    id INTEGER PRIMARY KEY, wall_ns INTEGER NOT NULL, env_steps INTEGER NOT NULL, updates INTEGER NOT NULL,
    name TEXT NOT NULL, body TEXT NOT NULL, after INTEGER NOT NULL
);
CREATE INDEX snapshots_by_name ON snapshots (name, id);
"""
_STANDS = (
    f"AND NOT EXISTS (SELECT 1 FROM scalars AS mark WHERE mark.name = '{RESTORED}' "
    "AND mark.id > said.{} AND mark.updates < said.updates)"
)
_NEWEST = "ORDER BY id DESC LIMIT ?"


class DiagnosticsError(HandrailError):
    """The diagnostics of a run cannot be read."""

    exit_code = 11


class Point(NamedTuple):
    """A scalar at one moment. `id` grows with every point: ask for what follows the last one."""

    id: int
    wall_ns: int  # [ns since 1970]
    env_steps: int
    updates: int
    value: float


class Snapshot(NamedTuple):
    """Something larger than a number at one moment."""

    id: int
    wall_ns: int  # [ns since 1970]
    env_steps: int
    updates: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one call of the writer brings."""

    env_steps: int
    updates: int
    scalars: Mapping[str, float] = field(default_factory=dict)
    snapshots: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    wall_ns: int = field(default_factory=time.time_ns)


class DiagnosticsWriter:
    """The one writer of a run's diagnostics. Its methods return at once; one thread may call them.

    A file that cannot be used is moved aside and begun anew. What a disk refuses or is too slow for is left
    out and counted: diagnostics never stop training.

    Args:
        path: The database file.

    Attributes:
        lost: Entries that were left out.
        trouble: What went wrong last; "" if nothing did.
    """

    def __init__(self, path: Path) -> None:
        self.lost = 0
        self.trouble = ""
        self._path = path
        self._queue: queue.Queue[_Entry | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._write_all, name="diagnostics", daemon=True)
        self._thread.start()

    def add(
        self,
        env_steps: int,
        updates: int,
        scalars: Mapping[str, float],
        snapshots: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Record scalars, and what is larger, by name. Values that are not finite are left out."""
        finite = {name: float(value) for name, value in scalars.items() if math.isfinite(value)}
        try:
            self._queue.put_nowait(_Entry(env_steps, updates, finite, snapshots or {}))
        except queue.Full:
            self.lost += 1
            self.trouble = f"{self._path.name} is written too slowly: some diagnostics are left out"

    def restored(self, env_steps: int, updates: int) -> None:
        """Mark a return to a checkpoint with so many updates."""
        self.add(env_steps, updates, {RESTORED: float(updates)})

    def close(self) -> None:
        """Write what is waiting, and close the file; a disk that hangs is left to itself after a while."""
        with suppress(queue.Full):
            self._queue.put(None, timeout=_CLOSING_S)
        self._thread.join(_CLOSING_S)

    def _write_all(self) -> None:
        try:
            database = _opened(self._path)
        except (sqlite3.Error, OSError) as error:
            self._refused(error)
            while self._queue.get() is not None:
                self.lost += 1
            return
        with closing(database):
            while (entry := self._queue.get()) is not None:
                try:
                    _write(database, entry)
                except (sqlite3.Error, ValueError) as error:
                    self.lost += 1
                    self._refused(error)

    def _refused(self, error: Exception) -> None:
        self.trouble = f"{self._path.name} takes no diagnostics ({error}): training goes on without them"


def _write(database: sqlite3.Connection, entry: _Entry) -> None:
    """One entry, all or nothing.

    Raises:
        sqlite3.Error: the disk refused.
        ValueError: a snapshot is no JSON.
    """
    at = (entry.wall_ns, entry.env_steps, entry.updates)
    bodies = [(*at, name, json.dumps(body, allow_nan=False)) for name, body in entry.snapshots.items()]
    with database:
        database.executemany(
            "INSERT INTO scalars (wall_ns, env_steps, updates, name, value) VALUES (?, ?, ?, ?, ?)",
            [(*at, name, value) for name, value in entry.scalars.items()],
        )
        database.executemany(
            "INSERT INTO snapshots (wall_ns, env_steps, updates, name, body, after) "
            "VALUES (?, ?, ?, ?, ?, (SELECT COALESCE(MAX(id), 0) FROM scalars))",
            bodies,
        )


def _opened(path: Path) -> sqlite3.Connection:
    """Open the file, made where missing; one that is damaged or of another version is moved aside."""
    try:
        return _connected(path)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        for suffix in ("", "-wal", "-shm"):
            file = path.with_name(path.name + suffix)
            if file.exists():
                file.replace(path.with_name(f"{path.stem}.unusable{path.suffix}{suffix}"))
        return _connected(path)


def _connected(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=_BUSY_S)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        (schema,) = database.execute("PRAGMA user_version").fetchone()
        if schema == 0:
            database.executescript(f"BEGIN IMMEDIATE;{_TABLES}PRAGMA user_version = {_SCHEMA};COMMIT;")
        elif schema != _SCHEMA:
            raise sqlite3.DatabaseError(f"diagnostics of schema {schema}")
    except BaseException:
        database.close()
        raise
    return database


class DiagnosticsReader:
    """What a run's learner has recorded so far; any thread may ask, nothing stays open in between.

    A file that is not there yet is an empty one.

    Args:
        path: The database file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> list[str]:
        """Every scalar's name, sorted.

        Raises:
            DiagnosticsError: the file cannot be read.
        """
        # One step of the index a name, not a scan of all that was ever recorded.
        found = self._rows(
            "WITH RECURSIVE each(name) AS (SELECT MIN(name) FROM scalars UNION ALL "
            "SELECT (SELECT MIN(name) FROM scalars WHERE name > each.name) FROM each "
            "WHERE each.name IS NOT NULL) SELECT name FROM each WHERE name IS NOT NULL"
        )
        return [name for (name,) in found]

    def series(self, names: Iterable[str], since: int = 0, limit: int = 5000) -> dict[str, list[Point]]:
        """The newest points of each name, oldest first; [] for a name without any.

        Args:
            names: Of scalars.
            since: Only points with a larger id.
            limit: At most so many of each.

        Raises:
            DiagnosticsError: the file cannot be read.
        """
        if not (wanted := list(dict.fromkeys(names))):
            return {}
        each = f"SELECT * FROM (SELECT * FROM scalars AS said WHERE name = ? AND id > ? {{}} {_NEWEST})"
        found = self._rows(
            " UNION ALL ".join(
                each.format("" if name == RESTORED else _STANDS.format("id")) for name in wanted
            ),
            *(value for name in wanted for value in (name, since, limit)),
        )
        points: dict[str, list[Point]] = {name: [] for name in wanted}
        for id_, wall_ns, env_steps, updates, name, value in sorted(found):
            points[name].append(Point(id_, wall_ns, env_steps, updates, value))
        return points

    def newest(self, names: Iterable[str]) -> dict[str, float]:
        """The newest value of each name; a name without any is left out.

        Raises:
            DiagnosticsError: the file cannot be read.
        """
        found = self.series(names, limit=1)
        return {name: points[-1].value for name, points in found.items() if points}

    def snapshot(self, name: str) -> Snapshot | None:
        """The newest snapshot of a name; None if there is none.

        Raises:
            DiagnosticsError: the file cannot be read.
        """
        found = self.snapshots(name, limit=1)
        return found[-1] if found else None

    def snapshots(self, name: str, limit: int = 20) -> list[Snapshot]:
        """The newest snapshots of a name, oldest first.

        Raises:
            DiagnosticsError: the file cannot be read.
        """
        found = self._rows(
            "SELECT id, wall_ns, env_steps, updates, body FROM snapshots AS said WHERE name = ? "
            f"{_STANDS.format('after')} {_NEWEST}",
            name,
            limit,
        )
        return [Snapshot(*row[:4], body=json.loads(row[4])) for row in reversed(found)]

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        if not self._path.exists():
            return []
        try:
            with closing(
                sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", timeout=_BUSY_S, uri=True)
            ) as db:
                (schema,) = db.execute("PRAGMA user_version").fetchone()
                if schema == 0:  # being made
                    return []
                if schema != _SCHEMA:
                    raise sqlite3.DatabaseError(f"its schema is {schema}, this version reads {_SCHEMA}")
                return db.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise DiagnosticsError(
                f"{self._path} cannot be read: {error}; a learner that starts begins it anew."
            ) from error
