"""The database of diagnostics: what is written is read, and nobody waits for a disk."""

import json
import math
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import pytest

from handrail.agent.diagnostics_store import RESTORED, DiagnosticsError, DiagnosticsReader, DiagnosticsWriter


@pytest.fixture
def path(tmp_path):
    return tmp_path / "diagnostics.db"


def write(path, *entries) -> None:
    writer = DiagnosticsWriter(path)
    for entry in entries:
        writer.add(*entry)
    writer.close()
    assert (writer.lost, writer.trouble) == (0, "")


def values(reader: DiagnosticsReader, name: str, **how) -> list[float]:
    return [point.value for point in reader.series([name], **how)[name]]


def test_before_there_is_a_file_there_is_nothing(path):
    reader = DiagnosticsReader(path)
    assert reader.names() == [] and reader.series(["q_gap"]) == {"q_gap": []}
    assert reader.newest(["q_gap"]) == {} and reader.snapshot("value") is None
    assert not path.exists()


def test_what_is_written_is_read_with_its_moment(path):
    write(
        path, (50, 100, {"q_gap": 0.5, "share/demo": 0.9}), (60, 200, {"q_gap": 0.25}, {"value": {"a": [1]}})
    )
    reader = DiagnosticsReader(path)
    first, second = reader.series(["q_gap"])["q_gap"]
    assert (first.env_steps, first.updates, first.value) == (50, 100, 0.5)
    assert second.id > first.id and second.wall_ns >= first.wall_ns
    assert reader.names() == ["q_gap", "share/demo"]
    assert reader.newest(["q_gap", "share/demo", "other"]) == {"q_gap": 0.25, "share/demo": 0.9}
    found = reader.snapshot("value")
    assert found is not None and (found.env_steps, found.updates, found.body) == (60, 200, {"a": [1]})


def test_a_reader_asks_for_what_follows_and_for_the_newest(path):
    write(path, *((n, n, {"x": float(n), "y": -float(n)}) for n in range(10)))
    reader = DiagnosticsReader(path)
    assert values(reader, "x", limit=3) == [7.0, 8.0, 9.0]
    (seventh, *_) = reader.series(["x"], limit=3)["x"]
    both = reader.series(["y", "x"], since=seventh.id)
    assert [p.value for p in both["x"]] == [8.0, 9.0]
    assert [p.value for p in both["y"]] == [-7.0, -8.0, -9.0]


def test_what_was_said_beyond_a_checkpoint_is_void_and_stays_in_the_file(path):
    first_life = [(n, n, {"x": float(n)}, {"s": {"n": n}}) for n in (100, 200, 300)]
    write(path, *first_life)
    reader = DiagnosticsReader(path)
    writer = DiagnosticsWriter(path)
    writer.restored(200, 200)
    writer.close()
    assert values(reader, "x") == [100.0, 200.0]
    found = reader.snapshot("s")
    assert found is not None and found.body == {"n": 200}
    write(path, (300, 300, {"x": -300.0}, {"s": {"n": -300}}))
    assert values(reader, "x") == [100.0, 200.0, -300.0]
    assert [each.body["n"] for each in reader.snapshots("s")] == [100, 200, -300]
    assert values(reader, RESTORED) == [200.0]
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT COUNT(*) FROM scalars WHERE name = 'x'").fetchone() == (4,)
    writer = DiagnosticsWriter(path)
    writer.restored(0, 0)  # no checkpoint at all: everything begins anew
    writer.close()
    assert values(reader, "x") == [] and reader.snapshot("s") is None


def test_what_is_no_number_is_left_out(path):
    write(path, (1, 1, {"x": math.nan, "y": math.inf, "z": 1.0}))
    assert DiagnosticsReader(path).names() == ["z"]


def test_an_entry_that_cannot_be_written_leaves_the_others_whole(path):
    writer = DiagnosticsWriter(path)
    writer.add(1, 1, {"x": 1.0}, {"bad": {"value": math.nan}})
    writer.add(2, 2, {"x": 2.0})
    writer.close()
    assert writer.lost == 1 and "takes no diagnostics" in writer.trouble
    assert values(DiagnosticsReader(path), "x") == [2.0]


def test_a_damaged_file_is_put_aside_and_begun_anew(path):
    path.write_bytes(b"not a database, but as long as its header would be " * 50)
    with pytest.raises(DiagnosticsError, match=r"diagnostics\.db cannot be read"):
        DiagnosticsReader(path).names()
    write(path, (1, 1, {"x": 1.0}))
    assert values(DiagnosticsReader(path), "x") == [1.0]
    assert (path.parent / "diagnostics.unusable.db").read_bytes().startswith(b"not a database")


def test_another_schema_is_refused_by_readers_and_put_aside_by_the_writer(path):
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(DiagnosticsError, match="schema is 99"):
        DiagnosticsReader(path).names()
    write(path, (1, 1, {"x": 1.0}))
    assert DiagnosticsReader(path).names() == ["x"]


def test_without_a_place_to_write_nothing_stops(tmp_path):
    writer = DiagnosticsWriter(tmp_path / "missing" / "diagnostics.db")
    for n in range(5):
        writer.add(n, n, {"x": 1.0})
    writer.close()
    assert writer.lost == 5 and "training goes on" in writer.trouble


def test_a_disk_that_hangs_makes_nobody_wait(path):
    write(path, (0, 0, {"x": 0.0}))
    writer = DiagnosticsWriter(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # the writer's thread waits for this
        for n in range(1, 1000):
            writer.add(n, n, {"x": float(n)})
        assert writer.lost > 0 and "too slowly" in writer.trouble
        other.execute("ROLLBACK")
    writer.close()
    kept = values(DiagnosticsReader(path), "x")
    assert kept == [float(n) for n in range(len(kept))] and len(kept) + writer.lost == 1000


def test_readers_see_whole_entries_while_they_are_written(path):
    writer, reader, done = DiagnosticsWriter(path), DiagnosticsReader(path), threading.Event()
    torn: list[dict] = []

    def look() -> None:
        while not done.is_set():
            found = reader.newest(["x", "y"])
            if found and found.get("x") != found.get("y"):
                torn.append(found)

    thread = threading.Thread(target=look)
    thread.start()
    for n in range(200):
        writer.add(n, n, {"x": float(n), "y": float(n)})
    writer.close()
    done.set()
    thread.join()
    assert torn == [] and reader.newest(["x"]) == {"x": 199.0}


def test_a_console_reads_it_without_torch(path):
    write(path, (1, 1, {"x": 1.0}))
    code = (
        "import sys, json; from pathlib import Path; "
        "from handrail.agent.diagnostics_store import DiagnosticsReader; "
        "found = DiagnosticsReader(Path(sys.argv[1])).newest(['x']); "
        "print(json.dumps([found, 'torch' in sys.modules]))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, check=True, text=True
    )
    assert json.loads(shown.stdout) == [{"x": 1.0}, False]
