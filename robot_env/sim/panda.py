"""The Panda as MjSpec code: real kinematics, inertias and torque limits; capsules instead of meshes.

Kinematics and joint limits are the manufacturer's; the link inertias are the identified ones in common use
(MuJoCo Menagerie's franka_emika_panda). No file is read, so that the cell needs no download and no licence.
"""

from dataclasses import dataclass
from math import pi, sqrt

import mujoco as mj

from handrail.robot_env.sim.parts import (
    CYLINDER,
    ELLIPSOID,
    SPHERE,
    Builder,
    about,
    add_joint,
    set_inertia,
)

_S = sqrt(0.5)


@dataclass(frozen=True)
class _Link:
    pos: tuple[float, float, float]
    quat: tuple[float, float, float, float]
    limits_rad: tuple[float, float]
    torque_nm: float
    mass_kg: float
    com_m: tuple[float, float, float]
    inertia: tuple[float, float, float, float, float, float]


_LINKS = (
    _Link((0, 0, 0.333), (1, 0, 0, 0), (-2.8973, 2.8973), 87, 4.970684,
          (0.003875, 0.002081, -0.04762), (0.70337, 0.70661, 0.009117, -0.000139, 0.006772, 0.019169)),
    _Link((0, 0, 0), (_S, -_S, 0, 0), (-1.7628, 1.7628), 87, 0.646926,
          (-0.003141, -0.02872, 0.003495), (0.007962, 0.02811, 0.025995, -0.003925, 0.010254, 0.000704)),
    _Link((0, -0.316, 0), (_S, _S, 0, 0), (-2.8973, 2.8973), 87, 3.228604,
          (0.027518, 0.039252, -0.066502), (0.037242, 0.036155, 0.01083, -0.004761, -0.011396, -0.012805)),
    _Link((0.0825, 0, 0), (_S, _S, 0, 0), (-3.0718, -0.0698), 87, 3.587895,
          (-0.05317, 0.104419, 0.027454), (0.025853, 0.019552, 0.028323, 0.007796, -0.001332, 0.008641)),
    _Link((-0.0825, 0.384, 0), (_S, -_S, 0, 0), (-2.8973, 2.8973), 12, 1.225946,
          (-0.011953, 0.041065, -0.038437), (0.035549, 0.029474, 0.008627, -0.002117, -0.004037, 0.000229)),
    _Link((0, 0, 0), (_S, _S, 0, 0), (-0.0175, 3.7525), 12, 1.666555,
          (0.060149, -0.014117, -0.010517), (0.001964, 0.004354, 0.005433, 0.000109, -0.001158, 0.000341)),
    _Link((0.088, 0, 0), (_S, _S, 0, 0), (-2.8973, 2.8973), 12, 0.735522,
          (0.010517, -0.004252, 0.061597), (0.012516, 0.010027, 0.004815, -0.000428, -0.001196, -0.000741)),
)  # fmt: skip

JOINTS = tuple(f"joint{number}" for number in range(1, 8))
POSTURE = (0.0, -0.19, 0.0, -2.51, 0.0, 2.32, 0.785)
"""A comfortable elbow-up posture near the cell's home pose [rad]; also the start of inverse kinematics."""
RATED_RAD_S = (2.175,) * 4 + (2.61,) * 3
"""Fastest speed of each joint, by the data sheet [rad/s]."""


def add_panda(build: Builder, root: mj.MjsBody) -> mj.MjsBody:
    """Add the arm to its base.

    Args:
        build: Which of the two models is being built.
        root: The body whose frame is the base frame.

    Returns:
        The flange-fixed body (z along the approach axis) to which a hand can be attached.
    """
    _show_base(build, root)
    body = root
    for number, (name, link) in enumerate(zip(JOINTS, _LINKS, strict=True), start=1):
        body = body.add_body(name=f"link{number}", pos=list(link.pos), quat=list(link.quat))
        body.gravcomp = 1.0
        set_inertia(body, link.mass_kg, link.com_m, link.inertia)
        add_joint(body, name, (0, 0, 1), link.limits_rad, link.torque_nm, 1.0 if number <= 4 else 0.5)
        _shape(build, body, number)
    # The hand is mounted turned by -45 degrees about the flange.
    flange = body.add_body(name="flange", pos=[0, 0, 0.107], quat=about("z", -pi / 4))
    flange.gravcomp = 1.0
    return flange


def _show_base(build: Builder, root: mj.MjsBody) -> None:
    """The foot: a plinth, a collar and the connector box at the back."""
    build.show_rod(root, (0, 0, 0), (0, 0, 0.02), 0.105, material="graphite", kind=CYLINDER)
    build.show_rod(root, (0, 0, 0.02), (0, 0, 0.13), 0.086, material="shell", kind=CYLINDER)
    build.show_rod(root, (0, 0, 0.13), (0, 0, 0.142), 0.074, material="graphite", kind=CYLINDER)
    build.show_rod(root, (-0.05, 0, 0.06), (-0.11, 0, 0.05), 0.055, material="shell")
    build.show(root, SPHERE, (0.008,), (0.084, 0, 0.07), material="ready")


def _shape(build: Builder, body: mj.MjsBody, number: int) -> None:
    """Shell, dark joint rings and the collision capsules of one link.

    Only the links that can come near the table or the board collide: the others cannot reach it.
    """
    shell, ring = "shell", "graphite"
    match number:
        case 1:
            build.show_rod(body, (0, 0, -0.19), (0, 0, -0.06), 0.062, material=shell)
            build.show_rod(body, (0, -0.065, 0), (0, 0.065, 0), 0.064, material=shell, kind=CYLINDER)
            build.show(body, ELLIPSOID, (0.064, 0.02, 0.064), (0, 0.065, 0), material=shell)
        case 2:
            build.show_rod(body, (0, 0, -0.068), (0, 0, 0.068), 0.063, material=ring, kind=CYLINDER)
            build.show_rod(body, (0, 0, -0.06), (0, 0, 0.06), 0.061, material=shell)
            build.show_rod(body, (0, -0.04, 0), (0, -0.15, 0), 0.06, material=shell)
            build.show_rod(body, (0, -0.195, 0), (0, -0.207, 0), 0.057, material=ring, kind=CYLINDER)
        case 3:
            build.show_rod(body, (0, 0, -0.11), (0, 0, -0.075), 0.058, material=shell)
            build.show_rod(body, (0, 0, -0.06), (0.068, 0, -0.012), 0.052, material=shell)
            build.show_rod(body, (0.0825, -0.058, 0), (0.0825, 0.058, 0), 0.053, material=ring, kind=CYLINDER)
            build.show_rod(body, (0.0825, -0.045, 0), (0.0825, 0.045, 0), 0.054, material=shell)
        case 4:
            build.show_rod(body, (0, 0, -0.056), (0, 0, 0.056), 0.054, material=shell, kind=CYLINDER)
            build.show_rod(body, (-0.02, 0.03, 0), (-0.0825, 0.085, 0), 0.051, material=shell)
            build.show_rod(
                body, (-0.0825, 0.09, 0), (-0.0825, 0.118, 0), 0.054, material=shell, kind=CYLINDER
            )
            build.show_rod(body, (-0.0825, 0.118, 0), (-0.0825, 0.13, 0), 0.051, material=ring, kind=CYLINDER)
        case 5:
            build.show_rod(body, (0, 0, -0.245), (0, 0.03, -0.14), 0.05, material=shell)
            build.show_rod(body, (0, 0.05, -0.13), (0, 0.062, -0.03), 0.034, material=shell)
            build.show_rod(body, (0, -0.01, -0.05), (0, 0.05, -0.01), 0.04, material=shell)
            build.show_rod(body, (0, 0, -0.03), (0, 0, 0.042), 0.046, material=shell)
            build.solid_rod(body, (0, 0, -0.22), (0, 0.03, -0.05), 0.055)
        case 6:
            build.show_rod(body, (0, 0, -0.06), (0, 0, 0.06), 0.044, material=ring, kind=CYLINDER)
            build.show_rod(body, (0, 0, -0.042), (0, 0, 0.042), 0.046, material=shell)
            build.show_rod(body, (0.03, 0, 0), (0.088, 0, 0.0), 0.041, material=shell)
            build.solid_rod(body, (0, 0, 0), (0.088, 0, 0), 0.05)
        case _:
            build.show_rod(body, (0, 0, -0.03), (0, 0, 0.05), 0.043, material=shell)
            build.show_rod(body, (0, 0, 0.068), (0, 0, 0.078), 0.045, material="blue", kind=CYLINDER)
            build.show_rod(body, (0, 0, 0.05), (0, 0, 0.107), 0.041, material=ring, kind=CYLINDER)
            build.solid_rod(body, (0, 0, 0), (0, 0, 0.06), 0.045)
