"""Where an arm's flange is for its joint angles, by the manufacturer's own table.

Only used to check that a robot reports what its configuration says: a wrong tool offset, a mixed-up joint or
another model shows as a difference. A Franka's pose agrees with its table to a millimetre. A UR is calibrated
in the factory, and its controller reckons with that: by the table alone, says UR, the tool may be off by
centimetres.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

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
    """

    rows: tuple[tuple[float, float, float], ...]
    modified: bool = False
    flange_m: float = 0.0

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
)
"""Panda and FR3: Franka's FCI documentation, "Denavit-Hartenberg parameters"."""


def _ur(a2: float, a3: float, d1: float, d4: float, d5: float, d6: float) -> DHTable:
    return DHTable(
        rows=((0, d1, _H), (a2, 0, 0), (a3, 0, 0), (0, d4, _H), (0, d5, -_H), (0, d6, 0)),
    )


UR: dict[str, DHTable] = {
    "ur3e": _ur(-0.24355, -0.2132, 0.15185, 0.13105, 0.08535, 0.0921),
    "ur5e": _ur(-0.425, -0.3922, 0.1625, 0.1333, 0.0997, 0.0996),
    "ur10e": _ur(-0.6127, -0.57155, 0.1807, 0.17415, 0.11985, 0.11655),
    "ur16e": _ur(-0.4784, -0.36, 0.1807, 0.17415, 0.11985, 0.11655),
}
"""UR's support pages, "DH parameters for calculations of kinematics and dynamics"; in UR's own base frame."""
