"""The Franka driver: the real libfranka against an emulated control box. Times are the robot's own."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from emulators.franka import SUPPORT, FrankaEmulator

from handrail.robot_env.arms.arm import MOST_DAMPING_NMS_RAD, MOST_DAMPING_NS_M, Gains
from handrail.robot_env.arms.driver import DriverReading
from handrail.robot_env.arms.franka.config import FrankaConfig
from handrail.robot_env.arms.franka.driver import FrankaDriver
from handrail.robot_env.errors import ArmError, ArmFault, ConfigError, MissingExtra
from handrail.robot_env.geometry import (
    pose_compose,
    pose_distance,
    pose_from,
    quat_from_rotvec,
    quat_rotate,
    quat_slerp,
)

pytest.importorskip("franky")

HAND = (0.0, 0.0, 0.1034, 0.0, 0.0, -0.3826834324, 0.9238795325)
"""The Franka hand's tool centre point, as Desk has it."""
AWAY = np.array((0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0))
"""A joint motion over the board, not into it [rad]."""


def near(a, b, m: float, rad: float) -> bool:
    """Whether two poses are closer than this in both position [m] and orientation [rad]."""
    distance_m, angle_rad = pose_distance(a, b)
    return distance_m < m and angle_rad < rad


class Station:
    """An emulated robot, its driver, and the hands of a test."""

    def __init__(self, emulator: FrankaEmulator, **settings: object) -> None:
        self.emulator = emulator
        options = {"realtime": "ignore", "gripper": False, **settings}
        self.driver = FrankaDriver(FrankaConfig(host=emulator.host, **options))
        self.driver.connect()
        self.seated = np.array(emulator.truth()["seated_pose"])

    def above(self, x=0.0, y=0.0, z=0.05, yaw=0.0):
        return pose_compose(self.seated, (x, -y, -z, 0.0, 0.0, -np.sin(yaw / 2), np.cos(yaw / 2)))

    def until(self, holds: Callable[[DriverReading], bool], seconds: float = 20.0) -> DriverReading:
        """Read until something is so; the deadline is only there to end a failing test."""
        deadline = time.monotonic() + seconds
        while not holds(reading := self.driver.read()):
            assert time.monotonic() < deadline, f"never came true; last {reading}"
            time.sleep(0.001)
        return reading

    def wait(self, seconds: float) -> DriverReading:
        """Let the robot's time pass."""
        end_ns = self.driver.read().device_ns + round(seconds * 1e9)
        return self.until(lambda reading: reading.device_ns >= end_ns)

    def drive(self, goal, seconds: float = 1.0, move_s: float = 0.4) -> DriverReading:
        """Set-points along a smooth motion to `goal`, then at it, as the servo writes them."""
        start, begin_ns = self.driver.read().pose, self.driver.read().device_ns
        while (t := (self.driver.read().device_ns - begin_ns) / 1e9) < seconds:
            u = min(1.0, t / move_s)
            share = u**3 * (10 - 15 * u + 6 * u * u)
            quat = quat_slerp(start[3:], goal[3:], share)
            self.driver.set_setpoint(np.concatenate((start[:3] + share * (goal[:3] - start[:3]), quat)))
            time.sleep(0.005)
        return self.driver.read()

    def arrive(self, goal, m: float = 3e-4, rad: float = 3e-3) -> DriverReading:
        """Move to `goal` and wait until the tool is there."""
        self.drive(goal, 0.6)
        self.driver.set_setpoint(goal)
        return self.until(lambda reading: near(reading.pose, goal, m, rad))

    def press(self, gains: Gains) -> DriverReading:
        """Press on the board beside the slot until the force is steady."""
        self.driver.engage(gains)
        self.drive(self.above(y=0.01, z=0.015), 0.5, 0.4)
        self.drive(self.below, 0.6, 0.5)
        return self.steady(self.below)

    def steady(self, goal) -> DriverReading:
        """Stay at `goal` until the tool presses with a force that no longer changes, or a fault."""
        force, deadline = 0.0, time.monotonic() + 20.0
        while True:
            self.driver.set_setpoint(goal)
            before, reading = force, self.wait(0.15)
            force = float(np.linalg.norm(reading.wrench[:3]))
            if reading.fault or (force > 1.0 and abs(force - before) < 0.02):
                return reading
            assert time.monotonic() < deadline, f"{force} N, and changing"

    @property
    def below(self):
        """A pose under the board, which holds the tool up."""
        return self.above(y=0.01, z=-0.02)

    def close(self) -> None:
        self.driver.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[FrankaEmulator]:
    with FrankaEmulator(height_m=0.04) as emulator:
        yield emulator


@pytest.fixture
def emulator(shared) -> FrankaEmulator:
    shared.reset()
    return shared


@pytest.fixture
def make(emulator) -> Iterator[Callable[..., Station]]:
    stations: list[Station] = []

    def build(**settings: object) -> Station:
        stations.append(Station(emulator, **settings))
        return stations[-1]

    yield build
    for station in stations:
        station.close()


@pytest.fixture
def station(make) -> Station:
    return make()


def clips(m: float, rad: float = 0.03) -> Gains:
    return Gains(clip_m=(m, m, m), clip_rad=(rad, rad, rad))


# What it says


def test_it_reports_the_tools_pose_in_our_terms_and_does_not_move_it(station):
    before = station.driver.read()
    assert not before.engaged and not before.fault and before.gripper_width_m == 0.0
    assert before.q.shape == before.dq.shape == (7,) and before.twist.shape == before.wrench.shape == (6,)
    truth = station.emulator.truth()["T_base_tcp"]
    assert near(before.pose, truth, 1e-5, 1e-3)
    np.testing.assert_allclose(quat_rotate(before.pose[3:], (0, 0, 1)), (0, 0, -1), atol=5e-3)
    after = station.wait(0.3)
    assert near(before.pose, after.pose, 1e-5, 1e-3)


def test_a_tool_frame_of_ones_own_is_set_in_the_robot(make):
    offset = pose_from((0.0, 0.004, 0.02), quat_from_rotvec((0.3, 0.0, 0.5)))
    station = make(tcp=tuple(pose_compose(HAND, offset).tolist()))
    expected = pose_compose(station.emulator.truth()["T_base_tcp"], offset)
    assert near(station.driver.read().pose, expected, 1e-4, 1e-3)
    station.driver.engage(Gains())
    goal = station.driver.read().pose
    goal[0] += 0.01
    station.arrive(goal)


def test_readings_are_stamped_when_they_arrive_and_with_the_robots_time(station):
    first = station.driver.read()
    second = station.wait(0.2)
    assert 0 < time.monotonic_ns() - second.t_ns < 5e9
    assert second.t_ns > first.t_ns
    first.pose[:] = np.nan
    assert np.isfinite(station.driver.read().pose).all()


@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0), (0.9, 0.0, 1.2)])
def test_the_wrench_is_the_environments_on_the_tool_in_its_frame(make, turn):
    offset = pose_from((0.0, 0.0, 0.0), quat_from_rotvec(turn))
    station = make(tcp=tuple(pose_compose(HAND, offset).tolist()))
    down = station.driver.read().pose
    station.driver.engage(clips(0.004))
    down[1] += 0.01
    station.drive(down, 0.4, 0.3)
    down[2] -= 0.05
    station.drive(down, 0.8, 0.6)
    reading = station.steady(down)
    base = quat_rotate(reading.pose[3:], reading.wrench[:3])
    np.testing.assert_allclose(base, station.emulator.status()["wrench"][:3], atol=0.3)
    assert base[2] == pytest.approx(8.0, rel=0.05)  # the board pushes up
    assert reading.twist.shape == (6,) and np.abs(reading.twist).max() < 0.01


def test_its_twist_is_the_tools_in_the_base_frame(station):
    station.driver.engage(Gains())
    goals = [station.above(x=0.03), station.above(x=-0.03)]

    def hurries(reading: DriverReading) -> bool:
        """To and fro until it is caught in the middle of a motion."""
        if near(reading.pose, goals[0], 5e-3, 1e-1):
            goals.reverse()
        station.driver.set_setpoint(goals[0])
        return reading.twist[0] > 0.03 and np.abs(reading.twist[1:3]).max() < reading.twist[0] / 2

    station.until(hurries)


def test_a_tare_takes_away_what_the_sensor_shows(station):
    station.emulator.ask("sensor", bias=[1.0, -2.0, 3.0, 0.1, 0.0, -0.1])
    station.wait(0.05)
    np.testing.assert_allclose(station.driver.read().wrench[:3], (-1.0, 2.0, -3.0), atol=1e-4)
    station.driver.zero_ft()
    assert np.abs(station.driver.read().wrench).max() < 1e-4
    station.emulator.ask("sensor", bias=[0.0] * 6)
    station.wait(0.05)
    np.testing.assert_allclose(station.driver.read().wrench[:3], (1.0, -2.0, 3.0), atol=1e-4)


def test_near_a_singularity_the_wrench_comes_from_the_joint_torques(station):
    station.press(clips(0.005))
    station.emulator.ask("sensor", bias=[0.0] * 6, singular=True)
    station.wait(0.05)

    def is_the_true_one(reading: DriverReading) -> bool:
        """Exact, but the two are not looked at in the same moment."""
        said = [quat_rotate(reading.pose[3:], part) for part in (reading.wrench[:3], reading.wrench[3:])]
        return np.allclose(np.concatenate(said), station.emulator.status()["wrench"], atol=0.02)

    assert station.until(is_the_true_one).wrench[2] < -5.0


# What it does


def test_it_tracks_a_set_point(station):
    station.driver.engage(Gains())
    target = station.above(x=0.008, y=-0.005, z=0.06, yaw=0.1)
    assert station.arrive(target).engaged
    resting = station.wait(0.5)
    assert near(resting.pose, target, 2e-4, 3e-3) and np.abs(resting.twist).max() < 2e-3


def test_with_the_most_damping_that_may_be_asked_for_it_comes_to_rest(station):
    most = Gains(translation_damping_ns_m=MOST_DAMPING_NS_M, rotation_damping_nms_rad=MOST_DAMPING_NMS_RAD)
    station.driver.engage(most)
    for z in (0.05, 0.056, 0.05):
        station.drive(station.above(z=z, yaw=10.0 * (z - 0.05)), 0.4, 0.2)
    station.wait(1.2)
    readings = [station.wait(0.01) for _ in range(30)]
    speeds = np.array([reading.twist for reading in readings])
    assert readings[-1].engaged and not readings[-1].fault
    assert np.abs(speeds[:, :3]).max() < 2e-3 and np.abs(speeds[:, 3:]).max() < 2e-2


def test_engaging_stays_at_the_measured_pose_until_a_set_point_comes(station):
    before = station.driver.read().pose
    station.driver.engage(Gains())
    assert near(before, station.wait(0.4).pose, 1e-4, 1e-3)


def test_set_points_are_ignored_while_not_engaged(station):
    before = station.driver.read().pose
    station.drive(station.above(x=0.02), 0.3)
    station.driver.engage(Gains())
    station.driver.disengage()
    assert not station.driver.read().engaged
    station.drive(station.above(x=0.02), 0.3)
    assert near(before, station.driver.read().pose, 5e-4, 2e-3)


def test_stiffness_times_clip_is_the_steady_force(station):
    pressed = station.press(clips(0.005))
    assert pressed.wrench[2] == pytest.approx(-2000.0 * 0.005, rel=0.02)  # the tool's z points down


def test_a_clip_may_differ_with_the_direction(station):
    gains = Gains(clip_m=(0.004, 0.004, 0.008), clip_neg_m=(0.004, 0.004, 0.002), clip_rad=(0.03, 0.03, 0.03))
    station.press(clips(0.005))
    station.driver.set_gains(gains)
    reading = station.steady(station.below)
    assert reading.wrench[2] == pytest.approx(-4.0, rel=0.05)


def test_gains_change_while_it_presses(station):
    assert station.press(clips(0.005)).wrench[2] == pytest.approx(-10.0, rel=0.02)
    station.driver.set_gains(clips(0.003))
    assert station.steady(station.below).wrench[2] == pytest.approx(-6.0, rel=0.02)
    softer = Gains(translation_n_m=1000.0, clip_m=(0.003, 0.003, 0.003), clip_rad=(0.03, 0.03, 0.03))
    station.driver.set_gains(softer)
    reading = station.steady(station.below)
    assert reading.engaged and reading.wrench[2] == pytest.approx(-3.0, rel=0.03)


def test_new_gains_do_not_move_a_resting_arm(station):
    station.driver.engage(Gains())
    station.arrive(station.above())
    before = station.wait(0.5).pose
    station.driver.set_gains(Gains(translation_n_m=1000.0, rotation_nm_rad=75.0))
    station.driver.set_gains(clips(0.002))
    assert near(before, station.wait(0.5).pose, 2e-4, 2e-3)


def test_a_joint_motion_goes_there_and_rests(station):
    q = station.driver.read().q + 0.2 * AWAY
    station.driver.move_joints(q, 0.3)
    reading = station.driver.read()
    np.testing.assert_allclose(reading.q, q, atol=2e-3)
    assert np.abs(reading.dq).max() < 0.01
    station.driver.engage(Gains())
    assert station.driver.read().engaged


def test_a_joint_motion_can_be_ended_early(station):
    start = station.driver.read().q
    failures: list[Exception] = []

    def move() -> None:
        try:
            station.driver.move_joints(start + AWAY, 0.1)
        except ArmError as error:
            failures.append(error)

    thread = threading.Thread(target=move)
    thread.start()
    station.until(lambda reading: np.abs(reading.q - start).max() > 0.02)
    station.driver.abort()
    thread.join(20.0)
    assert not thread.is_alive() and "ended early" in str(failures[0])
    assert np.abs(station.driver.read().q - start).max() < 0.4
    station.driver.move_joints(start, 0.3)  # nothing is wrong with it


def test_a_joint_motion_is_refused_where_it_makes_no_sense(station):
    with pytest.raises(ArmError, match="seven"):
        station.driver.move_joints((0.0,) * 6, 0.2)
    with pytest.raises(ArmError, match="seven"):
        station.driver.move_joints((np.nan,) * 7, 0.2)
    station.driver.engage(Gains())
    with pytest.raises(ArmError, match="disengage"):
        station.driver.move_joints((0.0,) * 7, 0.2)
    with pytest.raises(ArmError, match="disengage"):
        station.driver.set_load(0.1, (0, 0, 0))


def test_the_gripper_moves_while_nobody_waits(make):
    station = make(gripper=True)
    gripper = station.driver.gripper
    assert gripper is not None and gripper.width_m < 0.01
    gripper.open()
    station.until(lambda reading: 0.02 < reading.gripper_width_m < 0.06)
    gripper.close()  # a new command replaces the one under way
    station.until(lambda reading: reading.gripper_width_m < 0.01)
    gripper.move(0.03, 20.0)
    station.until(lambda reading: abs(reading.gripper_width_m - 0.03) < 2e-3)
    station.close()
    with pytest.raises(ArmError, match="hand"):
        gripper.open()


def test_the_load_reaches_the_robot_in_its_flange_frame(make):
    station = make(load_mass_kg=0.2, load_com_m=(0.0, 0.0, 0.01))
    np.testing.assert_allclose(station.emulator.status()["load"], (0.2, 0.0, 0.0, 0.1134), atol=1e-6)
    station.driver.set_load(0.3, (0.02, 0.0, 0.0))
    half = 0.02 * np.sqrt(0.5)  # the hand is mounted turned by -45 degrees
    np.testing.assert_allclose(station.emulator.status()["load"], (0.3, half, -half, 0.1034), atol=1e-6)


def test_what_it_carries_is_still_known_after_its_link_was_lost(station):
    station.driver.set_load(0.3, (0.0, 0.0, 0.01))
    station.emulator.freeze()
    with pytest.raises(ArmError, match=r"link .* gone"):
        station.until(lambda reading: False)
    station.emulator.thaw()
    station.driver.clear_fault()
    np.testing.assert_allclose(station.emulator.status()["load"], (0.3, 0.0, 0.0, 0.1134), atol=1e-6)


def test_a_load_of_an_earlier_session_is_taken_off(make):
    make(load_mass_kg=0.2, load_com_m=(0.0, 0.0, 0.01)).close()
    station = make()
    assert station.emulator.status()["load"][0] == 0.0


# Faults


def test_a_collision_is_a_latched_fault_that_an_operator_clears(make):
    station = make(collision_force_n=(60.0, 60.0, 8.0, 30.0, 30.0, 30.0))
    assert station.emulator.status()["force_limits"][2] == 8.0
    reading = station.press(clips(0.008))  # would press with 16 N
    assert "cartesian_reflex" in reading.fault and not reading.estop and not reading.engaged
    with pytest.raises(ArmFault, match="recover"):
        station.driver.engage(Gains())
    with pytest.raises(ArmFault, match="recover"):
        station.driver.move_joints(reading.q, 0.2)
    before = station.driver.read().pose
    station.drive(station.above(z=0.08), 0.3)
    assert near(before, station.driver.read().pose, 1e-3, 1e-2)  # set-points are ignored
    station.driver.clear_fault()
    assert station.driver.read().fault == ""
    station.driver.engage(Gains())
    station.arrive(station.above())


def test_a_reflex_is_seen_within_a_tick_of_the_server(station, figure):
    delays_ms = []
    for _ in range(5):
        station.driver.engage(Gains())
        station.wait(0.05)
        station.emulator.fault("reflex")
        seen = station.until(lambda reading: reading.fault != "")
        delays_ms.append(seen.device_ns / 1e6 - station.emulator.status()["stopped_ms"])
        figure("Franka reflex: to the driver's fault, its own time", delays_ms[-1], "ms", limit=10.0)
        before_ms = station.emulator.status()["time_ms"]
        station.driver.clear_fault()
        took_ms = station.emulator.status()["time_ms"] - before_ms
        figure("Franka reflex: recovery, its own time", took_ms, "ms")
    assert min(delays_ms) <= 10.0  # the robot's time goes on while this machine is busy with other things


def test_a_latched_reflex_without_error_flags_is_known_by_the_mode(station):
    station.driver.engage(Gains())
    station.emulator.fault("reflex", flags=False)
    reading = station.until(lambda reading: reading.fault != "" and not reading.engaged)
    assert "reflex" in reading.fault
    station.driver.clear_fault()
    assert station.driver.read().fault == ""


def test_a_fault_whose_cause_persists_is_not_cleared(station):
    station.emulator.fault("reflex", persists=True)
    station.until(lambda reading: reading.fault != "")
    with pytest.raises(ArmFault, match="reflex"):
        station.driver.clear_fault()
    station.emulator.release()
    station.driver.clear_fault()
    assert station.driver.read().fault == ""


def test_the_user_stop_is_never_cleared_by_software(station):
    station.driver.engage(Gains())
    station.emulator.fault("user_stop")
    reading = station.until(lambda reading: reading.fault != "" and not reading.engaged)
    assert reading.estop and "user stop" in reading.fault
    with pytest.raises(ArmFault, match="person"):
        station.driver.clear_fault()
    assert station.driver.read().estop
    station.emulator.release()
    # It was stopped in the middle of a motion: that stays a fault until somebody acknowledges it.
    reading = station.until(lambda reading: not reading.estop)
    assert "User Stop" in reading.fault
    station.driver.clear_fault()
    station.driver.engage(Gains())


@pytest.mark.parametrize(("kind", "word"), [("guiding", "guided"), ("locked", "brakes")])
def test_a_robot_in_other_hands_is_a_fault_too(station, kind, word):
    station.emulator.fault(kind)
    reading = station.until(lambda reading: reading.fault != "")
    assert word in reading.fault and not reading.estop
    with pytest.raises(ArmFault, match="person"):
        station.driver.clear_fault()
    station.emulator.release()
    station.until(lambda reading: reading.fault == "")


def test_with_the_user_stop_pressed_it_says_so_instead_of_connecting(emulator, make):
    emulator.fault("user_stop")
    with pytest.raises(ArmError, match="release the user stop"):
        make()
    emulator.release()
    assert make().driver.read().fault == ""


def test_a_robot_that_is_in_a_reflex_can_be_connected_to_and_is_set_up_afterwards(emulator, make):
    tcp = tuple(pose_compose(HAND, (0.0, 0.0, 0.02, 0.0, 0.0, 0.0, 1.0)).tolist())
    emulator.fault("reflex")
    station = make(tcp=tcp, collision_force_n=(50.0,) * 6)
    assert station.driver.read().fault and emulator.status()["force_limits"][0] != 50.0
    with pytest.raises(ArmFault):
        station.driver.engage(Gains())
    emulator.release()
    station.driver.clear_fault()
    reading = station.driver.read()
    assert reading.fault == "" and emulator.status()["force_limits"][0] == 50.0
    expected = pose_compose(emulator.truth()["T_base_tcp"], (0.0, 0.0, 0.02, 0.0, 0.0, 0.0, 1.0))
    assert near(station.wait(0.05).pose, expected, 1e-4, 1e-3)
    station.driver.engage(Gains())


def test_a_fault_ends_a_joint_motion(station):
    failures: list[Exception] = []

    def move() -> None:
        try:
            station.driver.move_joints(station.driver.read().q + AWAY, 0.1)
        except ArmError as error:
            failures.append(error)

    thread = threading.Thread(target=move)
    start = station.driver.read().q
    thread.start()
    station.until(lambda reading: np.abs(reading.q - start).max() > 0.01)
    station.emulator.fault("reflex", error="joint_reflex")
    thread.join(20.0)
    assert isinstance(failures[0], ArmFault) and "joint_reflex" in str(failures[0])


@pytest.mark.parametrize("engaged", [False, True])
def test_a_robot_that_falls_silent_is_an_error_and_can_be_reached_again(station, engaged, figure):
    if engaged:
        station.driver.engage(Gains())
    station.emulator.freeze()
    began_s = time.monotonic()
    silent, stood_s = station.driver.read(), began_s

    def silence(reading: DriverReading) -> bool:
        nonlocal silent, stood_s
        if reading.t_ns != silent.t_ns:  # states under way still arrive
            silent, stood_s = reading, time.monotonic()
        return False

    with pytest.raises(ArmError, match=r"link .* gone"):
        station.until(silence, 10.0)
    assert time.monotonic() - stood_s > 0.2  # its stamp stood still until it was given up
    figure("Franka silent: to the driver's fault", 1e3 * (time.monotonic() - began_s), "ms")
    station.emulator.thaw()
    station.driver.clear_fault()
    reading = station.driver.read()
    assert reading.fault == "" and reading.device_ns >= silent.device_ns
    station.driver.engage(Gains())
    assert station.drive(station.above(), 0.8).engaged


def test_a_robot_that_is_gone_stays_a_fault():
    with FrankaEmulator() as emulator:
        station = Station(emulator)
    with pytest.raises(ArmError, match="gone"):
        station.until(lambda reading: False, 10.0)
    with pytest.raises(ArmFault, match="cable"):
        station.driver.clear_fault()
    with pytest.raises(ArmError):
        station.driver.read()
    station.close()


@pytest.mark.parametrize("accident", [signal.SIGKILL, signal.SIGSTOP], ids=["dies", "hangs"])
def test_the_robot_stops_by_itself_when_its_client(emulator, accident):
    script = f"""
        import time
        from handrail.robot_env.arms.arm import Gains
        from handrail.robot_env.arms.franka.config import FrankaConfig
        from handrail.robot_env.arms.franka.driver import FrankaDriver
        driver = FrankaDriver(FrankaConfig(host="{emulator.host}", realtime="ignore", gripper=False))
        driver.connect()
        driver.engage(Gains())
        print("engaged", flush=True)
        time.sleep(60)
    """
    env = {**os.environ, "PYTHONPATH": str(SUPPORT)}
    client = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, env=env
    )
    with client:
        assert client.stdout is not None and client.stdout.readline() == b"engaged\n"
        assert emulator.status()["mode"] == "kMove"
        client.send_signal(accident)
        try:
            deadline = time.monotonic() + 20.0
            while emulator.status()["mode"] != "kReflex":
                assert time.monotonic() < deadline
                time.sleep(0.01)
        finally:
            client.kill()


# Coming and going


def test_it_can_be_closed_twice_and_connected_again(station):
    station.driver.engage(Gains())
    threads = threading.active_count()
    station.driver.close()
    station.driver.close()
    assert threading.active_count() < threads
    with pytest.raises(ArmError, match="connect"):
        station.driver.read()
    station.driver.connect()
    assert station.driver.read().fault == ""


def test_a_missing_hand_is_named(emulator, monkeypatch):
    driver = FrankaDriver(FrankaConfig(host=emulator.host, realtime="ignore"))

    def refuse(host: str) -> None:
        raise RuntimeError("no hand")

    monkeypatch.setattr(driver._sdk, "Gripper", refuse)
    with pytest.raises(ArmError, match=r"franka\.gripper"):
        driver.connect()
    with pytest.raises(ArmError, match="connect"):
        driver.read()


def test_a_hand_that_falls_silent_shows_by_its_width_s_age_and_comes_back_by_a_recovery(make):
    station = make(gripper=True)
    driver = station.driver
    first = driver.read()
    assert first.gripper_stroke_m == pytest.approx(0.08)
    station.until(lambda reading: reading.gripper_ns > first.gripper_ns)
    try:
        station.emulator.ask("hand", silent=True)
        driver.gripper.open()
        station.until(lambda _: refuses(driver))
        stale = driver.read()
        assert station.wait(0.1).gripper_ns == stale.gripper_ns
    finally:
        station.emulator.ask("hand", silent=False)
    assert station.wait(0.2).gripper_ns == stale.gripper_ns and refuses(driver)  # its link is lost for good
    driver.clear_fault()
    reading = driver.read()
    assert reading.gripper_ns > stale.gripper_ns and not reading.fault
    driver.gripper.open()
    station.until(lambda reading: reading.gripper_width_m > 0.07)


def test_a_hand_that_stays_silent_ends_a_recovery_and_a_start_in_time(make, monkeypatch):
    station = make(gripper=True)
    driver = station.driver
    monkeypatch.setattr("handrail.robot_env.arms.franka.gripper.CONNECT_S", 0.5)
    try:
        station.emulator.ask("hand", silent=True)
        driver.gripper.open()
        station.until(lambda _: refuses(driver))
        with pytest.raises(ArmFault, match=r"hand at .* did not answer in 0\.5 s"):
            driver.clear_fault()
        assert refuses(driver)
        driver.close()
        with pytest.raises(ArmError, match=r"hand at .* did not answer in 0\.5 s"):
            driver.connect()
    finally:
        station.emulator.ask("hand", silent=False)
    monkeypatch.undo()
    driver.connect()
    driver.gripper.open()
    station.until(lambda reading: reading.gripper_width_m > 0.07)


def refuses(driver: FrankaDriver) -> bool:
    assert driver.gripper is not None
    try:
        driver.gripper.open()
    except ArmError:
        return True
    return False


@pytest.mark.realtime
def test_the_hand_s_width_does_not_grow_old_while_one_motion_makes_room_for_another(make):
    station = make(gripper=True)
    gripper = station.driver.gripper
    oldest_ns = 0

    def look(reading: DriverReading) -> float:
        nonlocal oldest_ns
        oldest_ns = max(oldest_ns, time.monotonic_ns() - reading.gripper_ns)
        return reading.gripper_width_m

    station.emulator.ask("hand", stop_ms=1500)
    try:
        gripper.open()
        station.until(lambda reading: look(reading) > 0.02)
        gripper.close()
        station.until(lambda reading: look(reading) < 0.01)
    finally:
        station.emulator.ask("hand")
    assert oldest_ns < 750_000_000


def test_a_robot_that_does_not_answer_may_be_without_power(emulator, monkeypatch):
    monkeypatch.setattr("handrail.robot_env.arms.franka.link.CONNECT_S", 0.5)
    driver = FrankaDriver(FrankaConfig(host=emulator.host, realtime="ignore"))
    emulator.freeze()
    try:
        with pytest.raises(ArmError, match=r"in 0\.5 s; check its cable and its power; it takes one client"):
            driver.connect()
    finally:
        emulator.thaw()
        driver.close()


def test_a_hand_that_was_never_homed_is_refused_and_does_not_move(emulator):
    driver = FrankaDriver(FrankaConfig(host=emulator.host, realtime="ignore"))
    emulator.ask("hand", homed=False)
    try:
        with pytest.raises(ArmError, match="home the hand in Desk"):
            driver.connect()
        with pytest.raises(ArmError, match="connect"):
            driver.read()
    finally:
        emulator.ask("hand", homed=True)


def test_an_address_without_a_robot_is_named():
    driver = FrankaDriver(FrankaConfig(host="127.254.254.254", realtime="ignore"))
    with pytest.raises(ArmError, match=r"127\.254\.254\.254.*FCI"):
        driver.connect()
    driver.close()


@pytest.mark.skipif(Path("/sys/kernel/realtime").exists(), reason="this kernel is a real-time one")
def test_without_a_real_time_kernel_it_does_not_start(emulator):
    driver = FrankaDriver(FrankaConfig(host=emulator.host))
    with pytest.raises(ArmError, match=r"realtime to ignore"):
        driver.connect()


def test_a_missing_extra_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "franky", None)
    with pytest.raises(MissingExtra, match=r"handrail\[franka\]"):
        FrankaDriver(FrankaConfig(host="172.16.0.2"))


def test_a_missing_address_is_named():
    with pytest.raises(ConfigError, match=r"env\.arm\.franka\.host"):
        FrankaDriver(FrankaConfig())


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ({"realtime": "maybe"}, "enforce"),
        ({"tcp": (0.0, 0.0, 0.1)}, "quaternion"),
        ({"tcp": (0.0, 0.0, 103.4, 0.0, 0.0, 0.0, 1.0)}, "metres"),
        ({"tcp": (0.0, 0.0, 0.1, 0.0, 0.0, 0.0, 0.0)}, "quaternion"),
        ({"clip_m": (0.0, 0.01, 0.01)}, "clip_m"),
        ({"clip_rad": (3.0, 0.1, 0.1)}, "clip_rad"),
        ({"collision_force_n": (60.0,) * 5}, "6 numbers"),
        ({"collision_torque_nm": (float("nan"),) * 7}, "collision_torque_nm"),
        ({"posture": (0.0,) * 6}, "posture"),
        ({"friction_nm": (9.0,) * 7}, "friction_nm"),
        ({"gripper_force_n": 500.0}, "gripper_force_n"),
        ({"load_mass_kg": -1.0}, "load_mass_kg"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(setting, word):
    with pytest.raises(ConfigError, match=word):
        FrankaConfig(**setting)
