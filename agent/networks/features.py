"""What the networks see of a state: every number at its usual magnitude, and some at the scale that decides.

A start lies centimetres from the socket, and half a millimetre decides whether the module goes in. Divided by
centimetres, half a millimetre all but vanishes; so positions and rotations appear twice, the second time as
`tanh(x / resolution)`: steep near the goal, and saturated far from it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from handrail.robot_env.spec import StateSpec


class StateFeatures:
    """Fixed features of a state, nothing learned.

    Args:
        spec: names the scale of every number, and the resolution of some.
        fine: whether to add the second view of those that have a resolution.
    """

    def __init__(self, spec: StateSpec, *, fine: bool) -> None:
        self._inverse_scale = 1.0 / torch.tensor(spec.scale)
        chosen = np.flatnonzero(np.isfinite(spec.resolution)) if fine else np.empty(0, dtype=np.int64)
        self._chosen = torch.from_numpy(chosen)
        self._inverse_resolution = 1.0 / torch.tensor(spec.resolution[chosen])
        self.size = spec.size + len(chosen)

    def __call__(self, state: Tensor) -> Tensor:
        """Features (B, size) of states (B, D) in SI units."""
        scaled = state * self._inverse_scale
        if not len(self._chosen):
            return scaled
        return torch.cat([scaled, torch.tanh(state[:, self._chosen] * self._inverse_resolution)], -1)
