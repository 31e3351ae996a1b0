"""Checkpoints that are there or not there: a directory, written aside, verified, then renamed.

    checkpoints/0000012000/
        weights.safetensors     every network
        optimizer.safetensors   Adam's moments and steps
        state.json              counters, RNG states, log position, and SHA-256 of all three

A reader takes the newest directory whose sums are right and falls back to the one before; where there are
checkpoints and none can be used it refuses, since to begin anew would in time delete them. Nothing older is
deleted before the new one has been verified. No pickle.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from handrail.intervention.durable import sync_path
from handrail.robot_env.errors import HandrailError

SCHEMA = 1


class CheckpointError(HandrailError):
    """A checkpoint that cannot be used; nothing was changed."""

    exit_code = 15


@dataclass(frozen=True)
class Checkpoint:
    """What a learner needs to go on: tensors by name, and plain values."""

    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    state: dict[str, Any]


def save_checkpoint(directory: Path, name: str, checkpoint: Checkpoint, keep: int) -> Path:
    """Write `directory/name` atomically and keep the newest `keep`; returns its path."""
    directory.mkdir(parents=True, exist_ok=True)
    final, aside = directory / name, directory / f".{name}.part"
    for left_over in directory.glob(".*.part"):  # of a process that was killed here
        shutil.rmtree(left_over)
    aside.mkdir()
    sums = {}
    for part in ("weights", "optimizer"):
        body = save({key: tensor.contiguous() for key, tensor in getattr(checkpoint, part).items()})
        sums[part] = hashlib.sha256(body).hexdigest()
        _write_through(aside / f"{part}.safetensors", body)
    document = {"schema": SCHEMA, "sha256": sums, **checkpoint.state}
    sums["state"] = _sum_of(document)
    _write_through(aside / "state.json", json.dumps(document, indent=1).encode())
    sync_path(aside)
    load_checkpoint(aside)
    if (
        final.exists()
    ):  # the same counters again, after a restart: the old one is as good, the new one replaces it
        shutil.rmtree(final)
    aside.rename(final)
    sync_path(directory)
    for old in _complete(directory)[:-keep]:
        if old != final:  # one that went on from an older checkpoint counts lower than the damaged ones do
            shutil.rmtree(old)
    return final


def load_checkpoint(path: Path) -> Checkpoint:
    """Read and verify one checkpoint.

    Raises:
        CheckpointError: when it is damaged, or of another schema (the file is left as it is).
    """
    try:
        state = json.loads((path / "state.json").read_bytes())
        if state["schema"] != SCHEMA:
            raise CheckpointError(
                f"checkpoint {path.name} has schema {state['schema']}, this version reads {SCHEMA}; "
                "use the version of handrail that wrote it (meta.json names it)"
            )
        parts = {}
        for part in ("weights", "optimizer"):
            body = (path / f"{part}.safetensors").read_bytes()
            if hashlib.sha256(body).hexdigest() != state["sha256"][part]:
                raise CheckpointError(
                    f"checkpoint {path.name}: {part}.safetensors does not match its SHA-256"
                )
            parts[part] = load(body)
        told = state["sha256"].get("state")  # one that was saved before this sum was kept has none
        if told is not None and told != _sum_of(state):
            raise CheckpointError(f"checkpoint {path.name}: state.json does not match its SHA-256")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"checkpoint {path.name} cannot be read: {error}") from error
    return Checkpoint(parts["weights"], parts["optimizer"], state)


def newest_checkpoint(directory: Path) -> tuple[Checkpoint | None, list[str]]:
    """The newest usable checkpoint, and one line for each newer one that was passed over.

    Returns:
        None and no lines where nothing was saved yet.

    Raises:
        CheckpointError: there are checkpoints, and none can be used.
    """
    refused: list[str] = []
    for path in reversed(_complete(directory)):
        try:
            return load_checkpoint(path), refused
        except CheckpointError as error:
            refused.append(str(error))
    if refused:
        raise CheckpointError(
            f"none of the {len(refused)} checkpoints in {directory} can be used ({refused[0]}); put a copy "
            "back, or move that folder away to train anew from the run's log"
        )
    return None, refused


def _complete(directory: Path) -> list[Path]:
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if path.is_dir() and not path.name.startswith("."))


def _sum_of(document: dict[str, Any]) -> str:
    """SHA-256 of a state.json, without the sums that stand in it."""
    rest = {key: value for key, value in document.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _write_through(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def optimizer_tensors(optimizers: dict[str, torch.optim.Adam]) -> dict[str, Tensor]:
    """Adam's state, flattened to named tensors: `<optimizer>.<index>.<step | exp_avg | exp_avg_sq>`."""
    return {
        f"{name}.{index}.{key}": value
        for name, optimizer in optimizers.items()
        for index, entries in optimizer.state_dict()["state"].items()
        for key, value in entries.items()
    }


def restore_optimizers(optimizers: dict[str, torch.optim.Adam], tensors: dict[str, Tensor]) -> None:
    """The inverse of `optimizer_tensors`."""
    for name, optimizer in optimizers.items():
        document = optimizer.state_dict()
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            owner, index, entry = key.split(".")
            if owner == name:
                state.setdefault(int(index), {})[entry] = value
        optimizer.load_state_dict({"state": state, "param_groups": document["param_groups"]})
