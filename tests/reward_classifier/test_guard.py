import numpy as np
import pytest

from handrail.reward_classifier.guard import NO_GUARD, Guard, Streak, first_success
from handrail.robot_env.errors import ConfigError

AT_REST = np.zeros(3)


@pytest.mark.parametrize(
    ("coordinates", "allowed"),
    [
        ((0.001, -0.001, 0.0, 0.0, 0.0, 0.01), True),
        ((0.005, 0.0, 0.0, 0.0, 0.0, 0.0), False),
        ((0.0, -0.005, 0.0, 0.0, 0.0, 0.0), False),
        ((0.0, 0.0, 0.005, 0.0, 0.0, 0.0), False),
        ((0.0, 0.0, 0.0, 0.0, 0.0, -0.1), False),
        ((np.nan, 0.0, 0.0, 0.0, 0.0, 0.0), False),
    ],
)
def test_a_success_is_believed_near_the_seated_pose(coordinates: tuple[float, ...], allowed: bool) -> None:
    assert Guard().allows(np.array(coordinates), AT_REST) is allowed
    assert NO_GUARD.allows(np.array(coordinates), AT_REST)


def test_a_force_that_means_a_jam_is_no_success() -> None:
    guard = Guard(force_n=20.0)
    assert guard.allows(np.zeros(6), np.array([0.0, 12.0, 16.0]))
    assert not guard.allows(np.zeros(6), np.array([0.0, 12.1, 16.0]))
    assert not guard.allows(np.zeros(6), np.array([0.0, np.nan, 0.0]))


def test_each_bound_can_be_left_out() -> None:
    guard = Guard(lateral_m=None, height_m=0.001, rotation_rad=None, force_n=None)
    assert guard.allows(np.array([1.0, 1.0, 0.0, 3.0, 3.0, 3.0]), np.full(3, 1e3))
    assert not guard.allows(np.array([0.0, 0.0, 0.002, 0.0, 0.0, 0.0]), AT_REST)


@pytest.mark.parametrize("value", [0.0, -0.001, float("nan"), float("inf")])
def test_a_bound_that_bounds_nothing_is_refused(value: float) -> None:
    with pytest.raises(ConfigError, match=r"guard\.height_m is .*, must be positive"):
        Guard(height_m=value)


def test_success_comes_with_the_kth_look_in_a_row() -> None:
    streak = Streak(3)
    assert [streak.look(bool(each)) for each in (1, 1, 0, 1, 1, 1)] == [False] * 5 + [True]
    streak.restart()
    assert not streak.look(True)
    with pytest.raises(ConfigError, match="consecutive frames of a success are 0"):
        Streak(0)


def test_a_look_that_the_guard_forbids_breaks_the_row() -> None:
    scores = [0.9, 0.9, 0.9, 0.9, 0.9]
    assert first_success(scores, [True] * 5, threshold=0.9, consecutive=2) == 1
    assert first_success(scores, [True, False, True, True, True], threshold=0.9, consecutive=2) == 3
    assert first_success(scores, [True] * 5, threshold=0.91, consecutive=1) is None
    with pytest.raises(ValueError, match="zip"):
        first_success(scores, [True], threshold=0.5, consecutive=9)
