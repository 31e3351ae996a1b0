import numpy as np
import pytest

from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.arms.lockstep import LockstepArm
from handrail.robot_env.config import LimitsConfig, SimConfig, TaskConfig
from handrail.robot_env.errors import ArmError, ArmFault
from handrail.robot_env.gate import GateFlag
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.tasks import RamInsertion

STEP_NS = 100_000_000


@pytest.fixture
def cell():
    return SimCell(SimConfig())


def make(cell, **limits):
    arm = LockstepArm(cell, LimitsConfig(**limits), RamInsertion(TaskConfig(), cell).frame(), 0.1)
    arm.connect()
    return arm


def test_the_set_point_moves_a_little_with_every_chunk_of_physics(cell):
    arm = make(cell)
    arm.start()
    goal = cell.home_pose.copy()
    goal[0] += 0.01
    arm.set_target(goal)
    written = []
    tick = cell.on_chunk

    def record(t_ns):
        tick(t_ns)
        written.append(cell.setpoint[0] - cell.home_pose[0])

    cell.on_chunk = record
    arm.advance(STEP_NS)
    assert len(written) == 10 and written[0] == pytest.approx(0.0, abs=1e-9)
    assert all(0 <= step < 0.003 for step in np.diff(written)) and written[-1] == pytest.approx(
        0.01, abs=1e-4
    )


def test_a_force_trip_brakes_and_stays_until_started_anew(cell):
    arm = make(cell, force_limit_n=4.0, force_samples=2)
    arm.start()
    arm.set_resetting(True)
    down = cell.seated_pose.copy()
    down[1] += 0.01
    flags = 0
    for _ in range(40):
        try:
            arm.set_target(down)
        except ArmError:
            break
        arm.advance(STEP_NS)
        flags |= arm.state().gate_flags
    assert flags & GateFlag.FORCE and arm.state().mode is ArmMode.HOLD
    arm.start()
    assert arm.state().mode is ArmMode.RUN
    arm.advance(3 * STEP_NS)  # it starts where it stands, which takes the pressure off
    up = cell.home_pose
    for _ in range(10):
        arm.set_target(up)
        arm.advance(STEP_NS)
    assert arm.state().pose[2] == pytest.approx(up[2], abs=1e-3)


def test_it_does_not_start_far_outside_the_workspace(cell):
    arm = make(cell, workspace_high_m=(0.05, 0.05, 0.03))
    with pytest.raises(ArmError, match=r"the tool is 20\.0 mm outside env\.limits\.workspace_low_m"):
        arm.start()


def test_a_joint_motion_is_refused_where_it_makes_no_sense(cell):
    arm, home = make(cell), cell.joints()[0]
    with pytest.raises(ArmError, match="7 finite"):
        arm.move_joints(home[:6])
    with pytest.raises(ArmError, match=r"joint 4 .* outside its limits"):
        arm.move_joints(np.zeros(7))
    assert cell.time_ns == 0 and arm.state().mode is ArmMode.HOLD
    cell.data.qvel[:] = np.nan
    with pytest.raises(ArmFault, match="diverged"):
        arm.move_joints(home)
    with pytest.raises(ArmFault, match="recover"):
        arm.move_joints(home)


def test_a_joint_that_does_not_follow_is_an_error_with_a_remedy():
    cell = SimCell(SimConfig(posture_stiffness_nm=0.0))
    turned = cell.joints()[0] + np.array([0.3, 0.0, -0.3, 0.0, 0.0, 0.0, 0.0])
    with pytest.raises(ArmError, match="posture_stiffness_nm"):
        make(cell).move_joints(turned)
