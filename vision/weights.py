"""Weights of a trunk: in a file, in the user's store, in a run; and which of them a run takes.

A file is safetensors, with metadata that say whose weights it holds:

    format, schema          "handrail trunk", "1"
    trunk, normalisation    the architecture, and what its images must have gone through
    sha256                  of the tensors' names, shapes and values (`trunk.fingerprint`)
    source, origin          "imported", "pretrained" or "random", and from what

A run settles its weights once, when it begins, and keeps them in `vision/trunk.safetensors`; each of its
processes loads that file. Nothing is downloaded.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
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
    """

    trunk: TrunkName
    source: Source
    origin: str
    sha256: str
    file: str = ""
    warning: str = ""

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
    path: Path, name: TrunkName, tensors: Mapping[str, Tensor], source: Source, origin: str
) -> Provenance:
    """Write a file of weights, whole or not at all; an earlier one in its place is replaced.

    Args:
        path: Of the file; its folder is made.
        name: The architecture.
        tensors: Its weights by name.
        source: How they came to be.
        origin: From what, in one line.

    Raises:
        TrunkError: the tensors are not such a trunk's, or the disk refuses.
    """
    checked = {key: tensor.cpu() for key, tensor in check(name, tensors, origin).items()}
    provenance = Provenance(name, source, origin, fingerprint(checked), str(path))
    metadata = {
        "format": FORMAT,
        "schema": SCHEMA,
        "trunk": name,
        "normalisation": NORMALISATION,
        "sha256": provenance.sha256,
        "source": source,
        "origin": origin,
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
    return TrunkWeights(Provenance(trunk, source, origin, metadata["sha256"], str(path)), checked)


def store_file(store: Path, name: TrunkName) -> Path:
    """Where the store keeps the weights that `vision.weights=auto` takes for an architecture."""
    return store / f"{name}.safetensors"


def save_in_store(
    store: Path, name: TrunkName, tensors: Mapping[str, Tensor], source: Source, origin: str
) -> Provenance:
    """Make weights those that "auto" takes; earlier others are kept beside them, under their SHA-256.

    Raises:
        TrunkError: the tensors are not such a trunk's, or the disk refuses.
    """
    path = store_file(store, name)
    fresh = fingerprint(check(name, tensors, origin))
    try:
        if path.is_file():
            earlier = _earlier(path)
            if earlier != fresh:
                path.rename(path.with_name(f"{name}-{earlier[:12]}.safetensors"))
    except OSError as error:
        raise TrunkError(f"{path} cannot be put aside: {error}") from None
    return save_weights(path, name, tensors, source, origin)


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
    config: VisionConfig, run_dir: Path | None, seed: int, store: Path | None
) -> tuple[Trunk, Provenance]:
    """The trunk that a run is to see with: an explicit file, the run's, the store's, or a random one.

    Args:
        config: `weights` says where to look: a path is taken or refused, "auto" and "pretrain" try the run
            and the store before they take random weights, "random" takes those.
        run_dir: The run's folder; None for none.
        seed: Of random weights.
        store: The folder of imported and pretrained weights; None for none.

    Raises:
        TrunkError: a file that is to be used cannot be.
        ConfigError: no weights for a small frozen network, which sees little with random ones.
    """
    name = config.trunk
    if config.weights not in SETTINGS:
        found = load_weights(Path(config.weights).expanduser(), name)
        return found.trunk(), found.provenance
    if config.weights != "random":
        places = [] if run_dir is None else [RunDirectory(run_dir).trunk_file]
        places += [] if store is None else [store_file(store, name)]
        for path in places:
            if path.is_file():
                found = load_weights(path, name)
                return found.trunk(), _with_warning(found.provenance, config)
    if name == "cnn" and config.frozen:
        raise ConfigError(
            "vision.trunk is 'cnn' and frozen, and there are no weights for it, with random ones it sees "
            "little; set vision.frozen=false, or train some: `handrail weights pretrain vision.trunk=cnn`"
        )
    trunk = Trunk(name, build(name, seed).state_dict())
    provenance = Provenance(name, "random", f"seed {seed}", fingerprint(trunk.tensors))
    return trunk, _with_warning(provenance, config)


def _with_warning(provenance: Provenance, config: VisionConfig) -> Provenance:
    """Random weights that will never be trained are worth a warning, in a run's records too."""
    if provenance.source != "random" or not config.frozen:
        return provenance
    warning = (
        f"the policy sees with a frozen {provenance.trunk} of RANDOM weights ({provenance.origin}): it will "
        "need more steps and wobble. Better: `handrail weights import file=resnet10_params.pkl` or "
        "`handrail weights pretrain`, then a new run"
    )
    return dataclasses.replace(provenance, warning=warning)


def keep_in_run(run: Path, trunk: Trunk, provenance: Provenance) -> None:
    """Write a run's trunk where its processes look for it.

    Raises:
        TrunkError: the disk refuses.
    """
    save_weights(
        RunDirectory(run).trunk_file, trunk.name, trunk.tensors, provenance.source, provenance.origin
    )


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
