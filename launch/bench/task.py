"""What the simulated task lets through: an expert nearly always, chance and force never."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import get_args

import numpy as np

from handrail.agent.config import RunConfig
from handrail.launch.bench.figures import Figure
from handrail.launch.options import Option, Options
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.env import RobotEnv
from handrail.robot_env.make import make_env
from handrail.robot_env.sim.config import ArmName
from handrail.robot_env.sim.expert import ScriptedExpert

OPTIONS = (
    Option("expert", int, "episodes of the scripted expert", 100),
    Option("random", int, "episodes of random actions", 200),
    Option("press", int, "episodes of pressing straight down", 40),
    Option("hostile", int, "steps of full-scale random actions, held for a while", 30_000),
)
_DOWN = np.array([0.0, 0.0, 1.0, 0.0, 0.0, 0.0])  # along the tool's z, which points down
_HELD_STEPS = 8

Choose = Callable[[RobotEnv, np.random.Generator], np.ndarray]


def measure(options: Options, config: RunConfig) -> Iterator[Figure]:
    """Successes of each way to act, with each arm; hidden displacement and start range as configured."""
    for arm in get_args(ArmName):
        env = make_env(dataclasses.replace(config.env, sim=dataclasses.replace(config.env.sim, arm=arm)))
        try:
            yield from _arm(env, arm, options, config.env)
        finally:
            env.close()


def _arm(env: RobotEnv, arm: str, options: Options, config: EnvConfig) -> Iterator[Figure]:
    expert = ScriptedExpert(env.action_spec, period_s=env.period_s, target_reference=config.target_reference)

    def skilled(env: RobotEnv, rng: np.random.Generator) -> np.ndarray:
        assert env.scene is not None
        return expert.act(env.scene.truth())

    successes, steps, peaks = _episodes(env, options["expert"], skilled, expert.reset)
    yield Figure(f"{arm}_expert_successes", successes, f"of {options['expert']}")
    if steps:
        yield Figure(f"{arm}_expert_steps_mean", float(np.mean(steps)), "steps")
        yield Figure(f"{arm}_expert_peak_force_median", float(np.median(peaks)), "N")
    successes, *_ = _episodes(env, options["random"], lambda _, rng: rng.uniform(-1.0, 1.0, 6))
    yield Figure(f"{arm}_random_successes", successes, f"of {options['random']}")
    successes, *_ = _episodes(env, options["press"], lambda *_: _DOWN)
    yield Figure(f"{arm}_press_down_successes", successes, f"of {options['press']}")
    successes, unsound = _hostile(env, options["hostile"])
    yield Figure(f"{arm}_hostile_unsound_steps", unsound, f"of {options['hostile']}")
    yield Figure(f"{arm}_hostile_successes", successes, "episodes")


def _episodes(
    env: RobotEnv,
    count: int,
    choose: Choose,
    begin: Callable[[np.random.Generator], object] = lambda _: None,
) -> tuple[int, list[int], list[float]]:
    """(successes, steps of each success, peak force of each success)."""
    steps: list[int] = []
    peaks: list[float] = []
    for episode in range(count):
        rng = np.random.default_rng([episode, 7])
        env.reset(seed=episode)
        begin(rng)
        number, finished, peak = 0, False, 0.0
        while not finished:
            _, _, terminated, truncated, info = env.step(choose(env, rng))
            number, finished = number + 1, terminated or truncated
            peak = max(peak, info["peak_force_n"])
            if terminated:
                steps.append(number)
                peaks.append(peak)
    return len(steps), steps, peaks


def _hostile(env: RobotEnv, count: int) -> tuple[int, int]:
    """(successes, steps after which a number was not finite or the module stood below the socket's floor)."""
    rng = np.random.default_rng(3)
    action, successes, unsound, finished, episode = np.zeros(6), 0, 0, True, 0
    for number in range(count):
        if finished:
            env.reset(seed=10_000 + episode)
            episode += 1
        if number % _HELD_STEPS == 0:
            action = rng.choice([-1.0, 1.0], 6) * (rng.random(6) < 0.7)
        observation, _, terminated, truncated, _ = env.step(action)
        assert env.scene is not None
        deep = env.scene.truth().depth > 1.2  # more than the groove has: through its floor
        unsound += deep or not np.isfinite(observation["state"]).all()
        successes += terminated
        finished = terminated or truncated
    return successes, unsound
