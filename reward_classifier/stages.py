"""A task in stages: a judge for each, asked in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from handrail.robot_env.errors import ConfigError
from handrail.robot_env.judge import Judge, Situation, Verdict


class StagedJudge:
    """Rewards each stage once, when it is first reached; the last one ends the episode.

    A stage is looked for once the one before it is done. Each is worth 1/n, so that a whole episode is worth
    1, as one without stages is, and values stay within `agent.target_clip`.

    Args:
        stages: The judges, in order.

    Attributes:
        stage: Number of stages done in this episode.
    """

    def __init__(self, stages: Sequence[Judge]) -> None:
        if not stages:
            raise ConfigError("a task in stages has none; give a classifier for each")
        self._stages = list(stages)
        self.stage = 0

    @property
    def threshold(self) -> float | None:
        """That of the stage which is looked for now."""
        return self._stages[self.stage].threshold

    def begin(self, images: Mapping[str, np.ndarray]) -> None:
        """A new episode begins, with these images, which every stage must be able to judge.

        Raises:
            CameraError: one cannot.
        """
        self.stage = 0
        for judge in self._stages:
            judge.begin(images)

    def judge(self, images: Mapping[str, np.ndarray], situation: Situation) -> Verdict:
        """The verdict of the stage that is looked for now."""
        verdict = self._stages[self.stage].judge(images, situation)
        if not verdict.success:
            return replace(verdict, reward=0.0)
        last = self.stage == len(self._stages) - 1
        self.stage += not last
        return replace(verdict, success=last, reward=1.0 / len(self._stages))
