"""The regrasp on the simulated arm, through its gate, with a gripper that takes its time."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.arms.lockstep import LockstepArm
from handrail.robot_env.clock import NS_PER_S, LockstepClock
from handrail.robot_env.config import LimitsConfig, SimConfig, TaskConfig
from handrail.robot_env.errors import ConfigError, ResetError
from handrail.robot_env.geometry import pose_distance
from handrail.robot_env.regrasp import MOVING, RegraspConfig, RegraspPhase, RegraspProcedure
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.tasks import RamInsertion

TICK_S = 0.05
MODULE_M = 0.0014
HOLDER = (0.12, 0.03, 0.02, 0.0, 0.0, 0.3)
LIMITS = LimitsConfig(workspace_low_m=(-0.05, -0.05, -0.01), workspace_high_m=(0.2, 0.05, 0.12))


class JawsCell(SimCell):
    """A cell whose gripper opens and closes at 0.1 m/s; a module may be between the jaws or not."""

    def __init__(self) -> None:
        super().__init__(SimConfig())
        self.width, self.goal, self.module, self.jammed = MODULE_M, MODULE_M, True, False
        self.commands = []
        self._then_ns = 0

    def open(self) -> None:
        self._order("open", 0.08)

    def close(self) -> None:
        self._order("close", 0.0)

    def move(self, width_m: float, force_n: float) -> None:
        self._order((width_m, force_n), width_m)

    @property
    def width_m(self) -> float:
        return self.width

    def _order(self, name, goal) -> None:
        self.commands.append(name)
        self.goal = goal

    def read(self):
        state = super().read()
        step = 0.1 * (state.t_ns - self._then_ns) / NS_PER_S
        self._then_ns = state.t_ns
        if not self.jammed:
            least = MODULE_M if self.module else 0.0
            self.width = max(least, self.width + np.clip(self.goal - self.width, -step, step))
        return replace(state, gripper_width_m=self.width)


class Bench:
    def __init__(self, **settings: Any) -> None:
        self.cell = JawsCell()
        self.frame = RamInsertion(TaskConfig(), self.cell).frame()
        self.arm = LockstepArm(self.cell, LIMITS, self.frame, TICK_S)
        self.arm.gripper = self.cell
        self.arm.connect()
        self.clock = LockstepClock(self.arm.advance)
        merged: dict[str, Any] = {"grasp_pose": HOLDER, **settings}
        self.config = RegraspConfig(**merged)
        self.regrasp = RegraspProcedure(self.arm, self.clock, self.config, LIMITS, self.frame)
        self.seen = []
        self.modes = {}
        self.path = []

    def step(self, acknowledged=False):
        step = self.regrasp.step(acknowledged)
        state = self.arm.state()
        if not self.seen or self.seen[-1] is not step.phase:
            self.seen.append(step.phase)
        self.modes.setdefault(step.phase, set()).add(state.mode)
        self.path.append(self.frame.coordinates(state.pose))
        self.clock.wait_until(self.clock.now_ns() + round(TICK_S * NS_PER_S))
        return step

    def until(self, phase, acknowledged=False, seconds=30.0):
        for _ in range(round(seconds / TICK_S)):
            step = self.step(acknowledged)
            if step.phase is phase:
                return step
        raise AssertionError(f"no {phase} in {seconds} s; came to {self.seen}")

    def acknowledge(self):
        self.step(True)
        return self.step(False)


def test_a_stop_from_before_it_was_made_keeps_it_from_beginning_unless_it_was_answered():
    bench = Bench()
    bench.arm.stops = 1  # heard while the cameras opened, say
    for answered in (0, 1):
        bench.regrasp = RegraspProcedure(
            bench.arm, bench.clock, bench.config, LIMITS, bench.frame, answered=answered
        )
        if answered:
            assert bench.step().phase is RegraspPhase.LIFT and bench.arm.state().mode is ArmMode.RUN
            continue
        with pytest.raises(ResetError, match="phase 'start': somebody else stopped the arm"):
            bench.regrasp.step(False)
        assert bench.arm.state().mode is ArmMode.HOLD


def test_a_module_is_released_taken_and_lifted():
    bench = Bench()
    step = bench.until(RegraspPhase.RELEASE)
    assert "acknowledge" in step.prompt and bench.cell.commands == []
    for _ in range(20):
        assert bench.step().phase is RegraspPhase.RELEASE  # it waits for the operator
    bench.acknowledge()
    bench.until(RegraspPhase.PLACE)
    assert bench.cell.width >= bench.config.open_width_m
    bench.acknowledge()
    step = bench.until(RegraspPhase.READY)
    assert step.done and bench.cell.commands == ["open", "close"]
    assert bench.seen == [
        RegraspPhase.LIFT,
        RegraspPhase.TRANSIT,
        RegraspPhase.RELEASE,
        RegraspPhase.OPEN,
        RegraspPhase.PLACE,
        RegraspPhase.DESCEND,
        RegraspPhase.CLOSE,
        RegraspPhase.RAISE,
        RegraspPhase.READY,
    ]
    assert bench.step().done  # and stays so


def test_the_arm_holds_while_a_hand_is_in_the_cell():
    bench = Bench()
    bench.until(RegraspPhase.RELEASE)
    bench.acknowledge()
    bench.until(RegraspPhase.PLACE)
    bench.acknowledge()
    bench.until(RegraspPhase.READY)
    for phase, modes in bench.modes.items():
        assert modes == {ArmMode.RUN if phase in MOVING else ArmMode.HOLD}, phase


def test_it_crosses_at_height_and_descends_straight_and_slowly():
    bench = Bench()
    bench.cell.module = False
    bench.until(RegraspPhase.RELEASE)
    across = [p for p in bench.path if 0.005 < p[0] < HOLDER[0] - 0.005]
    assert across and min(p[2] for p in across) > 0.065  # approach_m above the holder
    bench.acknowledge()
    bench.until(RegraspPhase.PLACE)
    bench.path.clear()
    bench.acknowledge()
    bench.until(RegraspPhase.CLOSE)
    down = np.array(bench.path)
    assert np.abs(down[:, :2] - HOLDER[:2]).max() < 0.002
    assert np.abs(np.diff(down[:, 2])).max() < 1.5 * bench.config.approach_m_s * TICK_S
    distance_m, angle_rad = pose_distance(bench.arm.state().pose, bench.frame.pose(HOLDER))
    assert distance_m < bench.config.settle_m and angle_rad < bench.config.settle_rad


def test_from_inside_the_socket_it_goes_straight_up_first():
    bench = Bench()
    bench.cell.teleport(bench.frame.pose((0.0, 0.0, 0.012, 0.0, 0.0, 0.0)))
    bench.until(RegraspPhase.TRANSIT)
    path = np.array(bench.path)
    assert np.abs(path[:, :2]).max() < 0.002 and path[-1, 2] > 0.065


def test_an_open_gripper_needs_no_first_acknowledgement():
    bench = Bench()
    bench.cell.width = bench.cell.goal = 0.08
    bench.until(RegraspPhase.PLACE)


def test_a_button_held_down_is_one_acknowledgement():
    bench = Bench()
    bench.until(RegraspPhase.RELEASE, acknowledged=True)  # held since before anything was asked
    for _ in range(10):
        assert bench.step(True).phase is RegraspPhase.RELEASE
    bench.step(False)
    bench.step(True)
    bench.until(RegraspPhase.PLACE, acknowledged=True)
    for _ in range(10):
        assert bench.step(True).phase is RegraspPhase.PLACE


def test_a_grasp_that_caught_nothing_opens_and_asks_again():
    bench = Bench()
    bench.until(RegraspPhase.RELEASE)
    bench.cell.module = False  # the operator takes it, and forgets to place one
    bench.acknowledge()
    bench.until(RegraspPhase.PLACE)
    bench.acknowledge()
    step = bench.until(RegraspPhase.REOPEN)
    assert "nothing" in step.prompt
    bench.until(RegraspPhase.PLACE)
    bench.cell.module = True
    bench.acknowledge()
    assert bench.until(RegraspPhase.READY).done


def test_a_module_that_slips_out_on_the_way_up_is_noticed():
    bench = Bench()
    bench.until(RegraspPhase.RELEASE)
    bench.acknowledge()
    bench.until(RegraspPhase.PLACE)
    bench.acknowledge()
    bench.until(RegraspPhase.RAISE)
    bench.cell.module = False
    bench.until(RegraspPhase.REOPEN)


def test_after_so_many_failed_grasps_it_gives_up_and_holds():
    bench = Bench(attempts=1)
    bench.cell.module = False
    bench.cell.width = bench.cell.goal = 0.08
    bench.until(RegraspPhase.PLACE)
    bench.acknowledge()
    with pytest.raises(ResetError, match=r"1 grasps failed: 0\.0 mm .* teach grasp_pose"):
        bench.until(RegraspPhase.READY)
    assert bench.arm.state().mode is ArmMode.HOLD


def test_it_can_grasp_with_a_force():
    bench = Bench(force_n=25.0)
    bench.cell.width = bench.cell.goal = 0.08
    bench.until(RegraspPhase.PLACE)
    bench.acknowledge()
    bench.until(RegraspPhase.RAISE)
    assert bench.cell.commands[-1] == (0.0, 25.0)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"motion_timeout_s": 0.5}, "mm from its goal after 0.5 s; free its way"),
        ({"operator_timeout_s": 1.0}, "nobody acknowledged after 1 s"),
    ],
)
def test_nothing_is_waited_for_for_ever(settings, match):
    bench = Bench(**settings)
    with pytest.raises(ResetError, match=match):
        bench.until(RegraspPhase.READY)
    assert bench.arm.state().mode is ArmMode.HOLD


def test_jaws_that_do_not_move_are_reported():
    bench = Bench(gripper_timeout_s=1.0)
    bench.until(RegraspPhase.RELEASE)
    bench.cell.jammed = True
    bench.acknowledge()
    with pytest.raises(
        ResetError, match=r"'open': the jaws are 1\.4 mm apart after 1 s; look at the gripper"
    ):
        bench.until(RegraspPhase.PLACE)


def test_somebody_who_stops_the_arm_ends_it():
    bench = Bench()
    bench.until(RegraspPhase.TRANSIT)
    bench.arm.stop()
    with pytest.raises(ResetError, match=r"'transit': .*HOLD"):
        bench.until(RegraspPhase.RELEASE)


@pytest.mark.parametrize("phase", [RegraspPhase.RELEASE, RegraspPhase.PLACE, RegraspPhase.RAISE])
def test_a_stop_by_somebody_else_ends_it_also_where_nothing_moves(phase):
    bench = Bench()
    bench.until(RegraspPhase.RELEASE)
    if phase is not RegraspPhase.RELEASE:
        bench.acknowledge()
        bench.until(RegraspPhase.PLACE)
    if phase is RegraspPhase.RAISE:
        bench.acknowledge()
        bench.until(phase)
    bench.arm.stops = 1
    orders = list(bench.cell.commands)
    with pytest.raises(ResetError, match=f"phase '{phase.value}': somebody else stopped the arm"):
        bench.step(True)  # the acknowledgement that follows is no answer to it
    assert bench.arm.state().mode is ArmMode.HOLD and bench.cell.commands == orders


def test_a_grasp_pose_may_be_taught_in_the_base_frame():
    bench = Bench()
    base = tuple(bench.frame.pose(HOLDER).tolist())
    np.testing.assert_allclose(
        RegraspConfig(grasp_pose=base).pose(bench.frame), bench.frame.pose(HOLDER), atol=1e-9
    )


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"grasp_pose": (0.3, 0.0, 0.02, 0.0, 0.0, 0.0)}, r"grasp_pose: x is 0\.3000, outside"),
        ({"grasp_pose": (0.1, 0.0, 0.02, 0.0, 0.0, 1.0)}, "turn about z"),
        ({"grasp_pose": (0.1, 0.0, 0.09, 0.0, 0.0, 0.0)}, "with approach_m or travel_m: z"),
        ({"grasp_pose": (0.1, 0.0, 0.09)}, "six work coordinates"),
        ({"grasp_pose": (0.5, 0.0, 0.3, 0.0, 0.0, 0.0, 0.5)}, "length 0.5"),
        ({"held_high_m": 0.0001}, "must rise"),
        ({"attempts": 0}, "attempts"),
        ({"transit_m_s": 2.0}, "transit_m_s"),
    ],
)
def test_settings_are_checked(settings, match):
    with pytest.raises(ConfigError, match=match):
        Bench(**settings)


def test_an_arm_without_a_gripper_cannot_regrasp():
    bench = Bench()
    bench.arm.gripper = None
    with pytest.raises(ConfigError, match="no gripper"):
        RegraspProcedure(bench.arm, bench.clock, bench.config, LIMITS, bench.frame)
