"""Feature maps of labelled frames, computed once, so that training a head on them takes seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from handrail.reward_classifier.config import ClassifierConfig
from handrail.reward_classifier.dataset import NEGATIVE, POSITIVE, LabelledFrames
from handrail.robot_env.errors import ConfigError
from handrail.vision.augment import shifted
from handrail.vision.trunk import Trunk

_BATCH = 32

Progress = Callable[[str, int, int], None]
"""Told what is being done, and how much of how much of it is."""


@dataclass(frozen=True, eq=False)
class Features:
    """Of every look, and of some looks' further views.

    Attributes:
        maps: (N, cameras, C, S) float16 of every look at every episode, in order.
        episode: (N,) which episode of the frames each look is of.
        labels: (N,) the looks' labels.
        chosen: (M,) looks to train on.
        views: (M, V, cameras, C, S) float16 of these, shifted, lighter and darker; V may be 0.
    """

    maps: Tensor
    episode: np.ndarray
    labels: np.ndarray
    chosen: np.ndarray
    views: Tensor

    def statistics(self, camera: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (C, S) of a camera's maps over every look."""
        maps = self.maps[:, camera].float()
        return maps.mean(0).numpy(), maps.std(0, correction=0).numpy()


def compute(frames: LabelledFrames, config: ClassifierConfig, trunk: Trunk, progress: Progress) -> Features:
    """Run every frame through the trunk, and the chosen ones' views.

    Raises:
        ConfigError: the cameras' images have different sizes.
    """
    sizes = {camera.name: (camera.height, camera.width) for camera in frames.cameras}
    if len(set(sizes.values())) > 1:
        raise ConfigError(
            f"the classifier's cameras have sizes {sizes}; give them one size, or choose among them with "
            "classifier.cameras"
        )
    episode = np.concatenate([np.full(len(e.labels), i) for i, e in enumerate(frames.episodes)])
    labels = np.concatenate([e.labels for e in frames.episodes])
    chosen = _chosen(episode, labels, config.max_negatives)
    first = np.searchsorted(episode, np.arange(len(frames.episodes)))
    rng = np.random.default_rng(config.seed)
    total = len(labels) + len(chosen) * (config.views - 1)

    def pictures(looks: np.ndarray) -> np.ndarray:
        """(n, cameras, H, W, 3) of looks."""
        return np.stack(
            [
                [frames.episodes[episode[i]].images[name][i - first[episode[i]]] for name in sizes]
                for i in looks
            ]
        )

    done = 0

    def computed(looks: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> Iterator[Tensor]:
        nonlocal done
        for begin in range(0, len(looks), _BATCH):
            images = pictures(looks[begin : begin + _BATCH])
            flat = images.reshape(-1, *images.shape[2:])
            maps = trunk(torch.from_numpy(change(flat)))
            done += len(images)
            progress("features", done, total)
            yield maps.view(len(images), -1, *maps.shape[1:])

    maps = torch.cat(list(computed(np.arange(len(labels)), lambda images: images)))
    views = [
        torch.cat(list(computed(chosen, lambda images: varied(images, config, rng))))
        for _ in range(config.views - 1)
    ]
    nothing = maps.new_empty(len(chosen), 0, *maps.shape[1:])
    return Features(maps, episode, labels, chosen, torch.stack(views, 1) if views else nothing)


def varied(images: np.ndarray, config: ClassifierConfig, rng: np.random.Generator) -> np.ndarray:
    """Images (N, H, W, 3) uint8, each moved by a few pixels, and made a little lighter or darker."""
    moved = shifted(images, rng.integers(-config.shift_px, config.shift_px + 1, (len(images), 2)))
    factors = rng.uniform(1.0 - config.brightness, 1.0 + config.brightness, (len(images), 1, 1, 1))
    return np.clip(moved * factors.astype(np.float32), 0.0, 255.0).astype(np.uint8)


def _chosen(episode: np.ndarray, labels: np.ndarray, most: int) -> np.ndarray:
    """Looks to train on: every success, and at most so many others, as many of each episode as there are."""
    negatives = [np.flatnonzero((episode == i) & (labels == NEGATIVE)) for i in np.unique(episode)]
    counts = np.array([len(each) for each in negatives])
    quota = int(counts.max(initial=0))
    while np.minimum(counts, quota).sum() > most and quota > 1:
        quota -= 1
    spread = [
        each[np.linspace(0, len(each) - 1, min(len(each), quota)).round().astype(int)] for each in negatives
    ]
    return np.sort(np.concatenate([np.flatnonzero(labels == POSITIVE), *spread]))
