"""Pictures to know exchanged cameras by, kept from the set-up page: real console and rig, an arm of metal."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from consoled import Consoled, consoled, holding, until
from emulators.camera import Still

from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose, runs
from handrail.launch.rig import command as rig
from handrail.robot_env.cameras import make
from handrail.robot_env.cameras.config import CameraDeviceConfig
from handrail.robot_env.cameras.references import References

WORDS = (
    "station=mine",
    "task=ram_insertion_real",
    "env.task.seated_pose=[0.588,-0.036,0.278,1,0,0,0]",
    "env.regrasp.grasp_pose=[0,-0.06,0,0,0,0]",
)
STATION = """# @package _global_
defaults: [ur_cell]
env:
  arm:
    server: {{address: "ipc://{folder}/nobody"}}
    ur: {{host: 10.0.0.9, tcp: [0, 0, 0.163, 0, 0, 0, 1], payload_kg: 1.1, payload_com_m: [0, 0, 0.06]}}
  camera_devices:
    - {{name: left, serial: S1, width: 64, height: 48, max_age_s: 2.0}}
    - {{name: right, serial: S2, width: 64, height: 48, max_age_s: 2.0}}
  cameras:
    - {{name: left, width: 32, height: 32}}
    - {{name: right, width: 32, height: 32}}
"""
Rigged = Callable[[str, str], ExitStack]
SAVES = {"name": "mine_2", "crops": {"left": [0, 0, 32, 32]}}


def scene(seed: int) -> np.ndarray:
    """(48, 64, 3): a few blocks."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 8), np.uint8)
    return blocks.repeat(8, 0).repeat(8, 1)[..., None].repeat(3, 2)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """A run on a station of somebody's own, with a real arm that is switched off."""
    conf = tmp_path / "conf"
    (conf / "station").mkdir(parents=True)
    (conf / "station" / "mine.yaml").write_text(STATION.format(folder=tmp_path))
    monkeypatch.setenv(compose.SEARCH_PATH, str(conf))
    compose._groups.cache_clear()
    return runs.create("first", str(tmp_path / "runs"), compose.compose(WORDS), WORDS)


@pytest.fixture
def site(run: RunDirectory) -> Iterator[Consoled]:
    with consoled(run, compose.load(run.config_file)) as served:
        yield served


@pytest.fixture
def rigged(run: RunDirectory, site: Consoled, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rigged]:
    """Set the station up, with the cameras of serial numbers S1 and S2 before these scenes, until closed."""
    with ExitStack() as every:

        def begin(first: str, second: str) -> ExitStack:
            stack = every.enter_context(ExitStack())
            shows = {"S1": scene("ab".index(first)), "S2": scene("ab".index(second))}

            def driver(device: CameraDeviceConfig) -> object:
                return stack.enter_context(Still(device, shows[device.serial])).driver

            monkeypatch.setattr(make, "make_driver", driver)
            served = stack.enter_context(rig.Rig(run, compose.load(run.config_file)))
            stop = threading.Event()
            thread = threading.Thread(target=served.run, args=(stop,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(stop.set)

            def cameras() -> Any:
                with site.viewer().socket() as page:
                    return (page.hear("now")["now"] or {}).get("cameras") == ["left", "right"]

            until(cameras, "the cameras")
            return stack

        yield begin


def told(answer: Any, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def kept(file: Path) -> dict[str, np.ndarray]:
    return References(file).pictures


def alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two pictures show one scene; a sensor's noise is 2 of 255."""
    return int(np.abs(a.astype(int) - b).max()) < 10


def test_a_station_saved_with_its_crops_knows_its_cameras_and_so_does_the_next_run(
    site: Consoled, run: RunDirectory, rigged: Rigged, tmp_path: Path
) -> None:
    ada = site.operator()
    rigged("a", "b")
    with holding(ada):
        made = told(ada.ask("POST", "/api/setup/save", json=SAVES))
    assert made["pictures"] == {"kept": ["left", "right"], "unkept": ""}
    file = Path(made["path"]).with_suffix(".cameras.npz")
    beside = kept(file)
    assert set(beside) == {"left", "right"} and not alike(beside["left"], beside["right"])
    assert kept(run.camera_pictures).keys() == beside.keys(), "the run had none: its preflight knows them now"
    compose._groups.cache_clear()
    words = ("station=mine_2", *WORDS[1:])
    later = runs.create("later", str(tmp_path / "runs"), compose.compose(words), words)
    assert later.camera_pictures.read_bytes() == file.read_bytes()


def test_exchanged_cameras_are_not_kept_until_somebody_says_that_they_are_right(
    site: Consoled, run: RunDirectory, rigged: Rigged
) -> None:
    ada = site.operator()
    with holding(ada):
        with rigged("a", "b"):
            assert told(ada.ask("POST", "/api/setup/pictures", json={})) == {"kept": ["left", "right"]}
        before = kept(run.camera_pictures)
        own = compose.station_pictures("mine")
        assert own is not None and kept(own).keys() == before.keys()
        rigged("b", "a")
        made = told(ada.ask("POST", "/api/setup/save", json=SAVES))
        assert made["pictures"]["kept"] == []
        why = made["pictures"]["unkept"]
        assert "cameras left (S1) and right (S2) look exchanged" in why and "These pictures are right" in why
        assert not Path(made["path"]).with_suffix(".cameras.npz").exists()
        assert Path(made["path"]).exists(), "the crops are saved all the same"
        told(ada.ask("POST", "/api/setup/pictures", json={}))
    for file in (run.camera_pictures, own):
        now = kept(file)
        assert alike(now["left"], before["right"]) and alike(now["right"], before["left"])


def test_where_nobody_shows_the_cameras_nothing_is_kept_and_that_is_said(
    site: Consoled, run: RunDirectory
) -> None:
    ada = site.operator()
    with holding(ada):
        refused = told(ada.ask("POST", "/api/setup/pictures", json={}), 409)["error"]
        assert refused.startswith("camera left shows nothing now: start the set-up")
        made = told(ada.ask("POST", "/api/setup/save", json=SAVES))
    assert made["pictures"] == {"kept": [], "unkept": refused}
    assert not run.camera_pictures.exists()


def test_a_disk_that_refuses_is_told_in_a_line(site: Consoled, run: RunDirectory, rigged: Rigged) -> None:
    ada = site.operator()
    rigged("a", "b")
    run.camera_pictures.mkdir()  # nothing can take a folder's place
    with holding(ada):
        refused = told(ada.ask("POST", "/api/setup/pictures", json={}), 409)["error"]
    assert "cameras.npz cannot be written" in refused and "\n" not in refused
