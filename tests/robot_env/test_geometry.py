import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handrail.robot_env.geometry import (
    IDENTITY_POSE,
    WorkFrame,
    matrix_from_quat,
    pose_apply,
    pose_compose,
    pose_distance,
    pose_from,
    pose_inverse,
    pose_relative,
    quat_angle,
    quat_from_rotvec,
    quat_inverse,
    quat_multiply,
    quat_normalize,
    quat_rotate,
    quat_slerp,
    rotvec_from_quat,
)

number = st.floats(-1.0, 1.0)
vectors = st.tuples(number, number, number)
quats = st.tuples(number, number, number, number).filter(lambda q: math.hypot(*q) > 0.05).map(quat_normalize)
poses = st.builds(pose_from, vectors, quats)
fractions = st.floats(0.0, 1.0)
directions = vectors.filter(lambda v: math.hypot(*v) > 0.05).map(lambda v: np.array(v) / math.hypot(*v))


def same(a, b, tolerance=1e-9):
    distance_m, angle_rad = pose_distance(a, b)
    assert distance_m <= tolerance and angle_rad <= 10 * tolerance


@given(a=poses, b=poses, c=poses)
def test_composition_is_associative(a, b, c):
    same(pose_compose(pose_compose(a, b), c), pose_compose(a, pose_compose(b, c)))


@given(a=poses)
def test_the_inverse_undoes(a):
    same(pose_compose(a, pose_inverse(a)), IDENTITY_POSE)
    same(pose_compose(pose_inverse(a), a), IDENTITY_POSE)
    same(pose_compose(a, IDENTITY_POSE), a)
    np.testing.assert_allclose(quat_multiply(a[3:], quat_inverse(a[3:])), (0, 0, 0, 1), atol=1e-12)


@given(a=poses, b=poses)
def test_relative_is_inverse_then_compose(a, b):
    same(pose_relative(a, b), pose_compose(pose_inverse(a), b))
    same(pose_compose(a, pose_relative(a, b)), b)


@given(a=poses, b=poses, point=vectors)
def test_a_pose_acts_on_points_as_the_product_does(a, b, point):
    np.testing.assert_allclose(
        pose_apply(pose_compose(a, b), point), pose_apply(a, pose_apply(b, point)), atol=1e-9
    )


@given(q=quats, v=vectors)
def test_a_rotation_agrees_with_its_matrix(q, v):
    matrix = matrix_from_quat(q)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1.0)
    np.testing.assert_allclose(quat_rotate(q, v), matrix @ np.array(v), atol=1e-12)


@given(q=quats)
def test_a_quaternion_and_its_negative_are_one_rotation(q):
    np.testing.assert_array_equal(rotvec_from_quat(q), rotvec_from_quat(-q))
    assert quat_angle(q, -q) < 1e-7


def test_half_turns_have_one_rotation_vector():
    for q in ((1.0, 0, 0, 0), (0, 0, 1.0, 0), (0, 0.6, -0.8, 0)):
        np.testing.assert_array_equal(rotvec_from_quat(q), rotvec_from_quat([-x for x in q]))


@given(direction=directions, angle=st.floats(0.0, math.pi - 1e-6))
def test_rotation_vectors_survive_the_round_trip(direction, angle):
    rotvec = angle * direction
    np.testing.assert_allclose(rotvec_from_quat(quat_from_rotvec(rotvec)), rotvec, atol=1e-9)


@pytest.mark.parametrize("angle", [0.0, 1e-300, 1e-17, 1e-12, 1e-8, 1e-5, 9.99e-5, 1.01e-4, 1e-3])
def test_rotation_vectors_keep_their_precision_near_zero(angle):
    rotvec = np.array([0.6, 0.0, -0.8]) * angle
    back = rotvec_from_quat(quat_from_rotvec(rotvec))
    np.testing.assert_allclose(back, rotvec, rtol=1e-9, atol=0.0)


@pytest.mark.parametrize("below", [1e-3, 1e-6, 1e-9, 1e-12])
def test_rotation_vectors_keep_their_precision_near_pi(below):
    rotvec = np.array([0.6, 0.0, -0.8]) * (math.pi - below)
    np.testing.assert_allclose(rotvec_from_quat(quat_from_rotvec(rotvec)), rotvec, atol=1e-12)
    past = np.array([0.6, 0.0, -0.8]) * (math.pi + below)
    np.testing.assert_allclose(rotvec_from_quat(quat_from_rotvec(past)), -rotvec, atol=1e-12)


@given(a=quats, b=quats, fraction=fractions)
def test_slerp_turns_the_short_way_at_a_steady_rate(a, b, fraction):
    whole = quat_angle(a, b)
    between = quat_slerp(a, b, fraction)
    assert quat_angle(a, between) == pytest.approx(fraction * whole, abs=1e-6)
    assert quat_angle(between, b) == pytest.approx((1 - fraction) * whole, abs=1e-6)


def test_a_quaternion_without_length_is_refused():
    with pytest.raises(ValueError, match="names no rotation"):
        quat_normalize((0.0, 0.0, 0.0, 0.0))


@given(nominal=poses, axes=quats, pose=poses)
def test_work_coordinates_survive_the_round_trip(nominal, axes, pose):
    frame = WorkFrame(nominal, axes)
    same(frame.pose(frame.coordinates(pose)), pose, 1e-8)
    np.testing.assert_allclose(frame.coordinates(nominal), 0.0, atol=1e-9)


@given(nominal=poses, axes=quats, vector=vectors)
def test_work_axes_are_the_given_ones(nominal, axes, vector):
    frame = WorkFrame(nominal, axes)
    np.testing.assert_allclose(frame.rotate_in(quat_rotate(axes, vector)), vector, atol=1e-9)
    moved = frame.pose([*vector, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(moved[:3] - nominal[:3], quat_rotate(axes, vector), atol=1e-9)


def test_no_function_shares_memory_with_its_arguments():
    pose = pose_from((1.0, 2.0, 3.0))
    for result in (
        pose_compose(pose, IDENTITY_POSE),
        quat_normalize(pose[3:]),
        pose_from(pose[:3], pose[3:]),
    ):
        assert not np.shares_memory(result, pose)
