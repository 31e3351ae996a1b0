"""From scores to verdicts: how sure a frame must look, and how often an episode will still be wrong.

What matters is not the frame but the episode: it is looked at a hundred times, and one false success ends it
with a reward it has not earned. So the threshold is chosen from whole episodes that the scoring head has not
seen, judged as the loop judges: k looks in a row, within the guard.

Each such episode has a *critical threshold*: the least one at which it raises no false success. A threshold
above all but the x largest of n critical ones is crossed by a further episode of the same kind with a chance
of at most p, where P(Binomial(n, p) ≤ x) = 1 − confidence: the tolerance limit of an order statistic (Wilks,
Ann. Math. Stat. 12, 1941), which needs no distribution and allows that the threshold was chosen from the very
same episodes; one that shows nothing but success is none of the n. For x = 0 it is
p = 1 − (1 − confidence)^(1/n), "the rule of three": about 3/n for 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from handrail.reward_classifier.config import ClassifierConfig
from handrail.reward_classifier.dataset import NEGATIVE, POSITIVE, EpisodeFrames
from handrail.reward_classifier.guard import Guard

_LOGIT_LIMIT = 30.0
_EVEN = 0.5  # what is rather no success than one is never taken for one, whatever the guard keeps out
_LEAST = 1e-6  # a probability nearer to 0 or 1 is no surer
_BESIDE, _ROOM_M, _ROOM_RAD = 1.5, 0.0002, 0.003  # of a guard around what was seen
_TEMPERATURES = np.geomspace(0.05, 50.0, 241)


@dataclass(frozen=True)
class Calibration:
    """How a classifier's scores become verdicts, and what is known of these.

    Attributes:
        threshold: Least probability that counts as success.
        consecutive: k, looks in a row that must count.
        guard: Where a success can be.
        episodes: Held-out episodes that were judged and have a frame without success.
        false_positives: Those in which success was claimed where there was none.
        bound: Upper limit of the share of such episodes [1], at `confidence`.
        confidence: Of the bound [1].
        wanted: The bound that was asked for [1].
        needed: Episodes without a false positive that would show the wanted bound.
        successes: Held-out episodes that reach success.
        missed: Those in which it was not seen.
        frame_false_positives: Share of the frames without success that count as one by themselves [1].
    """

    threshold: float
    consecutive: int
    guard: Guard
    episodes: int
    false_positives: int
    bound: float
    confidence: float
    wanted: float
    needed: int
    successes: int
    missed: int
    frame_false_positives: float

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Calibration:
        """From JSON values, as `dataclasses.asdict` makes them.

        Raises:
            TypeError: a value is missing or unknown.
        """
        return cls(**{**plain, "guard": Guard(**plain["guard"])})

    @property
    def supported(self) -> bool:
        """Whether the data show the bound that was asked for."""
        return self.bound <= self.wanted

    def sentences(self) -> list[str]:
        """What is known of false successes and of missed ones, in words."""
        confidence = f"{100.0 * self.confidence:g} %"
        found = (
            f"{self.false_positives} of {self.episodes} held-out episodes had a false success: "
            f"at most {_per_hundred(self.bound)} in 100 episodes like these, with {confidence} confidence, "
            "for heads trained like this one; `handrail classify check` tries this one itself."
        )
        missed = f"{self.missed} of {self.successes} held-out successes were missed."
        if self.supported:
            return [found, missed]
        short = (
            f"These data do NOT show the wanted bound of {_per_hundred(self.wanted)} in 100: that takes "
            f"{self.needed} held-out episodes without a false success. Record more, or watch it closely."
        )
        return [found, short, missed]


@dataclass(frozen=True, eq=False)
class ScoredEpisode:
    """A held-out episode and what a head that has not seen it says.

    Attributes:
        frames: The episode.
        scores: (T,) probabilities of success.
        guard: Where a success could be, as far as could be known without this episode.
    """

    frames: EpisodeFrames
    scores: np.ndarray
    guard: Guard


def fit_temperature(logits: np.ndarray, positive: np.ndarray) -> float:
    """The temperature that gives held-out logits the least balanced log loss (Guo et al., 1706.04599).

    Args:
        logits: (N,).
        positive: (N,) bool.
    """
    signed = np.where(positive, logits, -logits)
    weight = np.where(positive, 0.5 / max(1, positive.sum()), 0.5 / max(1, (~positive).sum()))
    losses = [(weight * np.logaddexp(0.0, -signed / t)).sum() for t in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmin(losses))])


def probabilities(logits: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities of success, kept off 0 and 1 so that every one of them has a threshold above it."""
    z = np.clip(logits / temperature, -_LOGIT_LIMIT, _LOGIT_LIMIT)
    return 1.0 / (1.0 + np.exp(-z))


def fit_guard(episodes: Iterable[EpisodeFrames], widest: Guard) -> Guard:
    """A guard no wider than given, drawn with some room around the poses in which successes were seen.

    Half inserted looks much like inserted, and stands a millimetre higher. Poses that are known only to
    within an error get that much more room: the loop, which knows them, may find a success that far away.

    Args:
        episodes: Where the successes are; those without are not looked at.
        widest: Bounds that it stays within; those that it has not, it does not get.
    """
    shown = [each for each in episodes if each.succeeds]
    poses = np.concatenate([each.coordinates[each.labels == POSITIVE] for each in shown])
    room_m = _ROOM_M + max(each.error_m for each in shown)
    room_rad = _ROOM_RAD + max(each.error_rad for each in shown)
    x, y, z, *turns = np.abs(poses).max(axis=0).tolist()

    def bound(limit: float | None, seen: float, room: float) -> float | None:
        return None if limit is None else min(limit, _BESIDE * seen + room)

    return replace(
        widest,
        lateral_m=bound(widest.lateral_m, max(x, y), room_m),
        height_m=bound(widest.height_m, z, room_m),
        rotation_rad=bound(widest.rotation_rad, max(turns), room_rad),
    )


def calibrate(episodes: Sequence[ScoredEpisode], config: ClassifierConfig, guard: Guard) -> Calibration:
    """Choose the threshold and say what is known of it.

    False successes come first: the threshold lies above all critical ones but as many as the wanted bound, or
    `config.tolerated`, bears, and above those too where that costs no more than `config.misses` of the
    successes. Within what is left it lies half-way (in the logit) to where more would be missed.

    Args:
        episodes: Whole episodes with held-out scores; one at least with a frame without success.
        config: k, wanted bound and confidence.
        guard: To judge by from now on.
    """
    # Where every frame shows success none can be mistaken for it: such an episode proves nothing.
    count, confidence = sum(each.frames.fails for each in episodes), config.confidence
    streaks = [_streaks(each, config.consecutive) for each in episodes]
    is_negative = [each.frames.labels == NEGATIVE for each in episodes]
    critical = np.array([_largest(s[n]) for s, n in zip(streaks, is_negative, strict=True) if n.any()])
    reached = np.array(
        [
            _largest(s[~n])
            for s, n, each in zip(streaks, is_negative, episodes, strict=True)
            if each.frames.succeeds
        ]
    )
    bears = _bearable(count, config)
    threshold = _threshold(np.sort(critical)[::-1][: bears + 1], reached[reached > 0.0], config.misses)
    negative = np.concatenate([each.scores[n] for each, n in zip(episodes, is_negative, strict=True)])
    return Calibration(
        threshold=threshold,
        consecutive=config.consecutive,
        guard=guard,
        episodes=count,
        false_positives=int((critical >= threshold).sum()),
        bound=upper_limit(bears, count, confidence),
        confidence=confidence,
        wanted=config.false_positives,
        needed=math.ceil(math.log(1.0 - confidence) / math.log(1.0 - config.false_positives)),
        successes=len(reached),
        missed=int((reached < threshold).sum()),
        frame_false_positives=float((negative >= threshold).mean()),
    )


def upper_limit(events: int, trials: int, confidence: float) -> float:
    """Exact one-sided upper limit of a share (Clopper and Pearson, Biometrika 26, 1934).

    Args:
        events: How often it happened.
        trials: Out of how many.
        confidence: Of the limit [1].
    """
    if events >= trials:
        return 1.0
    low, high = events / trials, 1.0
    while high - low > 1e-9:
        middle = 0.5 * (low + high)
        if _at_most(events, trials, middle) > 1.0 - confidence:
            low = middle
        else:
            high = middle
    return high


def _at_most(events: int, trials: int, share: float) -> float:
    """P(Binomial(trials, share) ≤ events)."""
    if share >= 1.0:
        return 0.0
    total = 0.0
    for k in range(events + 1):
        ways = math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        happened = k * math.log(share) if k else 0.0
        total += math.exp(ways + happened + (trials - k) * math.log1p(-share))
    return total


def _bearable(count: int, config: ClassifierConfig) -> int:
    """False successes among so many episodes that may be borne; fixed before any is looked at.

    As many as the wanted bound bears. Where so few episodes could not show it at all, as many as are
    tolerated: one of them, in which the part stood a hair from its place for a while, must not make a
    classifier that misses most successes.
    """
    if upper_limit(0, count, config.confidence) > config.false_positives:
        return int(config.tolerated * count)
    bears = 0
    while upper_limit(bears + 1, count, config.confidence) <= config.false_positives:
        bears += 1
    return bears


def _streaks(episode: ScoredEpisode, k: int) -> np.ndarray:
    """(T,) the largest threshold at which each look would complete k in a row, within the guard; 0 for none.

    An episode that ended in success would have shown it for longer: its last look stands for those to come.
    """
    frames, guard = episode.frames, episode.guard
    allowed = [guard.allows(*each) for each in zip(frames.coordinates, frames.forces, strict=True)]
    scores = np.where(allowed, episode.scores, 0.0)
    padded = np.concatenate([np.zeros(k - 1), scores])
    streaks = np.lib.stride_tricks.sliding_window_view(padded, k).min(axis=1)
    if frames.labels[-1] == POSITIVE:
        streaks[-1] = max(streaks[-1], scores[-1])
    return streaks


def _largest(streaks: np.ndarray) -> float:
    return float(streaks.max()) if len(streaks) else 0.0


def _threshold(critical: np.ndarray, reached: np.ndarray, misses: float) -> float:
    """A threshold above one of the critical ones (largest first), the first that leaves the successes."""
    most = float(np.quantile(reached, misses, method="lower")) if len(reached) else 0.0
    lows = np.maximum(critical, _EVEN).tolist()
    for low in lows:
        if most > low:
            return _half_way(low, most)
    return float(np.nextafter(lows[-1], 1.0))


def _half_way(low: float, high: float) -> float:
    """Between two probabilities, in the logit; above the lower one."""
    z = [math.log(p / (1.0 - p)) for p in (max(low, _LEAST), min(high, 1.0 - _LEAST))]
    return min(high, max(float(np.nextafter(low, 1.0)), 1.0 / (1.0 + math.exp(-0.5 * sum(z)))))


def _per_hundred(share: float) -> str:
    """A share as a number in 100, rounded up."""
    hundred = 100.0 * share - 1e-6
    return f"{math.ceil(hundred)}" if hundred > 10.0 else f"{math.ceil(10.0 * hundred) / 10.0:g}"
