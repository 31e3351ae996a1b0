"""Who says that an episode has succeeded.

In simulation the cell knows; on a real arm a reward classifier on the camera images does, or the operator
alone. The environment asks a `Judge` after each step. The operator's word stands over it, whatever it says
(`intervention/episode.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from handrail.robot_env.errors import ConfigError

RewardSource = Literal["task", "classifier", "operator"]


@dataclass(frozen=True)
class RewardConfig:
    """Where the reward comes from.

    Attributes:
        source: "task" (the simulated cell's own knowledge; on a real arm nobody's), "classifier", or
            "operator" (the success button alone).
        classifier: Folder of a trained classifier (`handrail classify train`), or of one for each stage, in
            order: each stage is rewarded once, and the last one ends the episode.
        budget_ms: Longest that looking may take [ms]: an arm that moves meanwhile is not driven with a
            classifier whose median is longer at the start, and single looks that are longer are counted.
        consecutive: Looks in a row that must see a success; None as the classifier was calibrated.
        guard: Believe a success only where the classifier's guard on pose and force lets one be.
        false_positive_rate: For experiments: share of frames without success that are called success.
    """

    source: RewardSource = "task"
    classifier: tuple[str, ...] = ()
    budget_ms: float = 25.0
    consecutive: int | None = None
    guard: bool = True
    false_positive_rate: float = 0.0

    def __post_init__(self) -> None:
        if (self.source == "classifier") != bool(self.classifier):
            raise ConfigError(
                f"env.reward.source is {self.source!r} with classifier {list(self.classifier)}; "
                "source=classifier needs one, and nothing else takes one"
            )
        if not 0.0 < self.budget_ms <= 1000.0:
            raise ConfigError(f"env.reward.budget_ms is {self.budget_ms}, must be in (0, 1000]; use 25")
        if self.consecutive is not None and self.consecutive < 1:
            raise ConfigError(f"env.reward.consecutive is {self.consecutive}, must be 1 or more; use 2")
        if not 0.0 <= self.false_positive_rate <= 1.0:
            raise ConfigError(
                f"env.reward.false_positive_rate is {self.false_positive_rate}, must be in [0, 1]; use 0"
            )


@dataclass(frozen=True, slots=True)
class Situation:
    """What a judge may know beside the images.

    Attributes:
        coordinates: (6,) of the tool from the *nominal* seated pose: x, y, z [m], rotation vector [rad].
        force: (3,) of the environment on the tool, tool frame [N].
        gripper_width_m: Opening of the gripper [m].
        step: Steps taken in the episode, 0 after the reset.
    """

    coordinates: np.ndarray
    force: np.ndarray
    gripper_width_m: float
    step: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge says of one observation.

    Attributes:
        success: The task is done: the episode ends here, terminated.
        reward: Of the step.
        score: Probability of success, from a classifier; None where nothing was estimated.
        version: Of the classifier; "" for none.
    """

    success: bool
    reward: float
    score: float | None = None
    version: str = ""


class Judge(Protocol):
    """Judges observations, in the control thread, once a step."""

    @property
    def threshold(self) -> float | None:
        """Score from which a look counts as a success now; None for a judge without such a number."""
        return None

    def begin(self, images: Mapping[str, np.ndarray]) -> None:
        """A new episode begins, with these images.

        Raises:
            CameraError: the images cannot be judged: black, of another size, of swapped cameras.
        """
        ...

    def judge(self, images: Mapping[str, np.ndarray], situation: Situation) -> Verdict:
        """The verdict on what a step led to; images are (H, W, 3) uint8 by camera."""
        ...
