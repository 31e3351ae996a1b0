"""A trained classifier on disk: one folder that holds all that judging needs.

    classifiers/<name>/current          the version in use, one line
    classifiers/<name>/<version>/
        classifier.safetensors          weights of trunk and head, statistics of the features
        classifier.json                 settings, and what is known of its errors
        report.html                     the same for people

A version is named by its content: the first 12 hexadecimal digits of the SHA-256 over weights and settings. A
folder is written whole or not at all, and never changed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from handrail.intervention.durable import sync_path
from handrail.intervention.run_directory import write_durably
from handrail.reward_classifier.calibration import Calibration, probabilities
from handrail.reward_classifier.config import ClassifierConfig
from handrail.reward_classifier.guard import Guard
from handrail.reward_classifier.model import RewardHead
from handrail.reward_classifier.train import Trained
from handrail.reward_classifier.versions import (
    REPORT,
    SETTINGS,
    ClassifierError,
    current,
    listed,
    one_line,
    versions,
)
from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.errors import ConfigError
from handrail.vision.config import TrunkName
from handrail.vision.trunk import NORMALISATION, TRUNKS, Trunk, fingerprint, shared
from handrail.vision.weights import TrunkError
from handrail.vision.weights import check as check_trunk

SCHEMA = 1
_AT_ONCE = 32  # looks; what the trunk computes in between takes megabytes for each
_ASIDE = ".saving-"  # begins the name of a folder that is being written
_LEFT_OVER_S = 24 * 3600.0  # nobody writes that long: a training was killed there
WEIGHTS = "classifier.safetensors"


@dataclass(frozen=True, eq=False)
class Classifier:
    """A classifier, ready to look. For one thread.

    Attributes:
        folder: Where it was loaded from.
        version: Its name.
        parent: The version that was in use when it was trained; "" for none.
        cameras: The images it looks at, in order.
        trunk: Turns an image into a feature map.
        head: Turns maps into a logit.
        temperature: What a logit is divided by.
        statistics: By camera: mean and standard deviation (C, S) of the feature maps it was trained on.
        calibration: Threshold, k, guard, and what is known of its errors.
        digest: Of the frames it was trained on.
        learned: By run and number, the episodes it was trained on: sequence in the log of the label each had
            then, 0 for none.
        made_wall_ns: When [ns since 1970].
    """

    folder: Path
    version: str
    parent: str
    cameras: tuple[CameraConfig, ...]
    trunk: Trunk
    head: RewardHead
    temperature: float
    statistics: Mapping[str, tuple[np.ndarray, np.ndarray]]
    calibration: Calibration
    digest: str
    learned: Mapping[str, Mapping[int, int]]
    made_wall_ns: int

    @property
    def threshold(self) -> float:
        """Least probability that counts as success."""
        return self.calibration.threshold

    @property
    def consecutive(self) -> int:
        """k, looks in a row that must count."""
        return self.calibration.consecutive

    @property
    def guard(self) -> Guard:
        """Where a success can be."""
        return self.calibration.guard

    def score(self, maps: Mapping[str, Tensor]) -> float:
        """Probability of success, from the feature map (C, S) of each camera's image."""
        stacked = torch.stack([maps[camera.name] for camera in self.cameras])
        return float(self.scores(stacked.unsqueeze(0))[0])

    def judge(self, images: Mapping[str, np.ndarray]) -> np.ndarray:
        """Probabilities of success (T,), from each camera's images (T, H, W, 3), a few of them at a time."""
        count = len(images[self.cameras[0].name])
        parts = []
        for begin in range(0, count, _AT_ONCE):
            looks = [images[camera.name][begin : begin + _AT_ONCE] for camera in self.cameras]
            parts.append(self.scores(torch.stack([self.trunk(torch.from_numpy(each)) for each in looks], 1)))
        return np.concatenate(parts)

    @torch.inference_mode()
    def scores(self, maps: Tensor) -> np.ndarray:
        """Probabilities of success (N,), from feature maps (N, cameras, C, S) in the cameras' order."""
        return probabilities(self.head(maps).double().numpy(), self.temperature)


def save(folder: Path, trained: Trained, report: str, *, made_wall_ns: int) -> str:
    """Store a classifier and return its version; it is not in use before `make_current`.

    Args:
        folder: `classifiers/<name>`; made where missing. The version in use there becomes its parent.
        trained: Weights and settings.
        report: The page for people.
        made_wall_ns: When it was trained [ns since 1970].

    Raises:
        ClassifierError: the disk refuses.
    """
    weights = save_tensors(_tensors(trained))
    settings: dict[str, Any] = {
        "schema": SCHEMA,
        "cameras": [asdict(camera) for camera in trained.cameras],
        "trunk": {
            "name": trained.trunk.name,
            "normalisation": NORMALISATION,
            "sha256": fingerprint(trained.trunk.tensors),
            "key": trained.trunk.key,
        },
        "head": {
            "spatial_features": trained.config.spatial_features,
            "bottleneck": trained.config.bottleneck,
        },
        "temperature": trained.temperature,
        "calibration": asdict(trained.calibration),
        "frames": trained.digest,
        "learned": _learned(trained),
        "parent": current(folder) or "",
        "made_wall_ns": made_wall_ns,
    }
    version = _version(weights, settings)
    target = folder / version
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
        aside = Path(tempfile.mkdtemp(dir=folder, prefix=_ASIDE))
        try:
            (aside / WEIGHTS).write_bytes(weights)
            write_durably(aside / REPORT, report)
            write_durably(aside / SETTINGS, json.dumps({**settings, "version": version}, indent=2) + "\n")
            sync_path(aside / WEIGHTS)
            aside.chmod(0o755)
            if not target.exists():
                aside.rename(target)
                sync_path(folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise ClassifierError(f"classifier {target} cannot be written: {error}; free some space") from error
    return version


def load(path: Path) -> Classifier:
    """Load a classifier.

    Args:
        path: The folder of a version, or `classifiers/<name>` for the one that is in use.

    Raises:
        ClassifierError: there is none, it is damaged, or of another schema.
    """
    folder = _version_folder(path)
    settings, weights = _read(folder)
    try:
        cameras = tuple(_camera(each) for each in settings["cameras"])
        calibration = Calibration.from_plain(settings["calibration"])
        name = cast(TrunkName, settings["trunk"]["name"])
        normalisation, temperature = settings["trunk"]["normalisation"], float(settings["temperature"])
        config = ClassifierConfig(**settings["head"])
        known = (settings["parent"], settings["frames"], int(settings["made_wall_ns"]))
        learned = {
            run: {int(episode): int(at) for episode, at in dict(each).items()}
            for run, each in dict(settings.get("learned", {})).items()
        }
        tensors = load_tensors(weights)
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        raise ClassifierError(
            f"classifier {folder} cannot be read ({type(error).__name__}: {one_line(error)}); train it anew"
        ) from None
    if name not in TRUNKS or normalisation != NORMALISATION:
        raise ClassifierError(
            f"classifier {folder} sees with a {name!r} of {normalisation!r} images, this version with "
            f"{', '.join(TRUNKS)} of {NORMALISATION!r} ones; train it anew"
        )
    trunk = shared(Trunk(name, _trunk_tensors(name, tensors, folder)))
    statistics = _statistics(tensors, cameras, folder)
    head = _head(tensors, trunk, cameras, config, folder)
    version, (parent, digest, made) = str(settings["version"]), known
    return Classifier(
        folder,
        version,
        parent,
        cameras,
        trunk,
        head,
        temperature,
        statistics,
        calibration,
        digest,
        learned,
        made,
    )


def _remove_leftovers(folder: Path) -> None:
    """Remove what killed trainings left half-written."""
    for path in folder.glob(f"{_ASIDE}*"):
        if time.time() - path.stat().st_mtime > _LEFT_OVER_S:
            shutil.rmtree(path, ignore_errors=True)


def _version_folder(path: Path) -> Path:
    if (path / SETTINGS).is_file():
        return path
    version = current(path)
    if version is None:
        there = f"; it has {listed(path)}, accept one of them" if versions(path) else ""
        raise ClassifierError(f"{path} holds no classifier in use{there or ', train one and accept it'}")
    return path / version


def _read(folder: Path) -> tuple[dict[str, Any], bytes]:
    """Settings and weights of a version, whole and of this schema."""
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        weights = (folder / WEIGHTS).read_bytes()
    except (OSError, ValueError) as error:
        raise ClassifierError(
            f"classifier {folder} cannot be read ({one_line(error)}); train it anew"
        ) from None
    if not isinstance(settings, dict) or settings.get("schema") != SCHEMA:
        schema = settings.get("schema") if isinstance(settings, dict) else None
        raise ClassifierError(
            f"classifier {folder} has schema {schema}, this version reads {SCHEMA}; train it anew"
        )
    said = settings.get("version")
    if _version(weights, {key: value for key, value in settings.items() if key != "version"}) != said:
        raise ClassifierError(
            f"classifier {folder} is damaged: its content is not that of version {said}; "
            "restore it from a copy, or train it anew"
        )
    return settings, weights


def _learned(trained: Trained) -> dict[str, dict[str, int]]:
    """As `Classifier.learned`, with the keys that JSON can have."""
    learned: dict[str, dict[str, int]] = {}
    for each in trained.held_out:
        learned.setdefault(each.frames.recording, {})[str(each.frames.episode)] = each.frames.labelled_at
    return learned


def _version(weights: bytes, settings: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(weights)
    digest.update(json.dumps(settings, sort_keys=True).encode())
    return digest.hexdigest()[:12]


def _tensors(trained: Trained) -> dict[str, Tensor]:
    tensors = {f"trunk.{key}": tensor.float() for key, tensor in trained.trunk.tensors.items()}
    tensors |= {f"head.{key}": tensor.detach() for key, tensor in trained.head.state_dict().items()}
    for number, camera in enumerate(trained.cameras):
        for what, values in zip(("mean", "deviation"), trained.statistics[camera.name], strict=True):
            tensors[f"{what}.{number}"] = torch.from_numpy(values)
    return {key: tensor.cpu().contiguous() for key, tensor in tensors.items()}


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _trunk_tensors(name: TrunkName, tensors: Mapping[str, Tensor], folder: Path) -> dict[str, Tensor]:
    try:
        return check_trunk(name, _part(tensors, "trunk."), f"the trunk of classifier {folder}")
    except TrunkError as error:
        raise ClassifierError(str(error)) from None


def _head(
    tensors: Mapping[str, Tensor],
    trunk: Trunk,
    cameras: tuple[CameraConfig, ...],
    config: ClassifierConfig,
    folder: Path,
) -> RewardHead:
    cells = trunk.map_size(cameras[0].height, cameras[0].width)
    head = RewardHead(len(cameras), (trunk.channels, cells), config, seed=0)
    try:
        head.load_state_dict(_part(tensors, "head."))
    except RuntimeError as error:
        raise ClassifierError(f"the head of classifier {folder} does not fit: {one_line(error)}") from None
    return head.requires_grad_(False).eval()


def _statistics(
    tensors: Mapping[str, Tensor], cameras: tuple[CameraConfig, ...], folder: Path
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    try:
        return {
            camera.name: (tensors[f"mean.{number}"].numpy(), tensors[f"deviation.{number}"].numpy())
            for number, camera in enumerate(cameras)
        }
    except KeyError as error:
        raise ClassifierError(f"classifier {folder} lacks tensor {error}; train it anew") from None


def _camera(plain: Mapping[str, Any]) -> CameraConfig:
    crop = plain["crop"]
    try:
        return CameraConfig(**{**plain, "crop": None if crop is None else tuple(crop)})
    except ConfigError as error:
        raise ValueError(str(error)) from None
