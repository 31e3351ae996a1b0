"""The classifier's examples and disagreements over HTTP, against a real console and a real log."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from consoled import Consoled, Loop, consoled, heard, holding, until
from judged import open_log, picture, write_episode
from PIL import Image

from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose, runs
from handrail.launch.console.setup_examples import CONFIRMED
from handrail.launch.labelling import comment, relabel

WORDS = ("task=ram_insertion_cameras", "seed=3")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    monkeypatch.delenv(compose.SEARCH_PATH, raising=False)
    return runs.create("first", str(tmp_path / "runs"), compose.compose(WORDS), WORDS)


@pytest.fixture
def site(run: RunDirectory) -> Iterator[Consoled]:
    with consoled(run, compose.load(run.config_file)) as served:
        yield served


def told(answer: Any, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def test_examples_are_counted_and_the_running_one_is_no_reason_for_the_next(
    site: Consoled, run: RunDirectory
) -> None:
    counts = told(site.viewer().ask("GET", "/api/setup/examples?positives=10&negatives=20"))
    assert (counts["positives"], counts["negatives"], counts["episodes"]) == (0, 0, 0)
    assert (counts["number"], counts["enough"]) == (1, False)
    assert "Seat the module" in counts["prompt"]
    assert counts["wanted"] == {"positives": 10, "negatives": 20, "episodes": 10}
    for wrong in ("0", "-1", "x", "9" * 12):
        assert site.viewer().ask("GET", f"/api/setup/examples?positives={wrong}").status_code == 400


def _written(run: RunDirectory, *episodes: dict[str, Any]) -> None:
    with contextlib.closing(open_log(run.segments)) as writer:
        for number, facts in enumerate(episodes):
            write_episode(writer, number, **facts)


def test_the_running_example_is_no_reason_to_ask_for_the_next(site: Consoled, run: RunDirectory) -> None:
    shown = {"lit": [True] * 6, "rewards": [1.0] * 6, "purpose": "classify", "ended": False}
    _written(run, shown)
    counts = told(site.viewer().ask("GET", "/api/setup/examples"))
    assert (counts["positives"], counts["negatives"], counts["number"]) == (6, 0, 2)
    assert counts["posture"] != "seated"
    loop = Loop(run)
    try:
        heard(site, loop)
        loop.be(purpose="classify", episode=0, running=True)
        seen = until(
            lambda: (now := told(site.viewer().ask("GET", "/api/setup/examples")))["number"] == 1 and now,
            "the running episode",
        )
        assert (seen["positives"], seen["posture"]) == (6, "seated")
    finally:
        loop.close()


def test_a_disagreement_has_its_frames_and_is_confirmed_or_corrected(
    site: Consoled, run: RunDirectory
) -> None:
    scores = [0.1, 0.2, 0.97]
    judged = {"lit": [False, False, True], "scores": scores, "classifier": "0123456789ab"}
    _written(run, judged | {"label": ("success", "classifier 0123456789ab")})
    ada = site.operator("Ada")
    assert told(ada.ask("GET", "/api/setup/inbox")) == {"entries": [], "total": 0}
    relabel(run, 0, "failure", "Ada", "not seated")
    (entry,) = told(ada.ask("GET", "/api/setup/inbox"))["entries"]
    assert (entry["episode"], entry["step"], entry["kind"], entry["confirmed"]) == (0, 2, "vetoed", "")
    frame = ada.ask("GET", "/api/setup/inbox/0/2/wrist")
    assert frame.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(frame.content)) as image:
        assert np.array_equal(np.asarray(image), picture(True, 3))
    comment(run, 0, f"{CONFIRMED}: failure at step 2", "Ada")
    (entry,) = told(ada.ask("GET", "/api/setup/inbox"))["entries"]
    assert entry["confirmed"] == "Ada"
    with holding(ada):
        correction = {"id": "7", "label": "success", "why": "inbox: the classifier was right", "step": 2}
        told(ada.ask("POST", "/api/episodes/0/label", json=correction))
    assert told(ada.ask("GET", "/api/setup/inbox"))["entries"] == []


@pytest.mark.parametrize(
    "path", ["0/1/wrist", "9/2/wrist", "0/2/front", "0/2/..%2f..%2fmeta.json", "-1/2/wrist", "0/2/"]
)
def test_frames_are_had_by_what_they_are_and_not_by_paths(
    site: Consoled, run: RunDirectory, path: str
) -> None:
    judged = {"lit": [False, False, True], "scores": [0.1, 0.2, 0.97], "classifier": "0123456789ab"}
    _written(run, judged | {"label": ("success", "classifier 0123456789ab")})
    relabel(run, 0, "failure", "Ada")
    told(site.viewer().ask("GET", "/api/setup/inbox"))
    assert site.viewer().ask("GET", f"/api/setup/inbox/{path}").status_code in (404, 405)


def test_the_page_and_the_console_agree_on_how_a_confirmation_begins(repository: Path) -> None:
    script = (repository / "launch/console/static/setup/inbox.js").read_text()
    assert f'const CONFIRMED = "{CONFIRMED}";' in script
