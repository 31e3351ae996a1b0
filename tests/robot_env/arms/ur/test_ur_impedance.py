"""The spring made of force mode, and UR's notation: formulas against hand-made numbers, and laws."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.arms.ur.config import URConfig
from handrail.robot_env.arms.ur.impedance import Impedance, pose_from_ur, tool_wrench, ur_from_pose
from handrail.robot_env.geometry import pose_compose, pose_distance, pose_from, quat_from_rotvec

DOWN = np.array((0.5, 0.0, 0.2, 1.0, 0.0, 0.0, 0.0))
STILL = np.zeros(6)
numbers = st.floats(-1.0, 1.0)
vectors = st.tuples(numbers, numbers, numbers)
poses = st.builds(lambda xyz, turn: pose_from(xyz, quat_from_rotvec([3 * x for x in turn])), vectors, vectors)


def test_urs_rotation_vectors_become_quaternions_xyzw():
    np.testing.assert_allclose(
        pose_from_ur([0.1, 0.2, 0.3, math.pi, 0, 0]), (0.1, 0.2, 0.3, 1, 0, 0, 0), atol=1e-12
    )
    half = math.sqrt(0.5)
    np.testing.assert_allclose(
        pose_from_ur([0, 0, 0, 0, 0, math.pi / 2]), (0, 0, 0, 0, 0, half, half), atol=1e-12
    )


@given(poses)
def test_the_notations_turn_into_each_other(pose):
    distance_m, angle_rad = pose_distance(pose_from_ur(ur_from_pose(pose)), pose)
    assert distance_m < 1e-12 and angle_rad < 1e-6


def test_a_force_in_base_orientation_is_turned_into_the_tools():
    # The tool points down and is turned by a quarter about the vertical: its x is the base's y, its y the x.
    pose = pose_compose(DOWN, (0, 0, 0, *quat_from_rotvec((0, 0, -math.pi / 2))))
    np.testing.assert_allclose(tool_wrench(pose, [0, 0, 10, 0, 0, 1]), (0, 0, -10, 0, 0, -1), atol=1e-12)
    np.testing.assert_allclose(tool_wrench(pose, [5, 0, 0, 0, 2, 0]), (0, 5, 0, 2, 0, 0), atol=1e-12)


def test_it_pulls_with_stiffness_times_error_less_damping_times_velocity():
    spring = Impedance(Gains(1000.0, 100.0, 50.0, 5.0), URConfig())
    target = pose_from(DOWN[:3] + np.array((0.002, 0.0, -0.001)), (1.0, 0.0, 0.0, 0.0))
    pull = spring.wrench(target, DOWN, np.array((0.01, 0.0, 0.0, 0.0, 0.1, 0.0)))
    np.testing.assert_allclose(pull, (2.0 - 0.5, 0.0, -1.0, 0.0, -0.5, 0.0), atol=1e-9)


def test_a_turn_is_pulled_back_by_its_rotation_vector_in_the_base_frame():
    spring = Impedance(Gains(), URConfig(clip_rad=(0.5, 0.5, 0.5)))
    target = DOWN.copy()
    target[3:] = pose_compose((0, 0, 0, *quat_from_rotvec((0, 0, 0.02))), DOWN)[3:]
    np.testing.assert_allclose(spring.wrench(target, DOWN, STILL), (0, 0, 0, 0, 0, 3.0), atol=1e-9)
    target[3:] *= -1.0  # the same turn
    np.testing.assert_allclose(spring.wrench(target, DOWN, STILL), (0, 0, 0, 0, 0, 3.0), atol=1e-9)


def test_each_direction_has_its_own_clip_and_the_gains_go_before_the_robots():
    config = URConfig(clip_m=(0.001, 0.001, 0.001), force_limit_n=100.0, torque_limit_nm=10.0)
    gains = Gains(
        2000.0, 100.0, clip_m=(0.002, 0.003, 0.004), clip_neg_m=(0.005, 0.006, 0.007), clip_rad=None
    )
    far = DOWN.copy()
    far[:3] += 1.0
    np.testing.assert_allclose(Impedance(gains, config).wrench(far, DOWN, STILL)[:3], (4, 6, 8))
    np.testing.assert_allclose(Impedance(gains, config).wrench(DOWN, far, STILL)[:3], (-10, -12, -14))
    np.testing.assert_allclose(Impedance(Gains(), config).wrench(far, DOWN, STILL)[:3], (2, 2, 2))
    np.testing.assert_allclose(Impedance(Gains(), config).wrench(DOWN, far, STILL)[:3], (-2, -2, -2))


@given(poses, poses, st.lists(numbers, min_size=6, max_size=6))
def test_no_target_and_no_velocity_ask_for_more_than_the_limits(target, pose, twist):
    config = URConfig(force_limit_n=12.0, torque_limit_nm=2.0)
    pull = Impedance(Gains(10_000.0, 10_000.0), config).wrench(target, pose, np.array(twist))
    assert np.abs(pull[:3]).max() <= 12.0 and np.abs(pull[3:]).max() <= 2.0
