import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handrail.robot_env.config import RESET_MOTION, LimitsConfig, MotionLimits
from handrail.robot_env.gate import (
    GateFlag,
    GateLimits,
    SetPoint,
    gate,
    plan_brake,
    plan_to,
)
from handrail.robot_env.geometry import WorkFrame, pose_compose, pose_distance, quat_from_rotvec

FRAME = WorkFrame((0.5, 0.02, 0.07, 1.0, 0.0, 0.0, 0.0), quat_from_rotvec((0.0, 0.0, 0.3)))
LIMITS = GateLimits.build(LimitsConfig(), FRAME, MotionLimits(), 0.1)
RESET = GateLimits.build(LimitsConfig(), FRAME, RESET_MOTION, 0.1)
LOOSE = dataclasses.replace(LIMITS, leash_m=10.0, leash_rad=10.0)
MIDDLE = (0.0, 0.0, 0.04, 0.0, 0.0, 0.0)
CALM = 0.0

inside = st.tuples(*(st.floats(low, high) for low, high in zip(LIMITS.low, LIMITS.high, strict=True)))
anywhere = st.tuples(*[st.floats(-0.3, 0.3)] * 3, *[st.floats(-3.0, 3.0)] * 3)


def decide(wanted, start=MIDDLE, measured=None, force_n=CALM, limits=LIMITS, count=0):
    measured = FRAME.pose(start if measured is None else measured)
    return gate(FRAME.pose(wanted), SetPoint(start), measured, force_n, limits, count)


def test_a_step_of_one_centimetre_is_done_within_its_tick():
    decision = decide((0.01, 0.0, 0.04, 0.0, 0.0, 0.0))
    assert decision.flags == GateFlag.NONE
    assert decision.plan.duration_s < 0.08
    np.testing.assert_allclose(decision.plan.at(1.0).position, (0.01, 0, 0.04, 0, 0, 0), atol=1e-9)


@given(wanted=anywhere, start=inside)
def test_the_gate_is_idempotent(wanted, start):
    first = decide(wanted, start)
    again = gate(first.goal, SetPoint(start), FRAME.pose(start), CALM, LIMITS)
    assert not again.flags & ~GateFlag.SPEED
    np.testing.assert_allclose(again.plan.rest, first.plan.rest, atol=1e-9)


@given(wanted=anywhere, start=inside)
def test_a_quaternion_and_its_negative_are_one_goal(wanted, start):
    pose = FRAME.pose(wanted)
    mirrored = np.concatenate([pose[:3], -pose[3:]])
    here = FRAME.pose(start)
    plans = [
        gate(p, SetPoint(start), m, CALM, LIMITS).plan
        for p, m in itertools.product((pose, mirrored), (here, np.concatenate([here[:3], -here[3:]])))
    ]
    assert len({plan.rest for plan in plans}) == 1
    assert len({plan.duration_s for plan in plans}) == 1


@given(wanted=anywhere, start=inside)
def test_the_goal_stays_on_the_leash_and_in_the_box(wanted, start):
    decision = decide(wanted, start)
    distance_m, _ = pose_distance(decision.goal, FRAME.pose(start))
    assert distance_m <= LIMITS.leash_m + 1e-9
    assert math.dist(decision.plan.rest[3:], start[3:]) <= LIMITS.leash_rad + 1e-9
    assert LIMITS.clip(decision.plan.rest) == decision.plan.rest


@pytest.mark.parametrize(
    ("wanted", "flag"),
    [
        ((0.04, 0.0, 0.04, 0.0, 0.0, 0.0), GateFlag.LEASH),
        ((0.06, 0.0, 0.04, 0.0, 0.0, 0.0), GateFlag.WORKSPACE),
        ((0.0, 0.0, 0.04, 0.0, 0.2, 0.0), GateFlag.ROTATION),
        ((0.04, 0.0, 0.04, 0.0, 0.0, 0.0), GateFlag.SPEED),
    ],
)
def test_every_limit_raises_its_flag(wanted, flag):
    limits = LIMITS if flag is GateFlag.LEASH else LOOSE
    assert decide(wanted, limits=limits).flags & flag


@pytest.mark.parametrize("index", range(7))
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_brakes(index, value):
    moving = SetPoint(MIDDLE, (0.1, 0, 0, 0, 0, 0.3), (1.0, 0, 0, 0, 0, 0))
    here = FRAME.pose(MIDDLE)
    broken = here.copy()
    broken[index] = value
    for goal, measured in ((broken, here), (here, broken)):
        decision = gate(goal, moving, measured, CALM, LIMITS)
        assert decision.flags == GateFlag.NONFINITE
        assert np.isfinite(decision.goal).all()
        rest = decision.plan.at(decision.plan.duration_s)
        np.testing.assert_allclose(rest.velocity, 0.0, atol=1e-9)
        assert 0.0 < rest.position[0] < 0.01


def test_a_goal_without_orientation_or_of_the_wrong_length_brakes():
    for goal in ((0.5, 0.0, 0.1, 0.0, 0.0, 0.0, 0.0), (0.5, 0.0, 0.1)):
        decision = gate(goal, SetPoint(MIDDLE), FRAME.pose(MIDDLE), CALM, LIMITS)
        assert decision.flags == GateFlag.NONFINITE


def test_an_unnormalised_quaternion_is_normalised():
    pose = FRAME.pose((0.0, 0.0, 0.04, 0.02, 0.0, 0.1))
    scaled = np.concatenate([pose[:3], 3.0 * pose[3:]])
    decision = gate(scaled, SetPoint(MIDDLE), FRAME.pose(MIDDLE), CALM, LIMITS)
    np.testing.assert_allclose(decision.goal, pose, atol=1e-12)


def test_one_spike_of_force_is_no_jam_but_three_are():
    count, flags = 0, []
    for force_n in (50.0, 50.0, 5.0, 50.0, math.nan, 50.0):
        decision = decide((0.01, 0, 0.04, 0, 0, 0), force_n=force_n, count=count)
        count = decision.force_count
        flags.append(decision.flags & GateFlag.FORCE)
    assert [bool(f) for f in flags] == [False, False, False, False, False, True]


def test_a_planner_that_fails_leaves_the_set_point_where_it_is():
    broken = dataclasses.replace(LIMITS, jerk=(0.0,) * 6)
    moving = SetPoint(MIDDLE, (0.1, 0, 0, 0, 0, 0.3))
    decision = gate(FRAME.pose(MIDDLE), moving, FRAME.pose(MIDDLE), CALM, broken)
    assert decision.flags & GateFlag.PLANNER
    assert decision.plan.at(0.5) == SetPoint(MIDDLE)
    np.testing.assert_allclose(decision.plan.pose(0.5), FRAME.pose(MIDDLE))


def test_too_fast_a_set_point_is_brought_back_within_the_limits():
    """After a reset the limits tighten; a set-point still moving faster must find its way."""
    fast = SetPoint(MIDDLE, (0.3, -0.3, 0, 0, 0, 1.4))
    decision = gate(FRAME.pose(MIDDLE), fast, FRAME.pose(MIDDLE), CALM, LIMITS)
    assert not decision.flags & GateFlag.PLANNER
    assert max(np.abs(decision.plan.at(0.2).velocity) - LIMITS.speed) <= 1e-9


@given(start=inside, wanted=inside, t_s=st.floats(0.0, 0.5))
def test_a_new_plan_continues_position_velocity_and_acceleration(start, wanted, t_s):
    plan = plan_to(wanted, SetPoint(start), LIMITS)
    assert plan is not None
    now = plan.at(t_s)
    for following in (plan_to(start, now, LIMITS), plan_brake(now, LIMITS)):
        assert following is not None
        then = following.at(0.0)
        for part in ("position", "velocity", "acceleration"):
            np.testing.assert_allclose(getattr(then, part), getattr(now, part), atol=1e-9)


@settings(max_examples=50)
@given(delta=anywhere)
def test_the_work_frame_is_the_socket_frame(delta):
    """The box turns with the socket: a step along the work x axis is one along the socket's."""
    step = FRAME.pose((0.01, 0.0, 0.0, 0.0, 0.0, 0.0))
    expected = pose_compose((0.5, 0.02, 0.07, *quat_from_rotvec((0, 0, 0.3))), (0.01, 0, 0, 0, 0, 0, 1.0))
    np.testing.assert_allclose(step[:3], expected[:3], atol=1e-12)
    back = FRAME.coordinates(FRAME.pose(delta))
    np.testing.assert_allclose(back[:3], delta[:3], atol=1e-9)
