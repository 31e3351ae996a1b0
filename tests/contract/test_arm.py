"""What every arm must do, whatever it is made of. A driver joins by adding its bench to `BENCHES`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from handrail.robot_env.arms.arm import Arm, ArmMode, Gains
from handrail.robot_env.arms.lockstep import LockstepArm
from handrail.robot_env.clock import NS_PER_S, Clock, LockstepClock
from handrail.robot_env.config import LimitsConfig, SimConfig, TaskConfig
from handrail.robot_env.errors import ArmError, ArmFault
from handrail.robot_env.gate import GateFlag
from handrail.robot_env.geometry import pose_compose, pose_distance, quat_rotate
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.tasks import RamInsertion

PERIOD_S = 0.1


@dataclass
class Bench:
    """An arm above a socket, and the hands of a test around it."""

    arm: Arm
    clock: Clock
    seated_pose: np.ndarray
    break_it: Callable[[], None]
    repair_it: Callable[[], None]

    def wait(self, seconds: float) -> None:
        self.clock.wait_until(self.clock.now_ns() + round(seconds * NS_PER_S))

    def drive(self, pose, seconds: float) -> None:
        """Command one pose at the usual rate for a while."""
        for _ in range(round(seconds / PERIOD_S)):
            self.arm.set_target(pose)
            self.wait(PERIOD_S)

    def above(self, x=0.0, y=0.0, z=0.05, yaw=0.0):
        return pose_compose(self.seated_pose, (x, -y, -z, 0.0, 0.0, -np.sin(yaw / 2), np.cos(yaw / 2)))


def lockstep(arm_name) -> Bench:
    cell = SimCell(SimConfig(arm=arm_name))
    arm = LockstepArm(cell, LimitsConfig(), RamInsertion(TaskConfig(), cell).frame(), PERIOD_S)

    def diverge() -> None:
        cell.data.qvel[:] = np.nan
        with pytest.raises(ArmFault, match="diverged"):
            arm.advance(NS_PER_S // 100)

    def repair() -> None:
        cell.teleport(cell.home_pose)
        cell.data.warning.number[:] = 0

    return Bench(arm, LockstepClock(arm.advance), cell.seated_pose, diverge, repair)


BENCHES = {"lockstep panda": lambda: lockstep("panda"), "lockstep ur5e": lambda: lockstep("ur5e")}


@pytest.fixture(params=list(BENCHES.values()), ids=list(BENCHES))
def bench(request) -> Iterator[Bench]:
    bench = request.param()
    bench.arm.connect()
    yield bench
    bench.arm.close()


def test_it_comes_up_holding_and_drops_commands_until_started(bench):
    before = bench.arm.state()
    assert before.mode is ArmMode.HOLD
    with pytest.raises(ArmError, match=r"HOLD.*start"):
        bench.arm.set_target(bench.above(x=0.02))
    bench.wait(0.3)
    after = bench.arm.state()
    assert after.gate_flags & GateFlag.HOLD
    assert pose_distance(before.pose, after.pose)[0] < 5e-4


def test_quaternions_are_xyzw_and_the_tool_points_down(bench):
    pose = bench.arm.state().pose
    assert pose.shape == (7,) and np.linalg.norm(pose[3:]) == pytest.approx(1.0)
    np.testing.assert_allclose(quat_rotate(pose[3:], (0, 0, 1)), (0, 0, -1), atol=0.02)


def test_readings_have_their_shapes_and_belong_to_the_reader(bench):
    first = bench.arm.state()
    assert first.twist.shape == first.wrench.shape == (6,) and first.q.shape == first.dq.shape
    first.pose[:] = np.nan
    bench.wait(0.01)
    second = bench.arm.state()
    assert np.isfinite(second.pose).all() and second.t_ns > first.t_ns


def test_it_tracks_a_target(bench):
    bench.arm.start()
    target = bench.above(x=0.008, y=-0.005, z=0.06, yaw=0.1)
    bench.drive(target, 1.5)
    distance_m, angle_rad = pose_distance(bench.arm.state().pose, target)
    assert distance_m < 5e-4 and angle_rad < 5e-3


def test_its_twist_is_in_the_base_frame(bench):
    bench.arm.start()
    bench.drive(bench.above(x=0.02), 0.1)
    bench.arm.set_target(bench.above(x=0.02))
    bench.wait(0.03)
    assert bench.arm.state().twist[0] > 0.02


def test_the_wrench_is_what_the_environment_does_to_the_tool(bench):
    bench.arm.start()
    bench.drive(bench.above(y=0.01), 0.8)
    bench.arm.zero_ft()
    assert np.abs(bench.arm.state().wrench).max() < 0.2
    bench.drive(bench.above(y=0.01, z=-0.005), 1.2)  # beside the slot: the module presses on the board
    state = bench.arm.state()
    assert state.wrench[2] < -3.0  # the tool's z points down, the board pushes up
    assert state.peak_force_n >= abs(state.wrench[2]) - 0.5
    assert quat_rotate(state.pose[3:], state.wrench[:3])[2] > 3.0


def test_the_peak_force_is_the_one_since_the_last_reading(bench):
    bench.arm.start()
    bench.drive(bench.above(y=0.01, z=-0.005), 1.5)
    assert bench.arm.state().peak_force_n > 3.0
    assert bench.arm.state().peak_force_n == 0.0


def test_the_goal_it_returns_is_the_one_the_gate_let_through(bench):
    bench.arm.start()
    goal = bench.arm.set_target(bench.above(x=0.5))
    here = bench.arm.state()
    assert here.gate_flags & GateFlag.LEASH
    assert pose_distance(goal, here.pose)[0] == pytest.approx(LimitsConfig().motion.leash_m, rel=1e-3)


def test_stop_brakes_holds_and_starts_again_where_it_stands(bench):
    bench.arm.start()
    bench.drive(bench.above(x=0.03), 0.3)
    bench.arm.stop()
    bench.wait(0.6)
    stopped = bench.arm.state()
    assert stopped.mode is ArmMode.HOLD and np.abs(stopped.twist[:3]).max() < 5e-3
    with pytest.raises(ArmError):
        bench.arm.set_target(bench.above())
    bench.arm.start()
    bench.wait(0.3)
    assert bench.arm.state().mode is ArmMode.RUN
    assert pose_distance(stopped.pose, bench.arm.state().pose)[0] < 1e-3


def test_no_number_that_is_not_finite_moves_it(bench):
    bench.arm.start()
    bench.drive(bench.above(), 1.5)
    before = bench.arm.state().pose
    for bad in (np.full(7, np.nan), np.full(7, np.inf)):
        goal = bench.arm.set_target(bad)
        assert np.isfinite(goal).all()
        bench.wait(0.2)
        state = bench.arm.state()
        assert state.gate_flags & GateFlag.NONFINITE
        assert pose_distance(before, state.pose)[0] < 1e-3


def test_new_gains_do_not_move_a_resting_arm(bench):
    bench.arm.start()
    bench.drive(bench.above(), 1.5)
    before = bench.arm.state().pose
    bench.arm.set_gains(Gains(translation_n_m=1000.0, rotation_nm_rad=75.0))
    bench.wait(0.5)
    assert pose_distance(before, bench.arm.state().pose)[0] < 1e-3


def test_a_fault_is_latched_until_its_cause_is_gone_and_an_operator_recovers(bench):
    bench.arm.start()
    bench.break_it()
    with pytest.raises(ArmFault, match="recover"):
        bench.arm.start()
    with pytest.raises(ArmFault):
        bench.arm.recover()
    bench.repair_it()
    with pytest.raises(ArmError):
        bench.arm.set_target(bench.above())
    bench.arm.recover()
    assert bench.arm.state().mode is ArmMode.HOLD
    bench.arm.start()
    bench.drive(bench.above(), 1.5)
    assert pose_distance(bench.arm.state().pose, bench.above())[0] < 1e-3


def test_it_can_be_closed_twice_and_says_so_when_used_afterwards(bench):
    bench.arm.close()
    bench.arm.close()
    with pytest.raises(ArmError, match="connect"):
        bench.arm.state()
