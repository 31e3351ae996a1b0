"""Files of weights, the store, and which weights a run takes: real files, and damaged ones."""

import errno
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from handrail.robot_env.errors import ConfigError
from handrail.vision.config import VisionConfig
from handrail.vision.trunk import build, fingerprint
from handrail.vision.weights import (
    TrunkError,
    check,
    keep_in_run,
    load_trunk_of,
    load_weights,
    resolve,
    save_in_store,
    save_weights,
    store_file,
)

TRAINED = VisionConfig(trunk="cnn", frozen=False)
FROZEN = VisionConfig(trunk="cnn")


def weights(seed: int) -> dict[str, torch.Tensor]:
    return build("cnn", seed).state_dict()


def refused(path: Path, name: str | None = "cnn") -> str:
    """The one line that a file is refused with."""
    with pytest.raises(TrunkError) as caught:
        load_weights(path, name)  # type: ignore[arg-type]
    line = str(caught.value)
    assert "\n" not in line and path.name in line and caught.value.exit_code == 15
    return line


def test_a_file_says_whose_weights_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "cnn.safetensors"
    kept = save_weights(path, "cnn", weights(1), "pretrained", "100 frames")
    found = load_weights(path, "cnn")
    assert found.provenance == kept
    assert (kept.trunk, kept.source, kept.origin) == ("cnn", "pretrained", "100 frames")
    assert kept.sha256 == fingerprint(weights(1)) and kept.file == str(path)
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in weights(1).items())
    assert load_weights(path).trunk().key == found.trunk().key
    assert list(path.parent.iterdir()) == [path]  # no draft left behind


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cnn.safetensors"
    assert "cannot be read as a file of weights" in refused(path)
    save_weights(path, "cnn", weights(1), "imported", "a test")
    whole = path.read_bytes()
    for length in (0, 7, 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert "cannot be read as a file of weights" in refused(path)
    flipped = bytearray(whole)
    flipped[-5] ^= 1
    path.write_bytes(flipped)
    assert "do not match their SHA-256" in refused(path)
    save_file(weights(1), path)
    assert "not one of Handrail's files of weights; `handrail weights import file=" in refused(path)
    path.write_bytes(b"\x80\x04}.")
    assert "cannot be read as a file of weights" in refused(path)
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "folder")


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("schema", "2", "has schema '2', this version reads '1'"),
        ("normalisation", "[-1, 1]", "has normalisation '[-1, 1]', this version reads 'imagenet'"),
        ("trunk", "resnet152", "holds the weights of a 'resnet152', vision.trunk is cnn"),
        ("sha256", "0" * 64, "do not match their SHA-256"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, key: str, value: str, reason: str) -> None:
    path = tmp_path / "cnn.safetensors"
    save_weights(path, "cnn", weights(1), "imported", "a test")
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file(weights(1), path, {**metadata, key: value})
    assert reason in refused(path)


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cnn.safetensors"
    save_weights(path, "cnn", weights(1), "imported", "a test")
    assert "holds the weights of a 'cnn', vision.trunk is resnet10" in refused(path, "resnet10")


@pytest.mark.parametrize(
    ("name", "tensor", "reason"),
    [
        ("layers.0.weight", None, "it lacks 1 of 16 tensors, layers.0.weight first"),
        (
            "layers.0.weight",
            torch.zeros(16, 1, 5, 5),
            "layers.0.weight is (16, 1, 5, 5), must be (16, 3, 5, 5)",
        ),
        (
            "layers.0.bias",
            torch.full((16,), torch.inf),
            "layers.0.bias holds values that are no finite numbers",
        ),
        (
            "layers.0.bias",
            torch.zeros(16, dtype=torch.int64),
            "layers.0.bias holds values that are no finite",
        ),
        ("head.weight", torch.zeros(1), "it has 1 tensors too many, head.weight first"),
    ],
)
def test_tensors_that_do_not_fit_are_named(
    tmp_path: Path, name: str, tensor: torch.Tensor | None, reason: str
) -> None:
    tensors = {**weights(0), name: tensor} if tensor is not None else weights(0)
    if tensor is None:
        del tensors[name]
    with pytest.raises(TrunkError) as caught:
        check("cnn", tensors, "x.safetensors")
    assert reason in str(caught.value)
    with pytest.raises(TrunkError):
        save_weights(tmp_path / "x.safetensors", "cnn", tensors, "imported", "x")
    assert list(tmp_path.iterdir()) == []


def test_half_precision_is_taken_as_float32() -> None:
    half = {name: tensor.half() for name, tensor in weights(0).items()}
    assert {tensor.dtype for tensor in check("cnn", half, "x").values()} == {torch.float32}


def test_a_disk_that_refuses_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("a file where the folder should be")
    with pytest.raises(TrunkError, match="cannot be written"):
        save_weights(tmp_path / "weights" / "cnn.safetensors", "cnn", weights(0), "imported", "x")


def test_the_store_loses_nothing(tmp_path: Path) -> None:
    first = save_in_store(tmp_path, "cnn", weights(1), "imported", "first")
    save_in_store(tmp_path, "cnn", weights(1), "imported", "first again")
    assert [path.name for path in tmp_path.iterdir()] == ["cnn.safetensors"]
    second = save_in_store(tmp_path, "cnn", weights(2), "pretrained", "second")
    aside = tmp_path / f"cnn-{first.sha256[:12]}.safetensors"
    assert load_weights(aside).provenance.sha256 == first.sha256
    assert load_weights(store_file(tmp_path, "cnn")).provenance == second
    store_file(tmp_path, "cnn").write_bytes(b"somebody's notes")
    save_in_store(tmp_path, "cnn", weights(3), "pretrained", "third")
    assert b"somebody's notes" in {path.read_bytes() for path in tmp_path.iterdir()}


def test_a_full_disk_leaves_the_store_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = save_in_store(tmp_path, "cnn", weights(1), "imported", "first")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("handrail.vision.weights.save_file", full)
        with pytest.raises(TrunkError, match=r"cannot be written: .*No space left"):
            save_in_store(tmp_path, "cnn", weights(2), "pretrained", "second")
    assert load_weights(store_file(tmp_path, "cnn")).provenance == first
    second = save_in_store(tmp_path, "cnn", weights(2), "pretrained", "second")  # put aside already
    assert load_weights(store_file(tmp_path, "cnn")).provenance == second
    assert load_weights(tmp_path / f"cnn-{first.sha256[:12]}.safetensors").provenance.sha256 == first.sha256


def test_what_weights_were_taught_on_stays_with_them(tmp_path: Path) -> None:
    seen = {"cameras": "wrist 32x32", "arm": "sim"}
    path = save_weights(tmp_path / "a.safetensors", "cnn", weights(1), "pretrained", "x", seen).file
    config = VisionConfig(trunk="cnn", weights=path)
    assert resolve(config, None, 0, None, sees=seen)[1].warning == ""
    other = resolve(config, None, 0, None, sees={**seen, "arm": "franka", "light": "on"})
    assert "taught on something else: arm sim (the run: franka). " in other[1].warning
    keep_in_run(tmp_path / "run", *other)
    assert load_weights(tmp_path / "run" / "vision" / "trunk.safetensors").provenance.taught_on == seen
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    for damaged in ("[1]", "{"):
        save_file(weights(1), path, {**metadata, "taught_on": damaged})
        assert "its taught_on is no record" in refused(Path(path))
    del metadata["taught_on"]
    save_file(weights(1), path, metadata)  # written by an earlier version
    assert resolve(config, None, 0, None, sees=seen)[1].warning == ""


def test_a_run_takes_an_explicit_file_then_its_own_then_the_stores(tmp_path: Path) -> None:
    store, run = tmp_path / "weights", tmp_path / "run"
    explicit = tmp_path / "mine.safetensors"
    save_weights(explicit, "cnn", weights(1), "imported", "mine")
    save_in_store(store, "cnn", weights(2), "imported", "the store's")
    trunk, found = resolve(FROZEN, run, 0, store)
    assert found.origin == "the store's" and found.warning == "" and trunk.key
    own = resolve(VisionConfig(trunk="cnn", weights=str(explicit)), None, 0, store)
    keep_in_run(run, *own)
    assert own[1].origin == "mine"
    again, found = resolve(FROZEN, run, 0, store)
    assert found.origin == "mine" and again.key == own[0].key == load_trunk_of(run, FROZEN).key
    assert found.file == str(run / "vision" / "trunk.safetensors")


def test_an_explicit_file_is_taken_or_refused_never_replaced(tmp_path: Path) -> None:
    save_in_store(tmp_path, "cnn", weights(2), "imported", "the store's")
    config = VisionConfig(trunk="cnn", weights=str(tmp_path / "gone.safetensors"))
    with pytest.raises(TrunkError, match=r"gone\.safetensors cannot be read"):
        resolve(config, None, 0, tmp_path)


def test_a_damaged_file_in_the_store_is_not_passed_over(tmp_path: Path) -> None:
    store_file(tmp_path, "resnet10").write_bytes(b"damaged")
    with pytest.raises(TrunkError, match=r"resnet10\.safetensors cannot be read"):
        resolve(VisionConfig(), None, 0, tmp_path)


def test_random_weights_are_the_seeds_and_warned_of() -> None:
    first, found = resolve(VisionConfig(), None, 3, None)
    assert found.source == "random" and found.origin == "seed 3" and found.file == ""
    assert "RANDOM weights (seed 3)" in found.warning and "handrail weights import" in found.warning
    assert first.key == resolve(VisionConfig(weights="random"), None, 3, None)[0].key
    assert first.key != resolve(VisionConfig(), None, 4, None)[0].key


def test_random_weights_that_will_be_trained_need_no_warning() -> None:
    assert resolve(TRAINED, None, 0, None)[1].warning == ""


def test_random_stays_random_beside_a_full_store(tmp_path: Path) -> None:
    save_in_store(tmp_path, "cnn", weights(2), "imported", "the store's")
    random = VisionConfig(trunk="cnn", frozen=False, weights="random")
    assert resolve(random, None, 0, tmp_path)[1].source == "random"


def test_the_warning_stays_with_a_run(tmp_path: Path) -> None:
    made = resolve(VisionConfig(), tmp_path, 3, None)
    keep_in_run(tmp_path, *made)
    assert resolve(VisionConfig(), tmp_path, 0, None)[1].warning == made[1].warning


def test_a_small_frozen_network_needs_weights(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"set vision\.frozen=false, or train some"):
        resolve(FROZEN, tmp_path, 0, tmp_path)


def test_a_run_without_its_trunk_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrunkError, match=r"has no .*trunk\.safetensors; restore it"):
        load_trunk_of(tmp_path, FROZEN)
    keep_in_run(tmp_path, *resolve(TRAINED, None, 0, None))
    with pytest.raises(TrunkError, match=r"holds the weights of a 'cnn', vision\.trunk is resnet10"):
        load_trunk_of(tmp_path, VisionConfig())
