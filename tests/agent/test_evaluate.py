"""Counting: Wilson's interval, starts that never coincide with training's, and the truth to go by."""

import dataclasses
import threading
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from handrail.agent.config import RunConfig
from handrail.agent.evaluate import EvaluationResult, evaluate, start_seed, start_words
from handrail.agent.evaluator import Evaluator
from handrail.agent.weights import WeightsError
from handrail.intervention.policy import PolicyStep
from handrail.intervention.proportion import wilson_interval
from handrail.intervention.rollout import environment_seed
from handrail.intervention.run_directory import RunDirectory
from handrail.launch.evaluate import Asked, in_simulation, sentence
from handrail.robot_env.config import CameraConfig, EnvConfig, RewardConfig
from handrail.robot_env.env import RobotEnv
from handrail.robot_env.errors import RenderingUnavailable
from handrail.robot_env.make import make_env
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


class Still:
    """A policy that stands still; `asked` counts."""

    def __init__(self) -> None:
        self.asked = 0

    def act(self, observation: object) -> PolicyStep:
        self.asked += 1
        return PolicyStep(np.zeros(6, np.float32), 1)


@pytest.mark.parametrize("at", [0, 3, 6])
def test_it_is_abandoned_at_the_next_step(at: int):
    config = EnvConfig()
    env = make_env(dataclasses.replace(config, task=dataclasses.replace(config.task, max_steps=5)))
    policy = Still()
    assert evaluate(env, policy, which="check", episodes=2, stop=lambda: policy.asked >= at) is None
    assert policy.asked == at
    env.close()


def test_a_fixed_start_is_the_same_in_a_cell_and_on_an_arm():
    words = start_words("final", 17)
    assert environment_seed(words) == start_seed("final", 17) and words[-1] == 17


def test_without_a_person_nothing_is_aided():
    result = EvaluationResult.of([10, 20], 4, 4, 12.5)
    assert (result.successes, result.mean_steps, result.aided, result.stopped_early) == (2, 15.0, 0, False)
    assert (result.wilson_low, result.wilson_high) == wilson_interval(2, 4)
    assert "with help" not in sentence(result, {"set": "final", "env_steps": 1})


def test_a_result_in_words_says_what_it_leaves_out():
    result = EvaluationResult.of([], 7, 20, 12.5, aided=2, human_steps=9, without_result=1)
    said = sentence(result, {"set": "final", "env_steps": 300})
    assert said.startswith("Stopped after 7 of 20 starts: [bold]0 of 7[/] unaided") and "nan" not in said
    assert "2 with help, which are no successes; 1 more without a result;" in said


def test_a_simulated_arm_is_closed_whatever_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = RunDirectory(tmp_path / "run").create("", {})
    (damaged := tmp_path / "damaged").write_bytes(b"no weights")
    closed: list[RobotEnv] = []
    monkeypatch.setattr(RobotEnv, "close", lambda env: closed.append(env))
    with pytest.raises(WeightsError):
        in_simulation(Asked(run, RunConfig(), damaged, "final", 1), Console(quiet=True), lambda: False)
    assert len(closed) == 1


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
