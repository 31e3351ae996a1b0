"""Helpers shared by the tests of the simulated cell."""

from collections.abc import Callable

import numpy as np
import pytest

from handrail.robot_env.geometry import Array, quat_from_rotvec, quat_multiply
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.sim.config import ArmName, SimConfig

MS = 1_000_000


@pytest.fixture(params=["panda", "ur5e"])
def cell(request: pytest.FixtureRequest) -> SimCell:
    """A fresh cell of each arm."""
    arm: ArmName = request.param
    return SimCell(SimConfig(arm=arm))


def pose_above(cell: SimCell, height_m: float, x_m: float = 0.0, y_m: float = 0.0, yaw: float = 0.0) -> Array:
    """A tool pose above the seated one, displaced and turned in the base frame."""
    pose = cell.seated_pose.copy()
    pose[:3] += (x_m, y_m, height_m)
    pose[3:] = quat_multiply(quat_from_rotvec((0.0, 0.0, yaw)), pose[3:])
    return pose


def press_down(cell: SimCell, x_m: float = 0.0, y_m: float = 0.0, yaw: float = 0.0) -> tuple[Array, Array]:
    """Press straight down from 20 mm at 20 mm/s, up to the force limit of the impedance.

    Returns:
        The downward contact force [N] and the depth [1] at every 10 ms.
    """
    pose = pose_above(cell, 0.02, x_m, y_m, yaw)
    cell.teleport(pose)
    cell.advance(300 * MS)
    cell.tare()
    lowest = cell.seated_pose[2] - 0.0095
    force, depth = [], []
    for _ in range(200):
        pose[2] = max(pose[2] - 0.0002, lowest)
        cell.set_setpoint(pose)
        cell.advance(10 * MS)
        force.append(-cell.read().wrench[2])
        depth.append(cell.truth().depth)
    return np.array(force), np.array(depth)


Press = Callable[..., tuple[Array, Array]]


@pytest.fixture
def press() -> Press:
    """`press_down`, for tests that cannot import from here."""
    return press_down


@pytest.fixture
def above() -> Callable[..., Array]:
    """`pose_above`, for tests that cannot import from here."""
    return pose_above
