"""Weights of a trunk: in a file, in the user's store, in a run; and which of them a run takes.

A file is safetensors, with metadata that say whose weights it holds:

    format, schema          "handrail trunk", "1"
    trunk, normalisation    the architecture, and what its images must have gone through
    sha256                  of the tensors' names, shapes and values (`trunk.fingerprint`)
    source, origin          "imported", "pretrained" or "random", and from what
    taught_on               JSON: cameras, arm and switches that pretraining saw, where that is known

A run settles its weights once, when it begins, and keeps them in `vision/trunk.safetensors`; each of its
processes loads that file. Nothing is downloaded.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from handrail.intervention.run_directory import RunDirectory
from handrail.robot_env.errors import ConfigError, HandrailError
from handrail.vision.config import SETTINGS, TrunkName, VisionConfig
from handrail.vision.trunk import NORMALISATION, TRUNKS, Trunk, build, fingerprint, shapes, shared

FORMAT, SCHEMA = "handrail trunk", "1"
Source = Literal["imported", "pretrained", "random"]


class TrunkError(HandrailError):
    """A file of weights that cannot be used; nothing was changed."""

    exit_code = 15


@dataclass(frozen=True)
class Provenance:
    """Where a trunk's weights come from; a run keeps it in `meta.json`.

    Attributes:
        trunk: The architecture.
        source: How the weights came to be.
        origin: From what: a file's name and SHA-256, what they were trained on, or the seed.
        sha256: Of the tensors.
        file: Where they were found; "" for random ones.
        warning: What is to be said about them; "" for nothing.
        taught_on: What pretraining saw, by name ("cameras", "arm", "randomization"); empty where unknown.
    """

    trunk: TrunkName
    source: Source
    origin: str
    sha256: str
    file: str = ""
    warning: str = ""
    taught_on: Mapping[str, str] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class TrunkWeights:
    """What a file of weights holds.

    Attributes:
        provenance: Of the tensors.
        tensors: By name, float32.
    """

    provenance: Provenance
    tensors: dict[str, Tensor]

    def trunk(self) -> Trunk:
        """The frozen network with these weights, the same object for all who ask in this process."""
        return shared(Trunk(self.provenance.trunk, self.tensors))


def check(name: TrunkName, tensors: Mapping[str, Tensor], what: str) -> dict[str, Tensor]:
    """The tensors as float32, when they are those of a trunk.

    Args:
        name: The architecture.
        tensors: By name.
        what: Whose they are, for the message.

    Raises:
        TrunkError: one is missing, unknown, of another shape or not finite; names it.
    """
    wanted = shapes(name)
    for key, shape in wanted.items():
        if key not in tensors:
            lacking = len(wanted.keys() - tensors.keys())
            raise TrunkError(f"{what} is no {name}: it lacks {lacking} of {len(wanted)} tensors, {key} first")
        if tuple(tensors[key].shape) != shape:
            raise TrunkError(f"{what} is no {name}: {key} is {tuple(tensors[key].shape)}, must be {shape}")
        if not tensors[key].is_floating_point() or not bool(torch.isfinite(tensors[key]).all()):
            raise TrunkError(f"{what} is refused: {key} holds values that are no finite numbers")
    unknown = sorted(tensors.keys() - wanted.keys())
    if unknown:
        raise TrunkError(f"{what} is no {name}: it has {len(unknown)} tensors too many, {unknown[0]} first")
    return {key: tensors[key].detach().float().contiguous() for key in wanted}


def save_weights(
    path: Path,
    name: TrunkName,
    tensors: Mapping[str, Tensor],
    source: Source,
    origin: str,
    taught_on: Mapping[str, str] | None = None,
) -> Provenance:
    """Write a file of weights, whole or not at all; an earlier one in its place is replaced.

    Args:
        path: Of the file; its folder is made.
        name: The architecture.
        tensors: Its weights by name.
        source: How they came to be.
        origin: From what, in one line.
        taught_on: As in `Provenance`.

    Raises:
        TrunkError: the tensors are not such a trunk's, or the disk refuses.
    """
    checked = {key: tensor.cpu() for key, tensor in check(name, tensors, origin).items()}
    seen = dict(taught_on or {})
    provenance = Provenance(name, source, origin, fingerprint(checked), str(path), taught_on=seen)
    metadata = {
        "format": FORMAT,
        "schema": SCHEMA,
        "trunk": name,
        "normalisation": NORMALISATION,
        "sha256": provenance.sha256,
        "source": source,
        "origin": origin,
        "taught_on": json.dumps(seen),
    }
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(checked, aside, metadata)
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    except (OSError, SafetensorError) as error:
        raise TrunkError(f"{path} cannot be written: {error}") from None
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
    return provenance


def load_weights(path: Path, name: TrunkName | None = None) -> TrunkWeights:
    """Read and check a file of weights.

    Args:
        path: Of the file.
        name: The architecture that is wanted; None for any.

    Raises:
        TrunkError: the file is missing, damaged, foreign, of another schema, architecture or normalisation,
            or its tensors do not fit.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise TrunkError(
                    f"{path} is not one of Handrail's files of weights; "
                    f"`handrail weights import file={path}` may make one of it"
                )
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (no mapping)
    except (OSError, SafetensorError) as error:
        raise TrunkError(f"{path} cannot be read as a file of weights: {_line(error)}") from None
    for key, ours in (("schema", SCHEMA), ("normalisation", NORMALISATION)):
        if metadata.get(key) != ours:
            raise TrunkError(
                f"{path} has {key} {metadata.get(key)!r}, this version reads {ours!r}; make it anew from "
                "the file it was imported from"
            )
    found = metadata.get("trunk", "")
    if found not in TRUNKS or (name is not None and found != name):
        wanted = f"vision.trunk is {name}" if name is not None else f"there are {', '.join(TRUNKS)}"
        raise TrunkError(f"{path} holds the weights of a {found!r}, {wanted}")
    trunk = cast(TrunkName, found)
    checked = check(trunk, tensors, str(path))
    if fingerprint(checked) != metadata.get("sha256"):
        raise TrunkError(f"{path} is damaged: its tensors do not match their SHA-256; restore or remake it")
    source = cast(Source, metadata.get("source", "imported"))
    origin = metadata.get("origin", "")
    provenance = Provenance(
        trunk, source, origin, metadata["sha256"], str(path), taught_on=_taught_on(metadata, path)
    )
    return TrunkWeights(provenance, checked)


def _taught_on(metadata: Mapping[str, str], path: Path) -> dict[str, str]:
    """What a file says its weights were taught on; nothing for one that was written without.

    Raises:
        TrunkError: it is no such text.
    """
    try:
        return {str(key): str(value) for key, value in json.loads(metadata.get("taught_on", "{}")).items()}
    except (ValueError, AttributeError, RecursionError):
        raise TrunkError(f"{path} is damaged: its taught_on is no record; restore or remake it") from None


def store_file(store: Path, name: TrunkName) -> Path:
    """Where the store keeps the weights that `vision.weights=auto` takes for an architecture."""
    return store / f"{name}.safetensors"


def save_in_store(
    store: Path,
    name: TrunkName,
    tensors: Mapping[str, Tensor],
    source: Source,
    origin: str,
    taught_on: Mapping[str, str] | None = None,
    *,
    default: bool = True,
) -> Provenance:
    """Make weights those that "auto" takes; earlier others are kept beside them, under their SHA-256.

    Args:
        store: The folder of weights.
        name: The architecture.
        tensors: Its weights by name.
        source: How they came to be.
        origin: From what, in one line.
        taught_on: As in `Provenance`.
        default: False puts these beside the others, and leaves those that "auto" takes as they are.

    Raises:
        TrunkError: the tensors are not such a trunk's, or the disk refuses; nothing was changed.
    """
    path = store_file(store, name)
    fresh = fingerprint(check(name, tensors, origin))
    if not default:
        return save_weights(_beside(path, fresh), name, tensors, source, origin, taught_on)
    try:
        if path.is_file():
            earlier = _earlier(path)
            if earlier != fresh:
                # A second name: the first leads to the earlier ones until the new are whole.
                with contextlib.suppress(FileExistsError):
                    os.link(path, _beside(path, earlier))
    except OSError as error:
        raise TrunkError(f"{path} cannot be put aside: {error}") from None
    return save_weights(path, name, tensors, source, origin, taught_on)


def _beside(path: Path, sha256: str) -> Path:
    """Where the store keeps weights that are not, or no longer, those that "auto" takes."""
    return path.with_name(f"{path.stem}-{sha256[:12]}{path.suffix}")


def _earlier(path: Path) -> str:
    """The SHA-256 that a file of the store goes by when it is put aside."""
    try:
        return load_weights(path).provenance.sha256
    except TrunkError:  # whatever it is, it is not ours to throw away
        return hashlib.sha256(path.read_bytes()).hexdigest()


def load_trunk_of(run: Path, config: VisionConfig) -> Trunk:
    """The trunk of a run, as each of its processes loads it.

    Raises:
        TrunkError: it is missing, damaged or of another architecture.
    """
    path = RunDirectory(run).trunk_file
    if not path.is_file():
        raise TrunkError(f"the run has no {path}; restore it, or begin a new run (leave run= out)")
    return load_weights(path, config.trunk).trunk()


def resolve(
    config: VisionConfig,
    run_dir: Path | None,
    seed: int,
    store: Path | None,
    *,
    sees: Mapping[str, str] | None = None,
    trains: bool = True,
) -> tuple[Trunk, Provenance]:
    """The trunk that a run is to see with: an explicit file, the run's, the store's, or a random one.

    Args:
        config: `weights` says where to look: a path is taken or refused, "auto" and "pretrain" try the run
            and the store before they take random weights, "random" takes those.
        run_dir: The run's folder; None for none.
        seed: Of random weights.
        store: The folder of imported and pretrained weights; None for none.
        sees: What the run sees, as `Provenance.taught_on`: weights that were taught on something else are
            warned of.
        trains: False while nothing is trained on the weights, because episodes are still being recorded.

    Raises:
        TrunkError: a file that is to be used cannot be.
        ConfigError: no weights for a small frozen network, which learns to see little with random ones.
    """
    name = config.trunk
    if config.weights not in SETTINGS:
        found = load_weights(Path(config.weights).expanduser(), name)
        return found.trunk(), _with_warning(found.provenance, config, sees)
    if config.weights != "random":
        places = [] if run_dir is None else [RunDirectory(run_dir).trunk_file]
        places += [] if store is None else [store_file(store, name)]
        for path in places:
            if path.is_file():
                found = load_weights(path, name)
                return found.trunk(), _with_warning(found.provenance, config, sees)
    if name == "cnn" and config.frozen and trains:
        raise ConfigError(
            "vision.trunk is 'cnn' and frozen, and there are no weights for it, with random ones it sees "
            "little; set vision.frozen=false, or train some: `handrail weights pretrain vision.trunk=cnn`"
        )
    trunk = Trunk(name, build(name, seed).state_dict())
    provenance = Provenance(name, "random", f"seed {seed}", fingerprint(trunk.tensors))
    return trunk, _with_warning(provenance, config, sees)


def _with_warning(provenance: Provenance, config: VisionConfig, sees: Mapping[str, str] | None) -> Provenance:
    """Weights that will not be trained, and are random or know another sight, deserve one in the records."""
    if not config.frozen:
        return provenance
    if provenance.source != "random":
        return dataclasses.replace(provenance, warning=_differences(provenance, sees or {}))
    if provenance.trunk == "cnn":
        warning = (
            f"the run has a frozen cnn of RANDOM weights ({provenance.origin}), which serves to record and "
            "not to train: teach it next, `handrail weights pretrain run=<id>`"
        )
        return dataclasses.replace(provenance, warning=warning)
    warning = (
        f"the policy sees with a frozen {provenance.trunk} of RANDOM weights ({provenance.origin}): it will "
        "need more steps and wobble. Better: `handrail weights import file=resnet10_params.pkl` or "
        "`handrail weights pretrain`, then a new run"
    )
    return dataclasses.replace(provenance, warning=warning)


def _differences(provenance: Provenance, sees: Mapping[str, str]) -> str:
    """In what a run differs from what its weights were taught on; "" for nothing that is known."""
    taught = provenance.taught_on
    differ = [key for key in sees if key in taught and taught[key] != sees[key]]
    if not differ:
        return ""
    named = "; ".join(f"{key} {taught[key]} (the run: {sees[key]})" for key in differ)
    return (
        f"the policy sees with a frozen {provenance.trunk} that was taught on something else: {named}. "
        "Should it learn slowly: `handrail weights pretrain` with the run's own settings, then a new run"
    )


def keep_in_run(run: Path, trunk: Trunk, provenance: Provenance) -> None:
    """Write a run's trunk where its processes look for it.

    Raises:
        TrunkError: the disk refuses.
    """
    path, about = RunDirectory(run).trunk_file, provenance
    save_weights(path, trunk.name, trunk.tensors, about.source, about.origin, about.taught_on)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
