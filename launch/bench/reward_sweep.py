"""What the rules around a classifier buy, on the looks of a run: its scores again, with errors added.

Training with every rule at every rate takes hours; the looks of one run say in seconds how many episodes a
wrong frame would have ended too early.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch.bench.figures import Figure
from handrail.reward_classifier.artifact import Classifier
from handrail.reward_classifier.guard import first_success
from handrail.reward_classifier.recorded import RecordedSituations
from handrail.reward_classifier.stored import stored_episodes
from handrail.robot_env.config import EnvConfig

_REPEATS = 20


class Looks(NamedTuple):
    """One episode as the classifier saw it: arrays of one value a look."""

    scores: np.ndarray
    allowed: np.ndarray
    seated: np.ndarray


def looks_of(run: RunDirectory, env: EnvConfig, classifier: Classifier) -> list[Looks]:
    """The finished episodes of a run in which every step was judged."""
    situations, found = RecordedSituations(env), []
    for episode in stored_episodes(LogReader(run.segments)):
        scores = [step.score for step in episode.steps if step.score is not None]
        if episode.end is None or not scores or len(scores) < len(episode.steps):
            continue
        situations.begin(episode.start)
        allowed = [classifier.guard.allows(*situations.after(step)) for step in episode.steps]
        seated = [bool(step.seated) for step in episode.steps]
        found.append(Looks(np.array(scores), np.array(allowed), np.array(seated)))
    return found


def sweep(
    episodes: Sequence[Looks], rates: Sequence[float], threshold: float, consecutive: int
) -> Iterator[Figure]:
    """False successes in 100 episodes at each rate, with each of the rules, with both and with neither."""
    rules = {
        "neither": (1, False),
        "guard": (1, True),
        f"{consecutive}_in_a_row": (consecutive, False),
        "both": (consecutive, True),
    }
    for rate in rates:
        for name, (k, guarded) in rules.items():
            false = _false_successes(episodes, rate, threshold, k, guarded=guarded)
            per_100 = 100.0 * false / max(1, _REPEATS * len(episodes))
            yield Figure(f"replayed_rate_{rate:g}_{name}_false_positives", per_100, "per 100")


def _false_successes(
    episodes: Sequence[Looks], rate: float, threshold: float, consecutive: int, *, guarded: bool
) -> int:
    """In all repetitions together; the same looks are hit whatever the rules are."""
    rng, false = np.random.default_rng(0), 0
    for each in episodes:
        everywhere = np.ones(len(each.scores), bool)
        for _ in range(_REPEATS):
            scores = np.where(rng.random(len(each.scores)) < rate, 1.0, each.scores)
            at = first_success(
                scores,
                each.allowed if guarded else everywhere,
                threshold=threshold,
                consecutive=consecutive,
            )
            false += at is not None and not each.seated[at]
    return false
