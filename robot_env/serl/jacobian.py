"""The Jacobian of a tool from joint angles and the reported tool pose, for clients that ask for one.

Where the tool's centre point lies on the flange is not configured but taken from the reported pose, so that
any tool is right. The arm must be known for that: a UR is told by its configured tool, once.
"""

import logging

import numpy as np

from handrail.robot_env.arms.kinematics import DHTable
from handrail.robot_env.arms.models import table_of
from handrail.robot_env.arms.reach import Posture
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.geometry import Array, Vector

log = logging.getLogger(__name__)


def tool_jacobian(table: DHTable, q: Array, pose: Vector) -> Array:
    """The Jacobian (6, J) of the tool centre point, base frame: linear rows, then angular.

    Args:
        table: the arm's kinematics.
        q: (J,) joint angles [rad].
        pose: (7,) reported tool pose, base frame.

    Returns:
        Zeros when the kinematics are not this arm's: a wrong Jacobian would be worse than none.
    """
    posture = Posture(table, np.asarray(q), np.asarray(pose))
    if not posture.known:
        return np.zeros((6, len(q)))
    return posture.turn[:, None] * posture.jacobian()


class ToolJacobian:
    """The Jacobian of one arm's tool. One thread.

    Args:
        config: the arm, and which tool it has where that tells the model.
    """

    def __init__(self, config: EnvConfig) -> None:
        self._config = config
        self._table: DHTable | None = None
        self._logged = False

    def of(self, q: Array, pose: Vector) -> Array | str:
        """The Jacobian (6, J) at joint angles (J,) [rad] and reported tool pose (7,); or why not known."""
        if self._table is None:
            told = table_of(self._config, q, np.asarray(pose))
            if isinstance(told, str):
                return self._unknown(told)
            self._table = told
        jacobian = tool_jacobian(self._table, q, pose)
        if not jacobian.any():
            return self._unknown("the arm's joint angles do not explain where its tool is")
        return jacobian

    def _unknown(self, why: str) -> str:
        """`why`; the log has the first of them, for who asks for whole states only and gets zeros."""
        if not self._logged:
            log.warning("no Jacobian: %s", why)
            self._logged = True
        return f"no Jacobian: {why}"
