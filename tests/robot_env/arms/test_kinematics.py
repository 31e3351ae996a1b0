"""The makers' tables against published poses, and against the simulated arms, which were made from others."""

from math import pi

import numpy as np
import pytest

from handrail.robot_env.arms.kinematics import FRANKA, UR
from handrail.robot_env.geometry import matrix_from_quat, pose_compose, pose_distance, pose_from
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.sim.config import SimConfig
from handrail.robot_env.sim.hand import TCP_OFFSET_M

FRANKA_HAND = pose_from((0, 0, TCP_OFFSET_M), (0, 0, -np.sin(pi / 8), np.cos(pi / 8)))
HALF_TURN = pose_from((0, 0, 0), (0, 0, 1, 0))  # the simulated UR is mounted so that +x points into the cell


def test_a_ur5e_stretched_out() -> None:
    """All angles zero: along -x, wrist towards -y (the pose that UR's own calculation sheet gives)."""
    flange = UR["ur5e"].flange(np.zeros(6))
    np.testing.assert_allclose(flange[:3], (-0.8172, -0.2329, 0.0628), atol=1e-4)
    np.testing.assert_allclose(matrix_from_quat(flange[3:])[:, 2], (0, -1, 0), atol=1e-9)


def test_a_franka_stretched_up() -> None:
    flange = FRANKA.flange(np.zeros(7))
    np.testing.assert_allclose(flange[:3], (0.088, 0.0, 0.926), atol=1e-9)
    np.testing.assert_allclose(matrix_from_quat(flange[3:])[:, 2], (0, 0, -1), atol=1e-9)


@pytest.mark.parametrize("arm", ["panda", "ur5e"])
def test_it_agrees_with_the_simulated_arm(arm) -> None:
    """The UR's simulated links are rounded to a millimetre."""
    state = SimCell(SimConfig(arm=arm)).read()
    if arm == "panda":
        expected = pose_compose(FRANKA.flange(state.q), FRANKA_HAND)
    else:
        flange = pose_compose(HALF_TURN, UR["ur5e"].flange(state.q))
        expected = pose_compose(flange, pose_from((0, 0, TCP_OFFSET_M)))
    distance_m, angle_rad = pose_distance(expected, state.pose)
    assert distance_m < (1e-4 if arm == "panda" else 1.5e-3)
    assert angle_rad < 1e-3


def test_another_number_of_joints_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        UR["ur5e"].flange(np.zeros(7))
