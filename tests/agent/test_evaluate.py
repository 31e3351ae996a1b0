"""Counting: Wilson's interval, starts that never coincide with training's, and the truth to go by."""

import dataclasses
import threading
from pathlib import Path

import pytest

from handrail.agent.config import RunConfig
from handrail.agent.evaluate import start_seed
from handrail.agent.evaluator import Evaluator
from handrail.intervention.proportion import wilson_interval
from handrail.intervention.run_directory import RunDirectory
from handrail.robot_env.config import CameraConfig, EnvConfig, RewardConfig
from handrail.robot_env.errors import RenderingUnavailable
from handrail.robot_env.sim import gl
from handrail.vision.config import VisionConfig


@pytest.mark.parametrize(
    ("successes", "episodes", "low", "high"),
    [(95, 100, 0.8882, 0.9785), (100, 100, 0.9630, 1.0), (0, 100, 0.0, 0.0370), (5, 10, 0.2366, 0.7634)],
)
def test_wilson_interval_agrees_with_published_values(successes, episodes, low, high):
    assert wilson_interval(successes, episodes) == pytest.approx((low, high), abs=2e-4)


def test_nothing_is_known_without_episodes():
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_starts_are_fixed_and_all_different():
    seeds = [start_seed(which, index) for which in ("check", "final") for index in range(1000)]
    assert len(set(seeds)) == 2000
    assert start_seed("check", 0) == start_seed("check", 0)


def test_a_simulated_run_is_measured_by_the_truth_whatever_it_was_rewarded_by(tmp_path: Path):
    try:
        gl.choose_backend()
    except RenderingUnavailable as error:
        pytest.skip(str(error))
    reward = RewardConfig(source="classifier", classifier=("classifiers/ram",))
    env = EnvConfig(cameras=(CameraConfig(width=32, height=32),), reward=reward)
    config = RunConfig(env=env, vision=VisionConfig(cameras=()))
    run = RunDirectory(tmp_path / "run").create("", {})
    evaluator = Evaluator(run, config, threading.Event(), lambda _: None)
    assert evaluator.env.config.reward == RewardConfig()
    assert dataclasses.replace(evaluator.env.config, reward=reward) == env
    evaluator.env.close()
