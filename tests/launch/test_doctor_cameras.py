"""Serial numbers that are there, pictures kept with a station, and cameras exchanged since."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from emulators.camera import Still

from handrail.launch import compose, runs
from handrail.launch.cli import main
from handrail.robot_env.cameras import make
from handrail.robot_env.cameras.config import CameraDeviceConfig

Shows = Callable[[str, str], None]
STATION = """# @package _global_
env:
  camera_devices:
    - {name: left, serial: left, width: 64, height: 48, max_age_s: 2.0}
    - {name: right, serial: right, width: 64, height: 48, max_age_s: 2.0}
"""


def scene(seed: int) -> np.ndarray:
    """(48, 64, 3): a few blocks."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 8), np.uint8)
    return blocks.repeat(8, 0).repeat(8, 1)[..., None].repeat(3, 2)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Configuration of somebody's own with a station "mine", in a folder of no runs."""
    (tmp_path / "station").mkdir()
    (tmp_path / "station" / "mine.yaml").write_text(STATION)
    monkeypatch.setenv(compose.SEARCH_PATH, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def shows(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shows]:
    """Says which scene the cameras with serial numbers "left" and "right" are before."""
    with ExitStack() as stack:

        def place(left: str, right: str) -> None:
            kinds = {"left": left, "right": right}

            def driver(device: CameraDeviceConfig) -> object:
                film = Still(device, scene(("a", "b").index(kinds[device.name])))
                return stack.enter_context(film).driver

            monkeypatch.setattr(make, "make_driver", driver)

        yield place


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, dict[str, str]]]:
    code = main(["doctor", *words, "--json"])
    return code, {each["name"]: each for each in json.loads(capsys.readouterr().out)}


def test_exchanged_since_the_pictures_were_kept(folder: Path, shows: Shows, capsys) -> None:
    shows("a", "b")
    # How fast the cameras are on a busy machine is of no matter: only lines about pictures are looked at.
    _, lines = said(capsys, "cameras", "station=mine", "--keep")
    assert (
        lines["pictures"]["verdict"] == "ok"
        and "camera places" not in lines
        and {"realsense", "v4l2", "camera left"} <= set(lines)
    )
    pictures = folder / "station" / "mine.cameras.npz"
    assert str(pictures) in lines["pictures"]["text"] and pictures.is_file()
    _, lines = said(capsys, "cameras", "station=mine")
    assert lines["camera places"]["verdict"] == "ok"

    # A new run begins with them.
    run = runs.create("first", "runs", compose.compose(["station=mine"]), [])
    assert run.camera_pictures.read_bytes() == pictures.read_bytes()

    shows("b", "a")
    for words in (["cameras", "station=mine"], ["run=first"]):
        code, lines = said(capsys, *words)
        text = lines["camera places"]["text"]
        assert code == 23 and "cameras left (left) and right (right) look exchanged" in text
        assert "env.camera_devices" in text and "--keep" in text
    # They are right as they are: what was kept is out of date.
    said(capsys, "cameras", "station=mine", "--keep")
    assert run.camera_pictures.read_bytes() != pictures.read_bytes()


def test_nothing_is_kept_for_a_station_of_the_package_s_own_or_by_another_command(
    folder: Path, capsys
) -> None:
    assert main(["doctor", "cameras", "--keep"]) == 2
    assert "sim_panda comes with Handrail" in capsys.readouterr().err
    assert main(["doctor", "--keep"]) == 2
    assert "only `handrail doctor cameras`" in capsys.readouterr().err
