"""`handrail bench arm` with a station of one's own: it measures the computer, and nothing of the station."""

from pathlib import Path

from handrail.launch import compose
from handrail.launch.bench import arm
from handrail.launch.options import split
from handrail.robot_env.remote.make import make_server


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
