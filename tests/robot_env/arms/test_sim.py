import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest
from benches.served import RunningServer, served_config

from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.arms.sim import SimDriver
from handrail.robot_env.config import RandomizationConfig
from handrail.robot_env.errors import ArmError, ArmFault
from handrail.robot_env.geometry import pose_distance
from handrail.robot_env.remote.client import ArmClient
from handrail.robot_env.sim.cell import SimCell

SOON_S = 20.0
EVERYTHING = RandomizationConfig(visible=True, grasp=True, contact=True, controller=True, force_sensor=True)


@pytest.fixture
def driver():
    with closing(SimDriver(SimCell())) as driver:
        driver.connect()
        yield driver


def wait(driver, simulated_s):
    """Let simulated time pass."""
    until_ns = driver.read().device_ns + round(simulated_s * 1e9)
    deadline_s = time.monotonic() + SOON_S
    while driver.read().device_ns < until_ns:
        assert time.monotonic() < deadline_s
        time.sleep(0.005)
    return driver.read()


def beside(driver, x):
    pose = driver.read().pose.copy()
    pose[0] += x
    return pose


def test_time_runs_while_it_is_connected_and_no_faster_than_the_clock_on_the_wall(driver):
    began, began_ns = driver.read(), time.monotonic_ns()
    reading = wait(driver, 0.2)
    assert reading.device_ns - began.device_ns <= time.monotonic_ns() - began_ns + 60_000_000
    assert reading.t_ns > began.t_ns and not reading.engaged and reading.fault == ""
    driver.close()
    stopped = driver.read().device_ns
    time.sleep(0.03)
    assert driver.read().device_ns == stopped
    driver.close()
    driver.connect()
    wait(driver, 0.02)


def test_simulated_time_can_run_slower():
    with closing(SimDriver(SimCell(), speed=0.25)) as driver:
        driver.connect()
        began_ns = time.monotonic_ns()
        wait(driver, 0.05)
        assert time.monotonic_ns() - began_ns > 100_000_000


def test_it_follows_set_points_only_while_it_is_engaged(driver):
    before = driver.read().pose
    driver.set_setpoint(beside(driver, 0.01))
    assert np.abs(wait(driver, 0.3).pose - before).max() < 1e-4
    driver.engage(Gains())
    assert driver.read().engaged
    driver.set_setpoint(beside(driver, 0.01))
    assert wait(driver, 0.6).pose[0] - before[0] == pytest.approx(0.01, abs=5e-4)
    driver.disengage()
    standing = wait(driver, 0.3).pose
    driver.set_setpoint(beside(driver, 0.01))
    assert np.abs(wait(driver, 0.2).pose - standing).max() < 5e-4


def test_a_fault_lets_go_and_lasts_until_its_cause_is_gone_and_it_is_cleared(driver):
    driver.engage(Gains())
    driver.inject_fault("emergency stop", estop=True)
    reading = driver.read()
    assert (reading.fault, reading.estop, reading.engaged) == ("emergency stop", True, False)
    for refused in (driver.clear_fault, lambda: driver.engage(Gains())):
        with pytest.raises(ArmFault, match="emergency stop"):
            refused()
    driver.remove_cause()
    assert driver.read().fault and not driver.read().estop
    driver.clear_fault()
    assert driver.read().fault == ""


def test_physics_that_diverges_is_a_fault_for_good(driver):
    with driver.scene.lock:
        driver._cell.data.qvel[:] = np.nan
    deadline_s = time.monotonic() + SOON_S
    while not driver.read().fault and time.monotonic() < deadline_s:
        time.sleep(0.005)
    assert "diverged" in driver.read().fault
    with pytest.raises(ArmFault, match="restart"):
        driver.clear_fault()


def test_a_tare_counts_at_once(driver):
    driver.engage(Gains())
    down = driver.scene.seated_pose.copy()
    down[1] += 0.01
    driver.set_setpoint(down)
    assert wait(driver, 1.0).wrench[2] < -3.0
    peak_n = driver.scene.truth().peak_force_n
    driver.zero_ft()
    assert abs(driver.read().wrench[2]) < 0.5 < 3.0 < peak_n


AWAY = np.array([0.2, 0.0, -0.2, 0.0, 0.0, 0.0, 0.3])


def in_the_middle(driver, then):
    """Begin a joint motion, do something when it is under way, and return what it failed with."""
    start = driver.read().q
    with ThreadPoolExecutor(1) as elsewhere:
        motion = elsewhere.submit(driver.move_joints, start + AWAY, 0.05)
        deadline_s = time.monotonic() + SOON_S
        while np.abs(driver.read().q - start).max() < 0.02:
            assert time.monotonic() < deadline_s and not motion.done()
            time.sleep(0.005)
        then()
        error = motion.exception(SOON_S)
    assert np.abs(driver.read().q - start).max() < 0.25
    return error


def test_a_joint_motion_goes_there_and_rests(driver):
    q = driver.read().q + AWAY
    driver.move_joints(q, 0.5)
    reading = driver.read()
    np.testing.assert_allclose(reading.q, q, atol=6e-3)
    assert np.abs(reading.dq).max() < 0.01 and not reading.engaged
    driver.engage(Gains())
    assert pose_distance(reading.pose, wait(driver, 0.3).pose)[0] < 1e-3
    np.testing.assert_allclose(driver.read().q, q, atol=0.02)  # the elbow stays, too


def test_a_joint_motion_keeps_to_its_share_of_the_rated_speed(driver):
    began, q, speeds = driver.read().device_ns, driver.read().q, []

    def look():
        while driver.read().device_ns - began < 1.5e9:
            speeds.append(np.abs(driver.read().dq).max())
            time.sleep(0.005)
        driver.abort()

    in_the_middle(driver, look)
    assert 0.05 < max(speeds) < 1.2 * 0.05 * 2.61 and np.abs(driver.read().q - q).max() > 0.05


def test_a_joint_motion_can_be_ended_early(driver):
    assert "ended early" in str(in_the_middle(driver, driver.abort))
    stopped = driver.read().q
    np.testing.assert_allclose(wait(driver, 0.3).q, stopped, atol=0.02)
    driver.move_joints(stopped, 0.3)  # nothing is wrong with it
    driver.abort()  # and there is nothing to end


def test_a_fault_ends_a_joint_motion(driver):
    error = in_the_middle(driver, lambda: driver.inject_fault("a reflex"))
    assert isinstance(error, ArmFault) and "a reflex" in str(error)
    with pytest.raises(ArmFault, match="reflex"):
        driver.move_joints(driver.read().q, 0.1)


def test_closing_ends_a_joint_motion(driver):
    assert "connect" in str(in_the_middle(driver, driver.close))


def test_a_joint_motion_is_refused_where_it_makes_no_sense(driver):
    here = driver.read().q
    driver.engage(Gains())
    with pytest.raises(ArmError, match="disengage"):
        driver.move_joints(here, 0.1)
    driver.disengage()
    with pytest.raises(ArmError, match="outside its limits"):
        driver.move_joints(np.full(7, 6.0), 0.1)
    driver.close()
    with pytest.raises(ArmError, match="connect"):
        driver.move_joints(here, 0.1)


def test_a_scene_behind_the_wire_is_drawn_for_like_one_at_hand():
    driver, near = SimDriver(SimCell()), SimCell()
    with closing(RunningServer(driver, served_config("sim_server"))) as running:
        client = ArmClient(running.config)
        scene = client.scene
        assert scene is not None
        np.testing.assert_array_equal(scene.seated_pose, near.seated_pose)
        with pytest.raises(ArmError, match="connect"):
            scene.success()
        with closing(client):
            client.connect()
            here, there = np.random.default_rng(3), np.random.default_rng(3)
            for config in (EVERYTHING, None, RandomizationConfig()):
                assert scene.randomize(there, config) == near.randomize(here, config)
                assert driver._cell.episode == near.episode
                assert here.bit_generator.state == there.bit_generator.state
                np.testing.assert_array_equal(scene.seated_pose, near.seated_pose)
            assert scene.success() is False
            truth = scene.truth()
            np.testing.assert_allclose(truth.T_base_socket, near.truth().T_base_socket, atol=1e-12)
            assert truth.lateral_m.shape == (2,) and truth.depth == 0.0 and truth.t_ns > 0
            with driver.scene.lock:
                driver._cell.teleport(near.seated_pose)
            with pytest.raises(ArmError, match="lift it out"):
                scene.randomize(there, None)
