"""From a device's deflection to an action in the policy's frame, which is the end-effector's.

Per axis: choose and sign it, cut the dead zone and stretch the rest back to [-1, 1] (so that motion begins at
zero speed, not with a jump), average out a trembling hand. A hand that lets go gets zero at once, not a
decaying tail.

What results are directions either of the tool (`mapping.frame`: end_effector) or of the arm's base, as an
operator beside the arm sees them. The latter are turned into the base's axes by where that operator looks,
and then into the tool's frame by the tool's present orientation, so that up stays up while the tool turns.
"""

import math

import numpy as np

from handrail.intervention.config import MappingConfig
from handrail.intervention.device import Reading
from handrail.robot_env.clock import NS_PER_S
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.geometry import (
    quat_from_rotvec,
    quat_inverse,
    quat_multiply,
    quat_normalize,
    quat_rotate,
)


class Mapping:
    """Maps readings to actions; holds the running average. One per device.

    Args:
        config: Axes, signs, frame, dead zone and smoothing.
    """

    def __init__(self, config: MappingConfig) -> None:
        self._config = config
        self._axes = np.array(config.axes)
        self._gain = np.array(config.gain)
        self._base_from_operator = quat_from_rotvec((0.0, 0.0, math.radians(config.operator_deg)))
        self.reset()

    def reset(self) -> None:
        """Forget the average: a new episode begins with a quiet hand."""
        self._average = np.zeros(6)
        self._t_ns: int | None = None

    def apply(self, reading: Reading, tool_quat: np.ndarray | None = None) -> np.ndarray:
        """Return the action that a reading asks for: (6,) float64 in [-1, 1], end-effector frame.

        A lost device, or one that reads no finite number, asks for nothing.

        Args:
            reading: What the device says.
            tool_quat: Orientation of the tool, (4,) x y z w in the base frame; needed for frame "base".

        Raises:
            ConfigError: the frame is "base" and there is no orientation; on the first call, not only on the
                first deflection.
        """
        if self._config.frame == "base" and tool_quat is None:
            raise ConfigError(
                "mapping.frame is 'base', which needs the tool's orientation, and none is known here; "
                "choose mapping.frame=end_effector"
            )
        twist = reading.twist[self._axes]
        if not reading.connected or not np.isfinite(twist).all():
            self.reset()
            return np.zeros(6)
        dead = self._config.dead_zone
        beyond = np.clip((np.abs(twist) - dead) / (1.0 - dead), 0.0, 1.0)
        wanted = np.sign(twist) * beyond * self._gain
        if self._config.smoothing_s > 0.0:
            wanted = self._smooth(wanted, reading.t_ns)
        if self._config.frame == "end_effector" or tool_quat is None:
            return wanted
        turn = quat_multiply(quat_inverse(quat_normalize(tool_quat)), self._base_from_operator)
        return np.concatenate([_turned(turn, wanted[:3]), _turned(turn, wanted[3:])])

    def _smooth(self, action: np.ndarray, t_ns: int) -> np.ndarray:
        if not action.any() or self._t_ns is None:
            self._average = action
        else:
            elapsed_s = max(0, t_ns - self._t_ns) / NS_PER_S
            weight = 1.0 - math.exp(-elapsed_s / self._config.smoothing_s)
            self._average = self._average + weight * (action - self._average)
        self._t_ns = t_ns
        return self._average.copy()


def _turned(quat: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """`vector` (3,) turned by `quat`; shortened, not bent, where a component would leave [-1, 1]."""
    turned = quat_rotate(quat, vector)
    return turned / max(1.0, float(np.abs(turned).max()))
