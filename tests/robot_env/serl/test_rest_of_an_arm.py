"""What the REST server says of arms and grippers other than a Franka's: their Jacobian, their stroke."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection

import numpy as np
import pytest
from benches.served import RunningServer, served_config
from recording import RecordingDriver

from handrail.robot_env.arms.kinematics import UR
from handrail.robot_env.arms.ur.config import URConfig
from handrail.robot_env.config import TaskConfig
from handrail.robot_env.geometry import pose_compose
from handrail.robot_env.serl.jacobian import tool_jacobian
from handrail.robot_env.serl.rest import RestServer

Q = np.array([0.3, -1.4, 1.9, -2.0, -1.57, 0.2])
TOOL = (0.0, 0.0, 0.15, 0.0, 0.0, 0.0, 1.0)
Ask = Callable[..., tuple[int, str]]


class Standing(RecordingDriver):
    """An arm of six joints that stands, and is heard now."""

    joints = 6

    def __init__(self, pose) -> None:
        super().__init__(pose)
        self.changes = {"q": Q, "dq": np.zeros(6)}

    def read(self):
        self.now_ns = time.monotonic_ns()
        return super().read()


@contextmanager
def rest(model: str, tcp=TOOL) -> Iterator[tuple[Standing, Ask]]:
    """A UR behind an arm server and a REST server: its driver, and a client."""
    pose = pose_compose(UR[model].flange(Q), TOOL)
    driver = Standing(pose)
    config = served_config("ur", ur=URConfig(tcp=tcp))
    running = RunningServer(driver, replace(config, task=TaskConfig(seated_pose=tuple(pose.tolist()))))
    server = RestServer(running.config, port=0, await_start=False)

    def ask(name: str, body: object = None) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=10.0)
        try:
            connection.request("POST", f"/{name}", json.dumps(body).encode())
            reply = connection.getresponse()
            return reply.status, reply.read().decode()
        finally:
            connection.close()

    try:
        server.start()
        until(lambda: ask("getpos")[0] == 200)
        yield driver, ask
    finally:
        server.close()
        running.close()


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


@pytest.mark.parametrize("model", sorted(UR))
def test_the_jacobian_is_that_of_the_ur_that_is_there(model):
    with rest(model) as (driver, ask):
        status, text = ask("getjacobian")
        assert status == 200
        said = np.array(json.loads(text)["jacobian"])
        np.testing.assert_allclose(said[:, :6], tool_jacobian(UR[model], Q, driver.pose), atol=1e-9)
        assert not said[:, 6].any()
        assert json.loads(ask("getstate")[1])["jacobian"] == said.tolist()


@pytest.mark.parametrize(
    ("tcp", "words"),
    [(None, "env.arm.ur.tcp is not set"), ((0.0, 0.0, 0.05, 0.0, 0.0, 0.0, 1.0), "correct env.arm.ur.tcp")],
)
def test_a_jacobian_that_might_be_wrong_is_none(tcp, words, caplog):
    with rest("ur10e", tcp) as (_, ask):
        status, text = ask("getjacobian")
        assert status == 501 and words in text and text.count("\n") == 1
        state = json.loads(ask("getstate")[1])
        assert not np.any(state["jacobian"]) and np.shape(state["jacobian"]) == (6, 7)
        assert len(state["pose"]) == 7
    assert [words in record.message for record in caplog.records if "no Jacobian" in record.message] == [True]


def test_an_open_hand_e_reads_open_and_counts_reach_its_whole_stroke():
    with rest("ur5e") as (driver, ask):
        driver.changes |= {"gripper_width_m": 0.05, "gripper_stroke_m": 0.05}
        until(lambda: json.loads(ask("get_gripper")[1]) == {"gripper": 1.0})
        assert json.loads(ask("getstate")[1])["gripper_pos"] == 1.0
        for counts in (0, 102, 204, 255):
            assert ask("move_gripper", {"gripper_pos": counts}) == (200, "Moved Gripper")
        widths = [width for _, width, _ in driver.gripper.calls]
        np.testing.assert_allclose(widths, (0.0, 0.025, 0.05, 0.05), atol=1e-12)


def test_a_load_counts_from_the_flange_with_the_stations_tool_behind_it():
    with rest("ur5e") as (driver, ask):
        load = {"mass": 1.0, "F_x_center_load": [0.0, 0.05, 0.10]}
        assert ask("set_load", load) == (200, "Set Load")
        ((mass_kg, com_m),) = driver.loads
        assert mass_kg == 1.0 and com_m == pytest.approx((0.0, 0.05, -0.05))
    with rest("ur5e", tcp=None) as (driver, ask):
        status, text = ask("set_load", load)
        assert status == 501 and "env.arm.ur.tcp is not set" in text and not driver.loads


def test_a_start_too_far_outside_the_workspace_is_refused_and_no_fault():
    with rest("ur5e") as (driver, ask):
        driver.pose = pose_compose(driver.pose, (0.0, 0.0, 0.0, 0.0, np.sin(0.25), 0.0, np.cos(0.25)))
        until(lambda: json.loads(ask("getpos")[1])["pose"] == driver.pose.tolist())
        status, text = ask("startimp")
        assert status == 409 and "env.limits.rotation_limit_rad" in text and "fault" not in text
        assert "workspace" not in text
