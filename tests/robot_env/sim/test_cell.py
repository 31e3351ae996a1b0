"""The cell's contract: time, set-points, sensors, and what it refuses."""

import numpy as np
import pytest

from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.errors import ArmError, ArmFault, ConfigError
from handrail.robot_env.geometry import (
    pose_distance,
    pose_relative,
    quat_from_rotvec,
    quat_multiply,
)
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.sim.config import SimConfig

MS = 1_000_000


def test_stands_at_home_at_rest(cell):
    cell.advance(200 * MS)
    state = cell.read()
    assert pose_distance(state.pose, cell.home_pose)[0] < 1e-5
    assert np.abs(state.twist).max() < 1e-4
    assert np.abs(state.wrench).max() < 0.01
    assert not cell.success()


def test_time_passes_in_chunks_and_keeps_fractions(cell):
    times = []
    cell.on_chunk = times.append
    cell.advance(25 * MS)
    assert times == [0, 10 * MS, 20 * MS]
    assert cell.time_ns == 25 * MS
    cell.advance(400_000)
    cell.advance(400_000)
    assert cell.time_ns == 25 * MS
    cell.advance(400_000)
    assert cell.time_ns == 26 * MS


def test_follows_its_setpoint(cell):
    goal = cell.home_pose.copy()
    goal[:3] += (0.01, -0.015, -0.01)
    goal[3:] = quat_multiply(quat_from_rotvec((0.0, 0.03, 0.1)), goal[3:])
    cell.set_setpoint(goal)
    np.testing.assert_allclose(cell.setpoint, goal)
    cell.advance(1500 * MS)
    distance, angle = pose_distance(cell.read().pose, goal)
    assert distance < 2e-4
    assert angle < 2e-3


def test_twist_is_the_derivative_of_the_pose(cell):
    goal = cell.home_pose.copy()
    goal[:3] += (0.02, 0.02, 0.01)
    goal[3:] = quat_multiply(quat_from_rotvec((0.0, 0.0, 0.2)), goal[3:])
    cell.set_setpoint(goal)
    cell.advance(80 * MS)
    before = cell.read()
    cell.advance(1 * MS)
    after = cell.read()
    velocity = (after.pose[:3] - before.pose[:3]) / 1e-3
    np.testing.assert_allclose(velocity, after.twist[:3], atol=5e-3)
    assert after.twist[5] > 0.05


def test_wrench_is_the_environment_on_the_tool_in_its_frame(cell, press):
    press(cell)
    wrench = cell.read().wrench
    # The tool's z points down; the floor pushes it up.
    assert -20.5 < wrench[2] < -15.0
    assert np.abs(wrench[:2]).max() < 3.0


def test_peak_force_starts_anew_with_each_reading(cell, press):
    press(cell)
    cell.advance(100 * MS)
    assert cell.read().peak_force_n > 10.0
    assert cell.read().peak_force_n == 0.0


def test_impedance_limits_the_force(cell, above):
    cell.teleport(above(cell, 0.02, x_m=0.002))
    below = above(cell, -0.05, x_m=0.002)
    cell.set_setpoint(below)
    cell.advance(2000 * MS)
    cell.read()
    cell.advance(100 * MS)
    assert cell.read().peak_force_n < 25.0


def test_softer_gains_give_more_way(above):
    offsets = []
    for stiffness in (2000.0, 500.0):
        cell = SimCell()
        cell.set_gains(Gains(translation_n_m=stiffness))
        goal = cell.home_pose.copy()
        goal[2] += 0.01
        cell.set_setpoint(goal)
        cell.advance(60 * MS)
        offsets.append(cell.read().pose[2] - cell.home_pose[2])
    assert offsets[0] > 1.5 * offsets[1] > 0.0


def test_elbow_does_not_wander():
    cell = SimCell(SimConfig(arm="panda"))
    q_home = cell.read().q
    rng = np.random.default_rng(0)
    for _ in range(60):
        goal = cell.home_pose.copy()
        goal[:3] += rng.uniform(-0.02, 0.02, 3)
        goal[3:] = quat_multiply(quat_from_rotvec((0.0, 0.0, rng.uniform(-0.17, 0.17))), goal[3:])
        cell.set_setpoint(goal)
        cell.advance(100 * MS)
    cell.set_setpoint(cell.home_pose)
    cell.advance(5000 * MS)
    state = cell.read()
    assert np.abs(state.q - q_home).max() < 0.02
    assert pose_distance(state.pose, cell.home_pose)[0] < 1e-4


def test_inverse_kinematics_reaches_and_refuses(cell, above):
    pose = above(cell, 0.03, 0.02, -0.02, 0.17)
    q = cell.kinematics.solve(pose)
    before = cell.read().q
    cell.teleport(pose)
    np.testing.assert_allclose(cell.read().pose, pose, atol=1e-6)
    assert q.shape == before.shape
    with pytest.raises(ArmError, match="choose a pose nearer"):
        cell.kinematics.solve((2.0, 0.0, 0.5, 1.0, 0.0, 0.0, 0.0))


def test_truth_agrees_with_the_sensors(cell, above):
    pose = above(cell, 0.03, 0.001, -0.002, 0.05)
    cell.teleport(pose)
    truth = cell.truth()
    np.testing.assert_allclose(truth.T_base_tcp, cell.read().pose, atol=1e-9)
    tip = pose_relative(truth.T_base_socket, truth.T_base_tip)
    np.testing.assert_allclose(tip[:3], (0.001, -0.002, 0.03), atol=1e-6)
    np.testing.assert_allclose(truth.lateral_m, (0.001, -0.002), atol=1e-6)
    assert truth.yaw_rad == pytest.approx(0.05, abs=1e-6)
    assert truth.depth == 0.0


def test_diverged_physics_is_a_fault(cell):
    cell.data.qvel[0] = np.nan
    with pytest.raises(ArmFault, match="diverged at"):
        cell.advance(10 * MS)


def test_two_cells_are_bit_identical(above):
    readings = []
    for _ in range(2):
        cell = SimCell()
        rng = np.random.default_rng(5)
        for _ in range(10):
            cell.set_setpoint(above(cell, 0.02, *rng.uniform(-0.02, 0.02, 2)))
            cell.advance(100 * MS)
        readings.append(cell.read())
    np.testing.assert_array_equal(readings[0].pose, readings[1].pose)
    np.testing.assert_array_equal(readings[0].wrench, readings[1].wrench)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"arm": "iiwa"}, "sim.arm"),
        ({"timestep_s": 0.0}, "sim.timestep_s"),
        ({"timestep_s": 0.01}, "sim.timestep_s"),
        ({"chunk_s": 0.0105}, "sim.chunk_s"),
        ({"socket_position_m": (0.5, 0.0, float("nan"))}, "sim.socket_position_m"),
        ({"home_height_m": 0.0}, "sim.home_height_m"),
        ({"posture_stiffness_nm": -1.0}, "sim.posture_stiffness_nm"),
    ],
)
def test_config_refuses_naming_the_field(values, named):
    with pytest.raises(ConfigError, match=named.replace(".", r"\.")):
        SimConfig(**values)
