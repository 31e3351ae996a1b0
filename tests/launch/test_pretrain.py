"""`handrail weights pretrain`: from the cell's frames and a run's own to weights that a run takes."""

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import handrail.vision.pretrain
from handrail.intervention.locks import FileLock
from handrail.intervention.run_directory import RunDirectory
from handrail.launch.cli import main
from handrail.launch.pretrain import _available_bytes
from handrail.launch.train import prepare
from handrail.robot_env.errors import ConfigError
from handrail.vision.pretrain import Pretrained, Stage
from handrail.vision.trunk import build
from handrail.vision.weights import load_weights, save_in_store

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
        (["vision.shift_px=32"], "vision.shift_px=32: this run has its configuration already"),
        (["vision.views=2"], "vision.views=2: this run has its configuration already"),
        (
            ["vision.cameras=[ceiling]"],
            "vision.cameras names 'ceiling', which is no image of env.cameras (wrist)",
        ),
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
        "vision.cameras names 'ceiling', which is no image of env.cameras (wrist)" in capsys.readouterr().err
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
    words += ["env.task.seated_pose=[0.5,0,0.2,1,0,0,0]", "device=keyboard"]
    with pytest.raises(
        ConfigError, match=r"`handrail record run=<id>` first, then `handrail weights pretrain"
    ):
        _prepared(tmp_path, "first", words)
    assert not (tmp_path / "runs").exists()
    run = _prepared(tmp_path, "first", words, trains=False)  # what it tells one to do can be done
    assert run.meta()["vision"]["source"] == "random"
    with pytest.raises(ConfigError, match="teach it first, `handrail weights pretrain run=first`"):
        _prepared(tmp_path, "first", [])


def test_a_run_records_is_taught_on_that_and_trains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = f"runs={tmp_path / 'runs'}"
    with pytest.raises(ConfigError, match="there are no weights for it"):
        _prepared(tmp_path, "first", SMALL)
    words = ["record", root, "run=first", "demos=1", "operator.level=expert", "seed=5", *SMALL]
    assert main(words) == 0
    assert "serves to record and not to train" in capsys.readouterr().out
    assert main(["train", root, "run=first"]) == 2
    assert "teach it first, `handrail weights pretrain run=first`" in capsys.readouterr().err
    assert main(["weights", "pretrain", root, "run=first", "frames=24", "updates=2"]) == 0
    run = _prepared(tmp_path, "first", [])
    noted = run.meta()["vision"]
    assert (noted["source"], noted["warning"]) == ("pretrained", "")
    assert load_weights(run.trunk_file).provenance.sha256 == noted["sha256"]


def test_weights_that_were_taught_on_something_else_are_warned_of(recorded: Path) -> None:
    home = recorded.parent.parent
    taught = load_weights(home / "weights" / "cnn.safetensors").provenance
    assert taught.taught_on["cameras"] == "wrist 32x32" and "cameras wrist 32x32" in taught.origin
    other = "env.cameras=[{name: wrist, width: 64, height: 32}]"
    run = _prepared(home, "wider", [*SMALL[:3], other, "env.randomization.light=true"])
    noted = run.meta()["vision"]
    assert "cameras wrist 32x32 (the run: wrist 32x64)" in noted["warning"]
    assert "randomization hidden (the run: hidden, light)" in noted["warning"]
    assert noted["taught_on"] == dict(taught.taught_on)
    assert load_weights(run.trunk_file).provenance.taught_on == taught.taught_on
    assert _prepared(home, "same", SMALL).meta()["vision"]["warning"] == ""


def test_what_was_interrupted_before_its_first_test_is_not_the_default(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: Any, progress: Callable[[Stage], None], **named: Any) -> Pretrained:
        def show(stage: Stage) -> None:
            signal.raise_signal(signal.SIGINT)
            progress(stage)

        return train(*given, progress=show, **named)

    words = ["weights", "pretrain", *SMALL, "frames=24", f"runs={tmp_path / 'runs'}"]
    train = handrail.vision.pretrain.pretrain
    monkeypatch.setattr("handrail.vision.pretrain.pretrain", interrupted)
    assert main(words) == 0
    (kept,) = (tmp_path / "weights").glob("*.safetensors")
    assert kept.name == f"cnn-{load_weights(kept).provenance.sha256[:12]}.safetensors"
    said = " ".join(capsys.readouterr().out.split())
    assert (
        f"interrupted before its first test, so new runs take it only where told to, vision.weights={kept}"
        in said
    )


def test_runs_that_are_begun_together_teach_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handrail.launch.pretrain._WAIT_S", 0.01)
    store = tmp_path / "weights"
    store.mkdir()
    other = FileLock(store / ".cnn.lock", "pretraining")  # of the run that began first

    def ended(_: float) -> None:
        save_in_store(store, "cnn", build("cnn", 1).state_dict(), "pretrained", "the other run's")
        other.release()

    monkeypatch.setattr("handrail.launch.pretrain.time.sleep", ended)
    run = _prepared(tmp_path, "second", [*SMALL, "vision.weights=pretrain"])
    assert run.meta()["vision"]["origin"] == "the other run's"
    said = capsys.readouterr().out
    assert "waiting for it" in said and "teaching it" not in said
    FileLock(store / ".cnn.lock", "pretraining").release()  # nobody holds it any more


def test_more_frames_than_memory_are_refused(
    recorded: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (_available_bytes() or 0) > 1e6
    monkeypatch.setattr("handrail.launch.pretrain._available_bytes", lambda: 1_000_000)
    capsys.readouterr()
    assert pretrain(recorded, "frames=100", "updates=1") == 2  # 3 KB each, of log and cell, and joined
    error = capsys.readouterr().err
    assert "frames=100: takes 1 MB of memory, 1 MB are free; at most frames=81" in error
    assert error.count("\n") == 1
    words = ["weights", "pretrain", *SMALL, "frames=400", f"runs={recorded.parent}"]
    assert main(words) == 2
    assert "at most frames=325" in capsys.readouterr().err


def _prepared(folder: Path, name: str, words: list[str], *, trains: bool = True) -> RunDirectory:
    run, _ = prepare({"run": name, "runs": str(folder / "runs")}, words, trains=trains)
    return run
