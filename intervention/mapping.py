"""From a device's deflection to an action in the policy's frame.

Per axis: choose and sign it, cut the dead zone and stretch the rest back to [-1, 1] (so that motion begins at
zero speed, not with a jump), average out a trembling hand. A hand that lets go gets zero at once, not a
decaying tail.
"""

import math

import numpy as np

from handrail.intervention.config import MappingConfig
from handrail.intervention.device import Reading
from handrail.robot_env.clock import NS_PER_S


class Mapping:
    """Maps readings to actions; holds the running average. One per device.

    Args:
        config: Axes, signs, dead zone and smoothing.
    """

    def __init__(self, config: MappingConfig) -> None:
        self._config = config
        self._axes = np.array(config.axes)
        self._gain = np.array(config.gain)
        self.reset()

    def reset(self) -> None:
        """Forget the average: a new episode begins with a quiet hand."""
        self._average = np.zeros(6)
        self._t_ns: int | None = None

    def apply(self, reading: Reading) -> np.ndarray:
        """Return the action that a reading asks for: (6,) float64 in [-1, 1], end-effector frame.

        A lost device, or one that reads no finite number, asks for nothing.
        """
        twist = reading.twist[self._axes]
        if not reading.connected or not np.isfinite(twist).all():
            self.reset()
            return np.zeros(6)
        dead = self._config.dead_zone
        beyond = np.clip((np.abs(twist) - dead) / (1.0 - dead), 0.0, 1.0)
        action = np.sign(twist) * beyond * self._gain
        if self._config.smoothing_s == 0.0:
            return action
        return self._smooth(action, reading.t_ns)

    def _smooth(self, action: np.ndarray, t_ns: int) -> np.ndarray:
        if not action.any() or self._t_ns is None:
            self._average = action
        else:
            elapsed_s = max(0, t_ns - self._t_ns) / NS_PER_S
            weight = 1.0 - math.exp(-elapsed_s / self._config.smoothing_s)
            self._average = self._average + weight * (action - self._average)
        self._t_ns = t_ns
        return self._average.copy()
