"""Our gains in franky's terms: tracking motions, their clips, and what they cannot clip themselves.

franky clips the error evenly in both directions, in its 1 kHz loop, and for the life of a motion. Gains whose
two directions differ are clipped there to the wider one, and the set-point is kept within the narrower one of
the tool whenever it is written.
"""

from typing import Any

import numpy as np

from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.arms.franka.config import FrankaConfig
from handrail.robot_env.geometry import (
    Array,
    quat_from_rotvec,
    quat_inverse,
    quat_multiply,
    rotvec_from_quat,
)


class FrankaImpedance:
    """Gains, ready for the SDK.

    Args:
        sdk: the franky module.
        config: facts of the robot: clips where the gains leave them open, posture, friction.
        gains: the gains.

    Attributes:
        clip: (6,) what the 1 kHz loop clips the error to, either way [m, rad].
        even: whether both directions are clipped alike, so that nothing else is to be done.
    """

    def __init__(self, sdk: Any, config: FrankaConfig, gains: Gains) -> None:
        self._sdk, self._config, self._gains = sdk, config, gains
        clip_m, clip_rad = gains.clip_m or config.clip_m, gains.clip_rad or config.clip_rad
        self._high = np.array((*clip_m, *clip_rad))
        self._low = -np.array((*(gains.clip_neg_m or clip_m), *(gains.clip_neg_rad or clip_rad)))
        self.clip = np.maximum(self._high, -self._low)
        self.even = bool((self._high == -self._low).all())

    def gains(self) -> Any:
        """The gains as franky's."""
        g = self._gains
        return self._sdk.CartesianImpedanceGains.isotropic(
            g.translation_n_m, g.rotation_nm_rad, g.translation_damping_ns_m, g.rotation_damping_nms_rad
        )

    def motion(self, target: Any, q: Array) -> Any:
        """A tracking motion that begins at `target`, an Affine; without a posture, `q` draws the elbow."""
        sdk, config = self._sdk, self._config
        options: dict[str, Any] = {}
        if config.posture_stiffness_nm > 0.0:
            posture = np.array(config.posture) if config.posture else q
            options["posture_task"] = sdk.PostureTask(posture, stiffness=config.posture_stiffness_nm)
        if config.friction_nm:
            friction = list(config.friction_nm)
            options["friction"] = sdk.FrictionCompensationParams(coulomb=friction, max_torque=friction)
        motion = sdk.CartesianImpedanceTrackingMotion(
            translational_error_clip=self.clip[:3], rotational_error_clip=self.clip[3:], **options
        )
        motion.set_gains(self.gains())
        motion.set_reference(sdk.CartesianReference(target=target))
        return motion

    def reference(self, pose: Array, measured: Array) -> Any:
        """What to pull towards for the set-point `pose` (7,), with the tool at `measured` (7,)."""
        target = pose if self.even else self.limited(pose, measured)
        return self._sdk.CartesianReference(target=self._sdk.Affine(target[:3], target[3:]))

    def limited(self, pose: Array, measured: Array) -> Array:
        """The pose (7,) nearest to `pose` that lies within the clips of `measured`, axis by axis."""
        turn = rotvec_from_quat(quat_multiply(pose[3:], quat_inverse(measured[3:])))
        error = np.concatenate((pose[:3] - measured[:3], turn))
        near = np.clip(error, self._low, self._high)
        quat = quat_multiply(quat_from_rotvec(near[3:]), measured[3:])
        return np.concatenate((measured[:3] + near[:3], quat))
