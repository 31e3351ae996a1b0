"""Where the tool was, read off what the simulated cell's own observations were stored as."""

from typing import Literal

import numpy as np
import pytest

from handrail.intervention.log_format import EpisodeStart, step_record
from handrail.intervention.rollout import environment_seed
from handrail.intervention.transition import Source, Transition
from handrail.reward_classifier.recorded import RecordedSituations
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.make import make_env
from handrail.robot_env.tasks import RamInsertion


@pytest.mark.parametrize("proprioception", ["socket", "start"])
def test_stored_steps_say_where_the_tool_was(proprioception: Literal["socket", "start"]) -> None:
    config, seed = EnvConfig(proprioception=proprioception), (3, 1)
    env = make_env(config)
    observation, _ = env.reset(seed=environment_seed(seed))
    frame = RamInsertion(config.task, env.scene).frame()
    recorded = RecordedSituations(config)
    recorded.begin(EpisodeStart(1, seed, "train", 0, 0, -1))
    # What a reset calls settled is how far the start may be from the one that was drawn.
    settled = (config.task.settle_m, config.task.settle_rad)
    assert recorded.error == (settled if proprioception == "start" else (0.0, 0.0))
    rng = np.random.default_rng(0)
    for step in range(8):
        before, action = observation["state"], rng.uniform(-1.0, 1.0, 6).astype(np.float32)
        observation, *_ = env.step(action)
        transition = Transition(
            1, step, before, action, action, 0.0, False, False, observation["state"], Source.POLICY, 0, 0, 0
        )
        coordinates, force = recorded.after(step_record(transition))
        arm = env.last_arm_state
        away = np.abs(coordinates - frame.coordinates(arm.pose))
        assert np.linalg.norm(away[:3]) < recorded.error[0] + 1e-6
        assert np.linalg.norm(away[3:]) < recorded.error[1] + 1e-6
        assert np.allclose(force, arm.wrench[:3], atol=1e-4)
    env.close()
