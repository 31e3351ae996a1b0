import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from handrail.intervention.config import MappingConfig
from handrail.intervention.device import Reading
from handrail.intervention.mapping import Mapping
from handrail.intervention.operator import SYNTHETIC_MAPPING

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
