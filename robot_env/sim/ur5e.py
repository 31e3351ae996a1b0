"""The UR5e as MjSpec code: real kinematics, inertias and torque limits; capsules instead of meshes.

Kinematics follow the manufacturer's DH table in the frames of MuJoCo Menagerie's universal_robots_ur5e; the
inertias are the published ones. The base is turned by half a turn, so that +x points into the cell.
"""

from dataclasses import dataclass
from math import pi, sqrt

import mujoco as mj

from handrail.robot_env.sim.parts import CYLINDER, SPHERE, Builder, add_joint, set_inertia

_S = sqrt(0.5)
_Z, _Y = (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)
_LEVEL, _TURNED = (1.0, 0.0, 0.0, 0.0), (_S, 0.0, _S, 0.0)


@dataclass(frozen=True)
class _Link:
    name: str
    pos: tuple[float, float, float]
    quat: tuple[float, float, float, float]
    axis: tuple[float, float, float]
    torque_nm: float
    mass_kg: float
    com_m: tuple[float, float, float]
    inertia: tuple[float, float, float]


_LINKS = (
    _Link("shoulder", (0, 0, 0.163), _LEVEL, _Z, 150, 3.7, (0, 0, 0), (0.0102675, 0.0102675, 0.00666)),
    _Link("upper_arm", (0, 0.138, 0), _TURNED, _Y, 150, 8.393, (0, 0, 0.2125),
          (0.133886, 0.133886, 0.0151074)),
    _Link("forearm", (0, -0.131, 0.425), _LEVEL, _Y, 150, 2.275, (0, 0, 0.196),
          (0.0311796, 0.0311796, 0.004095)),
    _Link("wrist_1", (0, 0, 0.392), _TURNED, _Y, 28, 1.219, (0, 0.127, 0),
          (0.0025599, 0.0025599, 0.0021942)),
    _Link("wrist_2", (0, 0.127, 0), _LEVEL, _Z, 28, 1.219, (0, 0, 0.1), (0.0025599, 0.0025599, 0.0021942)),
    _Link("wrist_3", (0, 0, 0.1), _LEVEL, _Y, 28, 0.1889, (0, 0.0771683, 0),
          (0.000132134, 0.0000990863, 0.0000990863)),
)  # fmt: skip

JOINTS = tuple(f"{link.name}_joint" for link in _LINKS)
POSTURE = (0.0, -1.7, 2.0, -1.87, -pi / 2, 0.0)
"""Elbow up, tool down, near the cell's home pose [rad]; the start of inverse kinematics."""
RATED_RAD_S = (pi,) * 6
"""Fastest speed of each joint, by the data sheet [rad/s]."""


def add_ur5e(build: Builder, root: mj.MjsBody) -> mj.MjsBody:
    """Add the arm to its base.

    Args:
        build: Which of the two models is being built.
        root: The body whose frame is the base frame.

    Returns:
        The flange-fixed body (z along the approach axis) to which a hand can be attached.
    """
    build.show_rod(root, (0, 0, 0), (0, 0, 0.015), 0.1, material="graphite", kind=CYLINDER)
    build.show_rod(root, (0, 0, 0.015), (0, 0, 0.095), 0.075, material="steel", kind=CYLINDER)
    build.show(root, SPHERE, (0.008,), (0.073, 0, 0.055), material="ready")
    body = root
    for link, joint in zip(_LINKS, JOINTS, strict=True):
        body = body.add_body(name=link.name, pos=list(link.pos), quat=list(link.quat))
        body.gravcomp = 1.0
        set_inertia(body, link.mass_kg, link.com_m, link.inertia)
        reach = pi if link.name == "forearm" else 2 * pi
        add_joint(body, joint, link.axis, (-reach, reach), link.torque_nm, 1.0)
        _shape(build, body, link.name)
    flange = body.add_body(name="flange", pos=[0, 0.1, 0], quat=[-_S, _S, 0, 0])
    flange.gravcomp = 1.0
    return flange


def _shape(build: Builder, body: mj.MjsBody, name: str) -> None:
    """Grey tubes, blue joint caps and the collision capsules of one link.

    Only the links that can come near the table or the board collide: the others cannot reach it.
    """
    tube, cap, ring = "shell", "blue", "graphite"
    match name:
        case "shoulder":
            build.show_rod(body, (0, 0, -0.07), (0, 0, 0.02), 0.062, material=tube)
            build.show_rod(body, (0, -0.02, 0), (0, 0.07, 0), 0.06, material=tube, kind=CYLINDER)
            build.show_rod(body, (0, -0.045, 0), (0, -0.01, 0), 0.058, material=cap)
            build.show_rod(body, (0, 0.068, 0), (0, 0.076, 0), 0.062, material=ring, kind=CYLINDER)
        case "upper_arm":
            build.show_rod(body, (0, -0.06, 0), (0, 0.04, 0), 0.06, material=tube, kind=CYLINDER)
            build.show_rod(body, (0, 0.03, 0), (0, 0.035, 0), 0.06, material=cap)
            build.show_rod(body, (0, 0, 0.03), (0, 0, 0.40), 0.05, material=tube)
            build.show_rod(body, (0, -0.06, 0.425), (0, 0.03, 0.425), 0.056, material=tube, kind=CYLINDER)
            build.show_rod(body, (0, 0.022, 0.425), (0, 0.03, 0.425), 0.055, material=cap)
            build.show_rod(body, (0, -0.068, 0.425), (0, -0.06, 0.425), 0.057, material=ring, kind=CYLINDER)
        case "forearm":
            build.show_rod(body, (0, -0.03, 0), (0, 0.063, 0), 0.054, material=tube, kind=CYLINDER)
            build.show_rod(body, (0, -0.03, 0), (0, -0.025, 0), 0.053, material=cap)
            build.show_rod(body, (0, 0, 0.02), (0, 0, 0.36), 0.041, material=tube)
            build.show_rod(body, (0, -0.03, 0.392), (0, 0.06, 0.392), 0.042, material=tube, kind=CYLINDER)
            build.show_rod(body, (0, -0.03, 0.392), (0, -0.026, 0.392), 0.041, material=cap)
            build.show_rod(body, (0, 0.06, 0.392), (0, 0.067, 0.392), 0.043, material=ring, kind=CYLINDER)
            build.solid_rod(body, (0, 0, 0.1), (0, 0, 0.392), 0.042)
        case "wrist_1":
            build.show_rod(body, (0, 0.06, 0), (0, 0.15, 0), 0.041, material=tube, kind=CYLINDER)
            build.show_rod(body, (0, 0.15, 0), (0, 0.155, 0), 0.04, material=cap)
            build.show_rod(body, (0, 0.127, -0.04), (0, 0.127, 0.045), 0.039, material=tube, kind=CYLINDER)
            build.solid_rod(body, (0, 0.06, 0), (0, 0.14, 0), 0.042)
        case "wrist_2":
            build.show_rod(body, (0, 0, 0.045), (0, 0, 0.052), 0.042, material=ring, kind=CYLINDER)
            build.show_rod(body, (0, 0, 0.052), (0, 0, 0.115), 0.041, material=tube)
            build.show_rod(body, (0, -0.045, 0.1), (0, -0.025, 0.1), 0.038, material=cap)
            build.solid_rod(body, (0, 0, -0.02), (0, 0, 0.1), 0.042)
        case _:
            build.show_rod(body, (0, 0.03, 0), (0, 0.078, 0), 0.039, material=tube, kind=CYLINDER)
            build.show_rod(body, (0, 0.078, 0), (0, 0.1, 0), 0.038, material=ring, kind=CYLINDER)
            build.solid_rod(body, (0, 0.02, 0), (0, 0.08, 0), 0.04)
