"""Review over HTTP, against a real console and log: the table, one episode, and what is said about it."""

import io
import json
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from consoled import PATIENCE_S, Consoled, Person, consoled, holding
from PIL import Image

from handrail.intervention.episode_filter import EpisodeFilter
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.log_format import LogError, decode_record, holds_image, image_from
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose
from handrail.launch.bench.long_log import write_long_log
from handrail.launch.console.answers import Refused
from handrail.launch.console.blob import pack_episode, worth
from handrail.robot_env.config import EnvConfig

EPISODES, STEPS = 30, 12
NASTY = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """What is said in one test is there in the next: each has episodes of its own."""
    return write_long_log(tmp_path_factory.mktemp("runs") / NASTY, EPISODES, STEPS, cameras=2, side=32)


@pytest.fixture(scope="module")
def site(run: RunDirectory) -> Iterator[Consoled]:
    with consoled(run, compose.load(run.config_file)) as served:
        yield served


def told(person: Person, path: str, **more: Any) -> Any:
    answer = person.ask("GET", path, **more)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


def rows(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]


def unpacked(data: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(data[:4], "little")
    return json.loads(data[4 : 4 + length]), data[4 + length :]


def test_the_table_has_every_episode_its_sums_and_the_facets(site: Consoled, run: RunDirectory) -> None:
    answer = told(site.viewer(), "/api/episodes")
    table = rows(answer)
    assert [row["episode"] for row in table] == list(range(EPISODES))
    assert (answer["matching"], answer["totals"]["episodes"]) == (EPISODES, EPISODES)
    assert table[27]["outcome"] == "failure" and table[27]["note"] == "the module sat askew"
    assert (table[5]["human_steps"], table[5]["labeller"], table[5]["purpose"]) == (STEPS, "Ada", "demo")
    assert answer["facets"]["purpose"] == [["demo", 20], ["train", EPISODES - 20]]
    with EpisodeIndex(run.index_file, LogReader(run.segments)) as index:
        (total,) = index.statistics()
    low, high = answer["totals"]["unaided_bounds"]
    assert (low, high) == total.unaided_bounds and answer["totals"]["unaided"] == total.unaided


@pytest.mark.parametrize(
    "asked", [{"outcome": "failure"}, {"human": "true", "purpose": "train"}, {"text": "ASKEW"}, {"last": "4"}]
)
def test_the_query_is_the_filter(site: Consoled, run: RunDirectory, asked: dict[str, str]) -> None:
    answer = told(site.viewer(), "/api/episodes", params=asked)
    with EpisodeIndex(run.index_file, LogReader(run.segments)) as index:
        expected = index.numbers(EpisodeFilter.of(asked))
    assert [row["episode"] for row in rows(answer)] == expected and expected
    groups = told(site.viewer(), "/api/statistics", params={**asked, "by": "day"})["groups"]
    assert sum(group["episodes"] for group in groups) == len(expected)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/episodes?last=none", 400),
        ("/api/episodes?order=1;DROP", 400),
        ("/api/statistics", 400),
        ("/api/statistics?by=episode", 400),
        ("/api/episodes/3?order=1", 400),
        ("/api/episodes/999", 404),
        ("/api/episodes/999/blob", 404),
        ("/api/episodes/999/reward", 404),
        (f"/api/episodes/{10**40}", 404),
        ("/api/episodes/-1", 404),
        ("/api/episodes/..%2f..%2fmeta.json", 404),
    ],
)
def test_what_is_not_there_or_has_no_meaning_is_refused(site: Consoled, path: str, status: int) -> None:
    answer = site.operator().ask("GET", path)
    assert answer.status_code == status and list(answer.json()) == ["error"]


@pytest.mark.parametrize(
    ("path", "previous", "next_"),
    [
        ("0", None, 1),
        (f"{EPISODES - 1}", EPISODES - 2, None),
        ("25?purpose=demo", 19, None),
        ("5?purpose=train", None, 20),
        ("15?episodes=2,29", 2, 29),
    ],
)
def test_an_episode_knows_its_neighbours_in_the_filter(
    site: Consoled, path: str, previous: int | None, next_: int | None
) -> None:
    answer = told(site.viewer(), f"/api/episodes/{path}")
    assert (answer["previous"], answer["next"]) == (previous, next_)


def test_an_episode_travels_whole_in_one_answer(site: Consoled, run: RunDirectory) -> None:
    answer = site.viewer().ask("GET", "/api/episodes/25/blob")
    assert answer.headers["content-type"] == "application/octet-stream"
    head, pictures = unpacked(answer.content)
    assert head["episode"] == 25 and head["period_s"] == 0.1
    steps = head["steps"]
    assert {len(column) for column in steps.values()} == {STEPS}
    assert steps["source"] == [0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0]
    assert steps["reward"] == [0.0] * (STEPS - 1) + [1.0]
    assert np.shape(steps["action"]) == np.shape(steps["policy_action"]) == (STEPS, 6)
    assert steps["force"][-1] > 15.0 > steps["force"][0]  # it pushes at the end
    assert steps["value"] == sorted(steps["value"]) and steps["score"] == sorted(steps["score"])

    stored: dict[str, list[np.ndarray]] = {}
    with EpisodeIndex(run.index_file, LogReader(run.segments)) as index:
        row = index.episode(25)
    assert row is not None
    for _, payload in LogReader(run.segments).frames(row.first_sequence - 1, row.last_sequence):
        if holds_image(payload):
            record: Any = decode_record(payload)
            stored.setdefault(record.camera, []).append(image_from(record))
    assert [camera["name"] for camera in head["cameras"]] == list(stored)
    for camera in head["cameras"]:
        assert len(camera["frames"]) == STEPS + 1
        for (offset, length), image in zip(camera["frames"], stored[camera["name"]], strict=True):
            shown = Image.open(io.BytesIO(pictures[offset : offset + length]))
            assert shown.format == "JPEG" and shown.size == (camera["width"], camera["height"])
            assert np.abs(np.asarray(shown, int) - image).mean() < 4.0


def test_a_run_without_cameras_has_numbers_only(tmp_path: Path) -> None:
    run = write_long_log(tmp_path / "plain", 2, 3, cameras=0)
    reader = LogReader(run.segments)
    with EpisodeIndex(run.index_file, reader) as index:
        index.refresh()
        row = index.episode(1)
    assert row is not None
    head, pictures = unpacked(pack_episode(reader, row, EnvConfig()))
    assert head["cameras"] == [] and pictures == b"" and len(head["steps"]["force"]) == 3


def test_an_episode_of_which_a_part_is_lost_is_refused_and_not_shown_wrong(tmp_path: Path) -> None:
    run = write_long_log(tmp_path / "damaged", 4, STEPS, cameras=1, side=32)
    reader = LogReader(run.segments)
    with EpisodeIndex(run.index_file, reader) as index:
        index.refresh()
        row = index.episode(3)
    assert row is not None
    newest = max(run.segments.glob("*.seg"))
    newest.write_bytes(newest.read_bytes()[:-20_000])
    with pytest.raises(LogError, match="whole steps in the log, 12 in the index"):
        pack_episode(LogReader(run.segments), row, EnvConfig())
    with pytest.raises(LogError, match="whole steps in the log, 12 in the index"):
        worth(LogReader(run.segments), row)


def test_a_label_is_in_the_log_and_every_page_is_told(site: Consoled, run: RunDirectory) -> None:
    ada, path = site.operator("Ada"), "/api/episodes/24"
    with holding(ada) as page:
        body = {"id": "click", "label": "failure", "why": " it slipped ", "step": None}
        answer = ada.ask("POST", f"{path}/label", json=body)
        assert answer.status_code == 200, answer.text
        said = answer.json()
        assert said["said"] == "episode 24: success -> failure"
        assert said["row"]["outcome"] == "failure"
        newest = said["history"][-1]
        assert (newest["who"], newest["old"], newest["new"]) == ("Ada", "success", "failure")
        assert newest["why"] == "it slipped"
        assert 24 in page.hear("labelled")["episodes"]
        assert ada.ask("POST", f"{path}/label", json=body).json()["said"] == said["said"]
        note = {"id": "remark", "text": "look"}
        with ThreadPoolExecutor(4) as clicks:  # a nervous finger
            answers = list(clicks.map(lambda _: ada.ask("POST", f"{path}/comment", json=note), range(4)))
        assert {each.status_code for each in answers} == {200}
    assert [event["kind"] for event in told(ada, path)["history"]] == ["label", "label", "comment"]
    with EpisodeIndex(run.index_file, LogReader(run.segments)) as index:
        assert [event.who for _, event in index.events(24)] == ["task", "Ada", "Ada"]


def test_rewards_are_those_of_the_label_an_episode_has_now(site: Consoled) -> None:
    ada, path = site.operator("Ada"), "/api/episodes/26"
    recorded = [0.0] * (STEPS - 1) + [1.0]
    assert unpacked(ada.ask("GET", f"{path}/blob").content)[0]["steps"]["reward"] == recorded
    assert told(site.viewer(), f"{path}/reward") == {"reward": recorded}
    with holding(ada):
        for label, step, reward in (
            ("failure", None, [0.0] * STEPS),
            ("success", 7, [0.0] * 7 + [1.0] + [None] * (STEPS - 8)),
            ("demo", None, recorded),
        ):
            body = {"id": uuid.uuid4().hex, "label": label, "step": step}
            assert ada.ask("POST", f"{path}/label", json=body).status_code == 200
            assert told(ada, f"{path}/reward") == {"reward": reward}
    assert unpacked(ada.ask("GET", f"{path}/blob").content)[0]["steps"]["reward"] == recorded


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("23/label", {"label": "splendid"}, 409),
        ("23/label", {"label": "success", "step": 99}, 409),
        ("23/label", {"label": "success", "step": -1}, 400),
        ("23/label", {"id": "", "label": "success"}, 400),
        ("23/label", {"label": "success", "who": "Grace"}, 400),
        ("23/comment", {"text": "  "}, 409),
        ("23/comment", {"text": "x" * 2001}, 400),
        ("999/label", {"label": "success"}, 409),
    ],
)
def test_what_cannot_be_said_is_refused_and_nothing_is_written(
    site: Consoled, path: str, body: dict[str, Any], status: int
) -> None:
    ada = site.operator("Ada")
    before = told(ada, "/api/episodes/23")
    with holding(ada):
        answer = ada.ask("POST", f"/api/episodes/{path}", json={"id": uuid.uuid4().hex, **body})
    assert answer.status_code == status and "\n" not in answer.json()["error"]
    assert told(ada, "/api/episodes/23") == before


def test_what_was_refused_may_be_asked_again_by_the_same_name(site: Consoled) -> None:
    ada, path = site.operator("Ada"), "/api/episodes/22/label"
    with holding(ada):
        assert ada.ask("POST", path, json={"id": "again", "label": "splendid"}).status_code == 409
        assert ada.ask("POST", path, json={"id": "again", "label": "failure"}).status_code == 200


def test_many_get_a_label_at_once_and_it_is_taken_back(site: Consoled) -> None:
    ada, path = site.operator("Ada"), "/api/labels"
    with holding(ada) as page:
        asked = {"id": "night", "label": "exclude", "why": " a bad night ", "episodes": [28, 29, 999]}
        answer = ada.ask("POST", path, json=asked)
        assert answer.status_code == 200, answer.text
        said = answer.json()
        assert (said["changed"], said["same"], list(said["refused"])) == ([28, 29], [], ["999"])
        assert {28, 29} <= set(page.hear("labelled")["episodes"])
        assert ada.ask("POST", path, json=asked).json() == said  # a nervous finger
        seen = told(ada, "/api/episodes/28")
        assert (seen["row"]["label"], seen["row"]["note"]) == ("exclude", "a bad night")
        assert seen["undo"] == seen["history"][-1]["sequence"]
        back = {"id": "back", "label": "undo", "episodes": said["changed"]}
        assert ada.ask("POST", path, json=back).json()["said"] == "2 labels taken back"
    seen = told(ada, "/api/episodes/28")
    assert (seen["row"]["label"], seen["row"]["labeller"], seen["undo"]) == ("success", "task", None)
    assert [event["kind"] for event in seen["history"]] == ["label", "label", "undo"]


@pytest.mark.parametrize(
    "wrong",
    [{"why": ""}, {"why": "  "}, {"episodes": []}, {"episodes": [-1]}, {"label": "splendid"},
     {"episodes": [*range(2001)]}],
)  # fmt: skip
def test_what_cannot_be_said_of_many_is_refused(site: Consoled, wrong: dict[str, Any]) -> None:
    ada = site.operator("Ada")
    before = told(ada, "/api/episodes/20")
    with holding(ada):
        asked = {"id": uuid.uuid4().hex, "label": "exclude", "why": "x", "episodes": [20], **wrong}
        answer = ada.ask("POST", "/api/labels", json=asked)
    assert answer.status_code in (400, 409) and "\n" not in answer.json()["error"]
    assert told(ada, "/api/episodes/20") == before


def test_only_the_operator_with_the_lease_may_say_anything(site: Consoled) -> None:
    ada, grace, bo = site.operator("Ada"), site.operator("Grace"), site.viewer("Bo")
    with holding(ada):
        for person in (grace, bo, site.nobody()):
            for path, body in (
                ("episodes/21/label", {"label": "failure"}),
                ("episodes/21/comment", {"text": "hm"}),
                ("labels", {"label": "failure", "why": "hm", "episodes": [21]}),
            ):
                answer = person.ask("POST", f"/api/{path}", json={"id": "mine", **body})
                assert answer.status_code in (401, 403)
    assert len(told(ada, "/api/episodes/21")["history"]) == 1


def test_names_and_remarks_with_markup_travel_as_they_are(site: Consoled) -> None:
    nasty = site.operator(NASTY)
    with holding(nasty):
        answer = nasty.ask("POST", "/api/episodes/3/comment", json={"id": "markup", "text": NASTY})
    newest = answer.json()["history"][-1]
    assert (newest["who"], newest["why"]) == (NASTY, NASTY)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_pictures_that_are_too_many_for_the_page_are_refused(run: RunDirectory) -> None:
    reader = LogReader(run.segments)
    with EpisodeIndex(run.index_file, reader) as index:
        index.refresh()
        row = index.episode(1)
    assert row is not None
    with pytest.raises(Refused, match=r"episode 1 take more than 0 MB.*export it as a film"):
        pack_episode(reader, row, EnvConfig(), largest=4000)


def test_whoever_looks_at_pictures_keeps_nobody_from_labelling(
    site: Consoled, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(*asked: Any) -> bytes:
        begun.set()
        assert go_on.wait(PATIENCE_S)
        return pack_episode(*asked)

    monkeypatch.setattr("handrail.launch.console.episodes.pack_episode", slow)
    bo, ada = site.viewer(), site.operator("Ada")

    def look(_: int) -> int:
        with httpx.Client(base_url=site.url, trust_env=False, timeout=PATIENCE_S) as client:
            return client.get("/api/episodes/22/blob", headers={"Cookie": bo.cookie or ""}).status_code

    with ThreadPoolExecutor(40) as viewers:
        looks = [viewers.submit(look, number) for number in range(40)]
        try:
            assert begun.wait(PATIENCE_S)
            with holding(ada):
                asked = {"id": uuid.uuid4().hex, "label": "failure"}
                answer = ada.ask("POST", "/api/episodes/22/label", json=asked)
            assert answer.status_code == 200, answer.text
        finally:
            go_on.set()
        answers = [each.result() for each in looks]
    assert set(answers) == {200, 503} and answers.count(200) >= 1
    assert bo.ask("GET", "/api/episodes/22/blob").status_code == 200
