"""What a Franka reports, in Handrail's terms: frames, signs, and why it will not move.

libfranka's wrench is what the robot does to its surroundings; ours is the opposite. It is given in the
stiffness frame, which the driver lays into the tool, and it becomes exactly zero near a singularity, where it
is worked out from the joint torques instead. Whether the robot is in a fault is read from its *mode*: a
latched reflex can report no error at all.
"""

from typing import Any

import numpy as np

from handrail.robot_env.geometry import Array

USER_STOP = "UserStopped"
FAULT_MODES = {
    "Reflex": "the robot stopped in a reflex",
    USER_STOP: "the user stop is pressed",
    "Guiding": "the robot is being guided by hand",
    "Other": "the robot is not ready: unlock its brakes and activate FCI in Desk",
    "AutomaticErrorRecovery": "the robot is recovering from an error",
}
"""Modes in which it follows nobody. Idle and Move are the good ones."""
_LOST = 0.1
"""Singular value of the Jacobian below which a direction of the wrench is nearly lost."""
_DAMPING = 0.05
"""Damping of a direction that is lost; it grows from none at `_LOST`."""


def error_names(errors: Any) -> list[str]:
    """Names of the flags that are set in libfranka's list of errors."""
    return [name for name in dir(errors) if not name.startswith("_") and getattr(errors, name) is True]


def fault_of(state: Any) -> tuple[str, bool]:
    """Why the robot will not move, "" when it would; and whether software must not clear that."""
    mode = state.robot_mode.name
    errors = error_names(state.current_errors)
    if mode not in FAULT_MODES and not errors:
        return "", False
    reason = FAULT_MODES.get(mode, "the robot reports errors")
    names = errors or (error_names(state.last_motion_errors) if mode == "Reflex" else [])
    if mode == "Reflex" and not names:
        names = ["no error flags"]
    return (f"{reason} ({', '.join(names)})" if names else reason), mode == USER_STOP


def pose_of(affine: Any) -> Array:
    """(7,) of franky's Affine; its quaternion is x y z w, too."""
    return np.concatenate((affine.translation, affine.quaternion))


def twist_of(state: Any, jacobian: Array) -> Array:
    """(6,) velocity of the tool, base frame, from the joints: franky's own estimate is None while idle."""
    return jacobian @ state.dq


def wrench_of(state: Any, jacobian: Array) -> Array:
    """(6,) force and torque of the environment on the tool, tool frame, not tared."""
    reported: Array = state.K_F_ext_hat_K
    if reported.any():
        return -reported
    # All six exactly zero: the robot gave up near a singularity (or nothing touches it, which gives zero here
    # as well).
    torques: Array = state.tau_ext_hat_filtered
    if not torques.any():
        return np.zeros(6)
    base = _wrench_from(torques, jacobian)
    turn = state.O_T_EE.matrix[:3, :3]
    return -np.concatenate((turn.T @ base[:3], turn.T @ base[3:]))


def _wrench_from(torques: Array, jacobian: Array) -> Array:
    """(6,) wrench that puts `torques` (7,) on the joints, by least squares; finite at a singularity, too.

    Only the directions that are nearly lost are damped, for damping makes a force look smaller than it is
    (numerical filtering: Maciejewski and Klein 1988, Journal of Robotic Systems 5(6)).
    """
    directions, sizes, joints = np.linalg.svd(jacobian, full_matrices=False)
    damping = _DAMPING**2 * np.clip(1.0 - (sizes / _LOST) ** 2, 0.0, 1.0)
    return directions @ (sizes / (sizes**2 + damping) * (joints @ torques))
