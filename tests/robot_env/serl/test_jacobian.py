"""The Jacobian against what it is: how the tool moves when the joints do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handrail.robot_env.arms.kinematics import FRANKA, UR
from handrail.robot_env.geometry import (
    pose_compose,
    pose_inverse,
    quat_from_rotvec,
    quat_multiply,
    rotvec_from_quat,
)
from handrail.robot_env.serl.jacobian import tool_jacobian

TOOL = (0.02, -0.03, 0.1, 0.0, 0.0, -0.3826834, 0.9238795)


@given(st.sampled_from(["franka", "ur5e", "ur10e"]), st.lists(st.floats(-2.0, 2.0), min_size=7, max_size=7))
def test_each_column_is_what_its_joint_does_to_the_tool(name, angles):
    table = FRANKA if name == "franka" else UR[name]
    q = np.array(angles[: len(table.rows)])
    pose = pose_compose(table.flange(q), TOOL)
    jacobian = tool_jacobian(table, q, pose)
    for joint in range(len(q)):
        step = np.zeros(len(q))
        step[joint] = 1e-6
        after, before = (pose_compose(table.flange(q + sign * step), TOOL) for sign in (1, -1))
        turn = rotvec_from_quat(quat_multiply(after[3:], pose_inverse(before)[3:]))
        moved = np.concatenate((after[:3] - before[:3], turn)) / 2e-6
        np.testing.assert_allclose(jacobian[:, joint], moved, atol=1e-5)


def test_a_base_turned_by_half_a_turn_is_recognised():
    q = np.array([0.3, -1.7, 2.0, -1.8, -1.5, 0.2])
    half = (0.0, 0.0, 0.0, *quat_from_rotvec((0.0, 0.0, np.pi)))
    pose = pose_compose(UR["ur5e"].flange(q), TOOL)
    turned = tool_jacobian(UR["ur5e"], q, pose_compose(half, pose))
    expected = tool_jacobian(UR["ur5e"], q, pose) * np.array([[-1], [-1], [1], [-1], [-1], [1]])
    np.testing.assert_allclose(turned, expected, atol=1e-9)


@pytest.mark.parametrize("q", [np.zeros(6), np.zeros(7)])
def test_another_arms_is_nothing_rather_than_wrong(q):
    assert not tool_jacobian(FRANKA, q, (3.0, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0)).any()
