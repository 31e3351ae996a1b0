"""The UR driver: the real ur_rtde, against an emulated controller with a simulated UR5e and the RAM board."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from emulators.ur import UREmulator
from emulators.ur.hands import Hands, control_processes

from handrail.robot_env.arms.arm import MOST_DAMPING_NMS_RAD, MOST_DAMPING_NS_M, Gains
from handrail.robot_env.errors import ArmError
from handrail.robot_env.geometry import pose_distance, quat_rotate

pytest.importorskip("rtde_control")
pytestmark = pytest.mark.realtime


@pytest.fixture(scope="module")
def emulator() -> Iterator[UREmulator]:
    with UREmulator() as emulator:
        yield emulator


@pytest.fixture
def hands(emulator) -> Iterator[Hands]:
    with Hands(emulator) as hands:
        yield hands


def test_it_connects_without_moving_and_reads_in_our_conventions(hands):
    reading = hands.driver.read()
    truth = hands.emulator.truth()
    assert pose_distance(reading.pose, truth["T_base_tcp"])[0] < 1e-4
    np.testing.assert_allclose(quat_rotate(reading.pose[3:], (0, 0, 1)), (0, 0, -1), atol=1e-3)
    assert reading.q.shape == reading.dq.shape == (6,) and reading.gripper_width_m == 0.0
    assert (reading.engaged, reading.fault, reading.estop) == (False, "", False)
    reading.pose[:] = np.nan
    later = hands.run(0.05)
    assert np.isfinite(later.pose).all() and later.t_ns > reading.t_ns and later.device_ns > reading.device_ns


def test_it_stays_where_it_is_until_the_first_setpoint(hands):
    hands.driver.set_setpoint(hands.above(x=0.02))  # not engaged: ignored
    before = hands.driver.read().pose
    hands.driver.engage(Gains())
    after = hands.run(0.3)
    assert after.engaged and pose_distance(before, after.pose)[0] < 5e-4


def test_a_force_sensor_that_has_drifted_is_zeroed_before_force_mode(emulator):
    emulator.ask("sensor", offset=[8.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    try:
        with Hands(emulator) as hands:
            before = hands.driver.read()
            assert np.linalg.norm(before.wrench[:3]) < 0.5
            hands.driver.engage(Gains())
            assert pose_distance(before.pose, hands.run(0.5).pose)[0] < 5e-4  # 8 N would be 4 mm
    finally:
        emulator.ask("sensor", offset=[0.0] * 6)


def test_a_force_that_is_no_drift_is_not_hidden(emulator):
    emulator.ask("sensor", offset=[0.0, 0.0, 25.0, 0.0, 0.0, 0.0])
    try:
        with Hands(emulator) as hands:
            assert np.linalg.norm(hands.driver.read().wrench[:3]) == pytest.approx(25.0, abs=1.0)
    finally:
        emulator.ask("sensor", offset=[0.0] * 6)


def test_it_follows_a_step_of_a_centimetre_and_a_turn(hands):
    hands.driver.engage(Gains())
    target = hands.above(x=0.01, yaw=0.1)
    farthest = max(hands.run(0.05, target).pose[0] for _ in range(30))
    distance_m, angle_rad = pose_distance(hands.driver.read().pose, target)
    assert distance_m < 5e-4 and angle_rad < 5e-3
    assert farthest < target[0] + 1e-3


def test_force_mode_keeps_its_rate_and_its_settings(emulator):
    settings = {"force_damping": 0.03, "force_scaling": 0.6, "speed_limit_m_s": 0.1, "speed_limit_rad_s": 0.5}
    with Hands(emulator, rate_hz=250.0, **settings) as hands:
        hands.driver.engage(Gains())
        begun = len(hands.emulator.ask("writes"))
        hands.run(1.0, hands.above())
        periods_s = np.diff([time_s for _, time_s in hands.emulator.ask("writes")[begun:]])
        assert np.median(periods_s) <= 0.008  # 125 Hz at least, of the controller's time
        status = hands.emulator.status()
    assert (status["damping"], status["scaling"]) == (0.03, 0.6)
    assert status["speed_limits"] == [0.1] * 3 + [0.5] * 3


def test_a_steady_push_is_the_stiffness_times_the_clip_and_no_more(hands):
    hands.driver.engage(Gains(clip_m=(0.004, 0.004, 0.004), clip_neg_m=(0.004, 0.004, 0.005)))
    hands.run(0.8, hands.above(y=0.01, z=0.02))
    hands.driver.zero_ft()
    assert np.abs(hands.driver.read().wrench).max() < 0.2
    deep = hands.above(y=0.01, z=-0.03)  # into the board, beside the slot
    reading = hands.run(1.2, deep)
    assert reading.wrench[2] == pytest.approx(-10.0, abs=1.0)  # the tool's z is down, the board pushes up
    assert quat_rotate(reading.pose[3:], reading.wrench[:3])[2] == pytest.approx(10.0, abs=1.0)
    assert hands.emulator.truth()["base_wrench"][2] == pytest.approx(10.0, abs=1.0)
    hands.driver.set_gains(Gains(clip_m=(0.002, 0.002, 0.002)))
    assert hands.run(0.6, deep).wrench[2] == pytest.approx(-4.0, abs=1.0)
    hands.driver.set_gains(Gains())
    hands.run(0.6, hands.above(z=0.03))


@pytest.mark.parametrize("rate_hz", [125.0, 250.0])
def test_with_the_most_damping_that_may_be_asked_for_the_arm_comes_to_rest(emulator, rate_hz):
    most = Gains(translation_damping_ns_m=MOST_DAMPING_NS_M, rotation_damping_nms_rad=MOST_DAMPING_NMS_RAD)
    with Hands(emulator, rate_hz=rate_hz) as hands:
        hands.driver.engage(most)
        for z in (0.05, 0.056, 0.05):
            hands.run(0.4, hands.above(z=z, yaw=10.0 * (z - 0.05)))
        hands.run(1.2, hands.above(z=0.05))
        speeds = np.array([hands.run(0.01).twist for _ in range(30)])
        assert np.abs(speeds[:, :3]).max() < 2e-3 and np.abs(speeds[:, 3:]).max() < 2e-2


def test_the_configured_force_is_the_most_it_asks_for(emulator):
    with Hands(emulator, force_limit_n=3.0) as hands:
        hands.driver.engage(Gains())
        hands.run(0.2, hands.above(z=0.5))
        assert hands.emulator.status()["force"][2] == pytest.approx(3.0)


def test_an_old_target_is_forgotten_when_it_lets_go(hands):
    hands.driver.engage(Gains())
    hands.run(0.2, hands.above(x=0.03))
    hands.driver.disengage()
    assert not hands.driver.read().engaged
    hands.run(0.3)
    assert hands.emulator.status()["force"] == [] and np.abs(hands.driver.read().twist).max() < 0.01
    before = hands.driver.read().pose
    hands.driver.engage(Gains())
    assert pose_distance(before, hands.run(0.3).pose)[0] < 5e-4


def test_a_joint_motion_arrives_and_can_be_ended_early(hands):
    home = hands.driver.read().q
    goal = home + np.array([0.1, 0.0, 0.0, 0.0, 0.0, -0.1])
    hands.driver.move_joints(goal, 0.3)
    reading = hands.driver.read()
    np.testing.assert_allclose(reading.q, goal, atol=3e-3)
    assert np.abs(reading.dq).max() < 0.05 and not reading.engaged

    failed: list[ArmError] = []

    def go_home() -> None:
        try:
            hands.driver.move_joints(home, 0.03)
        except ArmError as error:
            failed.append(error)

    mover = threading.Thread(target=go_home)
    mover.start()
    hands.until(lambda reading: np.abs(reading.q - goal).max() > 0.01, "moving")
    hands.driver.abort()
    mover.join()
    assert failed and "ended early" in str(failed[0])
    stopped = hands.driver.read().q
    assert np.abs(stopped - home).max() > 0.02
    np.testing.assert_allclose(hands.run(0.2).q, stopped, atol=5e-3)
    time.sleep(0.5)  # an order to stop counts for what is asked for right after it
    hands.driver.move_joints(home, 0.3)


def test_an_order_to_stop_also_ends_a_motion_that_it_overtook(hands):
    before = hands.driver.read().q
    hands.driver.abort()
    with pytest.raises(ArmError, match="ended early"):
        hands.driver.move_joints(before + 0.05, 0.1)
    np.testing.assert_allclose(hands.run(0.1).q, before, atol=1e-4)


@pytest.mark.parametrize("bad", [[0.0] * 5, [0.0, 0.0, 0.0, 0.0, 0.0, np.nan]])
def test_what_is_no_joint_angles_is_refused_here(hands, bad):
    with pytest.raises(ArmError, match="six finite"):
        hands.driver.move_joints(bad, 0.1)


def test_joint_angles_beyond_the_robots_limits_are_refused_before_it_moves(hands):
    before = hands.driver.read().q
    with pytest.raises(ArmError, match="outside the robot's limits"):
        hands.driver.move_joints([7.0, 0.0, 0.0, 0.0, 0.0, 0.0], 0.3)
    np.testing.assert_allclose(hands.run(0.1).q, before, atol=1e-4)
    hands.works()


def test_tool_and_payload_are_told_to_the_robot(emulator):
    tool = (0.0, 0.01, 0.15, 0.0, 0.0, 1.0, 0.0)  # turned by half a turn about z
    with Hands(emulator, tcp=tool, payload_kg=1.0, payload_com_m=(0.0, 0.0, 0.06)) as hands:
        status = hands.emulator.status()
        np.testing.assert_allclose(status["tcp"], [0.0, 0.01, 0.15, 0.0, 0.0, np.pi], atol=1e-6)
        np.testing.assert_allclose(status["payload"], [1.0, 0.0, 0.0, 0.06], atol=1e-5)
        hands.driver.set_load(1.0, (0.02, 0.0, 0.0))
        both = [2.0, -0.01, 0.005, 0.105]
        np.testing.assert_allclose(hands.emulator.status()["payload"], both, atol=1e-5)
        hands.driver.close()
        hands.driver.connect()
        np.testing.assert_allclose(hands.emulator.status()["payload"], both, atol=1e-5)


def test_a_load_is_refused_while_the_tools_own_is_unknown(hands):
    with pytest.raises(ArmError, match=r"env\.arm\.ur\.payload_kg"):
        hands.driver.set_load(0.5, (0.0, 0.0, 0.0))


def test_it_can_be_closed_twice_leaves_no_process_and_connects_again(hands):
    assert len(control_processes()) == 1
    hands.driver.close()
    hands.driver.close()
    assert control_processes() == []
    assert hands.emulator.events()[-1] == "program ended: its own end"
    for call in (hands.driver.read, hands.driver.zero_ft, lambda: hands.driver.engage(Gains())):
        with pytest.raises(ArmError, match="connect"):
            call()
    hands.driver.set_setpoint(hands.above())
    hands.driver.disengage()
    hands.driver.abort()
    hands.driver.connect()
    hands.works()
