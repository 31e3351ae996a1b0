"""`handrail weights`, and the trunk that a run settles on: real files, in a real run."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hil_serl import parameters, pickled_by_jax

from handrail.launch.cli import main
from handrail.launch.commands import COMMANDS
from handrail.launch.options import split
from handrail.launch.run_trunk import META_KEY, settle, store_of, warning_of
from handrail.launch.train import prepare
from handrail.robot_env.errors import ConfigError
from handrail.vision.trunk import build, fingerprint
from handrail.vision.weights import TrunkError, load_trunk_of, load_weights, save_in_store, save_weights

RESNET = ["task=ram_insertion_cameras", "vision.trunk=resnet10", "vision.weights=auto"]
FROZEN = ["task=ram_insertion_cameras", "vision.trunk=cnn", "vision.weights=auto"]
CAMERAS = [*FROZEN, "vision.frozen=false"]


def weights(seed: int) -> dict[str, torch.Tensor]:
    return build("cnn", seed).state_dict()


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "runs")


def take(root: str, *words: str, run: str = "first") -> Any:
    """The run, as `handrail train` prepares it."""
    options = split([f"runs={root}", f"run={run}"], COMMANDS["train"].options)[0]
    return prepare(options, list(words))


def test_an_import_is_found_by_the_next_run(
    tmp_path: Path, root: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "resnet10_params.pkl"
    file.write_bytes(pickled_by_jax(parameters()))
    assert main(["weights", "import", f"file={file}", f"runs={root}"]) == 0
    said = capsys.readouterr().out
    assert "HIL-SERL's ResNet-10, resnet10_params.pkl, SHA-256" in said and "vision.weights=auto" in said
    run, _ = take(root, *RESNET)
    noted = run.meta()[META_KEY]
    assert noted["source"] == "imported" and noted["warning"] == "" and warning_of(run) == ""
    assert noted["file"] == str(store_of(root) / "resnet10.safetensors")
    assert noted["sha256"] in said
    assert load_weights(run.trunk_file, "resnet10").provenance.sha256 == noted["sha256"]
    assert main(["weights", "show", "run=first", f"runs={root}", "--json"]) == 0
    (shown,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert shown["sha256"] == noted["sha256"] and shown["problem"] == ""


def test_show_lists_what_there_is_and_what_is_wrong_with_it(
    root: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "show", f"runs={root}"]) == 0
    assert "No weights in" in capsys.readouterr().out
    store = store_of(root)
    save_in_store(store, "cnn", weights(1), "pretrained", "100 frames")
    (store / "resnet10.safetensors").write_bytes(b"damaged")
    assert main(["weights", "show", f"runs={root}"]) == 0
    said = capsys.readouterr().out
    assert "100 frames" in said and fingerprint(weights(1))[:12] in said and "cannot be read" in said
    assert main(["weights", "show", f"runs={root}", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(Path(row["file"]).name, bool(row["problem"])) for row in rows] == [
        ("cnn.safetensors", False),
        ("resnet10.safetensors", True),
    ]


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        ([], 2, "is followed by import, show or pretrain, not by ''"),
        (["imprt"], 2, "did you mean 'import'"),
        (["import"], 2, "needs file=<path>"),
        (["import", "file=gone.pkl"], 15, "gone.pkl cannot be read"),
        (["show", "seed=1"], 2, "takes no 'seed=1'"),
        (["show", "run=gone"], 20, "no run 'gone'"),
    ],
)
def test_words_that_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    reason: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["weights", *words]) == code
    said = capsys.readouterr().err
    assert reason in said and len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_refused_leaves_no_run_behind(tmp_path: Path, root: str) -> None:
    (tmp_path / "mine.safetensors").write_bytes(b"damaged")
    with pytest.raises(TrunkError, match=r"mine\.safetensors cannot be read"):
        take(root, *CAMERAS, f"vision.weights={tmp_path}/mine.safetensors")
    assert not Path(root).exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["vision.cameras=[ceiling]"], r"'ceiling', which is no image of env\.cameras \(wrist, wrist_2\)"),
        (
            ["env.cameras=[{name: wrist}, {name: wrist_2, width: 64, height: 64}]"],
            r"wrist, wrist_2 have sizes \[\(64, 64\), \(128, 128\)\]; give them one size",
        ),
        (
            ["env.cameras=[{name: wrist, width: 16, height: 16}]", "vision.shift_px=16"],
            "vision.shift_px is 16, the images have 16x16 pixels",
        ),
    ],
)
@pytest.mark.parametrize("trains", [True, False])
def test_a_run_that_could_never_train_is_not_begun(
    root: str, words: list[str], reason: str, trains: bool
) -> None:
    with pytest.raises(ConfigError, match=reason):
        prepare({"run": "first", "runs": root}, [*RESNET, *words], trains=trains)
    assert not Path(root).exists()


def test_random_weights_are_warned_of_in_the_runs_record(root: str) -> None:
    run, config = take(root, *RESNET, "seed=3")
    noted = run.meta()[META_KEY]
    assert noted["source"] == "random" and "RANDOM weights (seed 3)" in noted["warning"] == warning_of(run)
    assert fingerprint(load_trunk_of(run.path, config.vision).tensors) == noted["sha256"]
    assert fingerprint(build("resnet10", 3).state_dict()) == noted["sha256"]


def test_a_policy_on_the_state_alone_has_no_trunk(root: str) -> None:
    for name, words in (("a", []), ("b", ["task=ram_insertion_cameras", "vision.cameras=[]"])):
        run, _ = take(root, *words, run=name)
        assert META_KEY not in run.meta() and not run.trunk_file.exists() and warning_of(run) == ""


def test_a_run_keeps_its_trunk_whatever_comes_into_the_store(root: str) -> None:
    store = store_of(root)
    save_in_store(store, "cnn", weights(1), "imported", "the first")
    run, _ = take(root, *FROZEN)
    before = run.trunk_file.read_bytes()
    save_in_store(store, "cnn", weights(2), "imported", "the second")
    take(root)
    assert run.trunk_file.read_bytes() == before
    assert run.meta()[META_KEY]["origin"] == "the first"


def test_random_weights_give_way_to_better_ones_until_something_is_trained_on_them(root: str) -> None:
    run, config = take(root, *CAMERAS)
    assert run.meta()[META_KEY]["source"] == "random"
    save_in_store(store_of(root), "cnn", weights(1), "imported", "better")
    with run.lock("actor"):  # somebody drives it with the trunk that it has
        settle(run, config, store_of(root))
    assert run.meta()[META_KEY]["source"] == "random"
    take(root)
    assert run.meta()[META_KEY]["origin"] == "better"
    other, _ = take(root, *CAMERAS, "vision.weights=random", run="other")
    (run.checkpoints / "1").mkdir()
    save_in_store(store_of(root), "cnn", weights(2), "imported", "better still")
    for name in ("first", "other"):
        take(root, run=name)
    assert run.meta()[META_KEY]["origin"] == "better"
    assert other.meta()[META_KEY]["source"] == "random"


def test_a_trunk_that_is_gone_is_made_again_when_it_is_the_same(tmp_path: Path, root: str) -> None:
    mine = tmp_path / "mine.safetensors"
    save_weights(mine, "cnn", weights(1), "imported", "mine")
    run, _ = take(root, *FROZEN[:2], f"vision.weights={mine}")
    (run.checkpoints / "1").mkdir()
    before = load_weights(run.trunk_file).provenance
    run.trunk_file.unlink()
    take(root)
    assert load_weights(run.trunk_file).provenance == before
    run.trunk_file.unlink()
    save_weights(mine, "cnn", weights(2), "imported", "mine, changed")
    with pytest.raises(TrunkError, match="now leads to others"):
        take(root)
    assert not run.trunk_file.exists() and run.meta()[META_KEY]["origin"] == "mine"


def test_a_trunk_that_is_gone_with_its_store_is_asked_back(root: str) -> None:
    save_in_store(store_of(root), "cnn", weights(1), "imported", "mine")
    run, _ = take(root, *FROZEN)
    run.trunk_file.unlink()
    (store_of(root) / "cnn.safetensors").unlink()
    with pytest.raises(
        TrunkError, match=r"trunk\.safetensors is gone, .*: restore the file, or begin a new run"
    ):
        take(root)
    assert run.meta()[META_KEY]["sha256"] == fingerprint(weights(1))


def test_a_run_that_is_begun_anew_begins_with_its_own_trunk(root: str) -> None:
    run, _ = take(root, *RESNET, "seed=1")
    take(root, *CAMERAS, "seed=2")
    assert load_weights(run.trunk_file).provenance.trunk == "cnn"
    assert run.meta()[META_KEY]["sha256"] == fingerprint(weights(2))


def test_a_run_that_was_killed_before_it_was_described_is_taken_up(root: str) -> None:
    run, _ = take(root, *CAMERAS)
    noted = run.meta()
    run.trunk_file.unlink()
    (run.path / "meta.json").write_text(json.dumps({k: v for k, v in noted.items() if k != META_KEY}))
    take(root)
    assert run.meta() == noted and run.trunk_file.is_file()


def test_train_says_the_warning_again(
    root: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    take(root, *RESNET)
    monkeypatch.setattr("handrail.launch.train.view_of", _reached)
    assert main(["train", "run=first", f"runs={root}"]) == 0
    assert "Warning: the policy sees with a frozen resnet10 of RANDOM weights" in capsys.readouterr().out


def _reached(*_: object) -> Any:
    class View:
        reached = True

    return View()


def test_the_store_lies_beside_the_runs() -> None:
    assert store_of("runs") == Path("weights")
    assert store_of("/data/cell/runs") == Path("/data/cell/weights")
