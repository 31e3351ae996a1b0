"""A motion of the simulated arm's joints, as a robot's own controller makes one: no gate, no servo.

The joints go along a straight line in joint space. The arm follows as it follows everything, under impedance:
the tool is pulled to where those joints put it, and the elbow of a redundant arm by its posture.
"""

from collections.abc import Sequence

import numpy as np

from handrail.robot_env.clock import NS_PER_S
from handrail.robot_env.errors import ArmError
from handrail.robot_env.geometry import Array
from handrail.robot_env.sim.cell import SimCell

BRAKE_S = 0.2
"""Time in which a motion that is ended early comes to rest."""
THERE_RAD, REST_RAD_S = 5e-3, 5e-3
"""How near every joint must come to its angle, and how slow be there, for the arm to have arrived."""
PATIENCE_S = 5.0
"""How long the arm may follow behind when the motion itself is over."""
_PEAK = 1.875
"""Fastest moment of a minimum-jerk motion, as a multiple of its mean speed."""


class JointMotion:
    """Takes the arm of a cell to joint angles and rests there. One thread, the cell's.

    Args:
        cell: the cell; something else has to let its time pass.
        q: joint angles to go to (J,) [rad].
        speed: share of the arm's rated joint speeds, in (0, 1].

    Raises:
        ArmError: these are no angles of this arm.
    """

    def __init__(self, cell: SimCell, q: Sequence[float] | Array, speed: float) -> None:
        self._cell = cell
        self._start, self._goal = cell.joints()[0], cell.kinematics.require_joints(q)
        travel_s = float(np.max(np.abs(self._goal - self._start) / (speed * cell.rated_rad_s)))
        self._whole_s = max(_PEAK * travel_s, 1e-3)
        self._done_s = self._late_s = 0.0
        self._rate, self._braking = 1.0, False

    def brake(self) -> None:
        """End it early."""
        self._braking = True

    def advance(self, dt_ns: int) -> bool:
        """Pull the joints to where they are to be `dt_ns` later; whether the arm has arrived.

        Raises:
            ArmError: it has come to rest after a `brake`, or does not arrive.
        """
        dt_s = dt_ns / NS_PER_S
        if self._braking:
            self._rate = max(0.0, self._rate - dt_s / BRAKE_S)
        self._done_s = min(self._whole_s, self._done_s + self._rate * dt_s)
        u = self._done_s / self._whole_s
        share = u**3 * (10.0 - 15.0 * u + 6.0 * u**2)
        self._cell.follow_joints(self._start + share * (self._goal - self._start))
        if self._rate == 0.0:
            raise ArmError("the joint motion was ended early; nothing is wrong with the arm")
        return u == 1.0 and self._arrived(dt_s)

    def _arrived(self, dt_s: float) -> bool:
        q, dq = self._cell.joints()
        off_rad = float(np.abs(q - self._goal).max())
        if off_rad < THERE_RAD and float(np.abs(dq).max()) < REST_RAD_S:
            return True
        self._late_s += dt_s
        if self._late_s > PATIENCE_S:
            raise ArmError(
                f"a joint is {off_rad:.3f} rad from its angle {PATIENCE_S:g} s after the motion (limit "
                f"{THERE_RAD}); free the arm's way, or raise sim.posture_stiffness_nm where the elbow lags"
            )
        return False
