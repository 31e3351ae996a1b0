"""The Jacobian of a tool from joint angles and the reported tool pose, for clients that ask for one.

Where the tool's centre point lies on the flange is not configured but taken from the reported pose, so that
any tool is right. The arm must be known for that: a UR is told by its configured tool, once.
"""

import logging
import math

import numpy as np

from handrail.robot_env.arms.kinematics import DHTable
from handrail.robot_env.arms.models import table_of
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.geometry import Array, Vector, quat_rotate

log = logging.getLogger(__name__)

LONGEST_TOOL_M = 0.35
"""A tool centre point farther from the flange than this is another arm's, or another base's [m]."""


def tool_jacobian(table: DHTable, q: Array, pose: Vector) -> Array:
    """The Jacobian (6, J) of the tool centre point, base frame: linear rows, then angular.

    Each column is what a joint's axis z does to the tool: z × (tool − joint), and z. A UR's own base frame is
    turned by half a turn against that of our cells; whichever of the two explains the reported pose is taken.

    Args:
        table: the arm's kinematics.
        q: (J,) joint angles [rad].
        pose: (7,) reported tool pose, base frame.

    Returns:
        Zeros when the kinematics are not this arm's: a wrong Jacobian would be worse than none.
    """
    nothing = np.zeros((6, len(q)))
    if len(q) != len(table.rows):
        return nothing
    *joints, flange = table.frames(q)
    for sign in (1.0, -1.0):
        tool = np.array((sign * pose[0], sign * pose[1], pose[2]))
        if math.dist(tool, flange[:3]) > LONGEST_TOOL_M:
            continue
        turn = np.array((sign, sign, 1.0))
        axes = [quat_rotate(joint[3:], (0.0, 0.0, 1.0)) for joint in joints]
        columns = [
            np.concatenate((turn * np.cross(z, tool - joint[:3]), turn * z))
            for z, joint in zip(axes, joints, strict=True)
        ]
        return np.column_stack(columns)
    return nothing


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
