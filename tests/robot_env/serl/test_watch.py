"""What counts as a dead state and as an arm that does not follow, in time that the test gives."""

from dataclasses import replace

import numpy as np
import pytest

from handrail.robot_env.serl.protocol import SerlReading
from handrail.robot_env.serl.watch import SerlWatch, WatchLimits

LIMITS = WatchLimits(frozen_states=5, follow_m=0.008, follow_rad=0.06, follow_n=5.0, follow_s=1.0)
AT = np.array([0.5, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0])
STILL = SerlReading(AT, np.zeros(6), np.zeros(6), np.zeros(7), np.zeros(7), 1.0)


class Time:
    def __init__(self) -> None:
        self.now_ns = 0
        self.watch = SerlWatch(LIMITS, lambda: self.now_ns)

    def stuck(self, reading, setpoint, seconds: float) -> str:
        for _ in range(round(seconds / 0.1)):
            fault = self.watch.stuck(reading, setpoint)
            self.now_ns += 100_000_000
        return fault


@pytest.fixture
def time() -> Time:
    return Time()


def ahead(x: float) -> np.ndarray:
    return AT + np.array([x, 0, 0, 0, 0, 0, 0])


def test_a_resting_arm_may_repeat_itself_for_ever(time):
    assert not any(time.watch.frozen(STILL, AT) for _ in range(1000))
    assert not any(time.watch.frozen(STILL, None) for _ in range(1000))


def test_repeats_count_once_the_set_point_has_moved(time):
    frozen = [time.watch.frozen(STILL, ahead(0.0003 * i)) for i in range(20)]
    assert frozen == [False] * 8 + [True] * 12  # it has moved by a millimetre from the fifth on


def test_one_new_number_is_life(time):
    for i in range(20):
        reading = replace(STILL, q=np.full(7, 1e-9 * i))
        assert not time.watch.frozen(reading, ahead(0.01 * i))


def test_joints_said_to_turn_cannot_keep_their_angles(time):
    turning = replace(STILL, dq=np.full(7, 0.1))
    assert [time.watch.frozen(turning, None) for _ in range(7)] == [False] * 5 + [True] * 2


def test_an_arm_that_stands_away_from_its_set_point_is_stuck_after_a_while(time):
    assert not time.stuck(STILL, ahead(0.012), 1.0)
    assert "12.0 mm" in time.stuck(STILL, ahead(0.012), 0.2)


@pytest.mark.parametrize(
    "reading",
    [
        replace(STILL, twist=np.array([0.02, 0, 0, 0, 0, 0])),
        replace(STILL, wrench=np.array([0, 0, -8.0, 0, 0, 0])),
        replace(STILL, pose=ahead(0.006)),
    ],
    ids=["moving", "pressing", "near"],
)
def test_an_arm_that_moves_presses_or_is_nearly_there_is_not(time, reading):
    assert not time.stuck(reading, ahead(0.012), 5.0)


def test_a_set_point_that_still_moves_is_given_time(time):
    for i in range(30):
        assert not time.stuck(STILL, ahead(0.01 + 0.002 * i), 0.1)


def test_it_forgets_when_told_to(time):
    time.stuck(STILL, ahead(0.012), 0.9)
    time.watch.restart()
    assert not time.stuck(STILL, ahead(0.012), 1.0)
