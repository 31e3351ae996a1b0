"""What an arm's joints allow of a motion of its tool: laws on random postures, and the simulated arms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handrail.robot_env.arms.kinematics import FRANKA, UR, jacobian
from handrail.robot_env.arms.lockstep import LockstepArm
from handrail.robot_env.arms.reach import (
    JOINT_MARGIN_RAD,
    SLOW_FROM,
    STOP_AT,
    Posture,
    Reach,
    reach_of,
    singular_values,
)
from handrail.robot_env.config import EnvConfig, LimitsConfig, MotionLimits, TaskConfig
from handrail.robot_env.gate import JOINTS_LIMIT, GateFlag
from handrail.robot_env.geometry import pose_compose, pose_from, quat_from_rotvec
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.sim.config import SimConfig
from handrail.robot_env.tasks import RamInsertion

STEP_NS = 100_000_000
TABLES = {"franka": FRANKA, **UR}
HAND = pose_from((0.0, 0.0, 0.1034))
SEEDS = st.integers(0, 2**32 - 1)


def drawn(table, rng, reach=2.8):
    """Joint angles within the limits, and where the tool is for them."""
    low, high = np.clip(np.array(table.limits_rad).T, -reach, reach)
    q = rng.uniform(low, high)
    return q, pose_compose(table.flange(q), HAND)


def aside(pose, rng, metres=0.012, radians=0.12):
    """A goal as far from `pose` as a leash allows."""
    turn = rng.normal(size=3)
    goal = pose_compose(pose, (0, 0, 0, *quat_from_rotvec(turn * radians / np.linalg.norm(turn))))
    offset = rng.normal(size=3)
    goal[:3] += offset * metres / np.linalg.norm(offset)
    return goal


@pytest.mark.parametrize("name", TABLES)
@given(seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_the_quick_frames_are_those_of_the_table(name: str, seed: int) -> None:
    table = TABLES[name]
    q, _ = drawn(table, np.random.default_rng(seed))
    quick, *_, flange = table.matrices(q), table.flange(q)
    np.testing.assert_allclose(quick[-1, :3, 3], flange[:3], atol=1e-12)
    for matrix, pose in zip(quick, table.frames(q), strict=True):
        for number, axis in enumerate(np.eye(3)):
            if number == 2 or matrix is quick[-1]:
                turned = pose_compose(pose, (*axis, 0, 0, 0, 1))[:3] - pose[:3]
                np.testing.assert_allclose(matrix[:3, number], turned, atol=1e-12)


@pytest.mark.parametrize("name", TABLES)
@given(seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_the_smallest_singular_value_changes_no_faster_than_the_table_says(name: str, seed: int) -> None:
    table, rng = TABLES[name], np.random.default_rng(seed)
    q, _ = drawn(table, rng)
    tool = np.array((0.0, 0.0, rng.uniform(0.0, 0.35)))

    def least(angles):
        frames = table.matrices(angles)
        return singular_values(jacobian(frames, frames[-1, :3, 3] + frames[-1, :3, :3] @ tool))[0]

    step = rng.normal(size=len(q))
    step *= rng.uniform(0.001, 0.2) / np.linalg.norm(step)
    assert abs(least(q + step) - least(q)) <= table.steepest * np.linalg.norm(step) + 1e-9


@pytest.mark.parametrize("name", TABLES)
@given(seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_no_goal_that_is_let_through_leads_into_either(name: str, seed: int) -> None:
    """A walk of commands, as an arm makes that follows exactly: also where nothing is looked at anew."""
    table, rng = TABLES[name], np.random.default_rng(seed)
    q, pose = drawn(table, rng)
    reach, posture = Reach(table), Posture(table, q, pose)
    for _ in range(12):
        goal = aside(pose, rng, *rng.uniform(0.0, (0.012, 0.12)))
        share, flags = reach.at(q, pose).share(goal, 1.0)
        assert 0.0 <= share <= 1.0 and (share == 1.0) == (not flags)
        way = np.concatenate((goal[:3] - pose[:3], turn_between(pose, goal)))
        matrix = posture.jacobian()
        there = q + share * matrix.T @ np.linalg.solve(matrix @ matrix.T + 1e-6 * np.eye(6), way)
        before, after = posture.condition_at(q), posture.condition_at(there)
        assert after <= max(before * (1.0 + 1e-6), STOP_AT)
        if not flags and after > before * (1.0 + 1e-6):
            assert before <= SLOW_FROM  # slowed from there on, and the goal lies at the leash's end
        entered = posture.excess(there) > np.maximum(posture.excess(q), 0.0) + 1e-9
        assert not entered.any()
        q, pose = there, pose_compose(table.flange(there), HAND)
        posture = Posture(table, q, pose)


def turn_between(pose, goal):
    from handrail.robot_env.geometry import displacement

    return displacement(pose, goal)[3:]


def test_angles_that_do_not_explain_the_tool_limit_nothing_and_are_told() -> None:
    config, q = EnvConfig(), np.zeros(7)
    nowhere = pose_from((2.0, 0.0, 0.3))
    assert "do not explain" in str(reach_of(config, q, nowhere))
    assert Reach(FRANKA).at(q, nowhere).share(pose_from((2.01, 0.0, 0.3)), 1.0) == (1.0, GateFlag.NONE)


class Pulled:
    """A simulated arm in a box as large as its reach, and a hand that pulls it from where it is."""

    def __init__(self, arm: str) -> None:
        self.cell = SimCell(SimConfig(arm=arm))  # pyright: ignore[reportArgumentType]
        limits = LimitsConfig(workspace_low_m=(-0.6, -0.6, -0.01), workspace_high_m=(0.6, 0.6, 0.6))
        frame = RamInsertion(TaskConfig(), self.cell).frame()
        self.arm = LockstepArm(self.cell, limits, frame, 0.1)
        self.arm.connect()
        self.arm.start()
        self.home, self.flags, self.fastest = self.cell.home_pose.copy(), 0, 0.0

    def pull(self, x: float = 0.0, z: float = 0.0, steps: int = 1) -> None:
        """So many commands of a step [m] from the measured pose, never turned."""
        for _ in range(steps):
            goal = np.concatenate((self.arm.state().pose[:3], self.home[3:]))
            goal[:3] += (x, 0.0, z)
            self.arm.set_target(goal)
            self.arm.advance(STEP_NS)
            state = self.arm.state()
            self.flags |= state.gate_flags
            self.fastest = max(self.fastest, float(np.abs(state.dq).max()))

    @property
    def condition(self) -> float:
        state = self.arm.state()
        return Posture(self.arm._reach.table, state.q, state.pose).condition_at(state.q)

    def take_flags(self) -> GateFlag:
        flags, self.flags = GateFlag(self.flags), 0
        return flags & JOINTS_LIMIT


@pytest.mark.parametrize("name", ["panda", "ur5e"])
def test_an_arm_that_is_pulled_to_its_full_reach_slows_stays_there_and_comes_back(name: str) -> None:
    pulled = Pulled(name)
    pulled.pull(x=0.01, steps=80)
    assert pulled.take_flags() == GateFlag.SINGULAR
    assert SLOW_FROM < pulled.condition < 1.05 * STOP_AT
    assert pulled.arm.state().mode.name == "RUN" and pulled.fastest < 1.0
    x = pulled.arm.state().pose[0]
    pulled.pull(x=0.01, steps=60)
    assert pulled.arm.state().pose[0] < x + 0.02 and pulled.condition < 1.05 * STOP_AT
    assert pulled.take_flags() == GateFlag.SINGULAR
    pulled.pull(x=-0.01, steps=40)
    assert not pulled.take_flags() and pulled.arm.state().pose[0] < x - 0.1
    assert pulled.condition < SLOW_FROM


def test_a_joint_that_is_led_to_its_limit_stays_before_it_and_comes_back() -> None:
    pulled = Pulled("panda")
    elbow = FRANKA.limits_rad[3][0]
    pulled.pull(x=-0.01, steps=50)
    assert pulled.take_flags() == GateFlag.JOINT_MARGIN
    q = pulled.arm.state().q
    assert elbow + JOINT_MARGIN_RAD - 0.01 < q[3] < elbow + JOINT_MARGIN_RAD + 0.05
    assert "joint 4" in pulled.arm._reach.why and pulled.arm.state().mode.name == "RUN"
    pulled.pull(x=0.01, steps=10)
    assert not pulled.take_flags() and pulled.arm.state().q[3] > q[3] + 0.1


def test_the_way_out_is_free_however_far_in_an_arm_is() -> None:
    q = np.array((0.0, 0.3, 0.0, -0.53, 0.0, 1.9, 0.785))  # just short of straight: its elbow is offset
    pose = pose_compose(FRANKA.flange(q), HAND)
    assert Posture(FRANKA, q, pose).condition_at(q) > STOP_AT
    shoulder = np.array((0.0, 0.0, 0.333))
    outwards = (pose[:3] - shoulder) / math.dist(pose[:3], shoulder)
    for sign, expected in ((-1.0, 1.0), (1.0, 0.0)):
        goal = pose.copy()
        goal[:3] += sign * 0.01 * outwards
        share, _ = Reach(FRANKA).at(q, pose).share(goal, 1.0)
        assert share == expected


def test_the_default_task_meets_neither() -> None:
    motion = MotionLimits()
    for name in ("panda", "ur5e"):
        cell = SimCell(SimConfig(arm=name))
        for corner in np.ndindex(2, 2, 2):
            low, high = LimitsConfig().workspace_low_m, LimitsConfig().workspace_high_m
            x, y, z = (pair[at] for pair, at in zip(zip(low, high, strict=True), corner, strict=True))
            pose = pose_compose(cell.seated_pose, (x, -y, -z, 0.0, 0.0, 0.0, 1.0))
            q = cell.kinematics.solve(pose)
            posture = Posture(Reach({"panda": FRANKA, "ur5e": UR["ur5e"]}[name]).table, q, pose)
            assert posture.condition_at(q) < 0.9 * SLOW_FROM
            assert posture.excess(q).max() < -motion.leash_rad
