"""Rigid-body geometry in scalar arithmetic.

Quaternions are unit and ordered x, y, z, w; a pose is `[x y z qx qy qz qw]`, float64, shape (7,); a rotation
vector is axis × angle [rad]. There are no Euler angles here: they are neither unique nor smooth.

Everything is written out in Python floats instead of small numpy arrays: the control loop makes dozens of
these products a step, and numpy's overhead would cost more than the physics. Functions take any sequence of
floats and return fresh float64 arrays, so that no caller can change another's pose.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Vector = Sequence[float] | Array
"""What every function here accepts: a tuple, a list or an array."""

IDENTITY_POSE: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def _floats(values: Vector) -> Sequence[float]:
    """Python floats of `values`: arithmetic on numpy scalars is several times slower."""
    return values.tolist() if isinstance(values, np.ndarray) else values


def _product(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float, float]:
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def _conjugate(q: Sequence[float]) -> tuple[float, float, float, float]:
    return -q[0], -q[1], -q[2], q[3]


def _rotate(q: Sequence[float], v: Sequence[float]) -> tuple[float, float, float]:
    # v + 2 u × (u × v + w v): 18 products instead of the 32 of q v q*.
    ux, uy, uz, w = q
    x, y, z = v
    tx = 2.0 * (uy * z - uz * y)
    ty = 2.0 * (uz * x - ux * z)
    tz = 2.0 * (ux * y - uy * x)
    return (
        x + w * tx + uy * tz - uz * ty,
        y + w * ty + uz * tx - ux * tz,
        z + w * tz + ux * ty - uy * tx,
    )


def _exponential(v: Sequence[float]) -> tuple[float, float, float, float]:
    x, y, z = v
    angle = math.sqrt(x * x + y * y + z * z)
    # sin(θ/2)/θ by its series near zero, where the quotient would lose digits.
    k = 0.5 - angle * angle / 48.0 if angle < 1e-4 else math.sin(0.5 * angle) / angle
    return k * x, k * y, k * z, math.cos(0.5 * angle)


def _logarithm(q: Sequence[float]) -> tuple[float, float, float]:
    x, y, z, w = q
    # q and −q are one rotation: take the short way round, and at exactly π the same way for both.
    if w < 0.0 or (w == 0.0 and (x, y, z) < (0.0, 0.0, 0.0)):
        x, y, z, w = -x, -y, -z, -w
    sine = math.sqrt(x * x + y * y + z * z)
    # atan2 keeps its precision near π, where acos(w) does not; near zero θ/sin(θ/2) → 2.
    k = 2.0 if sine < 1e-9 else 2.0 * math.atan2(sine, w) / sine
    return k * x, k * y, k * z


def quat_multiply(a: Vector, b: Vector) -> Array:
    """Product `a b`, shape (4,): rotate by `b` first, then by `a`."""
    return np.array(_product(_floats(a), _floats(b)))


def quat_inverse(q: Vector) -> Array:
    """Inverse of the unit quaternion `q`, shape (4,)."""
    return np.array(_conjugate(_floats(q)))


def quat_normalize(q: Vector) -> Array:
    """`q` scaled to unit length, shape (4,).

    Raises:
        ValueError: when `q` is so short that it names no rotation.
    """
    x, y, z, w = _floats(q)
    norm = math.sqrt(x * x + y * y + z * z + w * w)
    if not norm > 1e-12:
        raise ValueError(f"quaternion of length {norm:.3g} names no rotation; lengths near 1 are expected")
    return np.array((x / norm, y / norm, z / norm, w / norm))


def quat_rotate(q: Vector, v: Vector) -> Array:
    """Vector `v` (3,) rotated by `q`, shape (3,)."""
    return np.array(_rotate(_floats(q), _floats(v)))


def quat_from_rotvec(rotvec: Vector) -> Array:
    """Quaternion (4,) of a rotation vector (3,) [rad]; the exponential map."""
    return np.array(_exponential(_floats(rotvec)))


def rotvec_from_quat(q: Vector) -> Array:
    """Rotation vector (3,) [rad] of `q`, the shortest one (length ≤ π); the logarithm. `q` and −`q` agree."""
    return np.array(_logarithm(_floats(q)))


def quat_angle(a: Vector, b: Vector) -> float:
    """Geodesic angle between two orientations [rad], in [0, π]."""
    x, y, z = _logarithm(_product(_conjugate(_floats(a)), _floats(b)))
    return math.sqrt(x * x + y * y + z * z)


def quat_slerp(a: Vector, b: Vector, fraction: float) -> Array:
    """Orientation (4,) at `fraction` in [0, 1] of the shortest turn from `a` to `b`."""
    start = _floats(a)
    turn = _logarithm(_product(_conjugate(start), _floats(b)))
    return np.array(_product(start, _exponential([fraction * t for t in turn])))


def matrix_from_quat(q: Vector) -> Array:
    """Rotation matrix (3, 3) of `q`."""
    x, y, z, w = _floats(q)
    return np.array(
        (
            (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
            (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
            (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
        )
    )


def pose_from(xyz: Vector, quat: Vector = (0.0, 0.0, 0.0, 1.0)) -> Array:
    """Pose (7,) of a position (3,) [m] and an orientation (4,), which is normalised."""
    return np.array((*_floats(xyz), *quat_normalize(quat).tolist()))


def pose_compose(a: Vector, b: Vector) -> Array:
    """`T_a ∘ T_b`, shape (7,): with `a = T_x_y` and `b = T_y_z` this is `T_x_z`."""
    pa, pb = _floats(a), _floats(b)
    x, y, z = _rotate(pa[3:7], pb[:3])
    return np.array((pa[0] + x, pa[1] + y, pa[2] + z, *_product(pa[3:7], pb[3:7])))


def pose_inverse(pose: Vector) -> Array:
    """Inverse transform, shape (7,): of `T_x_y`, `T_y_x`."""
    p = _floats(pose)
    q = _conjugate(p[3:7])
    x, y, z = _rotate(q, p[:3])
    return np.array((-x, -y, -z, *q))


def pose_relative(a: Vector, b: Vector) -> Array:
    """`T_a⁻¹ ∘ T_b`, shape (7,): `b` as seen from `a`."""
    pa, pb = _floats(a), _floats(b)
    q = _conjugate(pa[3:7])
    offset = _rotate(q, (pb[0] - pa[0], pb[1] - pa[1], pb[2] - pa[2]))
    return np.array((*offset, *_product(q, pb[3:7])))


def pose_apply(pose: Vector, point: Vector) -> Array:
    """The `point` (3,) [m] carried by `pose`, shape (3,)."""
    p = _floats(pose)
    x, y, z = _rotate(p[3:7], _floats(point))
    return np.array((p[0] + x, p[1] + y, p[2] + z))


def pose_distance(a: Vector, b: Vector) -> tuple[float, float]:
    """Distance [m] and geodesic angle [rad] between two poses."""
    pa, pb = _floats(a), _floats(b)
    return math.dist(pa[:3], pb[:3]), quat_angle(pa[3:7], pb[3:7])


def displacement(a: Vector, b: Vector) -> Array:
    """The way from `a` to `b`, shape (6,): offset [m] and turn [rad], both along the base's axes."""
    pa, pb = _floats(a), _floats(b)
    turn = _logarithm(_product(pb[3:7], _conjugate(pa[3:7])))
    return np.array((pb[0] - pa[0], pb[1] - pa[1], pb[2] - pa[2], *turn))


class WorkFrame:
    """Coordinates of a task: six numbers in which a box of positions and tilts is really a box.

    Its origin is a nominal tool pose `T_base_nominal`, its axes are those of `axes` (the socket's, in the
    base frame). A pose becomes `[x y z rx ry rz]`: the offset from the origin [m] and the rotation vector of
    the turn away from the nominal orientation [rad], both along the work axes. Limits, set-points and the
    state that a policy sees are all written in it.

    Args:
        nominal: (7,) tool pose at the origin, base frame.
        axes: (4,) orientation of the work axes in the base frame.
    """

    def __init__(self, nominal: Vector, axes: Vector = (0.0, 0.0, 0.0, 1.0)) -> None:
        pose = _floats(nominal)
        self._origin = tuple(float(x) for x in pose[:3])
        self._tool = tuple(quat_normalize(pose[3:7]).tolist())
        self._tool_inverse = _conjugate(self._tool)
        self._axes = tuple(quat_normalize(axes).tolist())
        self._axes_inverse = _conjugate(self._axes)

    def coordinates(self, pose: Vector) -> list[float]:
        """Six work coordinates [m, rad] of `pose` (7,)."""
        x, y, z, *q = _floats(pose)
        ox, oy, oz = self._origin
        turn = _logarithm(_product(q, self._tool_inverse))
        return [*_rotate(self._axes_inverse, (x - ox, y - oy, z - oz)), *_rotate(self._axes_inverse, turn)]

    def pose(self, coordinates: Sequence[float]) -> Array:
        """Pose (7,), base frame, of six work coordinates [m, rad]."""
        x, y, z = _rotate(self._axes, coordinates[:3])
        turn = _exponential(_rotate(self._axes, coordinates[3:6]))
        ox, oy, oz = self._origin
        return np.array((ox + x, oy + y, oz + z, *_product(turn, self._tool)))

    def rotate_in(self, vector: Vector) -> list[float]:
        """A free vector (3,) of the base frame, along the work axes."""
        return list(_rotate(self._axes_inverse, _floats(vector)))
