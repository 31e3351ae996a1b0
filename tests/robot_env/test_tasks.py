import numpy as np
import pytest

from handrail.robot_env.config import TaskConfig
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.geometry import pose_compose, quat_from_rotvec, quat_rotate
from handrail.robot_env.tasks import RamInsertion, Start

SEATED = (0.5, 0.1, 0.07, 1.0, 0.0, 0.0, 0.0)


def test_the_work_axes_are_the_sockets():
    turn = (0.0, 0.0, 0.0, *quat_from_rotvec((0.0, 0.0, 0.4)))
    seated = tuple(pose_compose((0.5, 0.1, 0.0, *turn[3:]), (0, 0, 0.07, 1.0, 0, 0, 0)).tolist())
    frame = RamInsertion(TaskConfig(seated_pose=seated)).frame()
    np.testing.assert_allclose(frame.pose([0.0] * 6), seated, atol=1e-12)
    step = frame.pose([0.01, 0, 0, 0, 0, 0])[:3] - np.array(seated[:3])
    np.testing.assert_allclose(step, quat_rotate(turn[3:], (0.01, 0, 0)), atol=1e-12)
    up = frame.pose([0, 0, 0.01, 0, 0, 0])[:3] - np.array(seated[:3])
    np.testing.assert_allclose(up, (0, 0, 0.01), atol=1e-12)


def test_every_start_takes_four_numbers_and_lies_in_range():
    config = TaskConfig(seated_pose=SEATED)
    task = RamInsertion(config)
    rng, other = np.random.default_rng(0), np.random.default_rng(0)
    for _ in range(200):
        start = task.sample_start(rng)
        other.uniform(-1, 1, 4)
        assert abs(start.x_m) <= config.start_xy_m and abs(start.y_m) <= config.start_xy_m
        assert abs(start.z_m - config.start_height_m) <= config.start_z_m + 1e-12
        assert abs(start.yaw_rad) <= config.start_yaw_rad
    assert rng.bit_generator.state == other.bit_generator.state


def test_a_given_start_is_checked():
    task = RamInsertion(TaskConfig(seated_pose=SEATED))
    start = Start(0.01, 0.0, 0.04, 0.1)
    assert task.fixed_start(start) == task.fixed_start([0.01, 0.0, 0.04, 0.1]) == start
    assert start.coordinates == (0.01, 0.0, 0.04, 0.0, 0.0, 0.1)
    for bad in ((0.0, 0.0, 0.04), (0.0, 0.0, 0.01, 0.0), (0.0, float("inf"), 0.04, 0.0)):
        with pytest.raises(ConfigError, match="start is"):
            task.fixed_start(bad)
