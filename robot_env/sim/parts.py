"""Small words for building the cell as MjSpec code: solids that collide, shapes that are only looked at.

The cell is compiled twice. The *physics* model holds solids only, because every geometry costs time in every
one of the 1,000 steps a second; the *looks* model has the same joints plus everything that makes it pleasant
to watch, and only follows the other. `Detail` says which of them is being built: a policy's 128-pixel images
need no solder pads, and drawing them would double the time of an image.

Traps this file keeps away from the rest: MjSpec's sizes are half-extents, its quaternions are (w, x, y, z),
and its joint stiffness and damping are 3-vectors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from math import cos, dist, sin

import mujoco as mj

ROBOT_BIT, CELL_BIT = 1, 2
"""Collision classes: robot solids meet cell solids, and neither meets its own kind."""
SHOWN_GROUP, SOLID_GROUP = 2, 3
"""Visibility groups: MuJoCo draws 0-2 by default, so bare collision shapes stay out of sight."""

BOX = mj.mjtGeom.mjGEOM_BOX
CAPSULE = mj.mjtGeom.mjGEOM_CAPSULE
CYLINDER = mj.mjtGeom.mjGEOM_CYLINDER
ELLIPSOID = mj.mjtGeom.mjGEOM_ELLIPSOID
SPHERE = mj.mjtGeom.mjGEOM_SPHERE
PLANE = mj.mjtGeom.mjGEOM_PLANE

Vector = Sequence[float]

SMALLEST_PLAIN_M = 0.005
"""Plain looks leave out shapes whose largest half-extent is below this, a pixel or two [m]."""


THINNEST_PLAIN_M = 0.001
"""And those whose second largest is below this [m]."""


class Detail(Enum):
    """What a model is for: being stepped, being seen by a policy, or being watched by people."""

    PHYSICS = "physics"
    PLAIN = "plain"
    FINE = "fine"


MATERIALS: dict[str, tuple[tuple[float, float, float], float, float, float]] = {
    # name: (colour, specular, shininess, reflectance)
    "shell": ((0.92, 0.93, 0.94), 0.5, 0.6, 0.0),
    "graphite": ((0.16, 0.17, 0.19), 0.4, 0.5, 0.0),
    "steel": ((0.62, 0.65, 0.69), 0.9, 0.8, 0.0),
    "blue": ((0.24, 0.49, 0.74), 0.5, 0.6, 0.0),
    "rubber": ((0.09, 0.09, 0.10), 0.1, 0.1, 0.0),
    "pcb": ((0.06, 0.42, 0.22), 0.4, 0.5, 0.0),
    "board": ((0.07, 0.20, 0.24), 0.35, 0.5, 0.0),
    "trace": ((0.13, 0.31, 0.35), 0.4, 0.5, 0.0),
    "gold": ((0.90, 0.70, 0.28), 0.9, 0.8, 0.0),
    "chip": ((0.055, 0.055, 0.065), 0.5, 0.6, 0.0),
    "silk": ((0.85, 0.87, 0.86), 0.1, 0.1, 0.0),
    "socket": ((0.16, 0.30, 0.58), 0.35, 0.4, 0.0),
    "socket_other": ((0.42, 0.45, 0.50), 0.35, 0.4, 0.0),
    "latch": ((0.88, 0.87, 0.80), 0.35, 0.4, 0.0),
    "accent": ((0.95, 0.52, 0.15), 0.4, 0.5, 0.0),
    "ready": ((0.20, 0.85, 0.45), 0.2, 0.2, 0.0),
    "tray": ((0.33, 0.37, 0.43), 0.3, 0.4, 0.0),
}


def about(axis: str, angle_rad: float) -> list[float]:
    """Quaternion (w, x, y, z) of a turn about one of the axes "x", "y", "z"."""
    quat = [cos(angle_rad / 2), 0.0, 0.0, 0.0]
    quat[1 + "xyz".index(axis)] = sin(angle_rad / 2)
    return quat


@dataclass(frozen=True)
class Surface:
    """How a solid behaves in contact (what was found to insert like a real module)."""

    friction: tuple[float, float, float] = (0.25, 0.003, 1e-4)
    condim: int = 3
    solref: tuple[float, float] = (0.004, 1.0)
    solimp: tuple[float, float, float, float, float] = (0.95, 0.99, 0.0005, 0.5, 2.0)
    priority: int = 0


@dataclass(frozen=True)
class Builder:
    """Adds geometry to bodies, leaving out what the model at hand has no use for.

    Attributes:
        detail: What the model is for.
    """

    detail: Detail

    @property
    def looks(self) -> bool:
        """Whether the model is rendered rather than stepped."""
        return self.detail is not Detail.PHYSICS

    def solid(
        self,
        body: mj.MjsBody,
        kind: mj.mjtGeom,
        size: Vector,
        pos: Vector = (0.0, 0.0, 0.0),
        *,
        quat: Vector = (1.0, 0.0, 0.0, 0.0),
        name: str = "",
        bit: int = ROBOT_BIT,
        surface: Surface | None = None,
        material: str = "",
    ) -> None:
        """Add a shape that collides; with a material it is seen as well."""
        if self.looks and not material:
            return
        geom = body.add_geom(type=kind, size=_three(size), pos=list(pos), quat=list(quat))
        self._finish(geom, name, material)
        if not self.looks:
            geom.contype, geom.conaffinity = bit, ROBOT_BIT + CELL_BIT - bit
            if surface is not None:
                geom.friction = list(surface.friction)
                geom.condim = surface.condim
                geom.solref = list(surface.solref)
                geom.solimp = list(surface.solimp)
                geom.priority = surface.priority

    def solid_rod(
        self,
        body: mj.MjsBody,
        start: Vector,
        end: Vector,
        radius: float,
        *,
        bit: int = ROBOT_BIT,
        surface: Surface | None = None,
        material: str = "",
    ) -> None:
        """Add a capsule between two points that collides; with a material it is seen as well."""
        if self.looks and not material:
            return
        geom = body.add_geom(type=CAPSULE, fromto=[*start, *end], size=[radius, 0.0, 0.0])
        self._finish(geom, "", material)
        if not self.looks:
            geom.contype, geom.conaffinity = bit, ROBOT_BIT + CELL_BIT - bit
            if surface is not None:
                geom.friction = list(surface.friction)
                geom.condim = surface.condim
                geom.solref = list(surface.solref)
                geom.solimp = list(surface.solimp)

    def show(
        self,
        body: mj.MjsBody,
        kind: mj.mjtGeom,
        size: Vector,
        pos: Vector = (0.0, 0.0, 0.0),
        *,
        material: str,
        quat: Vector = (1.0, 0.0, 0.0, 0.0),
    ) -> None:
        """Add a shape that is only looked at."""
        if self._shows(size):
            geom = body.add_geom(type=kind, size=_three(size), pos=list(pos), quat=list(quat))
            self._finish(geom, "", material)

    def show_rod(
        self,
        body: mj.MjsBody,
        start: Vector,
        end: Vector,
        radius: float,
        *,
        material: str,
        kind: mj.mjtGeom = CAPSULE,
    ) -> None:
        """Add a capsule or cylinder between two points that is only looked at."""
        if self._shows((radius, dist(start, end) / 2)):
            geom = body.add_geom(type=kind, fromto=[*start, *end], size=[radius, 0.0, 0.0])
            self._finish(geom, "", material)

    def _shows(self, half_extents_m: Vector) -> bool:
        """Whether a decoration of this size belongs into the model: a speck or a hair does not always."""
        if self.detail is not Detail.PLAIN:
            return self.detail is Detail.FINE
        ordered = sorted(half_extents_m, reverse=True)
        length, width = ordered[0], ordered[min(1, len(ordered) - 1)]
        return length >= SMALLEST_PLAIN_M and width >= THINNEST_PLAIN_M

    def _finish(self, geom: mj.MjsGeom, name: str, material: str) -> None:
        """Name and paint a shape; inertias are always given, so that shapes weigh nothing."""
        geom.mass = 0.0
        geom.contype = geom.conaffinity = 0
        geom.group = SHOWN_GROUP if material else SOLID_GROUP
        if name:
            geom.name = name
        if self.looks and material:
            geom.material = material


def set_inertia(body: mj.MjsBody, mass_kg: float, com_m: Vector, inertia: Vector) -> None:
    """Give a body its mass [kg], centre of mass [m] and inertia [kg m^2], 3 principal or 6 full values."""
    body.mass = mass_kg
    body.ipos = list(com_m)
    body.explicitinertial = True
    if len(inertia) == 6:
        body.fullinertia = list(inertia)
    else:
        body.inertia = list(inertia)


def add_joint(
    body: mj.MjsBody,
    name: str,
    axis: Vector,
    limits_rad: tuple[float, float],
    torque_nm: float,
    damping: float,
) -> None:
    """Add an arm joint: a hinge with limits [rad], a torque limit [Nm] and damping [Nms/rad]."""
    joint = body.add_joint(name=name, type=mj.mjtJoint.mjJNT_HINGE, axis=list(axis), range=list(limits_rad))
    joint.limited = 1
    joint.armature = 0.1
    joint.damping = [damping, 0.0, 0.0]
    joint.actfrclimited = 1
    joint.actfrcrange = [-torque_nm, torque_nm]


def add_materials(spec: mj.MjSpec) -> None:
    """Add every material of the cell."""
    for name, (rgb, specular, shininess, reflectance) in MATERIALS.items():
        material = spec.add_material(name=name, rgba=[*rgb, 1.0])
        material.specular, material.shininess, material.reflectance = specular, shininess, reflectance


def _three(size: Vector) -> list[float]:
    """MjSpec wants three numbers, whatever the shape."""
    return [*size, *([0.0] * (3 - len(size)))]
