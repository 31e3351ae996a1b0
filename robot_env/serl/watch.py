"""What can be told of a SERL server's health from its states, which carry no time and no error.

Two things can. A server whose robot side has died goes on answering the last state it got: **the same numbers
while they ought to change**. And a robot that has stopped by itself (a reflex, an impedance controller that
is not running) **stands although it is pulled and nothing is in its way**.

Two things cannot, and no client of this protocol can: a state frozen while the arm stands still anyway looks
like an arm that stands still, until it is to move; and a reflex is seen only when the arm fails to follow.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from handrail.robot_env.geometry import Array, pose_distance
from handrail.robot_env.serl.protocol import SerlReading

_MOVED_M, _MOVED_RAD = 0.001, 0.01
_TURNING_RAD_S = 0.02  # A joint said to turn this fast cannot keep its angle.
_STANDING_M_S, _STANDING_RAD_S = 0.003, 0.02


@dataclass(frozen=True)
class WatchLimits:
    """What counts as frozen and as not following.

    Attributes:
        frozen_states: identical states in a row, while the arm ought to move, that count as frozen.
        follow_m: distance from the set-point [m] ...
        follow_rad: ... or turn [rad] ...
        follow_n: ... with less than this force on the tool [N] ...
        follow_s: ... and both at rest for so long that count as not following [s].
    """

    frozen_states: int
    follow_m: float
    follow_rad: float
    follow_n: float
    follow_s: float


class SerlWatch:
    """Judges one state after another. One thread.

    Args:
        limits: what counts as what.
        clock: monotonic time [ns].
    """

    def __init__(self, limits: WatchLimits, clock: Callable[[], int]) -> None:
        self._limits = limits
        self._clock = clock
        self._fingerprint: bytes = b""
        self._repeats = 0
        self._setpoint_then: Array | None = None
        self._strained_ns: int | None = None
        self._strained_at: Array | None = None

    def restart(self) -> None:
        """Forget what was seen: after a recovery, or a motion of the robot's own."""
        self._fingerprint, self._repeats = b"", 0
        self._strained_ns = self._strained_at = None

    def frozen(self, reading: SerlReading, setpoint: Array | None) -> bool:
        """Whether this state is a dead one. `setpoint` (7,) is what pulls the arm, None for nothing."""
        values = (reading.pose, reading.twist, reading.wrench, reading.q, reading.dq)
        fingerprint = np.concatenate(values).tobytes()
        if fingerprint != self._fingerprint:
            self._fingerprint, self._repeats, self._setpoint_then = fingerprint, 0, setpoint
            return False
        if self._setpoint_then is None:
            self._setpoint_then = setpoint
        turning = bool(np.abs(reading.dq).max(initial=0.0) > _TURNING_RAD_S)
        if turning or self._moved(setpoint):
            self._repeats += 1
        return self._repeats >= self._limits.frozen_states

    def stuck(self, reading: SerlReading, setpoint: Array | None) -> str:
        """Why the arm does not follow, in words; "" while it does, or while nothing is asked of it."""
        if setpoint is None or not self._strained(reading, setpoint):
            self._strained_ns = None
            return ""
        now_ns = self._clock()
        if self._strained_ns is None or self._strained_at is None:
            self._strained_ns, self._strained_at = now_ns, setpoint
        if self._far(setpoint, self._strained_at):
            self._strained_ns, self._strained_at = now_ns, setpoint
        if now_ns - self._strained_ns < self._limits.follow_s * 1e9:
            return ""
        distance_m, angle_rad = pose_distance(setpoint, reading.pose)
        return (
            f"the arm stands {1000 * distance_m:.1f} mm and {angle_rad:.3f} rad from its set-point with "
            f"{math.hypot(*reading.wrench[:3].tolist()):.1f} N on the tool: a reflex, or its impedance "
            "controller is not running; look at the robot, then acknowledge"
        )

    def _strained(self, reading: SerlReading, setpoint: Array) -> bool:
        distance_m, angle_rad = pose_distance(setpoint, reading.pose)
        limits = self._limits
        return (
            (distance_m > limits.follow_m or angle_rad > limits.follow_rad)
            and math.hypot(*reading.wrench[:3].tolist()) < limits.follow_n
            and math.hypot(*reading.twist[:3].tolist()) < _STANDING_M_S
            and math.hypot(*reading.twist[3:].tolist()) < _STANDING_RAD_S
        )

    def _moved(self, setpoint: Array | None) -> bool:
        then = self._setpoint_then
        return setpoint is not None and then is not None and self._far(setpoint, then)

    @staticmethod
    def _far(a: Array, b: Array) -> bool:
        distance_m, angle_rad = pose_distance(a, b)
        return distance_m > _MOVED_M or angle_rad > _MOVED_RAD
