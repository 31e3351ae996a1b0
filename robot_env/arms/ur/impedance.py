"""A spring and a damper made of UR's force mode, and UR's notation in Handrail's.

Force mode presses with a given wrench and moves to keep that up. Given K·clip(target - pose) - D·velocity,
renewed at every round, the arm hangs on a spring at the target: it goes there through free space, and in
contact it presses with the stiffness times the *clipped* error and no more. The target is wherever the arm
server's gate has put it.
"""

from collections.abc import Sequence

import numpy as np

from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.arms.ur.config import URConfig
from handrail.robot_env.geometry import (
    Array,
    Vector,
    quat_from_rotvec,
    quat_inverse,
    quat_multiply,
    quat_rotate,
    rotvec_from_quat,
)


class Impedance:
    """The wrench that pulls a tool towards a target.

    Args:
        gains: stiffness, damping, clips.
        config: clips where the gains have none, and the limits of the wrench.
    """

    def __init__(self, gains: Gains, config: URConfig) -> None:
        self._stiffness = np.repeat((gains.translation_n_m, gains.rotation_nm_rad), 3)
        self._damping = np.repeat((gains.translation_damping_ns_m, gains.rotation_damping_nms_rad), 3)
        clip_m, clip_rad = gains.clip_m or config.clip_m, gains.clip_rad or config.clip_rad
        self._high = np.array((*clip_m, *clip_rad))
        self._low = -np.array((*(gains.clip_neg_m or clip_m), *(gains.clip_neg_rad or clip_rad)))
        self._most = np.repeat((config.force_limit_n, config.torque_limit_nm), 3)

    def wrench(self, target: Array, pose: Array, twist: Array) -> Array:
        """What the tool is to press its environment with, (6,) [N, Nm], base orientation.

        Args:
            target: (7,) pose to pull towards, base frame.
            pose: (7,) measured pose, base frame.
            twist: (6,) measured velocity, base frame.
        """
        turn = rotvec_from_quat(quat_multiply(target[3:], quat_inverse(pose[3:])))
        error = np.concatenate((target[:3] - pose[:3], turn))
        pull = self._stiffness * np.clip(error, self._low, self._high) - self._damping * twist
        return np.clip(pull, -self._most, self._most)


def pose_from_ur(pose: Sequence[float]) -> Array:
    """Pose (7,) of UR's x y z and rotation vector."""
    return np.array((*pose[:3], *quat_from_rotvec(pose[3:6]).tolist()))


def ur_from_pose(pose: Vector) -> list[float]:
    """UR's x y z and rotation vector of a pose (7,)."""
    x, y, z, *quat = (float(value) for value in pose)
    return [x, y, z, *rotvec_from_quat(quat).tolist()]


def tool_wrench(pose: Array, force: Sequence[float]) -> Array:
    """Environment on tool (6,) in the TOOL frame.

    Args:
        pose: (7,) measured pose.
        force: UR's actual_TCP_force, which is environment on tool too, but in base orientation.
    """
    back = quat_inverse(pose[3:])
    return np.concatenate((quat_rotate(back, force[:3]), quat_rotate(back, force[3:6])))
