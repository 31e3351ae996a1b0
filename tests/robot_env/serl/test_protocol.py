"""The conventions of HIL-SERL's protocol, as laws where there are some."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handrail.robot_env.geometry import (
    matrix_from_quat,
    pose_from,
    quat_from_rotvec,
    quat_multiply,
    quat_rotate,
)
from handrail.robot_env.serl.protocol import (
    FRANKA_HAND,
    com_in_flange,
    com_in_tool,
    counts_of_width,
    decode_state,
    euler_of,
    numbers,
    opening_of,
    padded,
    pose_of,
    width_of_counts,
    wrench_reply,
)

STATE = (
    b'{"pose": [0.5, 0, 0.3, 2, 0, 0, 0], "vel": [1, 2, 3, 4, 5, 6], "force": [1, 2, 3], '
    b'"torque": [4, 5, 6], "q": [1, 2, 3, 4, 5, 6, 0], "dq": [0, 0, 0, 0, 0, 1, 0], '
    b'"jacobian": [[0], [1]], "gripper_pos": 0.9}'
)
ANGLES = st.tuples(*[st.floats(-3.0, 3.0)] * 3)


def matrix(axis: int, angle: float) -> np.ndarray:
    turn = [0.0, 0.0, 0.0]
    turn[axis] = angle
    return matrix_from_quat(quat_from_rotvec(turn))


@given(ANGLES)
def test_euler_angles_are_turns_about_fixed_axes_x_first(turn):
    quat = quat_from_rotvec(turn)
    a, b, c = euler_of(quat)
    np.testing.assert_allclose(matrix(2, c) @ matrix(1, b) @ matrix(0, a), matrix_from_quat(quat), atol=1e-9)
    assert abs(b) <= math.pi / 2 + 1e-12


@pytest.mark.parametrize("pitch", [math.pi / 2, -math.pi / 2])
def test_euler_angles_at_their_singularity_are_still_a_turn(pitch):
    quat = quat_multiply(quat_from_rotvec((0, pitch, 0)), quat_from_rotvec((0.4, 0, 0)))
    a, b, c = euler_of(quat)
    np.testing.assert_allclose(matrix(2, c) @ matrix(1, b) @ matrix(0, a), matrix_from_quat(quat), atol=1e-6)


def test_a_state_in_our_conventions():
    reading = decode_state(STATE)
    np.testing.assert_allclose(reading.pose, (0.5, 0, 0.3, 1, 0, 0, 0))
    np.testing.assert_allclose(reading.twist, (1, 2, 3, 4, 5, 6))
    np.testing.assert_allclose(reading.wrench, (-1, -2, -3, -4, -5, -6))
    assert len(reading.q) == 7 and reading.opening == 0.9
    assert len(decode_state(STATE, joints=6).q) == 6


@given(ANGLES, ANGLES)
def test_a_wrench_along_the_base_is_turned_into_the_tools_axes(turn, force):
    quat = quat_from_rotvec(turn)
    body = (
        b'{"pose": %s, "vel": [0,0,0,0,0,0], "force": %s, "torque": [0,0,0], "q": [0,0,0,0,0,0,0], '
        b'"dq": [0,0,0,0,0,0,0]}'
    ) % (str([0.0, 0.0, 0.0, *quat.tolist()]).encode(), str(list(force)).encode())
    wrench = decode_state(body, frame="base", by="environment").wrench
    np.testing.assert_allclose(quat_rotate(quat, wrench[:3]), force, atol=1e-9)


def test_the_wrench_that_is_sent_is_the_one_that_is_read():
    wrench = np.array([1.0, -2.0, 3.0, 0.1, -0.2, 0.0])
    force, torque = wrench_reply(wrench)
    assert "-0.0" not in str(torque)
    body = STATE.replace(b"[1, 2, 3]", str(force).encode()).replace(b"[4, 5, 6]", str(torque).encode())
    np.testing.assert_allclose(decode_state(body).wrench, wrench)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (b'"vel": [1, 2, 3, 4, 5, 6]', b'"vel": [1]', "vel has 1 values"),
        (b"0.3", b"1e999", "out of range|finite"),
        (b"0.3", b"NaN", "no state"),
        (b"[0.5, 0, 0.3, 2, 0, 0, 0]", b"[0.5, 0, 0.3, 0, 0, 0, 0]", "no rotation"),
        (b'"q": [1, 2, 3, 4, 5, 6, 0]', b'"q": []', "q has 0"),
        (b'"torque"', b'"torqe"', "torque"),
        (b"0.9", b'"open"', "gripper_pos"),
    ],
)
def test_what_is_no_state_is_refused(old, new, match):
    with pytest.raises(ValueError, match=match):
        decode_state(STATE.replace(old, new))


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise_anything_else(content):
    with pytest.raises(ValueError):
        decode_state(content)


@given(st.integers(0, 255), st.sampled_from(["franka", "robotiq"]))
def test_widths_and_counts_agree(counts, kind):
    width_m = width_of_counts(counts, kind)
    assert 0.0 <= width_m <= 0.08
    again = counts_of_width(width_m, kind)
    assert abs(again - counts) <= 1 or (kind == "franka" and counts > 204)  # a hand opens to 80 mm only


def test_grippers_count_in_opposite_directions():
    assert width_of_counts(0) == 0.0 and width_of_counts(255) == 0.08
    assert width_of_counts(0, "robotiq") == 0.08 and width_of_counts(255, "robotiq") == 0.0
    assert width_of_counts(1e6) == 0.08 and width_of_counts(-5.0) == 0.0
    with pytest.raises(ValueError, match="finite"):
        width_of_counts(math.nan)
    assert opening_of(0.08) == 1.0 and opening_of(0.1) == 1.0 and opening_of(0.0) == 0.0


def test_a_gripper_with_another_stroke_opens_from_0_to_1_too():
    assert opening_of(0.05, 0.05) == 1.0 and width_of_counts(255, open_m=0.05) == 0.05
    for counts in (0, 51, 102, 204):  # what asks for an opening asks every gripper for the same one
        opening = opening_of(width_of_counts(counts, open_m=0.05), 0.05)
        assert opening == pytest.approx(opening_of(width_of_counts(counts)))
        assert counts_of_width(0.08 * opening, open_m=0.07) == counts  # its own server counts in metres


@given(ANGLES)
def test_a_load_comes_back_from_the_flange(com):
    np.testing.assert_allclose(com_in_tool(com_in_flange(com, FRANKA_HAND), FRANKA_HAND), com, atol=1e-9)


def test_small_print():
    np.testing.assert_allclose(pose_of([1, 2, 3, 0, 0, 0, -2]), pose_from((1, 2, 3), (0, 0, 0, -1)))
    assert padded(np.array([1.0, 2.0]), 3) == [1.0, 2.0, 0.0]
    with pytest.raises(ValueError, match="2 values, must have 3"):
        numbers("force", [1.0, 2.0], 3)
