"""How fast the simulated environment steps, without cameras and with them."""

import dataclasses
import time
from collections.abc import Iterator

import numpy as np

from handrail.agent.config import RunConfig
from handrail.launch.bench.figures import Figure, percentiles
from handrail.launch.options import Option, Options
from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import CameraError
from handrail.robot_env.make import make_env

OPTIONS = (
    Option("steps", int, "environment steps to time", 3000),
    Option("cameras", bool, "also time two cameras", True),
)
_CAMERA_SHARE = 5  # cameras are timed over a fifth of the steps


def measure(options: Options, config: RunConfig) -> Iterator[Figure]:
    """Random actions, resets timed apart; one thread."""
    steps = max(1, options["steps"])
    bare = dataclasses.replace(config.env, cameras=())
    step_ms, reset_ms = _time(bare, steps)
    yield Figure("env_steps_per_s", 1000.0 / float(np.mean(step_ms)), "steps/s")
    yield Figure("real_time_factor", 1000.0 / config.env.hz / float(np.mean(step_ms)), "x")
    yield from percentiles("step", step_ms, "ms")
    yield Figure("reset_mean", float(np.mean(reset_ms)), "ms")
    if not options["cameras"]:
        return
    seeing = dataclasses.replace(config.env, cameras=(CameraConfig(name="wrist"), CameraConfig(name="side")))
    try:
        seen_ms, _ = _time(seeing, max(1, steps // _CAMERA_SHARE))
    except CameraError:
        return  # nothing here can render: `handrail doctor` says so, and there is no figure to give
    yield Figure("two_cameras_extra", float(np.mean(seen_ms) - np.mean(step_ms)), "ms/step")


def _time(config: EnvConfig, steps: int) -> tuple[list[float], list[float]]:
    """The duration of each step and each reset [ms]."""
    env = make_env(config)
    rng = np.random.default_rng(0)
    step_ms: list[float] = []
    reset_ms: list[float] = []
    try:
        finished, episode = True, 0
        while len(step_ms) < steps:
            if finished:
                began = time.perf_counter()
                env.reset(seed=episode)
                reset_ms.append((time.perf_counter() - began) * 1e3)
                episode += 1
            action = rng.uniform(-1.0, 1.0, 6).astype(np.float32)
            began = time.perf_counter()
            _, _, terminated, truncated, _ = env.step(action)
            step_ms.append((time.perf_counter() - began) * 1e3)
            finished = terminated or truncated
    finally:
        env.close()
    return step_ms, reset_ms
