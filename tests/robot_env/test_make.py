import subprocess
import sys
from contextlib import closing
from importlib.metadata import entry_points

import gymnasium
import pytest
from benches.served import RunningServer, served_config
from gymnasium.utils.env_checker import check_env

import handrail.robot_env
from handrail.robot_env.arms.config import ArmConfig
from handrail.robot_env.arms.sim import SimDriver
from handrail.robot_env.config import CameraConfig, EnvConfig, SimConfig
from handrail.robot_env.env import RobotEnv
from handrail.robot_env.errors import RenderingUnavailable
from handrail.robot_env.make import ENVIRONMENTS, make_env, register_envs
from handrail.robot_env.sim.cell import SimCell


def can_render():
    try:
        env = make_env(render_mode="rgb_array")
        env.reset(seed=0)
        env.render()
        env.close()
    except RenderingUnavailable:
        return False
    return True


RENDERS = can_render()
needs_rendering = pytest.mark.skipif(not RENDERS, reason="no OpenGL library renders here")


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_gymnasiums_own_check_finds_nothing_to_say(name):
    """Warnings are errors in this test run, so `check_env` must not give one either."""
    check_env(gymnasium.make(name).unwrapped, skip_render_check=not RENDERS)


@pytest.mark.parametrize(("name", "arm"), ENVIRONMENTS.items())
def test_a_registered_environment_takes_settings_and_keeps_its_arm(name, arm):
    env = gymnasium.make(name, config=EnvConfig(hz=20.0))
    inner = env.unwrapped
    assert isinstance(inner, RobotEnv)
    assert inner.config.sim.arm == arm and inner.period_s == 0.05
    env.close()


def test_registering_twice_changes_nothing():
    before = {name: gymnasium.spec(name) for name in ENVIRONMENTS}
    register_envs()
    assert {name: gymnasium.spec(name) for name in ENVIRONMENTS} == before


def test_the_entry_point_is_the_registration():
    (entry,) = [e for e in entry_points(group="gymnasium.envs") if e.value.startswith("handrail.")]
    assert entry.load() is register_envs


@pytest.mark.parametrize(
    "program",
    [
        "import gymnasium; gymnasium.make('handrail.robot_env:handrail/RamInsertionUR-v0').close()",
        "import handrail.robot_env, gymnasium; gymnasium.make('handrail/RamInsertion-v0').close()",
        "import handrail.robot_env.env, gymnasium; gymnasium.make('handrail/RamInsertion-v0').close()",
    ],
)
def test_any_order_of_imports_registers_without_a_word(program):
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_importing_the_package_brings_in_neither_the_simulator_nor_a_learner():
    program = "import sys, handrail.robot_env; sys.exit(bool({'mujoco', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0


def test_a_real_arm_is_not_rendered_and_says_so_before_it_is_asked_for_anything():
    config = EnvConfig(arm=ArmConfig(kind="franka"))
    with pytest.raises(RenderingUnavailable, match=r"franka arm, which is real; leave render_mode out"):
        make_env(config, render_mode="rgb_array")


@needs_rendering
def test_a_simulation_behind_an_arm_server_is_rendered_as_it_stands():
    with (
        closing(RunningServer(SimDriver(SimCell()), served_config("sim_server"))) as running,
        closing(make_env(running.config, render_mode="rgb_array")) as env,
    ):
        env.reset(seed=0)
        image = env.render()
        assert image is not None and image.shape == (480, 640, 3) and image.std() > 5.0
        env.step([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
        later = env.render()
        assert later is not None and (later != image).any()


def test_the_package_exports_what_it_says():
    assert set(handrail.robot_env.__all__) == {"EnvConfig", "make_env", "register_envs"}
    assert all(hasattr(handrail.robot_env, name) for name in handrail.robot_env.__all__)


def test_the_defaults_make_a_panda_from_the_state_alone():
    env = make_env()
    assert env.config.sim == SimConfig()
    assert list(env.reset(seed=0)[0]) == ["state"]


@needs_rendering
def test_cameras_are_part_of_the_observation_and_of_the_schema():
    config = EnvConfig(cameras=(CameraConfig(name="wrist", width=64, height=48),))
    env = make_env(config)
    observation, _ = env.reset(seed=0)
    assert observation["wrist"].shape == (48, 64, 3) and observation in env.observation_space
    later = env.step(env.action_space.sample())[0]
    assert later["wrist"].std() > 5.0
    assert env.schema_hash != make_env().schema_hash
    env.close()


@needs_rendering
def test_rendering_shows_the_cell_from_outside():
    env = make_env(render_mode="rgb_array")
    env.reset(seed=0)
    image = env.render()
    assert image is not None and image.shape == (480, 640, 3) and image.std() > 5.0
    env.close()
