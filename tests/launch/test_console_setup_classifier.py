"""What the set-up page is told of a classifier before it is put in use, by a real console and real ones."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from consoled import Consoled, at_the_end, consoled, holding
from dictated import dictated
from judged import open_log, write_episode
from trained import make_version, show

from handrail.launch import compose, runs
from handrail.reward_classifier import artifact
from handrail.reward_classifier.versions import make_current

WORDS = ("task=ram_insertion_cameras", "env.cameras=[{name: wrist, width: 32, height: 32}]")
LAMP = "/api/setup/classifiers/lamp"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Consoled]:
    """A console that was started in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    run = runs.create("first", "runs", compose.compose(WORDS), WORDS)
    with consoled(run, compose.load(run.config_file)) as served:
        yield served


def told(answer: Any, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def test_held_out_figures_of_the_newest_are_told(site: Consoled, tmp_path: Path) -> None:
    bo = site.viewer()
    assert told(bo.ask("GET", LAMP)) == {"newest": None, "in_use": ""}
    folder = tmp_path / "classifiers" / "lamp"
    first = make_version(folder, show(tmp_path / "shown"))
    make_current(folder, first)
    version = make_version(folder, show(tmp_path / "again", episodes=8), seed=1)
    known = told(bo.ask("GET", LAMP))
    assert known["in_use"] == first
    newest, calibration = known["newest"], artifact.load(folder / version).calibration
    assert (newest["version"], newest["episodes"], newest["successes"]) == (version, 8, 8)
    assert (newest["missed"], newest["false_positives"]) == (
        calibration.missed,
        calibration.false_positives,
    )
    assert newest["supported"] is False and newest["bound"] > newest["wanted"]


def test_the_version_that_was_looked_at_is_put_in_use(site: Consoled, tmp_path: Path) -> None:
    folder = tmp_path / "classifiers" / "lamp"
    looked_at = make_version(folder, show(tmp_path / "shown"))
    make_version(folder, show(tmp_path / "again", episodes=8), seed=1)  # somebody trains another meanwhile
    ada, job = site.operator("Ada"), "/api/setup/jobs/accept"
    with holding(ada) as page:
        assert "error" in told(ada.ask("POST", job, json={"name": "lamp", "version": "../up"}), 400)
        told(ada.ask("POST", job, json={"name": "lamp", "version": looked_at}))
        ended = at_the_end(ada, page, job)
    assert ended["state"] == "done", ended["lines"]
    assert told(ada.ask("GET", LAMP))["in_use"] == looked_at


def test_it_is_put_in_use_beside_a_session(site: Consoled, tmp_path: Path) -> None:
    folder = tmp_path / "classifiers" / "lamp"
    version = make_version(folder, show(tmp_path / "shown"))
    with open_log(site.run.segments) as writer:
        label = ("success", "classifier 0123456789ab")
        write_episode(writer, 0, [False] * 6, classifier="0123456789ab", label=label)
    ada, job = site.operator("Ada"), "/api/setup/jobs/accept"
    with dictated(site.run), holding(ada) as page:
        told(ada.ask("POST", job, json={"name": "lamp", "version": version}))
        ended = at_the_end(ada, page, job)
        assert ended["state"] == "done", ended["lines"]
        found = told(ada.ask("GET", "/api/episodes"))
        (row,) = found["rows"]
        labelled = dict(zip(found["columns"], row, strict=True))
    assert (labelled["label"], labelled["labeller"]) == ("failure", f"classifier {version}")
    assert told(ada.ask("GET", LAMP))["in_use"] == version


def test_the_report_of_a_version_is_told_in_known_parts(site: Consoled, tmp_path: Path) -> None:
    folder = tmp_path / "classifiers" / "lamp"
    version = make_version(folder, show(tmp_path / "shown"))
    bo = site.viewer()
    assert told(bo.ask("GET", f"{LAMP}/{version}/report")) == {"parts": [["p", {}, ["report"]]]}
    assert site.nobody().ask("GET", f"{LAMP}/{version}/report").status_code == 401
    for other in ("0" * 12, "%2e%2e", "current", version.upper() + "A", f"{version}%0A"):
        assert bo.ask("GET", f"{LAMP}/{other}/report").status_code == 404, other
    (folder / version / "report.html").unlink()
    assert "train a version anew" in told(bo.ask("GET", f"{LAMP}/{version}/report"), 409)["error"]


@pytest.mark.parametrize("name", ["%2e%2e", "..%2fup", "a b", "a" * 41, "%00", "-x", "a%0A"])
def test_only_names_name_a_classifier(site: Consoled, tmp_path: Path, name: str) -> None:
    assert site.viewer().ask("GET", f"/api/setup/classifiers/{name}").status_code == 404


def test_a_damaged_one_says_so(site: Consoled, tmp_path: Path) -> None:
    folder = tmp_path / "classifiers" / "lamp"
    version = make_version(folder, show(tmp_path / "shown"))
    settings = folder / version / artifact.SETTINGS
    settings.write_text(settings.read_text().replace('"calibration"', '"other"'))
    assert "remove that folder" in told(site.viewer().ask("GET", LAMP), 409)["error"]
