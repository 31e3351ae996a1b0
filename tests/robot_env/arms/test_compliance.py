"""HIL-SERL's compliance parameters: the same force and torque in our terms."""

import math

import pytest

from handrail.robot_env.arms.compliance import SERL_DEFAULTS, gains_from_serl, serl_from_gains
from handrail.robot_env.errors import ConfigError

RAM = {
    "translational_stiffness": 2000,
    "translational_damping": 89,
    "rotational_stiffness": 150,
    "rotational_damping": 7,
    "translational_Ki": 0,
    "translational_clip_x": 0.0075,
    "translational_clip_y": 0.0016,
    "translational_clip_z": 0.0055,
    "translational_clip_neg_x": 0.002,
    "translational_clip_neg_y": 0.0016,
    "translational_clip_neg_z": 0.005,
    "rotational_clip_x": 0.01,
    "rotational_clip_y": 0.025,
    "rotational_clip_z": 0.005,
    "rotational_clip_neg_x": 0.01,
    "rotational_clip_neg_y": 0.025,
    "rotational_clip_neg_z": 0.005,
    "rotational_Ki": 0,
}
"""The values of HIL-SERL's RAM insertion."""


def serl_push(error_m, stiffness, clip, clip_neg):
    """Force of its controller: error is measured − desired, clipped to [−clip_neg, clip], times −K."""
    return -stiffness * min(max(error_m, -clip_neg), clip)


def our_push(error_m, stiffness, clip, clip_neg):
    """Force of ours: error is desired − measured, clipped to [−clip_neg, clip], times K."""
    return stiffness * min(max(error_m, -clip_neg), clip)


@pytest.mark.parametrize("offset_m", [-0.02, -0.004, -0.001, 0.0, 0.001, 0.003, 0.02])
def test_every_axis_is_pushed_as_hard_and_the_same_way(offset_m):
    gains = gains_from_serl(RAM)
    assert gains.clip_m is not None and gains.clip_neg_m is not None
    for axis, letter in enumerate("xyz"):
        theirs = serl_push(
            offset_m,  # measured − desired
            RAM["translational_stiffness"],
            RAM[f"translational_clip_{letter}"],
            RAM[f"translational_clip_neg_{letter}"],
        )
        ours = our_push(-offset_m, gains.translation_n_m, gains.clip_m[axis], gains.clip_neg_m[axis])
        assert ours == pytest.approx(theirs)


@pytest.mark.parametrize("angle_rad", [-0.3, -0.02, 0.004, 0.012, 0.3])
def test_every_axis_is_turned_as_hard(angle_rad):
    gains = gains_from_serl(RAM)
    assert gains.clip_rad is not None and gains.clip_neg_rad is not None
    for axis, letter in enumerate("xyz"):
        theirs = serl_push(
            math.sin(angle_rad / 2),  # the vector part of the difference quaternion
            RAM["rotational_stiffness"],
            RAM[f"rotational_clip_{letter}"],
            RAM[f"rotational_clip_neg_{letter}"],
        )
        ours = our_push(-angle_rad, gains.rotation_nm_rad, gains.clip_rad[axis], gains.clip_neg_rad[axis])
        assert ours == pytest.approx(theirs, rel=1e-3)


def test_the_way_back_gives_the_same_parameters():
    there = serl_from_gains(gains_from_serl(RAM))
    assert set(there) == set(SERL_DEFAULTS)
    for name, value in RAM.items():
        assert there[name] == pytest.approx(value, abs=1e-9), name


def test_what_is_left_out_keeps_the_controllers_own_value():
    gains = gains_from_serl({"translational_stiffness": 500.0})
    assert gains.translation_n_m == 500.0
    assert gains.translation_damping_ns_m == 89.0
    assert gains.clip_m == gains.clip_neg_m == (0.01, 0.01, 0.01)
    assert gains.clip_rad == gains.clip_neg_rad == (0.1, 0.1, 0.1)


def test_wide_clips_and_zeros_are_brought_into_range():
    gains = gains_from_serl(
        {"translational_clip_z": 0.1, "rotational_clip_x": 0.5, "translational_clip_x": 0.0}
    )
    assert gains.clip_neg_m is not None and gains.clip_neg_rad is not None
    assert gains.clip_neg_m[2] == 0.05 and gains.clip_neg_rad[0] == 0.5
    assert 0.0 < gains.clip_neg_m[0] < 1e-5


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"translational_stifness": 1.0}, "unknown"),
        ({"translational_stiffness": float("nan")}, "finite"),
        ({"rotational_clip_x": -0.1}, "0 or more"),
        ({"rotational_clip_x": "0.1"}, "number"),
    ],
)
def test_what_is_no_parameter_is_refused_by_name(params, message):
    with pytest.raises(ConfigError, match=message):
        gains_from_serl(params)
