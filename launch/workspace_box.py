"""The workspace as a box around corners that the arm was guided to, and whether an arm may be given it.

A box is in work coordinates: metres from the seated pose, along the socket's axes (`LimitsConfig`).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from handrail.robot_env.arms.kinematics import FRANKA, UR, DHTable
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.geometry import Array, Vector, WorkFrame, quat_multiply, quat_rotate
from handrail.robot_env.tasks import TOOL_DOWN

FEWEST_CORNERS = 2
LEAST_SIDE_M = 0.01
"""A thinner box is a mistake: two corners at one height, say."""
SIMULATED_TOOL_M = 0.1034
_DIGITS = 4  # a tenth of a millimetre: nobody guides an arm more exactly

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Box:
    """A workspace.

    Attributes:
        low_m: lowest x, y, z [m].
        high_m: highest x, y, z [m].
    """

    low_m: Point
    high_m: Point

    @property
    def corners(self) -> Iterator[Point]:
        """All eight."""
        return product(*zip(self.low_m, self.high_m, strict=True))  # pyright: ignore[reportReturnType]


def present(env: EnvConfig) -> Box:
    """The box that is configured."""
    return Box(env.limits.workspace_low_m, env.limits.workspace_high_m)


def work_frame(seated_pose: Vector) -> WorkFrame:
    """The work frame at a seated pose (7,), as `RamInsertion.frame` has it."""
    turned = quat_multiply(seated_pose[3:7], [-TOOL_DOWN[0], 0.0, 0.0, 0.0])
    return WorkFrame(seated_pose, turned)


def around(poses: Sequence[Sequence[float]], frame: WorkFrame, below_m: float) -> Box:
    """The smallest box that holds some tool poses, and a little room beneath the seated pose.

    Args:
        poses: (7,) each, base frame.
        frame: the work frame.
        below_m: how far below the seated pose the box reaches at least [m]: what is pressed home gives way by
            some millimetres.

    Raises:
        ConfigError: there are too few poses, or they span no box.
    """
    if len(poses) < FEWEST_CORNERS:
        raise ConfigError(
            f"{len(poses)} corners span no box: guide the arm to at least {FEWEST_CORNERS} opposite ones"
        )
    taken = [frame.coordinates(pose)[:3] for pose in poses]
    low, high = (
        [min(axis) for axis in zip(*taken, strict=True)],
        [max(axis) for axis in zip(*taken, strict=True)],
    )
    low[2] = min(low[2], -below_m)
    box = Box(_rounded(low, math.floor), _rounded(high, math.ceil))
    for axis, least, most in zip("xyz", box.low_m, box.high_m, strict=True):
        if most - least < LEAST_SIDE_M:
            raise ConfigError(
                f"the box is {1000 * (most - least):.1f} mm wide along {axis}, at least "
                f"{1000 * LEAST_SIDE_M:.0f} mm are needed: take a corner further along {axis}"
            )
    return box


def _rounded(point: Sequence[float], how) -> Point:
    scale = 10**_DIGITS
    x, y, z = (how(round(each * scale, 3)) / scale for each in point)
    return x, y, z


def require_usable(box: Box, env: EnvConfig, seated_pose: Vector) -> EnvConfig:
    """The environment with this box.

    Args:
        box: the box.
        env: the environment it is for.
        seated_pose: (7,) tool pose with the module seated, base frame.

    Raises:
        ConfigError: the box has no volume, leaves out the seated pose, a start, the home or the holder of
            parts, or reaches beyond the arm.
    """
    limits = replace(env.limits, workspace_low_m=box.low_m, workspace_high_m=box.high_m)
    made = replace(env, limits=limits)
    frame = work_frame(seated_pose)
    if env.regrasp is not None:
        env.regrasp.require_inside(limits, frame)
    reach = _reach(env)
    if reach is not None:
        shoulder_m, reach_m = reach
        for corner in box.corners:
            pose = frame.pose((*corner, 0.0, 0.0, 0.0))
            away_m = math.dist(_flange(env, pose), (0.0, 0.0, shoulder_m))
            if away_m > reach_m:
                where = " ".join(f"{axis} {1000 * x:+.0f}" for axis, x in zip("xyz", corner, strict=True))
                raise ConfigError(
                    f"the corner at {where} mm is {away_m:.2f} m from the arm's shoulder, which no posture "
                    f"reaches (limit {reach_m:.2f} m): make the box smaller on that side"
                )
    return made


def _reach(env: EnvConfig) -> tuple[float, float] | None:
    """Height of the shoulder and the longest distance from there to the flange [m]; None if not known.

    The second is the sum of the arm's links: what lies beyond is out of reach whatever the posture.
    """
    kind, model = env.arm.kind, env.sim.arm
    if kind in ("franka", "serl_http") or (not env.arm.real and model == "panda"):
        return _span(FRANKA)
    if not env.arm.real:
        return _span(UR[model])
    # Which UR it is, its configuration does not say: no longer than the longest.
    return max((_span(table) for table in UR.values()), key=lambda each: each[1])


def _span(table: DHTable) -> tuple[float, float]:
    links = sum(math.hypot(a, d) for a, d, _ in table.rows[1:])
    return table.rows[0][1], links + table.flange_m


def _flange(env: EnvConfig, pose: Array) -> Array:
    """Where the flange is, (3,) base frame, for a tool pose."""
    tool_m = SIMULATED_TOOL_M
    if env.arm.kind == "franka" and env.arm.franka.tcp is not None:
        tool_m = math.hypot(*env.arm.franka.tcp[:3])
    elif env.arm.kind == "ur" and env.arm.ur.tcp is not None:
        tool_m = math.hypot(*env.arm.ur.tcp[:3])
    return pose[:3] - quat_rotate(pose[3:7], (0.0, 0.0, tool_m))
