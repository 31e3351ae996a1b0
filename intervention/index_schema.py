"""The tables of the episode index, and how its file is opened: one that cannot be used is made anew."""

import sqlite3
from contextlib import closing
from pathlib import Path

from handrail.intervention.labeller import Label
from handrail.intervention.log_format import NO_RESULT, LogError

_INDEX_SCHEMA = 5
_BUSY_S = 30.0  # another process may be making the index of a long log

_TABLES = f"""
CREATE TABLE position (sequence INTEGER NOT NULL, session INTEGER NOT NULL, crc INTEGER NOT NULL);
INSERT INTO position VALUES (0, 0, 0);
CREATE TABLE episodes (
    episode INTEGER PRIMARY KEY, purpose TEXT NOT NULL, seed TEXT NOT NULL, weights_version INTEGER NOT NULL,
    started_ns INTEGER NOT NULL, started_wall_ns INTEGER NOT NULL, ended_wall_ns INTEGER,
    first_sequence INTEGER NOT NULL, last_sequence INTEGER NOT NULL,
    steps INTEGER NOT NULL DEFAULT 0, human_steps INTEGER NOT NULL DEFAULT 0,
    reward REAL NOT NULL DEFAULT 0, status TEXT NOT NULL DEFAULT 'open', success INTEGER, truncated_by TEXT,
    unaided INTEGER, takeovers INTEGER, peak_force_n REAL, label TEXT, label_step INTEGER, labeller TEXT,
    labelled_wall_ns INTEGER, note TEXT NOT NULL DEFAULT '', operator TEXT NOT NULL DEFAULT '',
    score REAL, classifier TEXT NOT NULL DEFAULT '', seated INTEGER, session INTEGER NOT NULL
);
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY, kind TEXT NOT NULL, episode INTEGER NOT NULL, who TEXT NOT NULL,
    wall_ns INTEGER NOT NULL, old TEXT, new TEXT, why TEXT NOT NULL, step INTEGER
);
CREATE INDEX events_by_episode ON events (episode);
CREATE VIEW overview AS SELECT *,
    CASE
        WHEN status != 'ended' THEN status
        WHEN label IN ('{Label.SUCCESS}', '{Label.DEMO}') THEN 'success'
        WHEN label = '{Label.FAILURE}' THEN 'failure'
        WHEN purpose = 'classify' THEN 'shown'
        WHEN success THEN 'success'
        WHEN truncated_by IN {NO_RESULT} THEN 'aborted'
        ELSE 'failure'
    END AS outcome,
    date(started_wall_ns / 1000000000, 'unixepoch', 'localtime') AS day,
    (ended_wall_ns - started_wall_ns) / 1e9 AS duration_s,
    (LEAD(started_ns) OVER (PARTITION BY session ORDER BY episode) - started_ns) / 1e9 AS cycle_s
FROM episodes;
"""


def open_index(path: Path) -> sqlite3.Connection:
    """Open an index, or make it: a damaged one, or one of another version, is only a shadow and is replaced.

    Raises:
        LogError: the disk refuses.
    """
    try:
        return _connected(path)
    except sqlite3.OperationalError as error:
        raise LogError(f"Index {path} cannot be opened: {error}; check the disk.") from error
    except sqlite3.DatabaseError:
        remove_index(path)
        return _connected(path)


def remove_index(path: Path) -> None:
    """Delete an index that nobody has open."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _connected(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        (schema,) = database.execute("PRAGMA user_version").fetchone()
        if schema != _INDEX_SCHEMA:
            if schema != 0:
                raise sqlite3.DatabaseError(f"index schema {schema}")
            _create(database)
        database.execute("SELECT sequence, session, crc FROM position").fetchone()
    except BaseException:
        database.close()
        raise
    return database


def _create(database: sqlite3.Connection) -> None:
    with closing(database.cursor()) as cursor:
        cursor.execute("BEGIN IMMEDIATE")
        # Another process may have made the tables while this one waited for its turn.
        if cursor.execute("PRAGMA user_version").fetchone() == (0,):
            for statement in _TABLES.split(";\n"):
                cursor.execute(statement)
            cursor.execute(f"PRAGMA user_version = {_INDEX_SCHEMA}")
        cursor.execute("COMMIT")
