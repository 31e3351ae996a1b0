"""An export leaves alone what the disk keeps for a run's log, before it begins and while it writes."""

import dataclasses
from pathlib import Path

import pytest
from consoled import Consoled, consoled, until
from exported import Told, cameras, make_run

from handrail.intervention.index import EpisodeIndex
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose
from handrail.launch.cli import main
from handrail.launch.errors import ExportError
from handrail.launch.export.room import Room, estimated_bytes

NEVER = 1 << 60  # bytes that no disk has


@pytest.fixture
def full(tmp_path: Path) -> RunDirectory:
    """A run whose log keeps more in reserve than there is."""
    run = make_run(tmp_path / "full", [Told() for _ in range(4)], cameras((32, 32)))
    config = compose.load(run.config_file)
    config = dataclasses.replace(config, log=dataclasses.replace(config.log, reserve_bytes=NEVER))
    run.config_file.write_text(compose.dump(config))
    return run


def test_an_export_that_would_touch_the_reserve_is_refused_and_leaves_nothing(
    full: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    for form in ("csv", "mp4", "lerobot"):
        assert main(["export", form, f"run={full.path}", f"to={out / form}"]) == ExportError.exit_code
        assert "are kept for logs (log.reserve_bytes)" in capsys.readouterr().err
    assert not out.exists()
    assert main(["export", "csv", f"run={full.path}", "to=-"]) == 0  # nothing of it is on this disk


def test_the_page_is_told_why(full: RunDirectory) -> None:
    with consoled(full) as site:
        ada = site.operator()
        key = ada.ask("POST", "/api/export", json={"format": "csv"}).json()["id"]
        until(lambda: _state(site, key)["state"] != "running", "the export")
        told = _state(site, key)
        assert told["state"] == "failed" and "log.reserve_bytes" in told["why"]


def _state(site: Consoled, key: str) -> dict:
    return site.operator().ask("GET", f"/api/export/{key}").json()


def test_an_export_ends_when_the_disk_fills_up_meanwhile(tmp_path: Path) -> None:
    counted: list[int] = []
    Room(tmp_path / "a" / "b.csv", 0).watched(counted.append)(3)
    with pytest.raises(ExportError, match="MB free"):
        Room(tmp_path / "a" / "b.csv", NEVER).watched(counted.append)(4)
    assert counted == [3]
    with pytest.raises(ExportError, match="about 1152921504607 MB are needed"):
        Room(tmp_path / "b.csv", 0).require(NEVER)


def test_the_estimate_grows_with_what_is_chosen(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [Told() for _ in range(6)], cameras((32, 32)))
    log_bytes = sum(path.stat().st_size for path in run.segments.glob("*.seg"))
    with EpisodeIndex(run.index_file, LogReader(run.segments)) as index:
        sequence = index.refresh()
        rows = index.select()
    half, whole = (
        estimated_bytes("lerobot", None, run.segments, each, sequence) for each in (rows[:3], rows)
    )
    assert whole == pytest.approx(2 * half, abs=1) and log_bytes / 5 < whole <= log_bytes / 4
    per_step = estimated_bytes("csv", None, run.segments, rows, sequence)
    assert per_step == 4 * estimated_bytes("csv", "episode", run.segments, rows, sequence)
