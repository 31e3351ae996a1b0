"""Randomisation: everything from the seed, nothing to the arm, nothing left over."""

import dataclasses

import numpy as np
import pytest

from handrail.robot_env.errors import ArmError, ConfigError
from handrail.robot_env.geometry import pose_relative, rotvec_from_quat
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.sim.config import RandomizationConfig
from handrail.robot_env.sim.randomize import Draw, draw

MS = 1_000_000
EVERYTHING = RandomizationConfig(
    visible=True, grasp=True, contact=True, controller=True, force_sensor=True, delay=True, look=True
)
FIELDS = ("body_pos", "body_quat", "geom_friction", "geom_pos", "jnt_stiffness", "actuator_biasprm")


def test_one_seed_one_draw():
    assert draw(np.random.default_rng(7), EVERYTHING) == draw(np.random.default_rng(7), EVERYTHING)
    assert draw(np.random.default_rng(7), EVERYTHING) != draw(np.random.default_rng(8), EVERYTHING)


def test_hidden_displacement_does_not_depend_on_the_other_switches():
    bare = draw(np.random.default_rng(7), RandomizationConfig())
    assert bare.hidden == draw(np.random.default_rng(7), EVERYTHING).hidden
    assert dataclasses.replace(bare, hidden=(0.0,) * 3, noise_seed=0) == Draw()


def test_draws_fill_their_ranges_and_stay_inside():
    draws = [draw(np.random.default_rng(seed), EVERYTHING) for seed in range(200)]
    hidden = np.array([each.hidden for each in draws])
    limits = np.array([0.001, 0.001, 0.01])
    assert np.all(np.abs(hidden) <= limits)
    assert np.all(np.abs(hidden).max(axis=0) > 0.9 * limits)
    friction = np.array([each.friction for each in draws])
    assert 0.15 <= friction.min() < 0.2 < 0.35 < friction.max() <= 0.4


def test_displaces_the_socket_and_not_the_arm(cell):
    before = cell.read()
    episode = cell.randomize(np.random.default_rng(1), RandomizationConfig())
    after = cell.read()
    np.testing.assert_array_equal(before.q, after.q)
    np.testing.assert_array_equal(before.pose, after.pose)
    moved = pose_relative(cell.nominal_socket, cell.truth().T_base_socket)
    np.testing.assert_allclose(moved[:2], episode.hidden[:2], atol=1e-12)
    np.testing.assert_allclose(rotvec_from_quat(moved[3:])[2], episode.hidden[2], atol=1e-12)


def test_visible_displacement_moves_the_nominal_socket_and_the_seated_pose(cell):
    nominal, seated = cell.nominal_socket.copy(), cell.seated_pose.copy()
    episode = cell.randomize(np.random.default_rng(1), RandomizationConfig(visible=True))
    np.testing.assert_allclose(cell.nominal_socket[:2] - nominal[:2], episode.visible[:2], atol=1e-12)
    np.testing.assert_allclose(cell.seated_pose[:2] - seated[:2], episode.visible[:2], atol=1e-12)
    moved = pose_relative(cell.nominal_socket, cell.truth().T_base_socket)
    np.testing.assert_allclose(moved[:2], episode.hidden[:2], atol=1e-12)


def test_nothing_is_left_over(cell):
    fresh = {name: getattr(cell.model, name).copy() for name in FIELDS}
    cell.randomize(np.random.default_rng(1), EVERYTHING)
    assert any(not np.array_equal(getattr(cell.model, name), fresh[name]) for name in FIELDS)
    cell.randomize(np.random.default_rng(2))
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(cell.model, name), fresh[name], err_msg=name)
    assert cell.episode == Draw()


def test_sensor_bias_and_noise_follow_the_seed():
    def reading(seed: int) -> np.ndarray:
        cell = SimCell()
        cell.randomize(np.random.default_rng(seed), RandomizationConfig(force_sensor=True))
        cell.advance(100 * MS)
        return cell.read().wrench

    np.testing.assert_array_equal(reading(4), reading(4))
    assert np.abs(reading(4) - reading(5)).max() > 0.01


def test_delay_holds_the_setpoint_back(cell):
    config = RandomizationConfig(delay=True, delay_s=(0.05, 0.05))
    cell.randomize(np.random.default_rng(0), config)
    goal = cell.home_pose.copy()
    goal[0] += 0.01
    cell.set_setpoint(goal)
    cell.advance(40 * MS)
    np.testing.assert_allclose(cell.setpoint, cell.home_pose, atol=1e-9)
    cell.advance(20 * MS)
    np.testing.assert_allclose(cell.setpoint, goal, atol=1e-9)


def test_tighter_clearance_is_felt(press):
    """The walls really move: in a narrower groove the module can stand less far aside."""
    room = []
    for clearance in (0.00015, 0.0003):
        cell = SimCell()
        cell.randomize(
            np.random.default_rng(0),
            RandomizationConfig(hidden=False, contact=True, clearance_m=(clearance, clearance)),
        )
        press(cell)
        assert cell.success()
        ends = []
        for side in (-1.0, 1.0):
            pose = cell.seated_pose.copy()
            pose[1] += side * 0.004
            pose[2] -= 0.001
            cell.set_setpoint(pose)
            cell.advance(1000 * MS)
            ends.append(float(cell.truth().lateral_m[1]))
        room.append(ends[1] - ends[0])
    assert room[1] - room[0] > 5e-5


def test_socket_is_not_moved_with_the_module_in_it(cell, press):
    press(cell)
    with pytest.raises(ArmError, match="lift it out"):
        cell.randomize(np.random.default_rng(0), RandomizationConfig())


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"hidden_xy_m": -0.001}, "hidden_xy_m"),
        ({"hidden_xy_m": 1.0}, "hidden_xy_m"),
        ({"friction": (0.4, 0.15)}, "friction"),
        ({"delay_s": (0.0, 5.0)}, "delay_s"),
        ({"force_noise_n": float("nan")}, "force_noise_n"),
    ],
)
def test_config_refuses_naming_the_field(values, named):
    with pytest.raises(ConfigError, match=named):
        RandomizationConfig(**values)
