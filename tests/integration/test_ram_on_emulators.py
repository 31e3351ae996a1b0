"""The RAM task on emulated robots: the real vendor clients behind the arm server, the board before them."""

from collections.abc import Iterator

import numpy as np
import pytest
from benches.franka import franka_config
from benches.served import RunningServer
from benches.ur import ur_config
from device_clock import DeviceClock
from emulators.franka import FrankaEmulator, FrankaScene
from emulators.ur import UREmulator, URScene

from handrail.robot_env.arms.franka.driver import FrankaDriver
from handrail.robot_env.arms.ur.driver import URDriver
from handrail.robot_env.env import RobotEnv
from handrail.robot_env.remote.client import ArmClient
from handrail.robot_env.sim.expert import ScriptedExpert
from handrail.robot_env.tasks import RamInsertion

SEEDS = (4, 5)
ROBOTS = {
    # SDK, emulator, its cell, settings, driver, most steps of an episode
    "franka": (
        "franky",
        FrankaEmulator,
        FrankaScene,
        franka_config,
        lambda a: FrankaDriver(a.franka),
        60,
    ),
    "ur": ("rtde_control", UREmulator, URScene, ur_config, lambda a: URDriver(a.ur), 80),
}


@pytest.fixture(params=list(ROBOTS.values()), ids=list(ROBOTS))
def station(request) -> Iterator[tuple[RobotEnv, int]]:
    sdk, start, scene_of, config_of, driver_of, most_steps = request.param
    pytest.importorskip(sdk)
    with start() as emulator:
        config = config_of(emulator)
        running = RunningServer(driver_of(config.arm), config)
        try:
            arm = ArmClient(running.config)
            scene = scene_of(emulator)
            arm.connect()  # the clock goes by its time
            task = RamInsertion(running.config.task, scene)
            env = RobotEnv(arm, task, DeviceClock(arm), running.config, scene=scene)
            try:
                yield env, most_steps
            finally:
                env.close()
                arm.close()
        finally:
            running.close()


def test_an_expert_seats_the_module_again_and_again(station) -> None:
    env, most_steps = station
    expert = ScriptedExpert(env.action_spec, target_reference=env.config.target_reference)
    scene = env.scene
    assert scene is not None
    for seed in SEEDS:
        observation, _ = env.reset(seed=seed)  # the second reset pulls the module out
        assert observation["state"][2] > env.config.task.clearance_m
        expert.reset(np.random.default_rng(seed))
        start_ns, steps, peak_n = env.last_arm_state.device_ns, 0, 0.0
        terminated = truncated = False
        while not (terminated or truncated):
            _, reward, terminated, truncated, info = env.step(expert.act(scene.truth()))
            steps += 1
            peak_n = max(peak_n, info["peak_force_n"])
        assert terminated and reward == 1.0 and steps <= most_steps, info
        assert scene.truth().depth > 0.9
        assert 5.0 < peak_n < env.config.limits.force_limit_n  # it clicked, and did not jam
        took_s = (env.last_arm_state.device_ns - start_ns) / 1e9
        assert took_s == pytest.approx(steps * env.period_s, rel=0.2)
