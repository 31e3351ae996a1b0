"""An expert that sees the truth and seats the module: the skill behind demonstrations and interventions.

It works as a careful operator does: square the module up above the slot, come down to the rim, let it find
the chamfers, then press. When it is stuck it lifts a little and looks elsewhere. Its actions are those of a
policy, in [-1, 1] and in the end-effector frame, so that they can be recorded as demonstrations.

With a bias the expert is an operator who sees the socket slightly beside where it is; its search then finds
the slot most of the time, and not always.
"""

from typing import Literal

import numpy as np

from handrail.robot_env.geometry import (
    Array,
    pose_relative,
    quat_inverse,
    quat_multiply,
    quat_rotate,
    rotvec_from_quat,
)
from handrail.robot_env.sim.sizes import SOCKET_DEPTH_M, TOWER_HEIGHT_M
from handrail.robot_env.sim.truth import RamTruth
from handrail.robot_env.spec import ActionSpec

SEATED_TURN = (1.0, 0.0, 0.0, 0.0)
"""Orientation of a seated tip in the socket's frame: upside down, along the slot."""
_HOVER_M = TOWER_HEIGHT_M + 0.0025
_RIM_M = SOCKET_DEPTH_M
_CLICK_M = 0.5 * SOCKET_DEPTH_M
_STUCK_M, _STUCK_S, _BACK_OFF_S = 0.0002, 0.6, 0.2


class ScriptedExpert:
    """Seats the module from the truth; pure arithmetic, no physics.

    Args:
        action_spec: How actions scale to metres and radians.
        period_s: Time between two actions [s].
        target_reference: What an action is relative to: the last commanded pose or the measured one.
        bias_m: Standard deviation of an episode's error about where the slot is, x and y each [m].
        bias_rad: The same for its rotation [rad].
        noise: Standard deviation of noise on each component of an action [1].
    """

    def __init__(
        self,
        action_spec: ActionSpec,
        *,
        period_s: float = 0.1,
        target_reference: Literal["commanded", "measured"] = "commanded",
        bias_m: float = 0.0,
        bias_rad: float = 0.0,
        noise: float = 0.0,
    ) -> None:
        self._scale = np.repeat([action_spec.translation_m, action_spec.rotation_rad], 3)
        self._commanded = target_reference == "commanded"
        self._bias_scale = np.array([bias_m, bias_m, bias_rad])
        self._noise = noise
        # Everything below was tuned at 10 Hz; a faster rate asks for less per step.
        self._pace = min(1.0, period_s / 0.1)
        self._stuck_steps = max(2, round(_STUCK_S / period_s))
        self._back_off_steps = max(1, round(_BACK_OFF_S / period_s))
        self.reset(np.random.default_rng(0))

    def reset(self, rng: np.random.Generator) -> None:
        """Begin an episode; bias, noise and search follow from `rng`."""
        self._rng = rng
        self._bias = rng.normal(0.0, 1.0, 3) * self._bias_scale
        self._last_height = 1.0
        self._still = self._backing_off = 0

    def act(self, truth: RamTruth) -> Array:
        """The next action.

        Args:
            truth: The true state now.

        Returns:
            Action of shape (6,), in [-1, 1], end-effector frame.
        """
        tip = pose_relative(truth.T_base_socket, truth.T_base_tip)
        lateral = self._bias[:2] - tip[:2]
        turn = rotvec_from_quat(quat_multiply(SEATED_TURN, quat_inverse(tip[3:])))
        turn[2] += self._bias[2]
        move = np.array([*lateral, self._descent(float(tip[2]), lateral, turn)])
        move[:2] *= 1.2
        self._search(float(tip[2]))
        return self.steer(truth, move, turn)

    def _descent(self, height: float, lateral: Array, turn: Array) -> float:
        """Wanted vertical displacement [m] at a tip height above the groove's floor [m]."""
        off, tilt = float(np.abs(lateral).max()), float(np.abs(turn).max())
        if self._backing_off > 0:
            return 0.006
        if height > _HOVER_M:
            if off < 0.003 and tilt < 0.06:
                return -min(0.01, height - _HOVER_M + 0.001)
            return min(0.01, max(-0.01, _HOVER_M + 0.004 - height))
        if height > _RIM_M + 0.0015:
            if off < 0.0007 and tilt < 0.015:
                return -0.005
            return 0.0 if off < 0.003 else 0.004
        if height > _RIM_M - 0.0008:
            return -0.005 if off < 0.0006 and tilt < 0.012 else 0.0
        # Press through the click, then ease off, so that the floor is met softly.
        return -0.008 if height > _CLICK_M else -0.0055

    def _search(self, height: float) -> None:
        """Notice when the tip has stopped coming down; then lift, and try a slightly different place."""
        if self._backing_off > 0:
            self._backing_off -= 1
        elif height < _HOVER_M:
            moved = abs(height - self._last_height) >= _STUCK_M * self._pace
            self._still = 0 if moved else self._still + 1
            if self._still > self._stuck_steps:
                self._still, self._backing_off = 0, self._back_off_steps
                self._bias = 0.3 * self._bias + self._rng.normal(0.0, 1.0, 3) * (0.0003, 0.0003, 0.003)
        self._last_height = height

    def steer(self, truth: RamTruth, move: Array, turn: Array) -> Array:
        """The action that moves the tip by `move` [m] and `turn` [rad], each (3,) in the socket's frame."""
        tcp, socket = truth.T_base_tcp, truth.T_base_socket
        move = quat_rotate(socket[3:], move)
        turn = quat_rotate(socket[3:], turn)
        # Turning about the tool centre point swings the tip aside: give half of it back.
        move -= 0.5 * np.cross(turn, truth.T_base_tip[:3] - tcp[:3])
        reference = tcp
        if self._commanded:
            reference = truth.T_base_setpoint
            move += tcp[:3] - reference[:3]
            turn += rotvec_from_quat(quat_multiply(tcp[3:], quat_inverse(reference[3:])))
        back = quat_inverse(reference[3:])
        action = np.concatenate((quat_rotate(back, move), quat_rotate(back, turn))) / self._scale
        if self._noise > 0.0:
            action += self._rng.normal(0.0, self._noise, 6)
        return np.clip(action, -1.0, 1.0)
