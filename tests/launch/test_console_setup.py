"""Setting a station up over HTTP, against a real console, real jobs and files that the command line reads."""

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from consoled import Consoled, Loop, at_the_end, consoled, heard, holding, until

from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose, runs
from handrail.launch.rig import about as rig_about
from handrail.launch.rig.about import RigAbout
from handrail.launch.station_files import Changes, StationFolder, draft, save
from handrail.launch.workspace_box import Box, around, present, require_usable, work_frame
from handrail.robot_env.errors import ConfigError

SEATED = (0.5, 0.0, 0.06, 1.0, 0.0, 0.0, 0.0)
WORDS = ("task=ram_insertion_cameras", "seed=3")
LOW, HIGH = (-0.06, -0.05, -0.01), (0.05, 0.07, 0.12)


def begun(folder: Path, *words: str) -> RunDirectory:
    return runs.create("first", str(folder / "runs"), compose.compose(words), words)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    monkeypatch.delenv(compose.SEARCH_PATH, raising=False)
    return begun(tmp_path, *WORDS)


@pytest.fixture
def site(run: RunDirectory) -> Iterator[Consoled]:
    with consoled(run, compose.load(run.config_file)) as served:
        yield served


@contextmanager
def rigged(run: RunDirectory, seated: tuple[float, ...] = SEATED) -> Iterator[None]:
    """As if a rig ran: its word, and the actor's role."""
    with run.lock("actor"):
        rig_about.tell(run.socket_dir(), RigAbout(seated, {"wrist": (640, 480)}, guided=True))
        yield
        rig_about.forget(run.socket_dir())


def told(answer: Any, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def pose(x: float, y: float, z: float) -> tuple[float, ...]:
    """The tool so far from the seated pose."""
    return (SEATED[0] + x, SEATED[1] + y, SEATED[2] + z, *SEATED[3:])


# What there is
# ---------------------------------------------------------------------------------------------------


def test_the_page_is_told_what_there_is_to_set_up(site: Consoled, run: RunDirectory) -> None:
    facts = told(site.viewer().ask("GET", "/api/setup"))
    assert (facts["station"], facts["kind"], facts["real"], facts["driven"]) == (
        "sim_panda",
        "sim",
        False,
        False,
    )
    assert facts["rig"] is None
    assert [image["name"] for image in facts["images"]] == ["wrist", "wrist_2"]
    assert facts["images"][0]["picture"] == [640, 480]
    assert facts["images"][0]["whole"] == [80, 0, 480, 480]
    assert facts["box"] == {"low_m": [-0.05, -0.05, -0.01], "high_m": [0.05, 0.05, 0.1]}
    assert facts["folder"] == str(run.path.parent.parent / "conf")
    with rigged(run):
        facts = told(site.viewer().ask("GET", "/api/setup"))
        assert facts["driven"] is True
        assert facts["rig"]["pictures"] == {"wrist": [640, 480]}


def test_the_word_of_a_rig_that_was_killed_does_not_count(site: Consoled, run: RunDirectory) -> None:
    rig_about.tell(run.socket_dir(), RigAbout(SEATED, {}, guided=True))
    assert told(site.viewer().ask("GET", "/api/setup"))["rig"] is None
    rig_about.forget(run.socket_dir())


# Who may
# ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/setup/save", {"name": "mine", "crops": {"wrist": [0, 0, 100, 100]}}),
        ("/api/setup/pictures", {}),
        ("/api/setup/jobs/preflight", {}),
        ("/api/setup/jobs/rig", {}),
        ("/api/setup/jobs/rig/stop", {}),
    ],
)
def test_only_the_holder_of_the_lease_changes_anything(site: Consoled, path: str, body: dict) -> None:
    assert "viewer" in told(site.viewer().ask("POST", path, json=body), 403)["error"]
    ada, eve = site.operator("Ada"), site.operator("Eve")
    assert "take the controls" in told(ada.ask("POST", path, json=body), 403)["error"]
    with holding(ada):
        assert "Ada" in told(eve.ask("POST", path, json=body), 403)["error"]


# Jobs
# ---------------------------------------------------------------------------------------------------


def test_preflight_comes_line_by_line_beside_a_run_that_is_driven(site: Consoled, run: RunDirectory) -> None:
    ada = site.operator("Ada")
    path = "/api/setup/jobs/preflight"
    assert told(ada.ask("GET", path)) == {"state": "none", "lines": [], "next": 0}
    loop = Loop(run)
    try:
        heard(site, loop)
        with run.lock("actor"), holding(ada):
            begun_job = told(ada.ask("POST", path, json={"hand": False}))
            assert begun_job["state"] == "running"
            assert f"run={run.path}" in begun_job["command"]
            assert "running already" in told(ada.ask("POST", path, json={}), 409)["error"]
            until(lambda: told(ada.ask("GET", path))["state"] != "running", "the checks")
    finally:
        loop.close()
    ended = told(site.viewer().ask("GET", path))
    checks = {check["name"]: check for check in map(json.loads, ended["lines"])}
    assert checks["disk"]["verdict"] in ("ok", "note")
    assert checks["matmul"]["verdict"] == "skip"
    assert "first is being driven" in checks["matmul"]["text"]
    assert ended["next"] == len(ended["lines"])
    assert told(ada.ask("GET", f"{path}?since={ended['next']}"))["lines"] == []


@pytest.mark.parametrize("since", ["-1", "1e9", "x", "1" * 30, "٣"])
def test_a_since_that_is_no_number_is_refused(site: Consoled, since: str) -> None:
    assert (
        "whole number" in told(site.viewer().ask("GET", f"/api/setup/jobs/rig?since={since}"), 400)["error"]
    )


def test_lines_that_were_counted_of_another_job_count_for_nothing(site: Consoled) -> None:
    ada, path = site.operator("Ada"), "/api/setup/jobs/accept"

    def ended() -> dict[str, Any]:
        told(ada.ask("POST", path, json={"name": "nobody_made_this"}))
        return at_the_end(ada, page, path)

    with holding(ada) as page:
        first, second = ended(), ended()
    assert first["state"] == second["state"] == "failed"
    assert first["id"] != second["id"] and first["next"] == second["next"] > 0
    assert told(ada.ask("GET", f"{path}?since={second['next']}&of={second['id']}"))["lines"] == []
    assert told(ada.ask("GET", f"{path}?since={first['next']}&of={first['id']}"))["lines"] == second["lines"]
    assert told(ada.ask("GET", "/api/setup"))["jobs"]["accept"]["id"] == second["id"]


def test_jobs_take_checked_values_and_no_words(site: Consoled) -> None:
    ada = site.operator("Ada")
    with holding(ada):
        assert "no job" in told(ada.ask("POST", "/api/setup/jobs/sh", json={}), 404)["error"]
        for body in ({"words": ["x"]}, {"name": "../up"}, {"name": "a b"}, {"positives": 0}, {"hand": "yes"}):
            assert "error" in told(ada.ask("POST", "/api/setup/jobs/train", json=body), 400)


def test_a_rig_waits_until_nobody_drives(site: Consoled, run: RunDirectory) -> None:
    ada = site.operator("Ada")
    with holding(ada), run.lock("actor"):
        refused = told(ada.ask("POST", "/api/setup/jobs/rig", json={}), 409)
        assert "let it end first" in refused["error"]


def test_a_rig_started_from_the_page_shows_its_pose_and_can_be_stopped(
    site: Consoled, run: RunDirectory
) -> None:
    ada = site.operator("Ada")
    with holding(ada) as page:
        told(ada.ask("POST", "/api/setup/jobs/rig", json={}))

        def posed() -> bool:
            page.send(kind="watch", fps=0)
            now = page.hear("now")["now"]
            return bool(now) and now["purpose"] == "setup" and len(now["pose"]) == 7

        until(posed, "the tool's pose")
        rig = told(ada.ask("GET", "/api/setup"))["rig"]
        assert rig["guided"] is True
        assert len(rig["seated_pose"]) == 7
        refused = told(ada.ask("POST", "/api/setup/jobs/collect", json={}), 409)
        assert "being set up" in refused["error"]
        assert told(ada.ask("POST", "/api/setup/jobs/rig/stop", json={}))["state"] == "stopped"
    run.lock("actor").release()


# The box
# ---------------------------------------------------------------------------------------------------


def test_corners_make_a_box_in_work_coordinates(site: Consoled, run: RunDirectory) -> None:
    ada = site.operator()
    body = {"corners": [pose(-0.06, -0.05, 0.01), pose(0.05, 0.07, 0.12)], "below_m": 0.01}
    assert "start the set-up" in told(ada.ask("POST", "/api/setup/box", json=body), 409)["error"]
    with rigged(run):
        box = told(ada.ask("POST", "/api/setup/box", json=body))
        assert box["trouble"] == ""
        assert box["low_m"] == pytest.approx([-0.06, -0.05, -0.01], abs=2e-4)
        assert box["high_m"] == pytest.approx([0.05, 0.07, 0.12], abs=2e-4)
        assert box["corners"][1] == pytest.approx([0.05, 0.07, 0.12], abs=1e-5)


@pytest.mark.parametrize(
    ("corners", "words"),
    [
        ([(0.05, 0.05, 0.1)], "at least 2"),
        ([(-0.05, -0.05, 0.1), (0.05, -0.0499, 0.0)], "wide along y"),
        ([(0.01, -0.05, 0.1), (0.09, 0.05, 0.0)], "seated pose"),
        ([(-0.01, -0.05, 0.1), (0.09, 0.05, 0.0)], "start"),
        ([(-0.05, -0.05, 0.04), (0.05, 0.05, 0.0)], "start"),
        ([(-0.05, -0.05, 0.1), (0.95, 0.05, 0.0)], "no posture reaches"),
    ],
)
def test_a_box_that_may_not_be_had_is_shown_and_refused(
    site: Consoled, run: RunDirectory, corners: list[tuple[float, float, float]], words: str
) -> None:
    ada = site.operator()
    with rigged(run):
        body = {"corners": [pose(*corner) for corner in corners], "below_m": 0.01}
        box = told(ada.ask("POST", "/api/setup/box", json=body))
        assert words in box["trouble"]
        if box["low_m"]:
            asked = {"name": "mine", "box": {"low_m": box["low_m"], "high_m": box["high_m"]}}
            assert words in told(ada.ask("POST", "/api/setup/draft", json=asked), 409)["error"]


@pytest.mark.parametrize("corner", [(float("nan"),) * 7, (0.0,) * 6, ("a",) * 7])
def test_corners_are_seven_finite_numbers(site: Consoled, run: RunDirectory, corner: tuple) -> None:
    with rigged(run):
        body = json.dumps({"corners": [corner, corner], "below_m": 0.01})
        answer = site.operator().ask(
            "POST", "/api/setup/box", content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 400


def test_the_present_box_of_every_packaged_task_may_be_had() -> None:
    for task, station in itertools.product(
        ("ram_insertion", "ram_insertion_cameras"), ("sim_panda", "sim_ur5e")
    ):
        env = compose.compose([f"task={task}", f"station={station}"]).config.env
        assert require_usable(present(env), env, SEATED).limits == env.limits


def test_a_turned_socket_turns_the_box() -> None:
    quarter = (0.5, 0.0, 0.06, 0.70710678, 0.70710678, 0.0, 0.0)  # the slot lies along the base's y
    frame = work_frame(quarter)
    box = around([(0.46, -0.08, 0.07, *quarter[3:]), (0.53, 0.09, 0.16, *quarter[3:])], frame, 0.0)
    assert box.high_m[0] - box.low_m[0] == pytest.approx(0.17, abs=3e-4)
    assert box.high_m[1] - box.low_m[1] == pytest.approx(0.07, abs=3e-4)


# Saving
# ---------------------------------------------------------------------------------------------------


def test_what_is_saved_is_what_the_next_run_takes(
    site: Consoled, run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = site.operator()
    body: dict[str, Any] = {
        "name": "my-cell_2",
        "crops": {"wrist": [100, 60, 300, 300]},
        "box": {"low_m": LOW, "high_m": HIGH},
    }
    with rigged(run), holding(ada):
        made = told(ada.ask("POST", "/api/setup/draft", json=body))
        assert not Path(made["path"]).exists()
        assert (made["seen"], made["difference"]) == ("", "")
        assert told(ada.ask("POST", "/api/setup/save", json=body))["path"] == made["path"]
    conf = run.path.parent.parent / "conf"
    assert Path(made["path"]) == conf / "station" / "my-cell_2.yaml"
    assert made["command"] == (
        f"HANDRAIL_CONF={conf} handrail train station=my-cell_2 task=ram_insertion_cameras seed=3"
    )
    monkeypatch.setenv(compose.SEARCH_PATH, str(conf))
    config = compose.compose(made["command"].split()[3:]).config
    assert [image.crop for image in config.env.cameras] == [(100, 60, 300, 300), None]
    assert present(config.env) == Box(LOW, HIGH)
    assert config.seed == 3
    before = compose.load(run.config_file)
    assert config.env.task == before.env.task, "nothing else has changed"
    assert config.env.sim == before.env.sim


def test_a_second_save_keeps_what_it_does_not_change_and_shows_what_it_does(
    site: Consoled, run: RunDirectory
) -> None:
    ada = site.operator()
    first = {"name": "mine", "crops": {"wrist": [100, 60, 300, 300]}}
    second = {"name": "mine", "box": {"low_m": LOW, "high_m": HIGH}}
    with rigged(run), holding(ada):
        told(ada.ask("POST", "/api/setup/save", json=first))
        made = told(ada.ask("POST", "/api/setup/draft", json=second))
        assert "+    workspace_low_m" in made["difference"]
        assert "not as it was shown" in told(ada.ask("POST", "/api/setup/save", json=second), 409)["error"]
        told(ada.ask("POST", "/api/setup/save", json={**second, "seen": made["seen"]}))
    known = yaml.safe_load(Path(made["path"]).read_text())
    assert known["defaults"] == ["sim_panda"]
    assert known["env"]["cameras"][0]["crop"] == [100, 60, 300, 300]
    assert known["env"]["limits"]["workspace_high_m"] == list(HIGH)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../up", "a/b", "a b", "-a", "é", "a" * 41, "sim_panda", "<img>", "a.yaml", "a\n"]
)
def test_names_are_letters_digits_and_dashes(site: Consoled, name: str) -> None:
    body = {"name": name, "crops": {"wrist": [0, 0, 100, 100]}}
    ada = site.operator()
    with holding(ada):
        answer = ada.ask("POST", "/api/setup/save", json=body)
    if name == "a\n":  # what surrounds a name is no part of it
        assert answer.status_code == 200
    else:
        assert "name" in told(answer, 409)["error"]


@pytest.mark.parametrize(
    ("crops", "words"),
    [
        ({"front": [0, 0, 100, 100]}, "no image"),
        ({"wrist": [600, 0, 100, 100]}, "beyond its picture"),
        ({"wrist": [0, 0, 8, 8]}, "from 16"),
    ],
)
def test_crops_that_cannot_be_are_refused(site: Consoled, crops: dict, words: str) -> None:
    body = {"name": "mine", "crops": crops}
    assert words in told(site.operator().ask("POST", "/api/setup/draft", json=body), 409)["error"]


def test_a_file_that_a_person_wrote_is_left_alone(run: RunDirectory) -> None:
    folder = StationFolder.of(run)
    file = folder.file("mine")
    file.parent.mkdir(parents=True)
    file.write_text("# @package _global_\ndefaults: [sim_panda]\n")
    with pytest.raises(ConfigError, match="was not made here"):
        draft(folder, run, "mine", Changes(box=Box(LOW, HIGH)))


def test_a_station_is_set_up_anew_from_a_run_that_uses_it(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = StationFolder.of(run)
    save(draft(folder, run, "mine", Changes(box=Box(LOW, HIGH))), "")
    monkeypatch.setenv(compose.SEARCH_PATH, str(folder.path))
    later = begun(tmp_path / "later", "station=mine", *WORDS)
    assert StationFolder.of(later) == StationFolder(folder.path, str(folder.path))
    higher = Box(LOW, (0.05, 0.07, 0.14))
    made = draft(StationFolder.of(later), later, "mine", Changes(box=higher))
    save(made, made.seen)
    assert yaml.safe_load(made.text)["defaults"] == ["sim_panda"], "not itself"
    assert present(compose.compose(["station=mine"]).config.env) == higher
    chained = draft(StationFolder.of(later), later, "another", Changes(box=Box(LOW, HIGH)))
    save(chained, "")
    compose._groups.cache_clear()  # a command that is typed later is a process of its own
    assert present(compose.compose(["station=another"]).config.env) == Box(LOW, HIGH)


def test_nothing_set_up_is_nothing_to_save(run: RunDirectory) -> None:
    with pytest.raises(ConfigError, match="nothing was set up"):
        draft(StationFolder.of(run), run, "mine", Changes())
