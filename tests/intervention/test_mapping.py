import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from handrail.intervention.config import MappingConfig
from handrail.intervention.device import Reading
from handrail.intervention.mapping import Mapping
from handrail.intervention.operator import SYNTHETIC_MAPPING
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.geometry import quat_from_rotvec, quat_rotate

twists = arrays(np.float64, 6, elements=st.floats(-1.5, 1.5))
RAW = MappingConfig(smoothing_s=0.0)


def at(x: float, t_ns: int = 0) -> Reading:
    return Reading(np.array([x, 0, 0, 0, 0, 0.0]), t_ns)


@pytest.mark.parametrize(("x", "expected"), [(0.0, 0.0), (0.05, 0.0), (-0.04, 0.0), (1.0, 1.0), (-1.2, -1.0)])
def test_the_dead_zone_is_cut_and_the_rest_reaches_the_ends(x: float, expected: float) -> None:
    assert Mapping(RAW).apply(at(x))[0] == pytest.approx(expected)


def test_motion_begins_at_zero_speed() -> None:
    assert 0.0 < Mapping(RAW).apply(at(0.0501))[0] < 1e-3


@given(twists)
def test_an_action_is_within_bounds_and_keeps_the_signs(twist: np.ndarray) -> None:
    action = Mapping(RAW).apply(Reading(twist, 0))
    assert (np.abs(action) <= 1.0).all()
    assert (action * twist >= 0.0).all()


@given(twists)
def test_the_synthetic_operator_is_not_filtered(twist: np.ndarray) -> None:
    mapping = Mapping(SYNTHETIC_MAPPING)
    for t_ns in (0, 10_000_000):
        assert np.allclose(mapping.apply(Reading(twist, t_ns)), np.clip(twist, -1, 1))


def test_axes_are_chosen_and_signed() -> None:
    config = MappingConfig(
        dead_zone=0.0, smoothing_s=0.0, axes=(1, 0, 2, 3, 4, 5), gain=(-1, 0.5, 1, 1, 1, 1)
    )
    action = Mapping(config).apply(Reading(np.array([0.4, 0.8, 0, 0, 0, 0]), 0))
    assert action.tolist() == pytest.approx([-0.8, 0.2, 0, 0, 0, 0])


def test_smoothing_follows_its_time_constant_and_a_release_is_immediate() -> None:
    mapping = Mapping(MappingConfig(dead_zone=0.0, smoothing_s=0.04))
    mapping.apply(at(0.2, 0))
    assert mapping.apply(at(1.0, 40_000_000))[0] == pytest.approx(1.0 - 0.8 * np.exp(-1.0))
    assert mapping.apply(at(0.0, 41_000_000))[0] == 0.0


def test_a_lost_device_asks_for_nothing() -> None:
    mapping = Mapping(MappingConfig())
    mapping.apply(at(1.0))
    assert not mapping.apply(Reading(np.full(6, np.nan), 1)).any()
    assert not mapping.apply(Reading(np.ones(6), 1, connected=False)).any()


BASE = MappingConfig(dead_zone=0.0, smoothing_s=0.0, frame="base")
UNTURNED = np.array([0.0, 0.0, 0.0, 1.0])
DOWN = np.array([1.0, 0.0, 0.0, 0.0])  # a tool that points down, as over a board
rotvecs = arrays(np.float64, 3, elements=st.floats(-3.0, 3.0))
unit_twists = arrays(np.float64, 6, elements=st.floats(-1.0, 1.0))


def test_up_is_up_for_a_tool_that_points_down() -> None:
    up_and_anticlockwise = Reading(np.array([0, 0.2, 0.5, 0, 0, 0.3]), 0)
    action = Mapping(BASE).apply(up_and_anticlockwise, DOWN)
    assert action == pytest.approx([0, -0.2, -0.5, 0, 0, -0.3])


@given(unit_twists, rotvecs)
def test_turned_back_into_the_base_an_action_points_where_the_hand_did(
    twist: np.ndarray, rotvec: np.ndarray
) -> None:
    tool = quat_from_rotvec(rotvec)
    action = Mapping(BASE).apply(Reading(twist, 0), tool)
    assert (np.abs(action) <= 1.0 + 1e-12).all()
    for part in (slice(0, 3), slice(3, 6)):
        asked, got = twist[part], quat_rotate(tool, action[part])
        # Never bent; and never shortened by more than what keeps a full deflection within [-1, 1].
        assert np.allclose(np.cross(asked, got), 0.0, atol=1e-9) and asked @ got >= 0.0
        assert np.linalg.norm(got) >= min(np.linalg.norm(asked), 1.0) - 1e-9


@given(unit_twists, rotvecs)
def test_an_orientation_and_its_negative_are_one(twist: np.ndarray, rotvec: np.ndarray) -> None:
    tool = quat_from_rotvec(rotvec)
    one, other = (Mapping(BASE).apply(Reading(twist, 0), q) for q in (tool, -tool))
    assert np.allclose(one, other)


def test_smoothing_is_done_in_the_frame_of_the_hand() -> None:
    """A tool that turns under a steady hand does not drag the average along."""
    mapping = Mapping(MappingConfig(dead_zone=0.0, smoothing_s=0.04, frame="base"))
    hand = np.array([0.5, 0, 0, 0, 0, 0])
    mapping.apply(Reading(hand, 0), quat_from_rotvec([0, 0, 0]))
    turned = mapping.apply(Reading(hand, 1), quat_from_rotvec([0, 0, np.pi / 2]))
    assert turned == pytest.approx([0, -0.5, 0, 0, 0, 0])


def test_in_the_end_effectors_frame_the_orientation_does_not_matter() -> None:
    reading = Reading(np.array([0.4, 0, 0, 0, 0, 0.2]), 0)
    assert np.array_equal(Mapping(RAW).apply(reading), Mapping(RAW).apply(reading, DOWN))


def test_the_base_frame_without_an_orientation_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match=r"mapping.frame is 'base', which needs the tool's orientation"):
        Mapping(BASE).apply(Reading(np.zeros(6), 0))
    with pytest.raises(ConfigError, match=r"mapping.frame is 'tool'"):
        MappingConfig(frame="tool")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="names no rotation"):
        Mapping(BASE).apply(Reading(np.ones(6), 0), np.full(4, np.nan))


@pytest.mark.parametrize("deg, x, y", [(0.0, 1.0, 0.5), (180.0, -1.0, -0.5), (90.0, -0.5, 1.0)])
def test_the_base_s_directions_go_by_where_the_operator_looks(deg: float, x: float, y: float) -> None:
    config = MappingConfig(dead_zone=0.0, smoothing_s=0.0, frame="base", operator_deg=deg)
    twist = np.array([1.0, 0.5, 0.2, 1.0, 0.5, 0.2])
    action = Mapping(config).apply(Reading(twist, 0), UNTURNED)
    assert action.tolist() == pytest.approx([x, y, 0.2, x, y, 0.2])
