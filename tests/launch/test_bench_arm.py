"""`handrail bench arm` with a station of one's own: it measures the computer, and nothing of the station."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

from benches.served import RunningServer

from handrail.launch import compose
from handrail.launch.bench import arm
from handrail.launch.options import split
from handrail.robot_env.arms.sim import SimDriver
from handrail.robot_env.remote.make import make_server
from handrail.robot_env.sim.cell import SimCell


def test_a_real_station_s_place_and_hand_are_left_out(tmp_path: Path) -> None:
    config = compose.compose(
        [
            "arm=franka",
            "env.task.seated_pose=[0.588,-0.036,0.278,1,0,0,0]",  # nowhere in the simulated cell
            "env.arm.joint_home=[0,-0.19,0,-2.51,0,2.32,0.785]",
            "env.arm.joint_home_every=50",
            "env.arm.server.rest_port=5000",
            "env.regrasp={grasp_pose: [0, -0.06, 0, 0, 0, 0]}",
            "env.regrasp_every=10",
            "env.camera_devices=[{name: wrist, serial: '1'}]",
            "env.cameras=[{name: wrist}]",
        ]
    ).config
    run, config = arm._prepare(tmp_path, split([], arm.OPTIONS)[0], config)
    env = config.env
    assert (env.arm.kind, env.task.seated_pose, env.regrasp, env.regrasp_every) == (
        "sim_server",
        None,
        None,
        0,
    )
    assert (env.arm.joint_home, env.arm.joint_home_every, env.arm.server.rest_port) == ((), 0, 0)
    assert env.cameras == env.camera_devices == ()
    assert compose.load(run.config_file) == config
    make_server(env)  # the simulated cell says where its task is


def test_a_hand_whose_first_reset_fails_says_why(tmp_path: Path) -> None:
    run, config = arm._prepare(tmp_path, split([], arm.OPTIONS)[0], compose.compose([]).config)
    driver = SimDriver(SimCell(config.env.sim))
    hand = "import sys; from handrail.launch.bench.arm_sides import follow_a_hand as f; f(sys.argv[1], '1')"
    with closing(RunningServer(driver, config.env)):
        driver.inject_fault("a reflex, for the test")
        result = subprocess.run(
            [sys.executable, "-c", hand, str(run.path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert result.returncode and "a reflex, for the test" in result.stderr.splitlines()[-1]
