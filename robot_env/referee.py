"""Decides after each step whether the episode has succeeded, and what the step is worth.

By the simulated cell's own knowledge, by a judge that looks at the images, or not at all where the operator
alone says so. Where there is a cell, what it knows is told beside whatever was decided: experiments and
evaluation are measured by it.
"""

import time
from collections.abc import Mapping

import numpy as np

from handrail.robot_env.errors import ConfigError
from handrail.robot_env.judge import Judge, RewardConfig, Situation, Verdict
from handrail.robot_env.tasks import Scene


class Referee:
    """One per environment; call it from the control thread.

    Args:
        config: where the reward comes from.
        success_steps: steps in a row that must look like success to the scene.
        scene: the simulated cell; None on hardware.
        judge: what judges images, for source "classifier" and for no other.

    Attributes:
        look_ms: how long the judge took over the last step [ms]; 0 without one.
        late_looks: its looks that took longer than `config.budget_ms`.

    Raises:
        ConfigError: a judge is missing, or given where none is asked.
    """

    def __init__(
        self, config: RewardConfig, success_steps: int, scene: Scene | None, judge: Judge | None
    ) -> None:
        if config.source == "classifier" and judge is None:
            raise ConfigError(
                "env.reward.source is 'classifier' and no judge was given; load one from "
                "env.reward.classifier, or set env.reward.source"
            )
        if config.source != "classifier" and judge is not None:
            raise ConfigError(
                f"env.reward.source is {config.source!r} and a judge was given, which it would not ask; "
                "set env.reward.source=classifier, or give none"
            )
        self.look_ms = 0.0
        self.late_looks = 0
        self._budget_ms = config.budget_ms
        self._by_scene = config.source == "task"
        self._success_steps = success_steps
        self._scene = scene
        self._judge = judge
        self._streak = 0

    @property
    def seated(self) -> bool | None:
        """Whether the last look found the task done; None where nobody can know.

        One look: what the task calls success is `success_steps` of them in a row.
        """
        return None if self._scene is None else self._streak > 0

    def begin(self, images: Mapping[str, np.ndarray]) -> None:
        """A new episode begins, with these images.

        Raises:
            CameraError: they cannot be judged.
        """
        self._streak = 0
        self.look_ms = 0.0
        if self._judge is not None:
            self._judge.begin(images)

    def judge(self, images: Mapping[str, np.ndarray], situation: Situation) -> Verdict:
        """The verdict on what a step led to.

        Raises:
            CameraError: the images cannot be judged.
            ArmError: the cell behind an arm server does not answer.
        """
        if self._scene is not None:
            self._streak = self._streak + 1 if self._scene.success() else 0
        if self._judge is not None:
            began_ns = time.perf_counter_ns()
            verdict = self._judge.judge(images, situation)
            self.look_ms = (time.perf_counter_ns() - began_ns) / 1e6
            self.late_looks += self.look_ms > self._budget_ms
            return verdict
        success = self._by_scene and self._streak >= self._success_steps
        return Verdict(success, float(success))
