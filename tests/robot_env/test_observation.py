"""What a policy is shown: where its pose is counted from, and pictures that show something."""

import dataclasses

import numpy as np
import pytest
from painted import Painted

from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.arms.lockstep import LockstepArm
from handrail.robot_env.clock import LockstepClock
from handrail.robot_env.config import CameraConfig, EnvConfig
from handrail.robot_env.env import RobotEnv
from handrail.robot_env.errors import CameraError, ConfigError, ResetError
from handrail.robot_env.geometry import matrix_from_quat, pose_relative, rotvec_from_quat
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.spec import START_SPEC, STATE_SPEC, ActionSpec, schema_hash, state_spec
from handrail.robot_env.tasks import RamInsertion

START = EnvConfig(proprioception="start")
POSE, VELOCITY, REST = slice(0, 6), slice(6, 12), slice(12, 19)


def make(config: EnvConfig, *cameras: Painted) -> tuple[RobotEnv, LockstepArm]:
    cell = SimCell(config.sim)
    task = RamInsertion(config.task, cell)
    arm = LockstepArm(cell, config.limits, task.frame(), 0.1)
    return RobotEnv(arm, task, LockstepClock(arm.advance), config, scene=cell, cameras=cameras), arm


def test_from_the_start_an_episode_begins_at_zero_wherever_that_is() -> None:
    env, _ = make(START)
    places = []
    for seed in range(3):
        observation, _ = env.reset(seed=seed)
        assert observation in env.observation_space
        np.testing.assert_allclose(observation["state"][POSE], 0.0, atol=1e-12)
        places.append(env.last_arm_state.pose[:2])
    assert np.ptp(places, axis=0).min() > 0.002


def test_from_the_start_the_pose_is_in_the_tools_frame_there_and_velocities_in_the_tools_own() -> None:
    env, _ = make(START)
    env.reset(seed=0, options={"start": (0.01, -0.01, 0.04, 0.15)})
    start = env.last_arm_state.pose
    for action in np.random.default_rng(0).uniform(-1.0, 1.0, (5, 6)):
        state = env.step(action)[0]["state"]
    reading = env.last_arm_state
    relative = pose_relative(start, reading.pose)
    np.testing.assert_allclose(state[:3], relative[:3], atol=1e-7)
    np.testing.assert_allclose(state[3:6], rotvec_from_quat(relative[3:]), atol=1e-7)
    into_tool = matrix_from_quat(reading.pose[3:]).T
    np.testing.assert_allclose(state[6:9], into_tool @ reading.twist[:3], atol=1e-6)
    np.testing.assert_allclose(state[9:12], into_tool @ reading.twist[3:], atol=1e-6)
    np.testing.assert_allclose(state[12:18], reading.wrench, atol=1e-6)


def test_from_the_start_a_push_down_is_along_z_and_says_nothing_of_the_socket() -> None:
    env, _ = make(START)
    states = []
    for start in ((0.0, 0.0, 0.045, 0.0), (0.015, -0.01, 0.05, 0.16)):
        env.reset(seed=0, options={"start": start})
        for _ in range(3):
            observation, *_ = env.step([0.0, 0.0, 0.5, 0.0, 0.0, 0.0])
        states.append(observation["state"])
    assert states[0][2] > 0.005 and states[0][8] > 0.01  # the tool's z points down, and so does the push
    np.testing.assert_allclose(states[0][POSE], states[1][POSE], atol=1e-3)
    np.testing.assert_allclose(states[0][VELOCITY], states[1][VELOCITY], atol=5e-3)


def test_both_say_the_same_of_force_and_gripper_and_move_alike() -> None:
    states = []
    for config in (EnvConfig(), START):
        env, _ = make(config)
        env.reset(seed=3)
        states.append(env.step([0.3, -0.2, 0.8, 0.0, 0.0, 0.1])[0]["state"])
    np.testing.assert_array_equal(states[0][REST], states[1][REST])
    assert np.abs(states[0][POSE] - states[1][POSE]).max() > 0.01
    speeds = [np.linalg.norm(state[6:9]) for state in states]
    assert speeds[0] == pytest.approx(speeds[1], rel=1e-5)


def test_the_two_are_different_layouts_with_the_same_numbers() -> None:
    assert state_spec(EnvConfig()) is STATE_SPEC and state_spec(START) is START_SPEC
    assert START_SPEC.size == STATE_SPEC.size and list(START_SPEC.slices) == list(STATE_SPEC.slices)
    np.testing.assert_array_equal(START_SPEC.scale, STATE_SPEC.scale)
    assert not np.isfinite(START_SPEC.resolution).any()  # nothing is fine about a place that moves
    env, _ = make(START)
    assert env.schema_hash == schema_hash(START_SPEC, ActionSpec()) != schema_hash(STATE_SPEC, ActionSpec())


def test_another_origin_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"env\.proprioception is 'world'; choose 'socket' or 'start'"):
        EnvConfig(proprioception="world")  # type: ignore[arg-type]


def test_a_black_picture_refuses_the_reset_and_the_arm_holds() -> None:
    config = EnvConfig(cameras=(CameraConfig(width=32, height=32),))
    env, arm = make(config, Painted(15, 16, 0))
    with pytest.raises(
        CameraError, match=r"camera wrist shows nothing but black \(brightest pixel 15 of 255"
    ):
        env.reset(seed=0)
    assert arm.state().mode is ArmMode.HOLD
    with pytest.raises(ResetError, match="no episode is running"):
        env.step(np.zeros(6))
    env.reset(seed=0)  # dark, but not black
    assert env.step(np.zeros(6))[0]["wrist"].max() == 0  # within an episode a judge of images may say more


def test_cameras_that_are_not_the_configured_ones_are_refused() -> None:
    config = dataclasses.replace(START, cameras=(CameraConfig("side"),))
    with pytest.raises(ConfigError, match=r"cameras given are \['wrist'\], configured are \['side'\]"):
        make(config, Painted(90))


def test_whatever_refuses_a_first_look_leaves_the_arm_in_hold() -> None:
    env, arm = make(EnvConfig())

    def look() -> None:
        assert arm.state().mode is ArmMode.RUN
        raise RuntimeError("a bug")

    env.observer.first_look = look
    with pytest.raises(RuntimeError, match="a bug"):
        env.reset(seed=0)
    assert arm.state().mode is ArmMode.HOLD
    with pytest.raises(ResetError):
        env.step(np.zeros(6))
