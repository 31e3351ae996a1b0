"""`handrail weights pretrain`: from the cell's frames and a run's own to weights that a run takes."""

import json
from pathlib import Path

import pytest

from handrail.intervention.run_directory import RunDirectory
from handrail.launch.cli import main
from handrail.launch.train import prepare
from handrail.robot_env.errors import ConfigError
from handrail.vision.weights import load_weights

SMALL = [
    "task=ram_insertion_cameras",
    "vision.trunk=cnn",
    "vision.weights=auto",
    "env.cameras=[{name: wrist, width: 32, height: 32}]",
]
CELL = "frames of the simulated cell"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with two demonstrations, seen by one small camera, on weights pretrained for it."""
    folder = tmp_path_factory.mktemp("home") / "runs"
    assert main(["weights", "pretrain", *SMALL, "frames=40", "updates=2", f"runs={folder}", "seed=3"]) == 0
    words = ["record", f"runs={folder}", "run=first", "demos=2", "operator.level=expert", "seed=5"]
    assert main([*words, *SMALL]) == 0
    return folder / "first"


def pretrain(run: Path, *words: str) -> int:
    return main(["weights", "pretrain", f"run={run}", f"runs={run.parent}", *words])


def test_what_it_makes_is_taken_by_the_next_run(recorded: Path) -> None:
    stored = load_weights(recorded.parent.parent / "weights" / "cnn.safetensors").provenance
    noted = json.loads((recorded / "meta.json").read_text())["vision"]
    assert noted["sha256"] == stored.sha256
    assert (noted["source"], noted["warning"]) == ("pretrained", "")
    assert stored.origin.startswith(f"40 {CELL}; 2 updates in ")


def test_a_run_s_own_frames_are_used_beside_the_cell_s(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (recorded / "vision" / "trunk.safetensors").read_bytes()
    capsys.readouterr()
    assert pretrain(recorded, "frames=24", "updates=3", "seed=4", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert made["origin"].startswith(f"24 frames of run first and 24 {CELL}; 3 updates in ")
    assert load_weights(Path(made["file"]), "cnn").provenance.sha256 == made["sha256"]
    assert (recorded / "vision" / "trunk.safetensors").read_bytes() == before, (
        "the run keeps what it saw with"
    )


def test_it_can_begin_with_weights_that_there_are(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = recorded / "vision" / "trunk.safetensors"
    assert pretrain(recorded, "frames=24", "updates=1", f"vision.weights={file}") == 0
    assert "new runs with vision.trunk=cnn take it" in capsys.readouterr().out
    assert pretrain(recorded, "frames=24", "updates=1", "vision.weights=gone.safetensors") == 15
    assert "gone.safetensors cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["frames=0"], "frames=0: must be between 20 and 200000"),
        (["updates=0"], "updates=0: must be between 1 and 10000000"),
        (["vision.views=2"], "vision.views=2: this run has its configuration already"),
        (["vision.cameras=[ceiling]"], "holds no frames of ceiling; record episodes with them"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    recorded: Path, capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    capsys.readouterr()
    assert pretrain(recorded, *words) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


def test_without_cameras_there_is_nothing_to_see(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["weights", "pretrain", "frames=20", f"runs={tmp_path / 'runs'}"]
    assert main(words) == 2
    assert "use task=ram_insertion_cameras, or add them" in capsys.readouterr().err
    assert main([*words, *SMALL, "vision.cameras=[ceiling]"]) == 2
    assert (
        "['ceiling'] are wanted, env.cameras has ['wrist']; use task=ram_insertion_cameras, or add them"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "weights").exists()


def test_a_real_arm_s_run_needs_frames_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["station=franka_cell", "task=ram_insertion_real", f"runs={tmp_path / 'runs'}"]
    camera = "env.cameras=[{name: wrist}]"
    assert main(["weights", "pretrain", *words, camera, "frames=20"]) == 2
    assert "has no simulated cell to render; give run=<id>" in capsys.readouterr().err


def test_a_run_that_wants_pretrained_weights_makes_them_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handrail.launch.pretrain._FRAMES", 24)
    monkeypatch.setattr("handrail.launch.pretrain._UPDATES", 2)
    words = [*SMALL, "vision.weights=pretrain"]
    run, said = _prepared(tmp_path, "first", words), capsys.readouterr().out
    assert "teaching it on the simulated cell" in said
    stored = load_weights(tmp_path / "weights" / "cnn.safetensors")
    assert run.meta()["vision"]["source"] == "pretrained"
    assert run.meta()["vision"]["sha256"] == stored.provenance.sha256
    _prepared(tmp_path, "second", words)
    assert "teaching it" not in capsys.readouterr().out
    assert load_weights(tmp_path / "weights" / "cnn.safetensors").provenance == stored.provenance


def test_a_real_arm_has_no_cell_to_be_taught_on(tmp_path: Path) -> None:
    words = [*SMALL, "vision.weights=pretrain", "arm=franka", "env.arm.franka.host=127.0.0.1"]
    with pytest.raises(ConfigError, match="weights pretrain run="):
        _prepared(tmp_path, "first", [*words, "env.task.seated_pose=[0.5,0,0.2,1,0,0,0]", "device=keyboard"])
    assert not (tmp_path / "runs").exists()


def _prepared(folder: Path, name: str, words: list[str]) -> RunDirectory:
    run, _ = prepare({"run": name, "runs": str(folder / "runs")}, words)
    return run
