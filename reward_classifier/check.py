"""How a classifier does on labelled episodes, judged as the loop judges: k in a row, within the guard."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

import numpy as np

from handrail.reward_classifier.artifact import Classifier
from handrail.reward_classifier.calibration import upper_limit
from handrail.reward_classifier.dataset import NEGATIVE, POSITIVE, EpisodeFrames
from handrail.reward_classifier.guard import first_success

_TIMED_LOOKS = 20


@dataclass(frozen=True)
class JudgedEpisode:
    """What a classifier makes of one labelled episode.

    Attributes:
        run: Name of the log.
        episode: Number in it.
        purpose: "train", "demo", "classify" or "evaluate".
        succeeds: Whether a frame of it shows success.
        claimed_step: The step at which the classifier would have called success; None for never.
        false: It would have done so where there was none.
        missed: It would not have seen the success.
        highest_score: Largest probability of success in a frame that shows none; None without such a frame.
    """

    run: str
    episode: int
    purpose: str
    succeeds: bool
    claimed_step: int | None
    false: bool
    missed: bool
    highest_score: float | None


@dataclass(frozen=True)
class Checked:
    """How a classifier did.

    Attributes:
        version: Of the classifier.
        episodes: What it made of each.
        false_successes: Episodes in which it would have called a success that was none.
        limit: Upper limit of the share of such episodes that these show [1], at `confidence`.
        promised: The limit that its calibration states [1].
        confidence: Of both [1].
        successes: Episodes that reach success.
        missed: Those in which it would not have seen it.
        negatives: Frames without success.
        false_frames: Those that count as one by themselves.
        positives: Frames of success.
        missed_frames: Those that do not count as one.
        look_ms: Median time of a look at all cameras [ms].
    """

    version: str
    episodes: tuple[JudgedEpisode, ...]
    false_successes: int
    limit: float
    promised: float
    confidence: float
    successes: int
    missed: int
    negatives: int
    false_frames: int
    positives: int
    missed_frames: int
    look_ms: float

    @property
    def keeps_its_promise(self) -> bool:
        """Whether the false successes can still be chance: their lower limit does not exceed the promise."""
        least = 1.0 - upper_limit(self.trials - self.false_successes, self.trials, self.confidence)
        return least <= self.promised

    @property
    def trials(self) -> int:
        """Episodes that could have shown a false success: with a frame that shows none."""
        return sum(each.highest_score is not None for each in self.episodes)


def examine(
    classifier: Classifier,
    episodes: Iterable[EpisodeFrames],
    progress: Callable[[int], None] = lambda _: None,
) -> Checked:
    """Judge labelled episodes.

    Args:
        classifier: What judges.
        episodes: One at least, with the images that the classifier looks at; one is held at a time.
        progress: Told how many are done, after each.
    """
    judged: list[JudgedEpisode] = []
    labels, counted, look_ms = [], [], 0.0
    for number, frames in enumerate(episodes, start=1):
        scores = classifier.judge(frames.images)
        judged.append(_judged(classifier, frames, scores))
        labels.append(frames.labels)
        counted.append(scores >= classifier.threshold)
        look_ms = look_ms or _look_ms(classifier, frames)
        progress(number)
    label, counts = np.concatenate(labels), np.concatenate(counted)
    false = sum(each.false for each in judged)
    calibration = classifier.calibration
    return Checked(
        version=classifier.version,
        episodes=tuple(judged),
        false_successes=false,
        limit=upper_limit(
            false, sum(each.highest_score is not None for each in judged), calibration.confidence
        ),
        promised=calibration.bound,
        confidence=calibration.confidence,
        successes=sum(each.succeeds for each in judged),
        missed=sum(each.missed for each in judged),
        negatives=int((label == NEGATIVE).sum()),
        false_frames=int((counts & (label == NEGATIVE)).sum()),
        positives=int((label == POSITIVE).sum()),
        missed_frames=int((~counts & (label == POSITIVE)).sum()),
        look_ms=look_ms,
    )


def _judged(classifier: Classifier, frames: EpisodeFrames, scores: np.ndarray) -> JudgedEpisode:
    guard, k = classifier.guard, classifier.consecutive
    allowed = [guard.allows(*each) for each in zip(frames.coordinates, frames.forces, strict=True)]
    labels = frames.labels
    if labels[-1] == POSITIVE:  # it ended in success, which would have been seen for longer
        scores, allowed = np.append(scores, [scores[-1]] * (k - 1)), allowed + allowed[-1:] * (k - 1)
    claimed = first_success(scores, allowed, threshold=classifier.threshold, consecutive=k)
    claimed = None if claimed is None else min(claimed, len(labels) - 1)
    false = claimed is not None and labels[claimed] == NEGATIVE
    without = scores[: len(labels)][labels == NEGATIVE]
    return JudgedEpisode(
        run=frames.recording,
        episode=frames.episode,
        purpose=frames.purpose,
        succeeds=frames.succeeds,
        claimed_step=claimed,
        false=bool(false),
        missed=frames.succeeds and claimed is None,
        highest_score=float(without.max()) if len(without) else None,
    )


def _look_ms(classifier: Classifier, frames: EpisodeFrames) -> float:
    """Median time of a look [ms]; pictures that were not looked at before, as in the loop."""
    took = []
    for number in range(_TIMED_LOOKS):
        index = number % len(frames.labels)
        images = {
            each.name: np.ascontiguousarray(frames.images[each.name][index][:, ::-1])
            for each in classifier.cameras
        }
        began = time.perf_counter()
        classifier.score(classifier.trunk.of(images))
        took.append((time.perf_counter() - began) * 1e3)
    return median(took)
