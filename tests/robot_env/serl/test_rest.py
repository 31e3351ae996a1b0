"""HIL-SERL's protocol in front of a real arm server, with the simulated arm behind it."""

import contextlib
import json
import socket
import threading
import time
from dataclasses import replace
from http.client import HTTPConnection
from types import SimpleNamespace

import numpy as np
import pytest

from handrail.robot_env.arms.arm import ArmMode, Gains
from handrail.robot_env.arms.compliance import gains_from_serl
from handrail.robot_env.arms.config import ArmConfig, ArmServerConfig
from handrail.robot_env.arms.sim import SimDriver
from handrail.robot_env.config import EnvConfig, LimitsConfig
from handrail.robot_env.errors import ArmError, ConfigError
from handrail.robot_env.geometry import matrix_from_quat, pose_compose, pose_distance
from handrail.robot_env.remote.client import ArmClient
from handrail.robot_env.remote.make import make_server
from handrail.robot_env.remote.messages import State
from handrail.robot_env.remote.operator import ArmOperator
from handrail.robot_env.serl import rest as rest_module
from handrail.robot_env.serl.calls import WaitingCalls
from handrail.robot_env.serl.commander import SerlCommander
from handrail.robot_env.serl.protocol import FRANKA_HAND, com_in_tool
from handrail.robot_env.serl.rest import RestServer, serve_rest
from handrail.robot_env.sim.cell import SimCell

PURSUE_S, IDLE_S = 1.5, 2.0
HOME = (0.0, -0.19, 0.0, -2.51, 0.0, 2.32, 0.785)


class Jaws:
    width_m = 0.0014

    def __init__(self) -> None:
        self.orders = []

    def open(self) -> None:
        self.orders.append("open")

    def close(self) -> None:
        self.orders.append("close")

    def move(self, width_m: float, force_n: float) -> None:
        self.orders.append(round(width_m, 4))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A running arm server; its driver, its configuration, an operator's eyes and hands."""
    address = f"ipc://{tmp_path_factory.mktemp('arm')}/s"
    patient = ArmServerConfig(address=address, reading_age_s=2.0, watchdog_s=1.0, command_age_s=1.0)
    config = EnvConfig(hz=20, arm=ArmConfig(kind="sim_server", server=patient, joint_home=HOME))
    driver = SimDriver(SimCell(config.sim))
    driver.gripper = Jaws()
    server, stop = make_server(config, driver), threading.Event()
    thread = threading.Thread(target=server.run, args=(stop,))
    thread.start()
    assert server.ready.wait(10.0)
    with ArmOperator(config) as operator:
        yield SimpleNamespace(
            config=config, driver=driver, server=server, operator=operator, seated=driver.scene.seated_pose
        )
    stop.set()
    thread.join()


class Client:
    """As HIL-SERL's clients are: one connection a call, JSON or nothing in it."""

    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(self, name: str, body=None, method="POST", headers=None) -> SimpleNamespace:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10.0)
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        try:
            connection.request(method, f"/{name}", content, headers or {"Connection": "close"})
            reply = connection.getresponse()
            text = reply.read().decode()
        finally:
            connection.close()
        return SimpleNamespace(status=reply.status, text=text, json=lambda: json.loads(text))

    def pose(self, pose) -> SimpleNamespace:
        self("clearerr")  # as they do before every pose
        return self("pose", {"arr": np.asarray(pose, dtype=np.float32).tolist()})

    def state(self) -> dict:
        return self("getstate").json()


@pytest.fixture(scope="module")
def calm(served):
    """A server for questions and refusals: nothing here may come as far as the arm."""
    server = RestServer(served.config, port=0)
    server.start()
    client = Client(server.port)
    until(lambda: client("getpos").status == 200)
    yield client
    server.close()


@pytest.fixture
def rest(served):
    server = RestServer(served.config, port=0, pursue_s=PURSUE_S, idle_s=IDLE_S, await_start=False)
    server.start()
    client = Client(server.port)
    until(lambda: client("getpos").status == 200)
    yield client
    server.close()
    served.driver.remove_cause()
    if served.operator.state().mode is ArmMode.FAULT:
        served.operator.recover("test")


def until(condition, seconds=8.0):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)
    return value


def above(served, x=0.0, y=0.0, z=0.06):
    return pose_compose(served.seated, (x, -y, -z, 0.0, 0.0, 0.0, 1.0))


def arrives(served, pose, post=lambda: None):
    """Wait until the arm is there; `post` says it again, for an arm that is slower than the pursuit."""

    def there() -> bool:
        post()
        return pose_distance(served.operator.state().pose, pose)[0] < 1e-3

    until(there)


def now(served) -> State:
    """A state of after this call: the newest may be from before the last reply to somebody else."""
    begun = served.server.counters().ticks + 1
    assert served.operator.feed.wait(lambda state: state.tick > begun, 8.0)
    return served.operator.newest


def mode(served) -> ArmMode:
    return ArmMode(now(served).mode)


def free(state: State) -> bool:
    """Whether the arm holds and nobody commands it."""
    return state.mode == ArmMode.HOLD.value and state.lease == 0


# --- questions ---


def test_a_state_has_what_serl_clients_read(served, calm):
    state = calm.state()
    arm = served.operator.state()
    assert pose_distance(state["pose"], arm.pose)[0] < 1e-3
    assert [len(state[key]) for key in ("pose", "vel", "force", "torque", "q", "dq")] == [7, 6, 3, 3, 7, 7]
    assert np.reshape(state["jacobian"], (6, 7)).shape == (6, 7)
    assert 0.0 <= state["gripper_pos"] <= 1.0


def test_each_question_has_its_own_endpoint(served, calm):
    state = calm.state()
    for name, key in (
        ("getpos", "pose"),
        ("getvel", "vel"),
        ("getforce", "force"),
        ("gettorque", "torque"),
        ("getq", "q"),
        ("getdq", "dq"),
        ("getjacobian", "jacobian"),
    ):
        answer = calm(name).json()
        assert list(answer) == [key]
        np.testing.assert_allclose(answer[key], state[key], atol=0.05)
    assert calm("get_gripper").json() == {"gripper": state["gripper_pos"]}
    euler = calm("getpos_euler").json()["pose"]
    (a, b, c), turn = euler[3:], matrix_from_quat(state["pose"][3:])
    rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    rz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    np.testing.assert_allclose(rz @ ry @ rx, turn, atol=1e-3)


def test_the_velocity_is_the_jacobian_times_the_joint_velocities(served, rest):
    rest.pose(above(served, x=0.03))
    moving = until(lambda: (s := rest.state()) and abs(s["vel"][0]) > 0.02 and s)
    predicted = np.array(moving["jacobian"]) @ np.array(moving["dq"])
    np.testing.assert_allclose(predicted, moving["vel"], atol=2e-3)


def test_a_force_is_what_the_robot_does_to_the_environment(served, rest):
    beside, away = (above(served, y=0.01, z=z) for z in (0.03, 0.05))
    arrives(served, beside, lambda: rest.pose(beside))

    def presses() -> bool:
        """Beside the slot, on the board. The force swings: both looks at it have to fall on a high one."""
        rest.pose(above(served, y=0.01, z=-0.006))
        # Along the tool's z, which points down.
        return served.operator.state().wrench[2] < -3.0 and rest.state()["force"][2] > 2.0

    until(presses)
    arrives(served, away, lambda: rest.pose(away))


# --- commands ---


def test_one_pose_is_pursued_to_its_end_and_then_the_arm_holds(served):
    pursuing = RestServer(
        served.config, port=0, pursue_s=3.0, await_start=False
    )  # many times what the way takes
    with contextlib.closing(pursuing) as server:
        server.start()
        rest = Client(server.port)
        for target in (above(served, x=0.04, z=0.08), above(served, x=-0.04, z=0.05)):
            stood_ns = now(served).mode_ns
            assert rest.pose(target).text == "Moved"  # further than the leash: pursued by the server
            assert now(served).mode_ns > stood_ns  # it runs, or has run if that was long ago
            arrives(served, target)
            until(lambda: mode(served) is ArmMode.HOLD)


def test_a_quaternion_may_have_any_length_and_either_sign(served, rest):
    start = above(served, z=0.07)
    arrives(served, start, lambda: rest.pose(start))
    target = above(served, x=0.01, z=0.07)
    odd = target.copy()
    odd[3:] *= -2.5

    def arrived() -> bool:
        assert rest.pose(odd).status == 200
        distance_m, angle_rad = pose_distance(served.operator.state().pose, target)
        return distance_m < 1e-3 and angle_rad < 0.02

    until(arrived)


def test_a_pose_outside_the_workspace_ends_at_its_edge(served, rest):
    high = LimitsConfig().workspace_high_m[2]

    def height():
        assert rest.pose(above(served, z=0.5)).status == 200
        return served.operator.state().pose[2] - served.seated[2]

    until(lambda: height() > high - 0.005)
    for _ in range(20):
        assert height() < high + 1e-3


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"arr": [0.5, 0, 0.3, 1, 0, 0]}',
        b'{"arr": [NaN, 0, 0.3, 1, 0, 0, 0]}',
        b'{"arr": [1e999, 0, 0.3, 1, 0, 0, 0]}',
        b'{"arr": [0.5, 0, 0.3, 0, 0, 0, 0]}',
        b'{"arr": "0.5"}',
        b'{"arr": [0.5, 0, 0.3, 1, 0, 0, null]}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_pose_is_refused_and_moves_nothing(served, calm, body):
    reply = calm("pose", body)
    assert reply.status == 400 and reply.text.count("\n") == 1
    assert mode(served) is ArmMode.HOLD


@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("clearerr", "Clear"),
        ("activate_gripper", "Activated"),
        ("reset_gripper", "Reset"),
        ("open_gripper", "Opened"),
        ("close_gripper", "Closed"),
        ("close_gripper_slow", "Closed"),
        ("startimp", "Started impedance"),
        ("stopimp", "Stopped impedance"),
    ],
)
def test_commands_without_a_body_answer_in_plain_text(served, rest, name, reply):
    answer = rest(name)
    assert (answer.status, answer.text) == (200, reply)


def test_the_gripper_counts_like_a_franka_hands(served, rest):
    served.driver.gripper.orders.clear()
    rest("open_gripper")
    rest("close_gripper_slow")
    for counts in (0, 102, 255, 1000):
        assert rest("move_gripper", {"gripper_pos": counts}).text == "Moved Gripper"
    assert served.driver.gripper.orders == ["open", "close", 0.0, 0.04, 0.08, 0.08]
    assert rest("move_gripper", {"gripper_pos": "wide"}).status == 400


def test_without_a_gripper_its_commands_are_not_implemented(served, rest, monkeypatch):
    monkeypatch.setattr(served.driver, "gripper", None)
    reply = rest("open_gripper")
    assert reply.status == 501 and "no gripper" in reply.text


def test_compliance_parameters_become_gains_and_those_not_named_stay(served, rest, monkeypatch):
    seen = []
    monkeypatch.setattr(served.driver, "set_gains", seen.append)
    rest("startimp")
    assert rest("update_param", {"translational_stiffness": 1200, "rotational_clip_x": 0.03}).status == 200
    rest("update_param", {"translational_damping": 60.0})
    wanted = {"translational_stiffness": 1200, "rotational_clip_x": 0.03, "translational_damping": 60.0}
    assert until(lambda: len(seen) >= 2) and seen[-1] == gains_from_serl(wanted)
    assert seen[-1].clip_neg_rad[0] == pytest.approx(0.06)
    reply = rest("update_param", {"translational_stifness": 1.0})
    assert reply.status == 400 and "translational_stifness" in reply.text
    assert rest("update_param", {"translational_stiffness": -1}).status == 400


def test_parameters_that_the_station_forbids_are_refused_with_the_arm_at_rest_too(served, rest, monkeypatch):
    seen = []
    monkeypatch.setattr(served.driver, "set_gains", seen.append)
    assert mode(served) is not ArmMode.RUN
    reply = rest("update_param", {"translational_stiffness": 9000, "translational_clip_x": 0.05})
    assert reply.status == 409 and "stiffness times clip" in reply.text and "35.0 N" in reply.text
    for name, limit in (("translational_damping", "500.0"), ("rotational_damping", "50.0")):
        reply = rest("update_param", {name: 1e9})
        assert reply.status == 400 and limit in reply.text
    assert rest("update_param", {"rotational_stiffness": 140}).status == 200  # the others are as before
    assert rest("startimp").status == 200
    assert rest.pose(above(served)).status == 200
    assert until(lambda: seen)[-1] == gains_from_serl({"rotational_stiffness": 140})


def test_parameters_end_with_the_lease(served, rest, monkeypatch):
    seen = []
    monkeypatch.setattr(served.driver, "set_gains", seen.append)
    rest("startimp")
    rest("update_param", {"translational_stiffness": 900})
    rest("stopimp")
    assert until(lambda: [gains for gains in seen if gains == Gains()])
    assert mode(served) is ArmMode.HOLD and seen[-1] == Gains()


def test_parameters_from_before_the_start_are_in_force_from_the_start(served, rest, monkeypatch):
    seen = []
    monkeypatch.setattr(
        served.driver,
        "engage",
        lambda gains, engage=served.driver.engage: (seen.append(gains), engage(gains)),
    )
    monkeypatch.setattr(served.driver, "set_gains", seen.append)
    rest("update_param", {"translational_stiffness": 900})
    rest("startimp")
    assert until(lambda: seen)[-1].translation_n_m == 900


def test_a_load_is_told_in_the_tool_frame(served, rest, monkeypatch):
    seen = []
    monkeypatch.setattr(served.driver, "set_load", lambda mass, com: seen.append((mass, list(com))))
    load = {"mass": 0.2, "F_x_center_load": [0.01, 0.0, 0.11], "load_inertia": [0.0] * 9}
    assert rest("set_load", load).text == "Set Load"
    assert seen[0][0] == 0.2
    np.testing.assert_allclose(seen[0][1], com_in_tool((0.01, 0.0, 0.11), FRANKA_HAND), atol=1e-9)


def test_a_load_on_an_arm_whose_tool_is_not_known_is_refused(served, rest, monkeypatch):
    monkeypatch.setattr(served.driver, "set_load", lambda mass, com: pytest.fail("a load was set"))
    monkeypatch.setattr(rest_module, "tool_of", lambda config, q, pose: "no tool is configured")
    reply = rest("set_load", {"mass": 0.2, "F_x_center_load": [0.0, 0.0, 0.1]})
    assert reply.status == 501 and "no tool is configured" in reply.text


def test_a_joint_reset_goes_to_the_configured_home_from_hold(served, rest, monkeypatch):
    seen = []

    def move_joints(q, speed):
        until(lambda: mode(served) is ArmMode.HOLD)  # the state that says so may be on its way
        seen.append(tuple(q))

    monkeypatch.setattr(served.driver, "move_joints", move_joints)
    rest.pose(above(served))
    assert rest("jointreset").text == "Reset Joint"
    assert seen == [HOME]
    assert rest.pose(above(served)).status == 200


def test_a_joint_reset_is_done_after_stopimp_too_and_poses_stay_refused(served, rest, monkeypatch):
    """As HIL-SERL's clients do it, who take the impedance away first; another's stop is another matter."""
    seen = []
    monkeypatch.setattr(served.driver, "move_joints", lambda q, speed: seen.append(tuple(q)))
    rest.pose(above(served))
    rest("stopimp")
    assert rest("jointreset").text == "Reset Joint" and seen == [HOME]
    assert rest.pose(above(served)).status == 409
    assert rest("startimp").status == 200
    assert served.operator.stop()
    until(lambda: mode(served) is ArmMode.HOLD)
    assert rest("jointreset").status == 409 and len(seen) == 1


def test_a_pose_that_waited_for_a_joint_reset_is_of_another_time(served, rest, monkeypatch):
    waits, submit = threading.Event(), SerlCommander.submit

    def hand_over(commander, call):
        future = submit(commander, call)
        if now(served).job:
            waits.set()
        return future

    def move_joints(q, speed):
        waits.wait(8.0)
        time.sleep(1.2)  # longer than a call may wait

    monkeypatch.setattr(SerlCommander, "submit", hand_over)
    monkeypatch.setattr(served.driver, "move_joints", move_joints)
    reset = threading.Thread(target=rest, args=("jointreset",))
    reset.start()
    until(lambda: served.operator.newest.job)
    reply = rest.pose(above(served, x=0.04))
    assert reply.status == 409 and "busy" in reply.text
    assert rest("getstate").status == 200
    reset.join()


def test_a_joint_reset_needs_a_configured_home(served):
    arm = replace(served.config.arm, joint_home=())
    server = RestServer(replace(served.config, arm=arm), port=0)
    server.start()
    reply = Client(server.port)("jointreset")
    server.close()
    assert reply.status == 501 and "env.arm.joint_home" in reply.text


# --- who may, and when ---


def test_clearing_errors_clears_no_fault(served, rest):
    rest.pose(above(served))
    served.driver.inject_fault("a reflex, for the test")
    until(lambda: mode(served) is ArmMode.FAULT)
    assert rest("clearerr").status == 200
    assert rest.pose(above(served)).status in (409, 503)
    assert mode(served) is ArmMode.FAULT
    served.driver.remove_cause()
    assert rest("startimp").status == 503  # an operator acknowledges, not a client
    served.operator.recover("test")
    assert rest("startimp").status == 200
    assert rest.pose(above(served)).status == 200


def test_an_operators_stop_lasts_until_startimp(served, rest):
    rest.pose(above(served, x=0.03))
    served.operator.stop()
    for _ in range(5):
        reply = rest.pose(above(served, x=0.03))
        assert reply.status == 409
        time.sleep(0.05)
    assert "startimp" in reply.text and mode(served) is ArmMode.HOLD
    assert rest("startimp").status == 200
    assert rest.pose(above(served)).status == 200


def test_a_client_that_outlived_the_server_of_before_drives_after_startimp_only(served):
    """Nothing restarts into RUN."""
    before = RestServer(served.config, port=0, await_start=False)
    before.start()
    assert Client(before.port).pose(above(served)).status == 200
    before.close()
    with contextlib.closing(RestServer(served.config, port=0)) as server:
        server.start()
        rest = Client(server.port)
        for _ in range(3):
            reply = rest.pose(above(served, x=0.03))
            assert reply.status == 409 and "just begun" in reply.text and "startimp" in reply.text
        assert rest("open_gripper").status == 409
        assert free(now(served)) and rest("getstate").status == 200
        assert rest("startimp").status == 200
        assert rest.pose(above(served)).status == 200


def test_a_client_that_comes_back_after_a_silence_starts_anew(served, rest):
    rest.pose(above(served))
    served.operator.stop()
    assert rest.pose(above(served)).status == 409
    time.sleep(IDLE_S + 0.1)
    assert rest.pose(above(served)).status == 200


def test_stopimp_holds_and_gives_the_lease_back(served, rest):
    rest.pose(above(served))
    rest("stopimp")
    until(lambda: free(now(served)))
    assert rest.pose(above(served)).status == 409


def test_stopimp_ends_a_joint_reset_at_once_and_what_waits_is_refused(served, rest, monkeypatch):
    aborted, replies = threading.Event(), {}

    def move(q, speed):
        if aborted.wait(8.0):
            raise ArmError("the motion was aborted")

    monkeypatch.setattr(served.driver, "move_joints", move)
    monkeypatch.setattr(served.driver, "abort", aborted.set)
    stops = now(served).counters.stops

    def ask(name, call):
        replies[name] = call()

    reset = threading.Thread(target=ask, args=("reset", lambda: rest("jointreset")))
    reset.start()
    until(lambda: served.operator.newest.job)
    waiting = threading.Thread(
        target=ask, args=("pose", lambda: rest("pose", {"arr": above(served).tolist()}))
    )
    waiting.start()
    time.sleep(0.3)
    assert rest("stopimp").status == 200
    assert aborted.is_set()
    reset.join()
    waiting.join()
    assert replies["reset"].status == 409 and replies["pose"].status == 409
    until(lambda: free(now(served)))
    assert rest.pose(above(served)).status == 409
    assert now(served).counters.stops == stops  # the commander's own


def test_an_operators_stop_counts_while_the_arm_holds_anyway(served, rest):
    rest.pose(above(served))
    until(lambda: mode(served) is ArmMode.HOLD)  # the pose was pursued to its end
    stops = now(served).counters.stops
    served.operator.stop()
    since_ns = now(served).mode_ns
    for _ in range(3):
        reply = rest.pose(above(served, x=0.03))
        assert reply.status == 409 and "startimp" in reply.text
    after = now(served)
    assert after.counters.stops == stops + 1
    assert after.mode_ns == since_ns  # it held all the time
    assert rest("startimp").status == 200
    assert rest.pose(above(served)).status == 200


def test_an_operators_stop_after_a_joint_reset_was_ended_counts(served, rest, monkeypatch):
    aborted = threading.Event()
    monkeypatch.setattr(served.driver, "move_joints", lambda q, speed: aborted.wait(8.0))
    monkeypatch.setattr(served.driver, "abort", aborted.set)
    rest.pose(above(served))
    reset = threading.Thread(target=rest, args=("jointreset",))
    reset.start()
    until(lambda: served.operator.newest.job)
    served.operator.stop()
    reset.join()
    assert rest.pose(above(served)).status == 409


def test_only_a_client_that_was_told_may_wait_a_stop_out(served):
    server = RestServer(served.config, port=0, pursue_s=0.2, idle_s=0.5, await_start=False)
    server.start()
    rest = Client(server.port)
    try:
        assert rest.pose(above(served)).status == 200
        until(lambda: free(now(served)))
        served.operator.stop()
        time.sleep(0.7)
        assert rest.pose(above(served)).status == 409  # silent for long enough, but of its own accord
        time.sleep(0.7)
        assert rest.pose(above(served)).status == 200
    finally:
        server.close()


def test_a_bug_lets_the_arm_go_and_the_next_call_is_answered(served, monkeypatch):
    server = RestServer(served.config, port=0, pursue_s=30.0, await_start=False)
    server.start()
    rest = Client(server.port)
    try:
        assert rest.pose(above(served)).status == 200
        with monkeypatch.context() as patch:
            patch.setattr(ArmClient, "set_target", lambda *_: 1 // 0)
            until(lambda: free(now(served)))
        reply = rest.pose(above(served))
        assert reply.status == 409 and "bug" in reply.text
        assert rest("startimp").status == 200
        with monkeypatch.context() as patch:
            patch.setattr(ArmClient, "set_target", lambda *_: 1 // 0)
            assert rest.pose(above(served)).status in (409, 500)
            until(lambda: free(now(served)))
    finally:
        server.close()


def test_whatever_ends_the_thread_no_call_waits_for_it(monkeypatch):
    def end():
        raise SystemExit

    def no_arm() -> ArmClient:
        raise ArmError("nobody is asked for an arm here")

    commander = SerlCommander(no_arm, 0.1, lambda gains: None)
    monkeypatch.setattr(commander, "_tick", end)
    futures = [commander.submit(time.monotonic) for _ in range(3)]
    with pytest.raises(SystemExit):
        commander._run()
    assert futures[0].result(5.0)
    for future in futures[1:]:
        with pytest.raises(ArmError, match="closing"):
            future.result(5.0)
    with pytest.raises(ArmError, match="closing"):
        commander.submit(time.monotonic)


def test_too_many_calls_are_refused_and_a_lone_one_goes_before_them():
    calls = WaitingCalls()
    waiting = [calls.add(lambda: "late") for _ in range(16)]
    with pytest.raises(ArmError, match="16 calls"):
        calls.add(lambda: "too late")
    calls.add_alone(lambda: "first", "something better came")
    for future in waiting:
        with pytest.raises(ArmError, match="something better"):
            future.result(0.0)
    first = calls.next(0.0)
    assert first is not None and first.run() == "first" and calls.next(0.0) is None


def test_the_pursuit_is_a_setting(served):
    arm = served.config.arm
    brief = replace(served.config, arm=replace(arm, server=replace(arm.server, rest_pursue_s=0.2)))
    server = RestServer(brief, port=0, await_start=False)
    server.start()
    try:
        commands = now(served).counters.commands
        assert Client(server.port).pose(above(served)).status == 200
        ended = until(lambda: (state := now(served)).mode == "hold" and state)
        assert 1 <= ended.counters.commands - commands < 20  # the usual pursuit is 2 s, at 20 Hz
    finally:
        server.close()


def test_it_waits_for_its_turn(served, rest):
    other = ArmClient(served.config, name="other")
    other.connect()
    try:
        reply = rest.pose(above(served))
        assert reply.status == 409 and "other" in reply.text
        assert rest("getstate").status == 200  # who looks needs no lease
    finally:
        other.close()
    assert rest.pose(above(served)).status == 200


def test_the_lease_is_given_back_after_a_silence(served, rest):
    rest.pose(above(served))
    assert now(served).lease
    until(lambda: free(now(served)))


def test_a_client_of_hil_serls_gets_through_an_episode(served, rest):
    """Its calls in its order: parameters, an interpolated reset, steps relative to where the arm is."""
    rest("update_param", {"translational_stiffness": 2000, "rotational_stiffness": 150})
    goal, here = above(served, x=0.02, z=0.05), np.array(rest.state()["pose"])
    for share in np.linspace(0.0, 1.0, 10):
        rest.pose(here + share * (goal - here))
        time.sleep(0.05)
    arrives(served, goal, lambda: rest.pose(goal))

    def risen() -> bool:
        pose = np.array(rest.state()["pose"])
        if pose[2] - goal[2] > 0.01:
            return True
        pose[2] += 0.004
        assert rest.pose(pose).status == 200
        time.sleep(0.05)
        return False

    until(risen)
    rest("clearerr")
    assert abs(rest.state()["pose"][0] - goal[0]) < 0.005


# --- what the network may do to it ---


@pytest.mark.parametrize("path", ["getpos/", "/getpos", "/getpos/"])
def test_slashes_do_not_matter(served, calm, path):
    assert calm(path).status == 200


def test_only_posts_and_only_what_there_is(served, calm):
    assert calm("getpos", method="GET").status == 405
    assert calm("../etc/passwd").status == 404
    assert calm("").status == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://example.org"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "robot.example.org:5000"}, 421),
        ({"Host": "127.0.0.1.example.org"}, 421),
        ({"Host": "localhost:5000"}, 200),
        ({"Host": "[::1]:5000"}, 200),
    ],
)
def test_web_pages_cannot_move_the_robot(served, calm, headers, status):
    assert calm("clearerr", headers=headers).status == status


def test_a_long_request_is_refused(served, calm):
    assert calm("pose", b" " * 20_000).status == 413


def test_a_request_that_never_ends_is_given_up(served, calm):
    with socket.create_connection(("127.0.0.1", calm.port)) as connection:
        connection.sendall(b"POST /pose HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
        assert connection.recv(100).startswith(b"HTTP/1.1 408")


def test_garbage_does_not_end_it(served, calm):
    for junk in (b"\x00" * 100, b"POST\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"POST /pose HTTP/1.1\r\n"):
        with socket.create_connection(("127.0.0.1", calm.port)) as connection, contextlib.suppress(OSError):
            connection.sendall(junk)
    assert calm("getpos").status == 200


def test_a_port_that_is_taken_is_a_configuration_error(served, calm):
    with pytest.raises(ConfigError, match=f"{calm.port}"):
        RestServer(served.config, port=calm.port)


def test_without_an_arm_server_it_says_so(tmp_path):
    config = EnvConfig(arm=ArmConfig(kind="sim_server", server=ArmServerConfig(address=f"ipc://{tmp_path}")))
    server = RestServer(config, port=0, await_start=False)
    server.start()
    rest = Client(server.port)
    try:
        assert rest("getstate").status == 503
        reply = rest("pose", {"arr": [0.5, 0, 0.3, 1, 0, 0, 0]})
        assert reply.status == 409 and "arm-server" in reply.text
    finally:
        server.close()
        server.close()


def test_it_is_offered_until_told_to_end(served):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arm = served.config.arm
    config = replace(served.config, arm=replace(arm, server=replace(arm.server, rest_port=port)))
    stop = threading.Event()
    thread = serve_rest(config, stop)
    until(lambda: Client(port)("getpos").status == 200)
    stop.set()
    thread.join(10.0)
    assert not thread.is_alive()
    with pytest.raises(OSError):
        Client(port)("getpos")


def test_the_arm_is_free_when_it_ends(served):
    server = RestServer(served.config, port=0, pursue_s=30.0, await_start=False)
    server.start()
    Client(server.port).pose(above(served))
    assert now(served).lease
    server.close()
    until(lambda: free(now(served)))
    client = ArmClient(served.config, name="next")
    client.connect()
    client.close()
