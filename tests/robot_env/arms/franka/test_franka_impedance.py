"""Clips that differ with the direction: laws of the limiter, without a robot."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.arms.franka.config import FrankaConfig
from handrail.robot_env.arms.franka.impedance import FrankaImpedance
from handrail.robot_env.geometry import (
    pose_from,
    quat_from_rotvec,
    quat_inverse,
    quat_multiply,
    rotvec_from_quat,
)

GAINS = Gains(
    clip_m=(0.002, 0.004, 0.006),
    clip_neg_m=(0.001, 0.003, 0.005),
    clip_rad=(0.02, 0.04, 0.06),
    clip_neg_rad=(0.01, 0.03, 0.05),
)
MEASURED = pose_from((0.5, 0.1, 0.2), quat_from_rotvec((3.0, 0.2, -0.1)))


def error_of(target):
    turn = rotvec_from_quat(quat_multiply(target[3:], quat_inverse(MEASURED[3:])))
    return np.concatenate((target[:3] - MEASURED[:3], turn))


@given(
    st.lists(st.floats(-0.05, 0.05), min_size=3, max_size=3),
    st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=3),
)
def test_the_error_is_clipped_axis_by_axis_in_the_base_frame(shift, turn):
    impedance = FrankaImpedance(None, FrankaConfig(), GAINS)
    wanted = pose_from(MEASURED[:3] + shift, quat_multiply(quat_from_rotvec(turn), MEASURED[3:]))
    assert GAINS.clip_m and GAINS.clip_neg_m and GAINS.clip_rad and GAINS.clip_neg_rad
    low = -np.array((*GAINS.clip_neg_m, *GAINS.clip_neg_rad))
    high = np.array((*GAINS.clip_m, *GAINS.clip_rad))
    got = error_of(impedance.limited(wanted, MEASURED))
    np.testing.assert_allclose(got, np.clip((*shift, *turn), low, high), atol=1e-12)


def test_the_loop_itself_clips_to_the_wider_direction():
    impedance = FrankaImpedance(None, FrankaConfig(), GAINS)
    assert not impedance.even
    np.testing.assert_allclose(impedance.clip, (0.002, 0.004, 0.006, 0.02, 0.04, 0.06))


def test_gains_without_clips_take_those_of_the_configuration():
    config = FrankaConfig(clip_m=(0.001, 0.002, 0.003), clip_rad=(0.01, 0.02, 0.03))
    impedance = FrankaImpedance(None, config, Gains())
    assert impedance.even
    np.testing.assert_allclose(impedance.clip, (0.001, 0.002, 0.003, 0.01, 0.02, 0.03))


def test_one_direction_given_holds_for_both():
    impedance = FrankaImpedance(None, FrankaConfig(), Gains(clip_m=(0.003, 0.003, 0.003)))
    assert impedance.even and impedance.clip[0] == pytest.approx(0.003)
