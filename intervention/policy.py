"""What the control loop asks of a policy."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np


class PolicyStep(NamedTuple):
    """What a policy says.

    Attributes:
        action: (A,) float32 in [-1, 1], end-effector frame.
        weights_version: Version of the weights that said so.
        log_prob: Log-density of the action, where the policy is stochastic.
        value: What the policy's critics think of the action (discounted return), where it has any.
    """

    action: np.ndarray
    weights_version: int
    log_prob: float | None = None
    value: float | None = None


class Policy(Protocol):
    """Chooses actions."""

    def act(self, observation: Mapping[str, np.ndarray]) -> PolicyStep:
        """Return the action for an observation as the environment gives it.

        Args:
            observation: "state" (D,) float32 as in the environment's `state_spec`; every other key is a
                camera, (H, W, 3) uint8.
        """
        ...
