"""Inverse kinematics and the elbow's posture, both on the arm's own joints."""

from collections.abc import Sequence

import mujoco as mj
import numpy as np

from handrail.robot_env.errors import ArmError
from handrail.robot_env.geometry import Array, Vector, quat_inverse, quat_multiply, rotvec_from_quat


class ArmKinematics:
    """Solves joint angles for a tool pose, and keeps a redundant arm's elbow from wandering.

    Works on a scratch `MjData`, so that solving never disturbs the live state.

    Args:
        model: The compiled cell.
        joints: Names of the arm's joints, from the base outwards.
        posture: Preferred joint angles [rad], shape (J,).
    """

    def __init__(self, model: mj.MjModel, joints: tuple[str, ...], posture: tuple[float, ...]) -> None:
        self._model = model
        self._scratch = mj.MjData(model)
        self._site = model.site("tcp").id
        self._body = int(model.site_bodyid[self._site])
        ids = [model.joint(name).id for name in joints]
        self.qpos_at = slice(int(model.jnt_qposadr[ids[0]]), int(model.jnt_qposadr[ids[-1]]) + 1)
        self.dof_at = slice(int(model.jnt_dofadr[ids[0]]), int(model.jnt_dofadr[ids[-1]]) + 1)
        self._low = model.jnt_range[ids, 0] + 0.01
        self._high = model.jnt_range[ids, 1] - 0.01
        self.posture = np.array(posture)
        self._linear = np.zeros((3, model.nv))
        self._angular = np.zeros((3, model.nv))

    @property
    def redundant(self) -> bool:
        """Whether the arm can move without moving its tool."""
        return len(self.posture) > 6

    def require_joints(self, q: Sequence[float] | Array) -> Array:
        """Joint angles (J,) [rad] that the arm can take, as an array of their own.

        Raises:
            ArmError: not so many finite ones, or one beyond its limits.
        """
        angles = np.array(q, dtype=np.float64)
        count = len(self.posture)
        if angles.shape != (count,) or not np.isfinite(angles).all():
            raise ArmError(f"joint angles are {angles.tolist()}; this arm takes {count} finite ones")
        for number, (angle, low, high) in enumerate(zip(angles, self._low, self._high, strict=True), start=1):
            if not low <= angle <= high:
                raise ArmError(
                    f"joint {number} is to go to {angle:.3f} rad, outside its limits "
                    f"[{low:.3f}, {high:.3f}]; choose other angles"
                )
        return angles

    def pose(self, q: Array) -> Array:
        """Tool pose (7,), base frame, at joint angles (J,) [rad]."""
        data = self._scratch
        data.qpos[self.qpos_at] = q
        mj.mj_kinematics(self._model, data)
        w, x, y, z = data.xquat[self._body].tolist()
        return np.array([*data.site_xpos[self._site].tolist(), x, y, z, w])

    def solve(self, pose: Vector, start: Array | None = None) -> Array:
        """Joint angles (J,) [rad] that put the tool centre point at `pose` (7,), base frame.

        Damped least squares with the posture in the null space, from `start` or the preferred posture.

        Raises:
            ArmError: The pose cannot be reached to within 0.1 mm and 0.1 mrad.
        """
        data = self._scratch
        target = np.asarray(pose, dtype=np.float64)
        q = np.array(self.posture if start is None else start, dtype=np.float64)
        error = np.zeros(6)
        for _ in range(80):
            data.qpos[self.qpos_at] = q
            mj.mj_kinematics(self._model, data)
            mj.mj_comPos(self._model, data)
            error[:3] = target[:3] - data.site_xpos[self._site]
            w, x, y, z = data.xquat[self._body].tolist()
            error[3:] = _turn(target[3:], (x, y, z, w))
            if np.abs(error).max() < 1e-7:
                break
            jacobian = self._jacobian(data)
            gram = jacobian @ jacobian.T + 1e-8 * np.eye(6)
            step = jacobian.T @ np.linalg.solve(gram, error)
            pull = 0.1 * (self.posture - q)
            step += pull - jacobian.T @ np.linalg.solve(gram, jacobian @ pull)
            q = np.clip(q + np.clip(step, -0.3, 0.3), self._low, self._high)
        worst = float(np.abs(error).max())
        if not worst < 1e-4:
            raise ArmError(
                f"no joint angles reach the pose {np.round(target, 4).tolist()}: {worst:.4g} m or rad "
                "remain, limit 0.0001; choose a pose nearer to the base"
            )
        return q

    def posture_torque(self, data: mj.MjData, stiffness_nm: float) -> Array:
        """Joint torques (J,) [Nm] that pull the elbow home without pushing the tool.

        The pull is projected on the null space of the Jacobian, so that it holds no force against the
        impedance controller.
        """
        jacobian = self._jacobian(data)
        pull = stiffness_nm * (self.posture - data.qpos[self.qpos_at])
        return pull - jacobian.T @ np.linalg.solve(jacobian @ jacobian.T, jacobian @ pull)

    def _jacobian(self, data: mj.MjData) -> Array:
        """Jacobian (6, J) of the tool centre point in the base frame."""
        mj.mj_jacSite(self._model, data, self._linear, self._angular, self._site)
        return np.vstack((self._linear[:, self.dof_at], self._angular[:, self.dof_at]))


def _turn(target: Array, measured: tuple[float, float, float, float]) -> Array:
    """Rotation vector (3,), base frame, from the measured to the target orientation (x, y, z, w)."""
    return rotvec_from_quat(quat_multiply(target, quat_inverse(measured)))
