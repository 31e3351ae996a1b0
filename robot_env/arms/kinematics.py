"""Where an arm's flange is for its joint angles, and what its joints do to the tool, by its maker's table.

It checks that a robot reports what its configuration says: a wrong tool offset, a mixed-up joint or another
model shows as a difference. It also tells how near an arm is to its joints' limits and to a singularity
(`reach`). A Franka's pose agrees with its table to a millimetre. A UR is calibrated in the factory, and its
controller reckons with that: by the table alone, says UR, the tool may be off by centimetres.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from handrail.robot_env.geometry import IDENTITY_POSE, Array, pose_compose, pose_from, quat_from_rotvec


@dataclass(frozen=True)
class DHTable:
    """Denavit-Hartenberg parameters of one arm, a row a joint: a [m], d [m], alpha [rad].

    Attributes:
        rows: (a, d, alpha) of each joint; angles are the robot's own.
        modified: whether a and alpha come *before* the joint (Craig), as Franka gives them, or after it, as
            UR does.
        flange_m: distance of the flange beyond the last frame, along its z [m].
        limits_rad: lowest and highest angle of each joint [rad].
        steepest: most that the smallest singular value of the tool's Jacobian changes with a radian of joint
            motion, with tools of up to 0.35 m [1/rad]: the most of thousands of postures, but for a few that
            are singular already.
    """

    rows: tuple[tuple[float, float, float], ...]
    modified: bool = False
    flange_m: float = 0.0
    limits_rad: tuple[tuple[float, float], ...] = ()
    steepest: float = 1.0

    def flange(self, q: Sequence[float] | Array) -> Array:
        """(7,) pose of the flange in the base frame for the joint angles `q` (J,) [rad].

        Raises:
            ValueError: another number of joints.
        """
        return self.frames(q)[-1]

    def frames(self, q: Sequence[float] | Array) -> list[Array]:
        """Poses (7,) in the base frame of every joint's axis, which is their z, and then of the flange.

        Raises:
            ValueError: another number of joints.
        """
        pose = np.array(IDENTITY_POSE)
        frames = []
        for angle, (a, d, alpha) in zip(q, self.rows, strict=True):
            turn = pose_from((0.0, 0.0, d), quat_from_rotvec((0.0, 0.0, float(angle))))
            twist = pose_from((a, 0.0, 0.0), quat_from_rotvec((alpha, 0.0, 0.0)))
            if self.modified:
                frames.append(pose_compose(pose, twist))
                pose = pose_compose(frames[-1], turn)
            else:
                frames.append(pose)
                pose = pose_compose(pose_compose(pose, turn), twist)
        return [*frames, pose_compose(pose, pose_from((0.0, 0.0, self.flange_m)))]

    def matrices(self, q: Sequence[float] | Array) -> Array:
        """(J + 1, 4, 4): the same frames as matrices, far quicker, for whoever asks during a motion.

        A joint's origin lies anywhere on its axis.
        """
        still, cosine, sine = self._steps
        angles = np.asarray(q)[:, None, None]
        steps = still + np.cos(angles) * cosine + np.sin(angles) * sine
        frames = np.empty((len(steps) + 1, 4, 4))
        pose = steps[0]
        frames[0] = pose if self.modified else np.eye(4)
        for number in range(1, len(steps)):
            if self.modified:
                frames[number] = pose = pose @ steps[number]
            else:
                frames[number] = pose
                pose = pose @ steps[number]
        frames[-1] = pose
        frames[-1, :3, 3] += self.flange_m * pose[:3, 2]
        return frames

    @cached_property
    def range_rad(self) -> Array:
        """(2, J) lowest and highest angles of the joints [rad]."""
        return np.array(self.limits_rad).T

    @cached_property
    def _steps(self) -> tuple[Array, Array, Array]:
        """(J, 4, 4) each: a joint's step along the chain is first + cos q second + sin q third."""
        parts = np.zeros((3, len(self.rows), 4, 4))
        for number, (a, d, alpha) in enumerate(self.rows):
            twist, lift = np.eye(4), np.zeros((3, 4, 4))
            twist[1:3, 1:3] = (math.cos(alpha), -math.sin(alpha)), (math.sin(alpha), math.cos(alpha))
            twist[0, 3] = a
            lift[0, 2, 2] = lift[0, 3, 3] = lift[1, 0, 0] = lift[1, 1, 1] = lift[2, 1, 0] = 1.0
            lift[0, 2, 3], lift[2, 0, 1] = d, -1.0
            parts[:, number] = twist @ lift if self.modified else lift @ twist
        return parts[0], parts[1], parts[2]


def jacobian(frames: Array, tool: Array) -> Array:
    """The Jacobian (6, J) of a point that the last frame carries: linear rows, then angular.

    Each column is what a joint's axis z does to the tool: z × (tool − joint), and z.

    Args:
        frames: (J + 1, 4, 4) as `DHTable.matrices` has them; the tool is in their base frame.
        tool: (3,) where that point is, the tool's centre [m].
    """
    x, y, z = frames[:-1, :3, 2].T
    rx, ry, rz = tool[:, None] - frames[:-1, :3, 3].T
    return np.array((y * rz - z * ry, z * rx - x * rz, x * ry - y * rx, x, y, z))


_H = math.pi / 2

FRANKA = DHTable(
    rows=(
        (0.0, 0.333, 0.0),
        (0.0, 0.0, -_H),
        (0.0, 0.316, _H),
        (0.0825, 0.0, _H),
        (-0.0825, 0.384, -_H),
        (0.0, 0.0, _H),
        (0.088, 0.0, _H),
    ),
    modified=True,
    flange_m=0.107,
    limits_rad=(
        (-2.7437, 2.7437),
        (-1.7628, 1.7628),
        (-2.8973, 2.8973),
        (-3.0421, -0.1518),
        (-2.8065, 2.8065),
        (0.5445, 3.7525),
        (-2.8973, 2.8973),
    ),
    steepest=0.35,
)
"""Panda and FR3: Franka's FCI documentation, "Denavit-Hartenberg parameters", which they share. Of the limits
of their joints the narrower ones: which of the two an arm is, its angles do not tell."""


def _ur(a2: float, a3: float, d1: float, d4: float, d5: float, d6: float) -> DHTable:
    return DHTable(
        rows=((0, d1, _H), (a2, 0, 0), (a3, 0, 0), (0, d4, _H), (0, d5, -_H), (0, d6, 0)),
        limits_rad=((-2 * math.pi, 2 * math.pi),) * 6,
        steepest=0.95 * (abs(a2) + abs(a3)),
    )


UR: dict[str, DHTable] = {
    "ur3e": _ur(-0.24355, -0.2132, 0.15185, 0.13105, 0.08535, 0.0921),
    "ur5e": _ur(-0.425, -0.3922, 0.1625, 0.1333, 0.0997, 0.0996),
    "ur10e": _ur(-0.6127, -0.57155, 0.1807, 0.17415, 0.11985, 0.11655),
    "ur16e": _ur(-0.4784, -0.36, 0.1807, 0.17415, 0.11985, 0.11655),
}
"""UR's support pages, "DH parameters for calculations of kinematics and dynamics"; in UR's own base frame."""
