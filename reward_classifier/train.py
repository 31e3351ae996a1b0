"""Training of a classifier: heads on cached features, split by episode.

The episodes are split into folds. For each one a head learns from the others but the next, is stopped when
its loss on the next no longer falls, and is asked about the fold's whole episodes; so every episode is judged
by a head that has not seen it in any way, which is what temperature and threshold are fitted to. The
classifier itself then learns from all episodes, for as long as the folds' heads did in the middle. No episode
is left to judge that one by: what is known of it is what is known of heads trained alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from handrail.reward_classifier.calibration import (
    Calibration,
    ScoredEpisode,
    calibrate,
    fit_guard,
    fit_temperature,
    probabilities,
)
from handrail.reward_classifier.config import ClassifierConfig
from handrail.reward_classifier.dataset import LEFT_OUT, POSITIVE, EpisodeFrames, LabelledFrames, check
from handrail.reward_classifier.features import Features, Progress, compute
from handrail.reward_classifier.guard import Guard
from handrail.reward_classifier.model import RewardHead, balanced_loss
from handrail.robot_env.cameras.config import CameraConfig
from handrail.vision.trunk import Trunk

_MOST_BATCHES = 40  # in one pass: with many frames a pass is a part of them
_LEARNED = 0.005  # a loss below which there is nothing left to gain
_AT_ONCE = 256


@dataclass(frozen=True)
class Fold:
    """How the head of one fold was trained.

    Attributes:
        losses: Balanced loss on the frames that it is stopped by, after each pass.
        best: Number of passes after which it was least.
    """

    losses: tuple[float, ...]
    best: int


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained classifier, to be stored or looked at.

    Attributes:
        config: How it was trained.
        cameras: The images it looks at, in order.
        trunk: Its trunk.
        head: Its head.
        temperature: What a logit is divided by.
        statistics: By camera: mean and standard deviation (C, S) of the feature maps.
        calibration: Threshold, and what is known of its errors.
        held_out: Every episode, as judged by a head that has not seen it.
        folds: How the heads of the folds were trained.
        digest: Of the frames.
        seconds: How long it took [s].
    """

    config: ClassifierConfig
    cameras: tuple[CameraConfig, ...]
    trunk: Trunk
    head: RewardHead
    temperature: float
    statistics: Mapping[str, tuple[np.ndarray, np.ndarray]]
    calibration: Calibration
    held_out: tuple[ScoredEpisode, ...]
    folds: tuple[Fold, ...]
    digest: str
    seconds: float


def train(
    frames: LabelledFrames,
    config: ClassifierConfig,
    trunk: Trunk,
    progress: Progress = lambda *_: None,
) -> Trained:
    """Train and calibrate a classifier.

    Args:
        frames: What to learn from.
        config: How.
        trunk: What to see with; it is not trained.
        progress: Told how far it is.

    Raises:
        FramesError: the frames teach nothing, or contradict each other.
        ConfigError: the cameras' images have different sizes.
    """
    began = time.perf_counter()
    check(frames)
    features = compute(frames, config, trunk, progress)
    parts = split(frames, config.folds, config.seed)
    most = len(parts) * config.epochs + config.epochs
    logits, folds = np.zeros(len(features.labels)), []
    guards = [config.guard] * len(frames.episodes)
    for number, held_out in enumerate(parts):
        passes = number * config.epochs
        others = ~np.isin(features.episode, held_out)
        # Of two folds there is no third to be stopped by: then it is what the head learns from.
        stops = np.isin(features.episode, parts[(number + 1) % len(parts)]) if len(parts) > 2 else others
        learns = others & ~stops if len(parts) > 2 else others
        head = Training(features, learns, config, config.seed + number + 1)
        folds.append(head.until_best(stops, lambda epoch, at=passes: progress("training", at + epoch, most)))
        looks = np.flatnonzero(~others)
        logits[looks] = head.logits(looks)
        guard = _guard([each for i, each in enumerate(frames.episodes) if i not in held_out], config)
        for episode in held_out:
            guards[episode] = guard
    spoken_of = features.labels != LEFT_OUT
    temperature = fit_temperature(logits[spoken_of], features.labels[spoken_of] == POSITIVE)
    scores = probabilities(logits, temperature)
    held_out = tuple(
        ScoredEpisode(each, scores[features.episode == number], guards[number])
        for number, each in enumerate(frames.episodes)
    )
    final = Training(features, np.ones(len(features.labels), bool), config, config.seed)
    for _ in range(round(median(fold.best for fold in folds))):
        final.one_pass()
    progress("training", most, most)
    return Trained(
        config=config,
        cameras=frames.cameras,
        trunk=trunk,
        head=final.head.requires_grad_(False).eval(),
        temperature=temperature,
        statistics={camera.name: features.statistics(number) for number, camera in enumerate(frames.cameras)},
        calibration=calibrate(held_out, config, _guard(frames.episodes, config)),
        held_out=held_out,
        folds=tuple(folds),
        digest=frames.digest,
        seconds=time.perf_counter() - began,
    )


def _guard(episodes: Sequence[EpisodeFrames], config: ClassifierConfig) -> Guard:
    return fit_guard(episodes, config.guard) if config.fit_guard else config.guard


def split(frames: LabelledFrames, folds: int, seed: int) -> list[np.ndarray]:
    """Episode numbers of each fold: whole episodes, dealt out so that every fold shows success and none.

    There are at most as many folds as episodes with either.
    """
    rng = np.random.default_rng(seed)
    succeeds = np.array([each.succeeds for each in frames.episodes])
    fails = np.array([each.fails for each in frames.episodes])
    count = min(folds, int(succeeds.sum()), int(fails.sum()))
    kinds = (succeeds & fails, succeeds & ~fails, fails & ~succeeds, ~succeeds & ~fails)
    both, *others = (rng.permutation(np.flatnonzero(kind)) for kind in kinds)
    # A fold that got none of those that show both gets one of either kind.
    turns = [np.arange(len(both)), *(len(both) + np.arange(len(each)) for each in others)]
    order, fold = np.concatenate([both, *others]), np.concatenate(turns) % count
    return [np.sort(order[fold == number]) for number in range(count)]


class Training:
    """Of one head, on some of the looks.

    Args:
        features: Of all looks.
        learns: (N,) bool, the looks to learn from; successes and others among them.
        config: How.
        seed: Of the head, and of what it is shown.

    Attributes:
        head: What is trained.
    """

    def __init__(self, features: Features, learns: np.ndarray, config: ClassifierConfig, seed: int) -> None:
        self._features, self._config = features, config
        cameras, *map_shape = features.maps.shape[1:]
        self.head = RewardHead(cameras, (map_shape[0], map_shape[1]), config, seed)
        self._optimiser = torch.optim.AdamW(
            self.head.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self._rng = np.random.default_rng(seed)
        rows = np.flatnonzero(learns[features.chosen])  # rows of `chosen`, as its views are
        positive = features.labels[features.chosen[rows]] == POSITIVE
        self._rows = (rows[positive], rows[~positive])

    def until_best(self, stops: np.ndarray, told: Callable[[int], None]) -> Fold:
        """Train until a loss has not fallen for a while; the head is then the best there was.

        Args:
            stops: (N,) bool, the looks whose loss it is.
            told: The number of passes, after each.
        """
        labels = self._features.labels
        looks = np.flatnonzero(stops & (labels != LEFT_OUT))
        truth = torch.from_numpy(labels[looks] == POSITIVE).float()
        losses: list[float] = []
        best = {name: tensor.clone() for name, tensor in self.head.state_dict().items()}
        for epoch in range(1, self._config.epochs + 1):
            self.one_pass()
            losses.append(float(balanced_loss(torch.from_numpy(self.logits(looks)).float(), truth)))
            told(epoch)
            least = int(np.argmin(losses)) + 1
            if least == epoch:
                best = {name: tensor.clone() for name, tensor in self.head.state_dict().items()}
            if losses[-1] < _LEARNED or epoch - least >= self._config.patience:
                break
        self.head.load_state_dict(best)
        return Fold(tuple(losses), int(np.argmin(losses)) + 1)

    def one_pass(self) -> None:
        """Train on batches of which one half shows success: as many as the commoner class fills."""
        half = self._config.batch_size // 2
        batches = min(_MOST_BATCHES, -(-max(map(len, self._rows)) // half))
        drawn = [self._drawn(rows, batches * half).reshape(batches, half) for rows in self._rows]
        truth = torch.cat([torch.ones(half), torch.zeros(half)])
        for rows in np.concatenate(drawn, axis=1):
            logits = self.head(self._views(rows), dropout=True)
            loss = functional.binary_cross_entropy_with_logits(logits, truth)
            self._optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self._optimiser.step()

    def logits(self, looks: np.ndarray) -> np.ndarray:
        """Logits (n,) of looks as they are."""
        with torch.inference_mode():
            parts = [
                self.head(self._features.maps[looks[begin : begin + _AT_ONCE]])
                for begin in range(0, len(looks), _AT_ONCE)
            ]
        return torch.cat(parts).double().numpy()

    def _drawn(self, rows: np.ndarray, count: int) -> np.ndarray:
        """So many rows, each as often as any other, in random order."""
        rounds = -(-count // len(rows))
        return np.concatenate([self._rng.permutation(rows) for _ in range(rounds)])[:count]

    def _views(self, rows: np.ndarray) -> Tensor:
        """A random view of each row: (n, cameras, C, S)."""
        features = self._features
        view = self._rng.integers(0, features.views.shape[1] + 1, len(rows))
        maps = features.maps[features.chosen[rows]]
        other = np.flatnonzero(view)
        maps[other] = features.views[rows[other], view[other] - 1]
        return maps
