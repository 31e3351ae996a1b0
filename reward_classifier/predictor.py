"""A trained classifier in the loop: it looks at each step's images and says whether the task is done."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np
import torch

from handrail.reward_classifier.artifact import Classifier
from handrail.reward_classifier.guard import NO_GUARD, Guard, Streak
from handrail.reward_classifier.watch import ImageWatch, check_not_swapped, check_views
from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.judge import RewardConfig, Situation, Verdict

_WARM_UP_LOOKS = 5
_TIMED_LOOKS = 15
_INJECTION = 0x1F  # keeps the stream of injected errors apart from every other one of a seed


def rules_of(classifier: Classifier, config: RewardConfig) -> tuple[int, Guard]:
    """(k, guard) by which scores become verdicts: as calibrated, where the run says nothing else."""
    return config.consecutive or classifier.consecutive, classifier.guard if config.guard else NO_GUARD


class ClassifierJudge:
    """Judges by a classifier, k looks in a row, within the guard. For one thread.

    Args:
        classifier: What looks.
        cameras: The environment's images.
        config: How; `consecutive` and `guard` may overrule what was calibrated, for experiments.
        seed: Names the stream of injected false positives, together with what is seen first in an episode
            and the number of episodes before, so that a restarted run does not repeat its errors.

    Raises:
        ConfigError: the classifier was trained on other images.
    """

    def __init__(
        self, classifier: Classifier, cameras: Sequence[CameraConfig], config: RewardConfig, seed: int = 0
    ) -> None:
        check_views(classifier.cameras, cameras, str(classifier.folder))
        self.classifier = classifier
        self._names = [camera.name for camera in classifier.cameras]
        self._shapes = {camera.name: (camera.height, camera.width, 3) for camera in classifier.cameras}
        self._watch = ImageWatch(self._shapes)
        consecutive, self._guard = rules_of(classifier, config)
        self._streak = Streak(consecutive)
        self._injected = config.false_positive_rate
        self._seed, self._episode = seed, 0
        self._rng = np.random.default_rng(seed)

    @property
    def threshold(self) -> float:
        """Score from which a look counts as a success."""
        return self.classifier.threshold

    def warm_up(self, budget_ms: float | None = None) -> float:
        """Look a few times at noise; returns the median time of a look [ms].

        With one thread, from here on in the whole process: as an actor looks, so that what is measured
        anywhere is what a run will have.

        Args:
            budget_ms: Longest that it may be; None where no time passes meanwhile.

        Raises:
            ConfigError: a look takes longer.
        """
        torch.set_num_threads(1)
        rng, took = np.random.default_rng(0), []
        for number in range(_WARM_UP_LOOKS + _TIMED_LOOKS):
            images = {name: rng.integers(0, 256, shape, np.uint8) for name, shape in self._shapes.items()}
            began = time.perf_counter()
            self.score(images)
            if number >= _WARM_UP_LOOKS:
                took.append((time.perf_counter() - began) * 1e3)
        typical = median(took)
        if budget_ms is not None and typical > budget_ms:
            raise ConfigError(
                f"classifier {self.classifier.folder} takes {typical:.1f} ms a look, env.reward.budget_ms is "
                f"{budget_ms:g}; leave it a core of its own, train it on fewer cameras, or raise the budget"
            )
        return typical

    def score(self, images: Mapping[str, np.ndarray]) -> float:
        """Probability of success in images, (H, W, 3) uint8 by camera; it looks at its own alone."""
        return self.classifier.score(self.classifier.trunk.of({name: images[name] for name in self._names}))

    def begin(self, images: Mapping[str, np.ndarray]) -> None:
        """A new episode begins, with these images.

        Raises:
            CameraError: an image is missing, black or of another size, or two cameras are swapped.
        """
        self._watch.restart(images)
        maps = self.classifier.trunk.of({name: images[name] for name in self._names})
        check_not_swapped(
            {name: features.float().numpy() for name, features in maps.items()}, self.classifier.statistics
        )
        self._streak.restart()
        seen = zlib.crc32(b"".join(images[name].tobytes() for name in self._names))
        self._rng = np.random.default_rng((self._seed, self._episode, seen, _INJECTION))
        self._episode += 1

    def judge(self, images: Mapping[str, np.ndarray], situation: Situation) -> Verdict:
        """The verdict on what a step led to.

        Raises:
            CameraError: an image is missing, black, of another size, or frozen.
        """
        self._watch.look(images, situation)
        score = self.score(images)
        # Drawn at every look, so that a stream means the same whatever was seen before.
        injected = self._rng.random() < self._injected
        positive = injected or score >= self.classifier.threshold
        success = self._streak.look(positive and self._guard.allows(situation.coordinates, situation.force))
        return Verdict(success, float(success), score, self.classifier.version)
