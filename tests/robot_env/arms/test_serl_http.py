"""The driver against a stand-in for HIL-SERL's server: conversions, and what happens when it misbehaves."""

import socket
import threading
import time

import numpy as np
import pytest
from emulators.serl import POSTURE, SerlServer

from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.arms.serl_http import SerlHttpDriver
from handrail.robot_env.errors import ArmError, ArmFault, ConfigError
from handrail.robot_env.geometry import pose_compose
from handrail.robot_env.serl.config import SerlHttpConfig

pytestmark = pytest.mark.realtime

HERE = np.array([0.5, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0])
GAINS = Gains(translation_n_m=1500.0, rotation_nm_rad=100.0)


@pytest.fixture(scope="module")
def running():
    server = SerlServer()
    yield server
    server.close()


@pytest.fixture
def server(running):
    running.reset()
    return running


@pytest.fixture
def make(server):
    made = []

    def make(**settings) -> SerlHttpDriver:
        driver = SerlHttpDriver(SerlHttpConfig(server.url, **settings))
        made.append(driver)
        driver.connect()
        return driver

    yield make
    for driver in made:
        driver.close()
    assert not [t for t in threading.enumerate() if t.name == "serl-http"]


def until(condition, seconds=8.0):
    """Wait for a condition; its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.005)
    return value


def fails(driver) -> str:
    try:
        driver.read()
    except ArmError as error:
        return str(error)
    return ""


def moved(x=0.0, z=0.0):
    return HERE + np.array([x, 0.0, z, 0.0, 0.0, 0.0, 0.0])


# --- what is read ---


def test_it_needs_an_address():
    with pytest.raises(ConfigError, match=r"env\.arm\.serl_http\.url"):
        SerlHttpDriver(SerlHttpConfig())


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"url": "127.0.0.1:5000"}, "url"),
        ({"joints": 8}, "joints"),
        ({"joint_reset": (0.0, 1.0)}, "joint_reset"),
        ({"gripper": "suction"}, "gripper"),
        ({"wrench_by": "me"}, "wrench_by"),
        ({"poll_hz": 1.0}, "poll_hz"),
        ({"follow_m": 0.0}, "follow_m"),
        ({"tool_in_flange": (0.0,)}, "tool_in_flange"),
    ],
)
def test_settings_are_checked(settings, match):
    with pytest.raises(ConfigError, match=match):
        SerlHttpConfig(**settings)


def test_a_state_is_converted(server, make):
    server.force, server.torque, server.gripper = (1.0, 2.0, 3.0), (0.1, 0.2, 0.3), 0.5
    server.pose[3:] = server.target[3:] = [2.0, 0.0, 0.0, 0.0]  # of any length
    reading = make().read()
    np.testing.assert_allclose(reading.pose, HERE, atol=1e-12)
    np.testing.assert_allclose(reading.wrench, (-1, -2, -3, -0.1, -0.2, -0.3))  # it says what the robot does
    np.testing.assert_allclose(reading.q, POSTURE)
    assert reading.twist.shape == (6,) and reading.gripper_width_m == pytest.approx(0.04)
    assert not reading.engaged and reading.fault == ""


def test_a_ur_behind_it_has_six_joints_and_a_force_along_the_base(server, make):
    server.q, server.force, server.gripper = [*POSTURE[:6], 0.0], (0.0, 3.0, -5.0), None
    reading = make(joints=6, wrench_frame="base", wrench_by="environment", gripper="none").read()
    np.testing.assert_allclose(reading.q, POSTURE[:6])
    np.testing.assert_allclose(reading.wrench[:3], (0, -3, 5), atol=1e-12)  # the tool points down


def test_the_force_is_tared_here(server, make):
    server.force = (1.0, 2.0, 3.0)
    driver = make()
    driver.zero_ft()
    assert not driver.read().wrench.any()
    server.force = (1.0, 2.0, 13.0)
    until(lambda: driver.read().wrench[2] == pytest.approx(-10.0))


def test_readings_belong_to_the_reader(make):
    driver = make()
    driver.read().pose[:] = np.nan
    assert np.isfinite(driver.read().pose).all()


# --- what is commanded ---


def test_a_server_that_is_not_there_says_what_to_do():
    with socket.create_server(("127.0.0.1", 0)) as free:
        nobody = free.getsockname()[1]
    driver = SerlHttpDriver(SerlHttpConfig(f"http://127.0.0.1:{nobody}/"))
    with pytest.raises(ArmError, match=r"start the SERL server, or correct env\.arm\.serl_http\.url"):
        driver.connect()


def test_connecting_sends_nothing_that_moves(server, make):
    make().read()
    until(lambda: len(server.calls) > 3)
    assert set(server.calls) == {"getstate"}


def test_engaging_puts_the_gains_in_force_and_pulls_to_where_the_arm_is(server, make):
    driver = make()
    server.target = list(moved(x=0.2))  # what it was pulled to by somebody before
    server.stuck = True
    driver.engage(GAINS)
    assert [name for name, _ in server.bodies] == ["update_param", "pose"]
    params = server.last("update_param")
    assert params["translational_stiffness"] == 1500.0
    assert params["rotational_stiffness"] == 200.0  # half angles there
    np.testing.assert_allclose(server.poses()[0], HERE)
    assert driver.read().engaged
    driver.disengage()
    np.testing.assert_allclose(server.poses()[-1], HERE)
    assert not driver.read().engaged


def test_it_follows_set_points_and_never_clears_errors_on_the_way(server, make):
    driver = make()
    driver.set_setpoint(moved(x=0.5))  # not engaged: ignored
    driver.engage(GAINS)
    for i in range(1, 21):
        driver.set_setpoint(moved(x=0.001 * i))
        time.sleep(0.005)
    until(lambda: abs(driver.read().pose[0] - 0.52) < 1e-4)
    assert server.poses()[-1][0] == pytest.approx(0.52)
    assert max(pose[0] for pose in server.poses()) < 0.53
    assert "clearerr" not in server.calls and "startimp" not in server.calls


def test_a_slow_server_gets_fewer_set_points_never_old_ones(server, make):
    driver = make()
    driver.engage(GAINS)
    server.slow = {"pose": 0.1}
    before, began = len(server.poses()), time.monotonic()
    for i in range(100):
        driver.set_setpoint(moved(x=0.0005 * (i + 1)))
        time.sleep(0.004)
    until(lambda: server.poses()[-1][0] == pytest.approx(0.55))
    sent = [pose[0] for pose in server.poses()[before:]]
    assert sent == sorted(sent)
    assert len(sent) <= (time.monotonic() - began) / 0.1 + 1  # one after the other


def test_a_set_point_that_stays_is_repeated_now_and_then(server, make):
    driver = make()
    driver.engage(GAINS)
    before = len(server.poses())

    def repeated():
        driver.set_setpoint(moved(x=0.01))
        return len(server.poses()) >= before + 3

    began = time.monotonic()
    until(repeated)
    assert time.monotonic() - began > 0.8


def test_it_can_start_and_stop_the_impedance_and_clear_errors_as_serl_clients_do(server, make):
    driver = make(manage_impedance=True, clear_errors=True)
    driver.engage(GAINS)
    driver.set_setpoint(moved(x=0.01))
    until(lambda: len(server.poses()) == 2)
    driver.disengage()
    names = [name for name, _ in server.bodies]
    assert names == ["update_param", "startimp", "pose", "clearerr", "pose", "stopimp"]


@pytest.mark.parametrize("under_way", ["clearerr", "pose"])
@pytest.mark.parametrize("end", ["disengage", "clear_fault"])
def test_nothing_pulls_after_the_stand_whatever_was_under_way(server, make, under_way, end):
    driver = make(clear_errors=True)
    driver.engage(GAINS)
    server.stuck = True
    server.slow = {under_way: 0.15}
    server.calls.clear()
    driver.set_setpoint(moved(x=0.1))
    until(lambda: under_way in server.calls)
    if under_way == "pose":
        server.slow = {}  # the stand would be faster than what is under way
    getattr(driver, end)()
    time.sleep(0.4)
    np.testing.assert_allclose(server.poses()[-1], HERE, err_msg=f"the server pulls on after {end}")
    np.testing.assert_allclose(server.target, HERE)


def test_the_impedance_is_stopped_after_the_last_set_point(server, make):
    driver = make(manage_impedance=True)
    driver.engage(GAINS)
    server.slow = {"pose": 0.15}
    server.calls.clear()
    driver.set_setpoint(moved(x=0.1))
    until(lambda: "pose" in server.calls)
    driver.disengage()
    until(lambda: [name for name, _ in server.bodies][-2:] == ["pose", "stopimp"])


def test_a_set_point_that_was_on_its_way_when_the_pull_ended_is_not_sent(server, make, monkeypatch):
    driver = make()
    driver.engage(GAINS)
    server.stuck = True
    arrived, ended, pull = threading.Event(), threading.Event(), driver._link.pull

    def late(pose):
        if pose is not None and pose[0] > 0.55:
            arrived.set()
            ended.wait(0.5)
        pull(pose)

    monkeypatch.setattr(driver._link, "pull", late)
    writer = threading.Thread(target=driver.set_setpoint, args=(moved(x=0.1),))
    writer.start()
    assert arrived.wait(5.0)
    driver.disengage()
    ended.set()
    writer.join()
    time.sleep(0.2)
    np.testing.assert_allclose(server.poses()[-1], HERE)


def test_new_gains_are_sent_before_the_next_set_point(server, make):
    driver = make()
    driver.engage(GAINS)
    driver.set_gains(
        Gains(translation_n_m=800.0, clip_m=(0.004, 0.005, 0.006), clip_neg_m=(0.001, 0.001, 0.001))
    )
    until(lambda: server.last("update_param")["translational_stiffness"] == 800.0)
    params = server.last("update_param")
    assert params["translational_clip_neg_z"] == 0.006 and params["translational_clip_z"] == 0.001


def test_a_set_point_that_was_lost_is_sent_again(server, make):
    driver = make(deadline_s=0.05)
    driver.engage(GAINS)
    server.slow = {"pose": 0.3}
    server.bodies.clear()
    driver.set_setpoint(moved(x=0.01))
    until(server.poses)  # so late that nobody waits for the reply any more
    server.slow = {}
    server.bodies.clear()

    def arrived():
        driver.set_setpoint(moved(x=0.01))
        return server.poses()

    assert until(arrived)[-1][0] == pytest.approx(0.51)


@pytest.mark.parametrize(("kind", "width_m", "counts"), [("franka", 0.04, 102), ("robotiq", 0.02, 191)])
def test_the_two_grippers_count_in_opposite_directions(server, make, kind, width_m, counts):
    gripper = make(gripper=kind).gripper
    gripper.move(width_m, 20.0)
    until(lambda: ("move_gripper", {"gripper_pos": counts}) in server.bodies)
    server.bodies.clear()
    gripper.open()
    until(lambda: server.bodies == [("open_gripper", None)])
    gripper.close()
    until(lambda: server.bodies[-1] == ("close_gripper", None))
    assert gripper.width_m == pytest.approx(0.08)


def test_a_load_is_told_in_the_flange_frame(server, make):
    make().set_load(0.3, (0.0, 0.0, 0.02))
    load = server.last("set_load")
    assert load["mass"] == 0.3 and len(load["load_inertia"]) == 9
    np.testing.assert_allclose(load["F_x_center_load"], (0.0, 0.0, 0.1234), atol=1e-9)


# --- joint resets ---


def test_a_joint_reset_goes_to_the_servers_own_posture_only(server, make):
    driver = make(joint_reset=POSTURE)
    with pytest.raises(ArmError, match="reset_joint_target"):
        driver.move_joints([0.0] * 7, 0.2)
    assert "jointreset" not in server.calls
    driver.move_joints(POSTURE, 0.2)
    assert "jointreset" in server.calls


def test_a_joint_reset_that_did_not_arrive_is_an_error_whatever_the_server_says(server, make):
    server.reset_reaches = False
    with pytest.raises(ArmError, match=r"ended 0\.5"):
        make(joint_reset=POSTURE, gone_s=0.3).move_joints(POSTURE, 0.2)


def test_a_joint_reset_has_a_deadline(server, make):
    server.slow = {"jointreset": 1.0}
    driver = make(joint_reset=POSTURE, joint_reset_s=0.1)
    with pytest.raises(ArmError, match=r"jointreset: no answer within 0\.1 s"):
        driver.move_joints(POSTURE, 0.2)


def test_aborting_ends_the_wait_and_says_that_the_motion_goes_on(server, make):
    server.slow = {"jointreset": 2.0}
    driver = make(joint_reset=POSTURE)
    stopper = threading.Thread(target=lambda: (until(lambda: "jointreset" in server.calls), driver.abort()))
    stopper.start()
    with pytest.raises(ArmError, match="emergency stop"):
        driver.move_joints(POSTURE, 0.2)
    stopper.join()


# --- a server that misbehaves ---


def test_no_server_is_an_error_that_names_its_address():
    driver = SerlHttpDriver(SerlHttpConfig("http://127.0.0.1:9/"))
    with pytest.raises(ArmError, match=r"http://127\.0\.0\.1:9/getstate"):
        driver.connect()
    driver.close()


def test_a_server_that_is_none_is_refused_at_once(server):
    server.broken = "garbage"
    driver = SerlHttpDriver(SerlHttpConfig(server.url))
    with pytest.raises(ArmError, match="no state of HIL-SERL"):
        driver.connect()
    driver.close()


@pytest.mark.parametrize("broken", ["hang", "garbage", "nan", "short", "html", "trickle", "endless"])
def test_without_states_the_readings_time_stands_still_and_then_the_link_is_gone(server, make, broken):
    driver = make(deadline_s=0.1, gone_s=0.5)
    server.broken = broken
    until(lambda: fails(driver))
    assert fails(driver).startswith("no state from the SERL server for ")
    before = server.calls.count("getstate")
    until(lambda: server.calls.count("getstate") > before)  # it goes on asking
    server.broken = ""
    until(lambda: not fails(driver))  # and is well again when the server is
    stamp = driver.read().t_ns
    until(lambda: driver.read().t_ns > stamp)


def test_a_late_reply_is_no_reading(server, make):
    driver = make(deadline_s=0.05, gone_s=5.0)
    server.slow = {"getstate": 0.2}

    def asked_again(times):
        asked = server.calls.count("getstate")
        until(lambda: server.calls.count("getstate") >= asked + times)

    asked_again(2)  # what was under way has arrived
    stamp = driver.read().t_ns
    asked_again(5)
    assert driver.read().t_ns == stamp


def test_fast_methods_do_not_wait_for_a_server_that_hangs(server, make):
    driver = make(deadline_s=2.0, gone_s=5.0)
    driver.engage(GAINS)
    server.broken, server.slow = "hang", {"pose": 1.0, "update_param": 1.0, "open_gripper": 1.0}
    began = time.monotonic()
    for i in range(50):
        driver.set_setpoint(moved(x=0.001 * i))
        driver.set_gains(GAINS)
        driver.read()
        driver.gripper.open()
        driver.abort()
    assert time.monotonic() - began < 1.0


def test_states_that_repeat_while_the_arm_ought_to_move_are_no_readings(server, make):
    driver = make(gone_s=0.5)
    driver.engage(GAINS)
    server.broken = "frozen"
    stamp = driver.read().t_ns
    until(lambda: driver.read().t_ns > stamp + 3e8)  # at rest they cannot be told from a resting arm
    for i in range(200):
        driver.set_setpoint(moved(x=0.0005 * i))
        time.sleep(0.01)
        if fails(driver):
            break
    assert "repeat although the arm ought to move" in fails(driver)
    server.broken = ""
    until(lambda: not fails(driver))


def test_an_arm_that_does_not_follow_is_a_fault_until_an_operator_clears_it(server, make):
    driver = make(follow_s=0.3)
    driver.engage(GAINS)
    server.stuck = True
    driver.set_setpoint(moved(x=0.012))
    fault = until(lambda: driver.read().fault)
    assert "12.0 mm" in fault and "reflex" in fault
    with pytest.raises(ArmFault, match="reflex"):
        driver.engage(GAINS)
    server.stuck = False
    time.sleep(0.1)
    assert driver.read().fault  # latched
    driver.clear_fault()
    assert "clearerr" in server.calls and not driver.read().fault and not driver.read().engaged
    driver.engage(GAINS)


def test_set_points_that_are_refused_are_a_fault_with_the_servers_own_words(server, make):
    driver = make()
    driver.engage(GAINS)
    server.refuse = {"pose"}

    def fault():
        driver.set_setpoint(moved(x=0.01))
        return driver.read().fault

    assert "HTTP 503 fault: a reflex" in until(fault)
    with pytest.raises(ArmFault, match="503"):  # it would not obey yet
        driver.clear_fault()
    server.refuse = set()
    driver.clear_fault()
    driver.engage(GAINS)


def test_an_arm_that_presses_is_held_back_and_not_stuck(server, make):
    driver = make(follow_s=0.1)
    driver.engage(GAINS)
    server.stuck, server.force = True, (0.0, 0.0, 9.0)
    driver.set_setpoint(moved(z=-0.012))
    time.sleep(0.5)
    assert not driver.read().fault


def test_a_fault_whose_cause_stays_is_not_cleared(server, make):
    driver = make(slow_deadline_s=0.2)
    server.broken = "hang"
    with pytest.raises(ArmFault, match="getstate"):
        driver.clear_fault()


def test_it_can_be_closed_twice_and_connected_again(server, make):
    driver = make()
    driver.close()
    driver.close()
    with pytest.raises(ArmError, match="connect"):
        driver.read()
    with pytest.raises(ArmError, match="connect"):
        driver.engage(GAINS)
    driver.connect()
    driver.engage(GAINS)
    target = pose_compose(HERE, (0.0, 0.01, 0.0, 0.0, 0.0, 0.0, 1.0))
    driver.set_setpoint(target)
    until(lambda: abs(driver.read().pose[1] - target[1]) < 1e-4)
