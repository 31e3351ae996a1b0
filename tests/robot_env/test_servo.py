import re

import numpy as np
import pytest

from handrail.robot_env.clock import NS_PER_MS
from handrail.robot_env.config import RESET_MOTION, LimitsConfig
from handrail.robot_env.errors import ArmError, ArmFault
from handrail.robot_env.gate import GateFlag
from handrail.robot_env.geometry import WorkFrame
from handrail.robot_env.servo import Servo

FRAME = WorkFrame((0.5, 0.0, 0.07, 1.0, 0.0, 0.0, 0.0))
HERE = FRAME.pose((0.0, 0.0, 0.04, 0.0, 0.0, 0.0))
THERE = FRAME.pose((0.01, 0.0, 0.04, 0.0, 0.0, 0.0))


class Recorder:
    """A driver that remembers where it was pulled to."""

    def __init__(self):
        self.poses = []

    def set_setpoint(self, pose):
        self.poses.append(np.array(pose))


@pytest.fixture
def driver():
    return Recorder()


@pytest.fixture
def servo(driver):
    servo = Servo(driver, LimitsConfig(), FRAME, 0.1)
    servo.seed(HERE, 0)
    return servo


def test_nothing_is_written_before_it_is_seeded(driver):
    servo = Servo(driver, LimitsConfig(), FRAME, 0.1)
    servo.tick(0)
    servo.brake(0)
    assert driver.poses == [] and servo.resting(0)
    with pytest.raises(ArmFault, match="start the arm"):
        servo.command(THERE, HERE, 0.0, 0)


def test_ticks_write_the_plan_as_time_passes(servo, driver):
    servo.command(THERE, HERE, 0.0, 1000)
    for ms in range(0, 200, 10):
        servo.tick(1000 + ms * NS_PER_MS)
    x = np.array(driver.poses)[:, 0]
    assert x[0] == pytest.approx(0.5) and x[-1] == pytest.approx(0.51)
    assert (np.diff(x) >= 0).all() and np.diff(x).max() <= 0.25 * 0.01 + 1e-9
    assert servo.resting(1000 + 200 * NS_PER_MS)


def test_a_new_goal_takes_over_in_mid_motion_without_a_jump(servo):
    servo.command(THERE, HERE, 0.0, 0)
    now = 40 * NS_PER_MS
    before = servo.setpoint(now)
    servo.command(HERE, HERE, 0.0, now)
    after = servo.setpoint(now)
    np.testing.assert_allclose(after.position, before.position, atol=1e-12)
    np.testing.assert_allclose(after.velocity, before.velocity, atol=1e-9)
    np.testing.assert_allclose(after.acceleration, before.acceleration, atol=1e-9)


def test_a_brake_comes_to_rest_inside_the_limits(servo):
    servo.command(THERE, HERE, 0.0, 0)
    servo.brake(40 * NS_PER_MS)
    end = servo.setpoint(500 * NS_PER_MS)
    np.testing.assert_allclose(end.velocity, 0.0, atol=1e-9)
    assert 0.0 < end.position[0] < 0.01


def test_a_force_trip_is_latched_until_it_is_seeded_again(servo):
    for _ in range(3):
        servo.command(THERE, HERE, 99.0, 0)
    assert servo.tripped
    assert servo.command(THERE, HERE, 0.0, 0).flags & GateFlag.FORCE
    servo.seed(HERE, 0)
    assert not servo.tripped
    assert not servo.command(THERE, HERE, 0.0, 0).flags & GateFlag.FORCE


def test_the_force_between_commands_trips_too_and_brakes(servo):
    servo.command(THERE, HERE, 0.0, 0)
    now = 40 * NS_PER_MS
    assert [servo.watch(f, now) for f in (99.0, 99.0, 5.0, 99.0, float("nan"))] == [False] * 5
    assert servo.setpoint(now).velocity[0] > 0.05
    assert servo.watch(99.0, now) and servo.tripped
    np.testing.assert_allclose(servo.setpoint(now + 300 * NS_PER_MS).velocity, 0.0, atol=1e-9)
    assert servo.setpoint(now + 300 * NS_PER_MS).position[0] < 0.01
    assert servo.take_flags() == GateFlag.FORCE
    assert servo.watch(0.0, now) and servo.command(THERE, HERE, 0.0, now).flags & GateFlag.FORCE
    servo.seed(HERE, now)
    assert not servo.watch(0.0, now) and servo.take_flags() == GateFlag.FORCE  # the refused command's


@pytest.mark.parametrize("braking_ms", [0, 5, 20, 400])
def test_a_new_start_goes_on_from_where_the_set_point_is(servo, braking_ms):
    servo.command(THERE, HERE, 0.0, 0)
    servo.brake(40 * NS_PER_MS)
    now = (40 + braking_ms) * NS_PER_MS
    before = servo.setpoint(now)
    behind = FRAME.pose((-0.003, 0.0, 0.04, 0.0, 0.0, 0.0))
    servo.seed(behind, now)
    after = servo.setpoint(now)
    for part in ("position", "velocity", "acceleration"):
        np.testing.assert_allclose(getattr(after, part), getattr(before, part), atol=1e-9)
    assert servo.setpoint(now + 500 * NS_PER_MS).position[0] == pytest.approx(-0.003, abs=1e-6)


def test_what_the_driver_has_let_go_of_begins_anew_where_the_arm_is(servo, driver):
    servo.command(THERE, HERE, 0.0, 0)
    servo.forget()
    servo.tick(10 * NS_PER_MS)
    assert driver.poses == []
    servo.seed(THERE, 20 * NS_PER_MS)
    assert servo.setpoint(20 * NS_PER_MS).position[0] == pytest.approx(0.01)


def test_flags_add_up_until_they_are_taken(servo):
    far = FRAME.pose((0.3, 0.0, 0.04, 0.0, 0.0, 0.0))
    servo.command(far, HERE, 0.0, 0)
    servo.command(np.full(7, np.nan), HERE, 0.0, 0)
    servo.flag(GateFlag.HOLD)
    flags = servo.take_flags()
    assert flags & GateFlag.LEASH and flags & GateFlag.NONFINITE and flags & GateFlag.HOLD
    assert servo.take_flags() == GateFlag.NONE


def outside_m(position):
    return max(0.0, -0.01 - position[2])


def test_a_seed_a_little_outside_is_pulled_in_within_the_limits(driver):
    servo = Servo(driver, LimitsConfig(), FRAME, 0.1)
    below = (0.0, 0.0, -0.021, 0.0, 0.0, 0.0)
    servo.seed(FRAME.pose(below), 0)
    np.testing.assert_allclose(servo.setpoint(0).position, below, atol=1e-9)
    np.testing.assert_allclose(servo.setpoint(0).velocity, 0.0, atol=1e-9)
    for ms in range(0, 300, 5):
        servo.tick(ms * NS_PER_MS)
    z = np.array([FRAME.coordinates(pose)[2] for pose in driver.poses])
    assert (np.diff(z) >= -1e-9).all() and np.diff(z).max() <= 0.25 * 0.005 + 1e-9
    assert z[-1] == pytest.approx(-0.01, abs=2e-6) and servo.resting(300 * NS_PER_MS)


@pytest.mark.parametrize("seed", range(20))
def test_on_its_way_into_the_workspace_nothing_sends_a_set_point_further_out(driver, seed):
    rng = np.random.default_rng(seed)
    servo = Servo(driver, LimitsConfig(), FRAME, 0.1)
    here = FRAME.pose((0.0, 0.0, -0.021, 0.0, 0.0, 0.0))
    servo.seed(here, 0)
    now, last_m = 0, outside_m(servo.setpoint(0).position)
    for _ in range(30):
        kind = rng.integers(4)
        if kind == 0:
            servo.brake(now)
        elif kind == 1:
            servo.command(np.full(7, np.nan), here, 0.0, now)
        else:
            servo.command(FRAME.pose((*rng.normal(0.0, 0.02, 3), 0.0, 0.0, 0.0)), here, 0.0, now)
        for _ in range(rng.integers(1, 10)):
            now += NS_PER_MS
            now_m = outside_m(servo.setpoint(now).position)
            assert now_m <= last_m + 1e-9
            last_m = now_m


def test_a_seed_far_outside_is_refused(servo):
    off, turned = (
        "150.0 mm outside env.limits.workspace_low_m",
        "turned 0.380 rad beyond env.limits.rotation_",
    )
    for far, said, unsaid in (
        ((0.0, 0.2, 0.04, 0.0, 0.0, 0.0), off, "turned"),
        ((0.0, 0.0, 0.04, 0.5, 0.0, 0.0), turned, "outside"),
    ):
        with pytest.raises(ArmError, match=re.escape(said)) as caught:
            servo.seed(FRAME.pose(far), 0)
        assert unsaid not in str(caught.value) and not isinstance(caught.value, ArmFault)
    with pytest.raises(ArmError, match=r"outside .* and turned"):
        servo.seed(np.full(7, np.nan), 0)


def test_resets_may_move_faster_on_a_longer_leash(servo):
    far = FRAME.pose((0.04, 0.0, 0.04, 0.0, 0.0, 0.0))
    assert servo.command(far, HERE, 0.0, 0).flags & GateFlag.LEASH
    servo.use(RESET_MOTION)
    assert not servo.command(far, HERE, 0.0, 0).flags & GateFlag.LEASH
