"""Exports from the page: made by a process of their own, fetched whole, and gone afterwards."""

import asyncio
import io
import json
import os
import tempfile
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from consoled import Consoled, Person, consoled, until
from exported import Told, cameras, make_run

from handrail.intervention.run_directory import RunDirectory
from handrail.launch.cli import main
from handrail.launch.console.downloads import Stream
from handrail.launch.console.export_jobs import MOST_KEPT, MOST_RUNNING
from handrail.launch.console.zipped import zipped

av = pytest.importorskip("av")
pq = pytest.importorskip("pyarrow.parquet")

HOSTILE = "<img onerror=alert(1)>"
EPISODES = [
    Told(),
    Told(success=False, truncated_by="time_limit", remarks=(HOSTILE,)),
    Told(labels=(("exclude", "Ada", "", None),)),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return make_run(tmp_path_factory.mktemp("runs") / "first run", EPISODES, cameras((32, 32)))


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """An export of it takes seconds."""
    told = [Told(steps=2) for _ in range(300)]
    return make_run(tmp_path_factory.mktemp("runs") / "long", told, cameras((32, 32)))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where temporary files go."""
    folder = tmp_path_factory.mktemp("scratch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        yield folder


@pytest.fixture(scope="module")
def site(run: RunDirectory, scratch: Path) -> Iterator[Consoled]:
    with consoled(run) as served:
        yield served


def begin(person: Person, **asked: Any) -> str:
    answer = person.ask("POST", "/api/export", json=asked)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def state(person: Person, key: str) -> dict[str, Any]:
    return person.ask("GET", f"/api/export/{key}").json()


def finished(person: Person, key: str) -> dict[str, Any]:
    until(lambda: state(person, key)["state"] != "running", "the export")
    return state(person, key)


def fetched(person: Person, key: str) -> httpx.Response:
    assert finished(person, key)["state"] == "done", state(person, key)
    return person.ask("GET", f"/api/export/{key}/file")


def test_the_table_comes_as_the_command_writes_it(
    site: Consoled, run: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for query, words in (
        ("", ()),
        ("?outcome=failure&text=onerror", ("outcome=failure",)),
        ("?per=episode&all=true&label=exclude", ("per=episode", "--all", "labelled=exclude")),
    ):
        answer = site.viewer().ask("GET", f"/api/export/csv{query}")
        file = tmp_path / f"{len(words)}.csv"
        assert main(["export", "csv", f"run={run.path}", f"to={file}", *words]) == 0
        assert answer.content == file.read_bytes()
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        name = "first_run-episodes.csv" if "episode" in query else "first_run.csv"
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
    capsys.readouterr()


@pytest.mark.parametrize(
    ("query", "status", "why"),
    [
        ("outcome=never", 409, "choose one of"),
        ("episodes=77", 409, "no episode to export of those with episodes=77"),
        ("to=/etc/passwd", 400, "there is no filter 'to'"),
        ("run=other", 400, "there is no filter 'run'"),
        ("per=frame", 400, "per= is step or episode"),
        ("text=a%00b", 400, "cannot be typed"),
        ("text=a%0Ab", 400, "cannot be typed"),
    ],
)
def test_a_table_of_nothing_is_refused_in_words(site: Consoled, query: str, status: int, why: str) -> None:
    answer = site.viewer().ask("GET", f"/api/export/csv?{query}")
    assert answer.status_code == status and why in answer.json()["error"]


def test_a_film_is_made_and_fetched(site: Consoled) -> None:
    ada = site.operator()
    key = begin(ada, format="mp4", filters={"outcome": "failure"}, end_s=0.2)
    told = finished(ada, key)
    assert told | {"state": "done", "format": "mp4", "done": 4, "of": 4, "episodes": 1} == told
    assert told["name"] == "first run.mp4" and "to" not in told
    answer = fetched(ada, key)
    assert (
        answer.headers["content-type"] == "video/mp4"
        and answer.headers["x-content-type-options"] == "nosniff"
    )
    with av.open(io.BytesIO(answer.content)) as film:
        assert sum(1 for _ in film.decode(video=0)) == 2 + 10


def test_a_dataset_comes_as_a_zip(site: Consoled) -> None:
    ada = site.operator()
    answer = fetched(ada, begin(ada, format="lerobot", filters={"last": "1"}))
    assert answer.headers["content-disposition"] == 'attachment; filename="first_run-lerobot.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        root = "first run-lerobot/"
        assert json.loads(archive.read(f"{root}meta/info.json"))["total_episodes"] == 1
        table = pq.read_table(io.BytesIO(archive.read(f"{root}data/chunk-000/file-000.parquet")))
        assert table.column("next.truncated").to_pylist() == [False, False, False, True]


def test_a_table_can_be_a_job_too(site: Consoled) -> None:
    ada = site.operator()
    answer = fetched(ada, begin(ada, format="csv", per="episode", all=True))
    assert len(answer.text.splitlines()) == 4 and HOSTILE in answer.text


@pytest.mark.parametrize(
    ("asked", "status", "why"),
    [
        ({"format": "exe"}, 400, "Invalid enum value"),
        ({"format": "csv", "to": "/etc/passwd"}, 400, "unknown field"),
        ({"format": "csv", "filters": {"run": "../other"}}, 400, "there is no filter 'run'"),
        ({"format": "csv", "filters": {"day": "today"}}, 409, "a day is meant"),
        ({"format": "csv", "end_s": 3}, 400, "end_s goes with mp4"),
        ({"format": "mp4", "end_s": 1e9}, 400, "Expected"),
        ({"format": "mp4", "per": "step"}, 400, "per goes with csv"),
    ],
)
def test_a_senseless_job_is_refused(site: Consoled, asked: dict, status: int, why: str) -> None:
    answer = site.operator().ask("POST", "/api/export", json=asked)
    assert answer.status_code == status and why in answer.json()["error"]


def test_a_job_that_fails_says_why_and_has_no_file(site: Consoled) -> None:
    ada = site.operator()
    key = begin(ada, format="mp4", filters={"operator": "Zoe"})
    told = finished(ada, key)
    assert told["state"] == "failed" and told["why"].startswith(
        "no episode to export of those with operator=Zoe"
    )
    assert ada.ask("GET", f"/api/export/{key}/file").status_code == 409


def test_only_an_operator_has_jobs_and_ids_are_not_paths(site: Consoled) -> None:
    ada, bo = site.operator(), site.viewer()
    key = begin(ada, format="csv")
    assert bo.ask("POST", "/api/export", json={"format": "csv"}).status_code == 403
    for path in (key, f"{key}/file"):
        assert bo.ask("GET", f"/api/export/{path}").status_code == 403
    assert bo.ask("POST", f"/api/export/{key}/cancel").status_code == 403
    assert site.nobody().ask("GET", "/api/export/csv").status_code == 401
    for wrong in ("x", "..", "..%2F..%2Fetc%2Fpasswd", "%00", key + "%2F.."):
        assert ada.ask("GET", f"/api/export/{wrong}/file").status_code in (404, 400), wrong
    finished(ada, key)


def test_whoever_left_the_page_finds_every_export_again(site: Consoled) -> None:
    ada = site.operator()
    key = begin(ada, format="csv", filters={"last": "1"})
    for person in (ada, site.operator("Grace")):  # both are kept waiting by it, so both may cancel it
        listed = person.ask("GET", "/api/export").json()["exports"]
        assert listed[-1]["id"] == key and listed[-1]["format"] == "csv"
    assert finished(ada, key) | {"id": key} == ada.ask("GET", "/api/export").json()["exports"][-1]
    assert site.viewer().ask("GET", "/api/export").status_code == 403


def test_old_jobs_make_room_for_new_ones(site: Consoled, scratch: Path) -> None:
    ada = site.operator()
    keys = []
    for _ in range(MOST_KEPT + 1):
        keys.append(begin(ada, format="csv", filters={"last": "1"}))
        assert finished(ada, keys[-1])["state"] == "done"
    assert ada.ask("GET", f"/api/export/{keys[0]}").status_code == 404
    assert state(ada, keys[-1])["state"] == "done"
    until(lambda: len(list(scratch.glob("handrail-exports-*/*"))) == MOST_KEPT, "the oldest to go")


def test_what_a_job_writes_is_private(site: Consoled, scratch: Path) -> None:
    ada = site.operator()
    finished(ada, begin(ada, format="csv"))
    (folder,) = scratch.glob("handrail-exports-*")
    assert all(each.stat().st_mode & 0o077 == 0 for each in (folder, *folder.iterdir()))


def processes_of(run: RunDirectory) -> list[int]:
    """Exports of a run that are at work."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"export" in words and f"run={run.path}".encode() in words:
                found.append(int(entry.name))
    return found


def test_a_job_is_cancelled_and_the_console_ends_with_nothing_left(long: RunDirectory, scratch: Path) -> None:
    dead = scratch / "handrail-exports-4194304-of-a-console-that-was-killed"  # no process has that number
    dead.mkdir()
    before = set(scratch.iterdir()) - {dead}
    with consoled(long) as served:
        ada = served.operator()
        key = begin(ada, format="lerobot")
        until(lambda: state(ada, key)["done"], "its first steps")
        until(lambda: not dead.exists(), "the leftovers to go")
        assert all(os.getpriority(os.PRIO_PROCESS, each) >= 10 for each in processes_of(long))
        assert ada.ask("POST", f"/api/export/{key}/cancel").json() == {"state": "cancelled"}
        until(lambda: not processes_of(long), "its process to end")
        (folder,) = set(scratch.iterdir()) - before
        assert [list(each.iterdir()) for each in folder.iterdir()] == [[]]
        for _ in range(MOST_RUNNING):
            begin(ada, format="lerobot")
        answer = ada.ask("POST", "/api/export", json={"format": "csv"})
        assert answer.status_code == 503 and f"limit {MOST_RUNNING}" in answer.json()["error"]
        assert ada.ask("GET", "/api/export/csv").status_code == 503
        assert served.viewer().ask("GET", "/api/export/csv?last=1").status_code == 200  # a way of their own
    assert set(scratch.iterdir()) == before and not processes_of(long)


def test_a_reader_that_leaves_ends_the_tables_process(long: RunDirectory, scratch: Path) -> None:
    with consoled(long) as served:
        ada = served.operator()
        with (
            httpx.Client(base_url=served.url, trust_env=False, timeout=30) as client,
            client.stream("GET", "/api/export/csv", headers={"Cookie": ada.cookie or ""}) as answer,
        ):
            next(answer.iter_bytes())
        until(lambda: not processes_of(long), "its process to end")
        until(lambda: ada.ask("GET", "/api/export/csv?last=1").status_code == 200, "room for another")


def test_a_reader_that_takes_nothing_is_given_up() -> None:
    """Two of them would keep everybody else's tables waiting."""
    ended: list[bool] = []

    async def rows() -> AsyncIterator[bytes]:
        yield b"1,2,3"

    async def stuck(message: Any) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    async def present() -> Any:
        return await asyncio.Event().wait()

    scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}}
    asyncio.run(Stream(rows(), lambda: ended.append(True), patience_s=0.05)(scope, present, stuck))
    assert ended == [True]


def test_a_large_folder_is_zipped_in_pieces(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "large").write_bytes(os.urandom(3_000_000))
    (folder / "empty").touch()
    pieces = list(zipped(folder, "out"))
    assert max(map(len, pieces)) < 1 << 20
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.namelist() == ["out/a/large", "out/empty"]
        assert archive.read("out/a/large") == (folder / "a" / "large").read_bytes()
