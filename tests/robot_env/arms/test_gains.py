"""Gains: what no arm may be asked for, whatever its station permits."""

from dataclasses import replace

import pytest

from handrail.robot_env.arms.arm import MOST_DAMPING_NMS_RAD, MOST_DAMPING_NS_M, Gains
from handrail.robot_env.arms.compliance import SERL_DEFAULTS, gains_from_serl
from handrail.robot_env.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "limit"),
    [("translation_damping_ns_m", MOST_DAMPING_NS_M), ("rotation_damping_nms_rad", MOST_DAMPING_NMS_RAD)],
)
def test_damping_is_bounded_above_and_the_refusal_says_by_what(name, limit):
    assert getattr(replace(Gains(), **{name: limit}), name) == limit
    for value in (1.001 * limit, 1e9, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match=rf"gains\.{name} is {value}"):
            replace(Gains(), **{name: value})
    with pytest.raises(ConfigError, match=rf"outside \[0\.0, {limit}\]"):
        replace(Gains(), **{name: 1e9})


def test_what_hil_serl_asks_for_lies_far_below():
    for damping, turning in ((89.0, 7.0), (89.0, 9.0)):  # its tasks' contact, and their resets
        asked = {"translational_damping": damping, "rotational_damping": turning}
        gains = gains_from_serl({**SERL_DEFAULTS, **asked})
        assert 5.0 * gains.translation_damping_ns_m < MOST_DAMPING_NS_M
        assert 5.0 * gains.rotation_damping_nms_rad < MOST_DAMPING_NMS_RAD
