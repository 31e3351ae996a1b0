"""The critic view's data: aligned, thinned, sent once, right after a return to a checkpoint."""

import math
import sqlite3
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from consoled import consoled, make_run

from handrail.agent.config import DiagnosticsConfig, RunConfig
from handrail.agent.diagnostics_store import DiagnosticsReader, DiagnosticsWriter
from handrail.launch.console.critic import NOTHING_YET, SWITCHED_OFF, answer
from handrail.launch.console.critic_figures import MOST_ROWS, NAMES, Columns, History, thin
from handrail.robot_env.errors import HandrailError

HISTOGRAM = {"edges": [0.0, 0.5, 1.0], "counts": {"demo": [1, 3]}}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "diagnostics.db"


def record(file: Path, *looks: tuple[int, dict[str, float]], **snapshots: Any) -> None:
    """Record scalars after so many updates, as a learner does."""
    writer = DiagnosticsWriter(file)
    for updates, scalars in looks:
        writer.add(updates // 2, updates, scalars, snapshots)
    writer.close()
    assert not writer.lost, writer.trouble


def columns(found: Columns) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in found.series.items()}


def test_there_is_nothing_before_the_first_updates(file: Path) -> None:
    assert History(DiagnosticsReader(file)).read() is None
    assert answer(None, DiagnosticsConfig()) == {"ready": False, "why": NOTHING_YET, "last": 0}
    record(file, (100, {"critic_loss": 1.0}))
    assert History(DiagnosticsReader(file)).read() is None, "nothing of it is the critic view's"


def test_what_was_found_after_the_same_number_of_updates_is_one_row(file: Path) -> None:
    record(file, (100, {"share/demo": 0.9, "entropy": -3.0}), (200, {"share/demo": 0.8}))
    record(file, (200, {"entropy": -4.0}), (300, {"overestimation": 0.5, "share/demo": 1 / 3}))
    found = History(DiagnosticsReader(file)).read()
    assert found is not None and found.whole
    assert found.columns.updates.tolist() == [100, 200, 300]
    assert found.columns.env_steps.tolist() == [50, 100, 150]
    known = columns(found.columns)
    assert known["share/demo"] == [0.9, 0.8, 0.33333]
    assert known["entropy"][:2] == [-3.0, -4.0] and math.isnan(known["entropy"][2])
    assert set(known) == {"share/demo", "entropy", "overestimation"}


def test_a_page_is_sent_what_is_new(file: Path) -> None:
    record(file, *((100 * n, {"share/demo": 0.01 * n}) for n in range(1, 6)), histogram=HISTOGRAM)
    history = History(DiagnosticsReader(file))
    first = history.read()
    assert first is not None and first.snapshots["histogram"] == HISTOGRAM | {
        "updates": 500,
        "env_steps": 250,
    }
    again = history.read(first.last)
    assert again is not None and not again.whole and again.last == first.last
    assert len(again.columns) == 0 and again.columns.series == {}
    assert again.every.lately("share/demo") == pytest.approx(0.03)
    record(file, (600, {"share/demo": 0.5}), (700, {"entropy": -2.0}))
    more = history.read(first.last)
    assert more is not None and not more.whole
    assert more.columns.updates.tolist() == [600, 700]
    np.testing.assert_equal(
        columns(more.columns), {"share/demo": [0.5, math.nan], "entropy": [math.nan, -2.0]}
    )
    whole = History(DiagnosticsReader(file)).read()
    assert whole is not None
    np.testing.assert_equal(columns(whole.every), columns(more.every))


def test_a_row_that_is_completed_later_is_sent_again(file: Path) -> None:
    record(file, (100, {"share/demo": 0.5}))
    history = History(DiagnosticsReader(file))
    first = history.read()
    record(file, (100, {"entropy": -2.0}))
    assert first is not None and (more := history.read(first.last)) is not None
    assert not more.whole and columns(more.columns) == {"entropy": [-2.0], "share/demo": [0.5]}


def test_behind_a_return_to_a_checkpoint_everything_is_sent_anew(file: Path) -> None:
    record(file, (100, {"share/demo": 0.9}), (200, {"share/demo": 0.8}), (300, {"share/demo": 7.0}))
    history = History(DiagnosticsReader(file))
    before = history.read()
    assert before is not None
    writer = DiagnosticsWriter(file)
    writer.restored(100, 200)
    writer.add(150, 300, {"share/demo": 0.7})
    writer.close()
    after = history.read(before.last)
    assert after is not None and after.whole
    assert columns(after.columns) == {"share/demo": [0.9, 0.8, 0.7]}
    later = history.read(after.last)
    assert later is not None and not later.whole and len(later.columns) == 0


def test_a_page_that_knows_another_file_is_sent_everything(file: Path) -> None:
    record(file, (100, {"share/demo": 0.9}))
    found = History(DiagnosticsReader(file)).read(since=4711)
    assert found is not None and found.whole and len(found.columns) == 1


def test_few_enough_points_of_a_long_run(file: Path) -> None:
    looks = [(100 * n, {"share/demo": n % 2, "above_ceiling": float(n == 700)}) for n in range(1, 1201)]
    writer = DiagnosticsWriter(file)
    for first in range(0, 1200, 100):
        for updates, scalars in looks[first : first + 100]:
            writer.add(updates // 2, updates, scalars)
        writer.close()
        assert not writer.lost
        writer = DiagnosticsWriter(file)
    writer.close()
    history = History(DiagnosticsReader(file))
    found = history.read()
    assert found is not None and len(found.columns) == 400 <= MOST_ROWS and len(found.every) == 1200
    assert found.columns.updates[-1] == 120_000
    known = found.columns.series
    assert known["share/demo"].min() == pytest.approx(1 / 3, abs=1e-4), "neighbours are averaged"
    assert known["above_ceiling"].max() == 1.0, "what was impossible once stays to be seen"
    assert history.read(since=1).whole, "too much is new to be sent as it is"  # pyright: ignore[reportOptionalMemberAccess]


def test_thinning_keeps_what_is_unknown_unknown() -> None:
    steps = np.arange(7)
    values = np.array([np.nan, np.nan, 1.0, np.nan, 4.0, 6.0, 7.0])
    thinned = thin(Columns(steps, steps, {"entropy": values}), most=4)
    assert thinned.updates.tolist() == [1, 3, 5, 6]
    np.testing.assert_equal(thinned.series["entropy"], [np.nan, 1.0, 5.0, 7.0])


def test_what_is_written_while_it_is_read_is_never_lost(file: Path) -> None:
    """A page that asks for what is new, again and again, ends up with what a new page gets."""
    looks = 200
    names = NAMES[:: len(NAMES) // 8]
    writer = DiagnosticsWriter(file)
    writer.add(50, 100, {name: 1.0 for name in names})
    done = threading.Event()

    def write() -> None:
        for n in range(2, looks + 1):
            writer.add(50 * n, 100 * n, {name: float(n) for name in names})
            done.wait(0.002)
        writer.close()
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    history = History(DiagnosticsReader(file))
    page: dict[int, dict[str, float]] = {}
    since, finished = 0, False
    while True:
        finished = done.is_set()
        found = history.read(since)
        if found is not None:
            since = found.last
            for row, updates in enumerate(found.columns.updates.tolist()):
                page[updates] = {name: values[row] for name, values in found.columns.series.items()}
        if finished:
            break
    thread.join()
    assert sorted(page) == [100 * n for n in range(1, looks + 1)]
    assert all(row == dict.fromkeys(names, updates / 100) for updates, row in page.items())


def test_a_damaged_file_is_an_error_that_says_so(file: Path) -> None:
    record(file, (100, {"share/demo": 0.9}))
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(HandrailError, match="schema is 99"):
        History(DiagnosticsReader(file)).read()


def test_a_run_without_diagnostics_says_why(tmp_path: Path) -> None:
    config = RunConfig(diagnostics=DiagnosticsConfig(every_updates=0))
    with consoled(make_run(tmp_path, config), config) as site:
        assert site.viewer().ask("GET", "/api/critic").json()["why"] == SWITCHED_OFF


def test_the_route(tmp_path: Path) -> None:
    config = RunConfig(diagnostics=DiagnosticsConfig(effective_td=0.2))
    run = make_run(tmp_path, config)
    with consoled(run, config) as site:
        viewer = site.viewer()
        assert site.nobody().ask("GET", "/api/critic").status_code == 401
        assert viewer.ask("GET", "/api/critic").json() == {"ready": False, "why": NOTHING_YET, "last": 0}
        look = {
            "share/demo": 0.78,
            "share/online_failure": 0.22,
            "rows/demo": 50.0,
            "rows/online_failure": 50.0,
            "gradient_norm/demo": 0.4,
            "cosine/demo": 0.97,
            "effective_samples": 0.3,
        }
        record(run.diagnostics_file, (100, look), (200, {"entropy": -2.5}), histogram=HISTOGRAM)
        told = viewer.ask("GET", "/api/critic?since=0").json()
        assert told["ready"] and told["whole"] and (told["updates"], told["env_steps"]) == (200, 100)
        assert told["columns"]["updates"] == [100, 200]
        assert told["columns"]["series"]["entropy"] == [None, -2.5]
        assert told["lately"]["share/demo"] == 0.78
        assert (told["lately"]["gradient_norm/demo"], told["lately"]["cosine/demo"]) == (0.4, 0.97)
        assert told["snapshots"]["histogram"]["counts"] == {"demo": [1, 3]}
        assert told["sentences"]["shares"] == (
            "Demonstrations give 78 % of the gradient of the critic's last layer, with 50 % of the samples."
        )
        assert (
            told["sentences"]["effective"] == "On 30 % of a batch's samples the critic errs by more than 0.2."
        )
        again = viewer.ask("GET", f"/api/critic?since={told['last']}").json()
        assert not again["whole"] and again["columns"]["updates"] == []
        for wrong in ("-1", "x", "1.5", "9" * 40, "٣"):
            refused = viewer.ask("GET", "/api/critic", params={"since": wrong})
            assert refused.status_code == 400 and "whole number" in refused.json()["error"]
        assert viewer.ask("POST", "/api/critic").status_code == 405
