"""The RAM task on emulated robots: the real vendor clients behind the arm server, the board before them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from benches.franka import franka_config
from benches.served import RunningServer
from benches.ur import ur_config
from device_clock import DeviceClock
from emulators.franka import FrankaEmulator, FrankaScene
from emulators.ur import UREmulator, URScene

from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.arms.franka.driver import FrankaDriver
from handrail.robot_env.arms.ur.driver import URDriver
from handrail.robot_env.clock import NS_PER_S
from handrail.robot_env.env import RobotEnv
from handrail.robot_env.errors import ArmFault, ResetError
from handrail.robot_env.remote.client import ArmClient
from handrail.robot_env.sim.expert import ScriptedExpert
from handrail.robot_env.tasks import RamInsertion

SEEDS = (4, 5)
MOST_STEPS = 50
AWAY_RAD = 0.25
"""How far the last joint's home lies from where the tool points along the slot: a motion to be seen."""
JOINT_SPEED = 0.03
"""Share of the rated speed; slow enough for a busy machine to stop it in the middle."""


def break_franka(emulator: Any) -> None:
    emulator.fault("reflex")


def break_ur(emulator: Any) -> None:
    emulator.ask("unlock_after", seconds=0.0)
    emulator.ask("protective_stop")


ROBOTS = {
    # SDK, emulator, its cell, settings, driver, what stops the robot
    "franka": (
        "franky",
        FrankaEmulator,
        FrankaScene,
        franka_config,
        lambda a: FrankaDriver(a.franka),
        break_franka,
    ),
    "ur": ("rtde_control", UREmulator, URScene, ur_config, lambda a: URDriver(a.ur), break_ur),
}


@dataclass
class Station:
    """An environment on an emulated robot, which resets its joints in every reset but the first."""

    kind: str
    env: RobotEnv
    arm: ArmClient
    home: np.ndarray
    break_it: Callable[[], None]

    farthest_rad: float = 0.0

    def moves_joints(self) -> bool:
        """Whether it is well under way to its joint home; asked all the while."""
        if self.arm.newest.job != "move_joints":
            self.farthest_rad = 0.0
            return False
        off_rad = float(np.abs(np.array(self.arm.newest.q) - self.home).max())
        self.farthest_rad = max(self.farthest_rad, off_rad)
        return off_rad < 0.8 * self.farthest_rad


@pytest.fixture(params=list(ROBOTS.items()), ids=list(ROBOTS))
def station(request) -> Iterator[Station]:
    kind, (sdk, start, scene_of, config_of, driver_of, break_it) = request.param
    pytest.importorskip(sdk)
    with start() as emulator:
        config = config_of(emulator)
        home = np.array(config.arm.joint_home)
        home[-1] += AWAY_RAD
        slow = {"joint_home": tuple(home.tolist()), "joint_home_every": 1, "joint_speed": JOINT_SPEED}
        config = replace(config, arm=replace(config.arm, **slow))
        running = RunningServer(driver_of(config.arm), config)
        try:
            arm = ArmClient(running.config)
            scene = scene_of(emulator)
            arm.connect()  # the clock goes by its time
            task = RamInsertion(running.config.task, scene)
            env = RobotEnv(arm, task, DeviceClock(arm), running.config, scene=scene)
            try:
                yield Station(kind, env, arm, home, lambda: break_it(emulator))
            finally:
                env.close()
                arm.close()
        finally:
            running.close()


def test_an_expert_seats_the_module_again_and_again(station, figure) -> None:
    env = station.env
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
        assert terminated and reward == 1.0 and steps <= MOST_STEPS, (steps, info)
        assert scene.truth().depth > 0.9
        assert 5.0 < peak_n < env.config.limits.force_limit_n  # it clicked, and did not jam
        took_s = (env.last_arm_state.device_ns - start_ns) / 1e9
        assert took_s == pytest.approx(steps * env.period_s, rel=0.2)
        figure(f"{station.kind}: steps until seated", steps, "steps", limit=MOST_STEPS)


def test_a_joint_reset_ends_when_the_operator_or_the_robot_stops_and_the_next_one_arrives(station) -> None:
    env, arm = station.env, station.arm
    env.reset(seed=4)

    def paused() -> str:
        return "paused by the operator" if station.moves_joints() else ""

    env.interrupt = paused
    # The robot may come to rest before the operator is asked again; what he said stays said.
    with pytest.raises(ResetError, match=r"leg 'joints'.* ended"):
        env.reset(seed=4)
    stopped = arm.state()
    assert stopped.mode is ArmMode.HOLD and np.abs(stopped.q - station.home).max() > 0.02

    clock = DeviceClock(arm)
    clock.wait_until(clock.now_ns() + NS_PER_S)  # an order to stop a UR counts for a while

    def broken() -> str:
        if station.moves_joints() and arm.newest.mode != ArmMode.FAULT.value:
            station.break_it()
        return ""

    env.interrupt = broken
    with pytest.raises(ArmFault):
        env.reset(seed=5)
    assert env.arm_mode()[0] is ArmMode.FAULT
    arm.recover("who found the cause")

    seen = []

    def watched() -> str:
        seen.append((arm.newest.job, np.array(arm.newest.q)))
        return ""

    env.interrupt = watched
    observation, _ = env.reset(seed=5)
    last = max(number for number, (job, _) in enumerate(seen) if job == "move_joints")
    np.testing.assert_allclose(seen[last + 1][1], station.home, atol=0.01)  # from where the gate goes on
    assert observation["state"][2] > env.config.task.clearance_m and arm.state().mode is ArmMode.RUN
