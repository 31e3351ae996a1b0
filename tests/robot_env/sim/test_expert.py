"""The expert seats the module on both arms; without skill nobody does; nothing breaks the physics."""

from typing import Literal

import numpy as np
import pytest

from handrail.robot_env.geometry import (
    Array,
    WorkFrame,
    matrix_from_quat,
    pose_compose,
    pose_relative,
    quat_slerp,
)
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.sim.config import ArmName, RandomizationConfig, SimConfig
from handrail.robot_env.sim.expert import ScriptedExpert
from handrail.robot_env.sim.sizes import MODULE_LENGTH_M
from handrail.robot_env.spec import ActionSpec

NS = 1_000_000_000
LOW, HIGH = (-0.05, -0.05, -0.01, -0.12, -0.12, -0.45), (0.05, 0.05, 0.10, 0.12, 0.12, 0.45)
Reference = Literal["commanded", "measured"]


class Loop:
    """The least that makes an action move the arm: add, leash, bound, interpolate."""

    def __init__(self, arm: ArmName, hz: int, reference: Reference) -> None:
        self.cell = SimCell(SimConfig(arm=arm))
        self.spec = ActionSpec(0.01, 0.06)
        self.period_ns = NS // hz
        self.reference = reference
        self.cell.on_chunk = self._interpolate

    def reset(self, seed: int) -> np.random.Generator:
        rng = np.random.default_rng(seed)
        cell = self.cell
        cell.on_chunk = None
        cell.teleport(cell.home_pose)
        cell.randomize(rng, RandomizationConfig())
        x, y, z, yaw = rng.uniform(-1.0, 1.0, 4) * (0.02, 0.02, 0.01, 0.17)
        offset = (x, y, 0.04 + z, 0.0, 0.0, np.sin(yaw / 2), np.cos(yaw / 2))
        turned = pose_compose(offset, (0.0, 0.0, 0.0, *cell.seated_pose[3:]))
        start = np.array([*(cell.seated_pose[:3] + turned[:3]), *turned[3:]])
        cell.teleport(start)
        self.goal = self.begin = start
        self.begin_ns = cell.time_ns
        cell.on_chunk = self._interpolate
        return rng

    def step(self, action: Array) -> None:
        measured = self.cell.read().pose
        reference = measured if self.reference == "measured" else self.goal
        goal = pose_compose(reference, self.spec.delta_pose(np.clip(action, -1.0, 1.0)))
        goal[:3] = measured[:3] + np.clip(goal[:3] - measured[:3], -0.012, 0.012)
        frame = WorkFrame(self.cell.seated_pose)
        goal = frame.pose(np.clip(frame.coordinates(goal), LOW, HIGH).tolist())
        self.begin, self.goal, self.begin_ns = self.cell.setpoint, goal, self.cell.time_ns
        self.cell.advance(self.period_ns)

    def _interpolate(self, t_ns: int) -> None:
        share = min(1.0, (t_ns + 10_000_000 - self.begin_ns) / self.period_ns)
        position = self.begin[:3] + share * (self.goal[:3] - self.begin[:3])
        self.cell.set_setpoint(np.array([*position, *quat_slerp(self.begin[3:], self.goal[3:], share)]))


def successes(loop: Loop, expert: ScriptedExpert, seeds: range, limit_s: float = 10.0) -> int:
    count = 0
    for seed in seeds:
        expert.reset(loop.reset(seed))
        in_a_row = 0
        for _ in range(int(limit_s * NS / loop.period_ns)):
            loop.step(expert.act(loop.cell.truth()))
            in_a_row = in_a_row + 1 if loop.cell.success() else 0
            if in_a_row == 2:
                count += 1
                break
    return count


@pytest.mark.parametrize("arm", ["panda", "ur5e"])
@pytest.mark.parametrize("hz", [10, 20])
@pytest.mark.parametrize("reference", ["commanded", "measured"])
def test_expert_seats_the_module(arm: ArmName, hz: int, reference: Reference):
    loop = Loop(arm, hz, reference)
    expert = ScriptedExpert(loop.spec, period_s=1.0 / hz, target_reference=reference)
    assert successes(loop, expert, range(5)) == 5


@pytest.mark.slow
@pytest.mark.parametrize("arm", ["panda", "ur5e"])
@pytest.mark.parametrize("hz", [10, 20])
def test_expert_seats_99_of_100(arm: ArmName, hz: int):
    loop = Loop(arm, hz, "commanded")
    expert = ScriptedExpert(loop.spec, period_s=1.0 / hz)
    assert successes(loop, expert, range(100)) >= 99


@pytest.mark.slow
def test_bias_degrades_the_expert():
    loop = Loop("panda", 10, "commanded")
    expert = ScriptedExpert(loop.spec, bias_m=0.001, bias_rad=0.019)
    assert 30 <= successes(loop, expert, range(50)) <= 48


def test_expert_follows_its_seed_and_stays_in_range():
    loop = Loop("panda", 10, "commanded")
    experts = [ScriptedExpert(loop.spec, bias_m=0.001, bias_rad=0.02, noise=0.5) for _ in range(2)]
    loop.reset(0)
    truth = loop.cell.truth()
    for expert in experts:
        expert.reset(np.random.default_rng(3))
    actions = [[expert.act(truth) for _ in range(20)] for expert in experts]
    np.testing.assert_array_equal(actions[0], actions[1])
    assert np.abs(actions[0]).max() <= 1.0
    assert np.asarray(actions[0]).shape == (20, 6)


def test_pressing_straight_down_does_not_go_in():
    loop = Loop("panda", 10, "commanded")
    down = np.array((0.0, 0.0, 1.0, 0.0, 0.0, 0.0))
    for seed in range(8):
        loop.reset(seed)
        for _ in range(40):
            loop.step(down)
            assert not loop.cell.success()


def hostile(arm: ArmName, steps: int) -> None:
    """Bang-bang actions that hold for a second: slams, scrapes and pushes wherever they lead."""
    loop = Loop(arm, 10, "commanded")
    cell = loop.cell
    rng = np.random.default_rng(1)
    loop.reset(0)
    action = np.zeros(6)
    for step in range(steps):
        if step % 12 == 0:
            action = rng.choice((-1.0, 1.0), 6)
            action[2] = 1.0 if rng.uniform() < 0.6 else -1.0
        loop.step(action)
        truth = cell.truth()
        tip = pose_relative(truth.T_base_socket, truth.T_base_tip)
        along = matrix_from_quat(tip[3:])[:, 0]
        lowest = float(tip[2]) - MODULE_LENGTH_M / 2 * abs(float(along[2]))
        # The board's surface lies 4 mm below the groove's floor.
        assert lowest > -0.0055, f"step {step}: a corner is {-lowest * 1e3:.2f} mm under the groove's floor"
        assert np.abs(cell.read().dq).max() < 3.0
    assert not cell.data.warning.number.any()


@pytest.mark.parametrize("arm", ["panda", "ur5e"])
def test_hostile_actions_break_nothing(arm: ArmName):
    hostile(arm, 1000)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_30_000_hostile_actions_break_nothing():
    hostile("panda", 30_000)
