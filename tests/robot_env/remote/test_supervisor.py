from dataclasses import replace

import numpy as np
import pytest
from supervised import ABOVE, FRAME, MS, Cell, served

from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.arms.config import ArmConfig
from handrail.robot_env.config import EnvConfig, LimitsConfig
from handrail.robot_env.errors import ArmError, ArmFault, ConfigError
from handrail.robot_env.gate import GateFlag
from handrail.robot_env.remote.agreement import agreement
from handrail.robot_env.remote.lease import Commander
from handrail.robot_env.remote.wire import LeaseLost

HOME = (0.0, -0.8, 0.0, -2.4, 0.0, 1.6, 0.8)
SOFT, STIFF = Gains(translation_n_m=500.0), Gains(translation_n_m=3000.0)


def fault(cell):
    return cell.supervisor.fault


def x_written(cell):
    return np.array([FRAME.coordinates(pose)[0] for _, pose, _ in cell.driver.setpoints])


# Modes


def test_it_is_disarmed_until_the_robot_is_reached_and_then_holds(cell):
    assert cell.mode == "DISARMED" and cell.state().pose == ()
    cell.acquire()
    with pytest.raises(ArmError, match="not connected"):
        cell.start()
    cell.open()
    assert cell.mode == "HOLD" and cell.answers == [None] and len(cell.state().pose) == 7
    assert cell.driver.setpoints == []


def test_a_robot_that_cannot_be_reached_leaves_it_disarmed(cell):
    cell.driver.refuse["connect"] = "no route to the robot"
    cell.open()
    assert cell.mode == "DISARMED" and "no route" in str(cell.answers[0])


def test_a_start_engages_the_driver_and_begins_at_the_measured_pose(cell):
    cell.running()
    assert cell.driver.calls[:2] == ["connect", "engage"]
    np.testing.assert_allclose(cell.driver.setpoints[0][1], FRAME.pose(ABOVE), atol=1e-9)


def test_a_target_in_hold_is_dropped_and_flagged(cell):
    cell.open().acquire()
    with pytest.raises(ArmError, match=r"HOLD.*start"):
        cell.target()
    cell.tick()
    assert cell.flags & GateFlag.HOLD and cell.driver.setpoints == []


def test_a_start_that_is_stopped_before_the_driver_has_engaged_does_not_run():
    cell = Cell(at_once=False)
    cell.open()
    cell.elsewhere.finish()
    cell.tick()
    cell.acquire()
    cell.start()
    cell.tick()
    cell.supervisor.stop(cell.now, "second thoughts")
    cell.elsewhere.finish()
    cell.tick(3)
    assert cell.mode == "HOLD" and "second thoughts" in str(cell.answers[-1])
    assert cell.driver.setpoints == []


def engaging(config=None):
    """A start whose driver takes its time."""
    cell = Cell(config, at_once=False)
    cell.open()
    cell.elsewhere.finish()
    cell.tick()
    cell.acquire("first")
    cell.start()
    cell.tick()
    return cell


def finished(cell):
    cell.elsewhere.finish()
    cell.tick(3)
    return cell


def test_a_refused_start_does_not_undo_a_stop():
    cell = engaging()
    cell.supervisor.stop(cell.now, "second thoughts")
    cell.tick(205)
    cell.acquire("second")
    with pytest.raises(ArmError, match=r"busy \(engage\)"):
        cell.start()
    finished(cell)
    assert cell.mode == "HOLD" and "second thoughts" in str(cell.answers[-1])
    assert cell.driver.setpoints == []


def test_a_refused_joint_motion_does_not_undo_a_stop():
    cell = engaging(EnvConfig(arm=ArmConfig(kind="franka", joint_home=HOME)))
    cell.supervisor.stop(cell.now, "second thoughts")
    with pytest.raises(ArmError, match=r"busy \(engage\)"):
        move(cell)
    assert finished(cell).mode == "HOLD"


@pytest.mark.parametrize("how", ["released", "lost", "lost in the round in which the driver has engaged"])
def test_a_start_whose_lease_has_ended_does_not_run(how):
    cell = engaging()
    if how == "released":
        cell.supervisor.release(cell.now, cell.stamp())
    elif how == "lost":
        cell.tick(205)
    else:
        cell.elsewhere.finish()
        cell.tick(ms=1100)
    finished(cell)
    assert cell.mode == "HOLD" and cell.answers[-1] is not None and cell.driver.setpoints == []
    cell.acquire("second")
    cell.start()
    cell.tick()
    assert cell.mode == "RUN"


def test_an_ending_server_takes_no_more_orders():
    cell = Cell(EnvConfig(arm=ArmConfig(kind="franka", joint_home=HOME))).running()
    cell.target(x=0.012)
    cell.tick(6)
    cell.supervisor.end(cell.now, "the arm server ends")
    for order in (
        cell.start,
        cell.target,
        lambda: move(cell),
        lambda: cell.acquire("another"),
        cell.recover,
        lambda: cell.supervisor.resetting(cell.now, cell.stamp(), True),
    ):
        with pytest.raises(ArmError, match="ending"):
            order()
        cell.tick()
    cell.tick(30)
    assert cell.mode == "HOLD" and cell.supervisor.arm.resting
    cell.supervisor.stop(cell.now)  # anybody still may
    cell.supervisor.release(cell.now, cell.stamp())


def test_a_tool_a_little_outside_the_workspace_is_pulled_in_within_the_limits(cell):
    cell.open().acquire()
    cell.driver.pose = FRAME.pose((0.0, -0.061, 0.04, 0.1, 0.0, 0.5))
    cell.tick()
    cell.start()
    cell.tick(60)
    moved = np.array([FRAME.coordinates(pose) for _, pose, _ in cell.driver.setpoints])
    np.testing.assert_allclose(moved[0], (0.0, -0.061, 0.04, 0.1, 0.0, 0.5), atol=1e-9)
    np.testing.assert_allclose(moved[-1], (0.0, -0.05, 0.04, 0.1, 0.0, 0.45), atol=2e-6)
    steps = np.abs(np.diff(moved, axis=0))
    assert steps[:, :3].max() <= 0.25 * 0.005 + 1e-9 and steps[:, 3:].max() <= 1.2 * 0.005 + 1e-9


def test_a_stop_brakes_within_the_limits_and_a_start_right_after_it_does_not_jump(cell):
    cell.running()
    cell.target(x=0.012)
    cell.tick(6)
    cell.supervisor.stop(cell.now)
    cell.tick(2)
    cell.driver.offset[0] = -0.009  # the arm lags behind its set-point
    cell.tick()
    cell.start()
    cell.tick(40)
    steps = np.diff(x_written(cell))
    assert cell.mode == "RUN" and np.abs(steps).max() < 0.25 * 0.005 + 1e-9


def test_outside_the_workspace_it_does_not_start(cell):
    cell.open().acquire()
    cell.driver.pose = FRAME.pose((0.0, 0.0, 0.2, 0.0, 0.0, 0.0))
    cell.tick()
    cell.start()
    cell.tick()
    assert cell.mode == "HOLD" and "outside env.limits.workspace_low_m" in str(cell.answers[-1])


# Silence


@pytest.mark.parametrize(("period_s", "watchdog_ms"), [(0.1, 250), (0.05, 125), (0.02, 100)])
def test_a_commander_that_falls_silent_is_missed_after_two_and_a_half_periods(period_s, watchdog_ms):
    cell = Cell()
    cell.open()
    cell.acquire(period_s=period_s)
    cell.start()
    cell.tick(2)
    cell.target(x=0.01)
    began = cell.now
    while cell.mode == "RUN":
        cell.tick()
        cell.supervisor.heartbeat(cell.now, cell.stamp())  # alive, but says nothing
    assert watchdog_ms < (cell.now - began) / MS <= watchdog_ms + 5
    assert cell.flags & GateFlag.WATCHDOG and cell.supervisor.watchdog_trips == 1
    with pytest.raises(ArmError, match="HOLD"):
        cell.target()


def test_the_watchdog_waits_while_the_commander_waits_for_a_tare():
    cell = Cell(at_once=False)
    cell.open()
    cell.elsewhere.finish()
    cell.tick()
    cell.acquire()
    cell.start()
    cell.elsewhere.finish()
    cell.tick()
    cell.supervisor.tare(cell.now, cell.stamp(), cell.done)
    for _ in range(100):
        cell.tick()
        cell.supervisor.heartbeat(cell.now, cell.stamp())
    assert cell.mode == "RUN" and cell.state().job == "zero_ft"
    cell.elsewhere.finish()
    cell.tick(60)
    assert cell.mode == "HOLD" and cell.answers[-1] is None


def taring():
    """An arm in RUN that is being tared."""
    cell = Cell(at_once=False)
    cell.open()
    cell.elsewhere.finish()
    cell.tick()
    cell.acquire()
    cell.start()
    cell.elsewhere.finish()
    cell.tick()
    cell.supervisor.tare(cell.now, cell.stamp(), cell.done)
    assert cell.state().job == "zero_ft" and cell.mode == "RUN"
    return cell


def test_a_commander_that_falls_silent_in_a_tare_is_missed():
    cell = taring()
    began = cell.now
    while cell.mode == "RUN":
        cell.tick()
    assert (cell.now - began) / MS == pytest.approx(305, abs=5)
    assert cell.flags & GateFlag.WATCHDOG and cell.supervisor.watchdog_trips == 1


def test_a_tare_that_takes_too_long_ends_in_hold():
    cell = taring()
    began = cell.now
    while cell.mode == "RUN":
        cell.tick()
        cell.supervisor.heartbeat(cell.now, cell.stamp())
    assert (cell.now - began) / MS == pytest.approx(3005, abs=5) and cell.flags & GateFlag.WATCHDOG


def test_a_tare_waits_for_the_set_point_to_rest(cell):
    cell.running()
    cell.target(x=0.012)
    cell.tick()
    cell.supervisor.tare(cell.now, cell.stamp(), cell.done)
    while "zero_ft" not in cell.driver.calls:
        assert not cell.supervisor.arm.resting and cell.state().job == "zero_ft"
        cell.tick()
    assert cell.supervisor.arm.resting and cell.mode == "RUN"


def test_a_stalled_server_does_not_make_up_for_lost_time_with_a_jump(cell):
    cell.running()
    cell.target(x=0.012)
    cell.tick(4)
    cell.tick(ms=500)
    cell.tick(100)
    assert np.abs(np.diff(x_written(cell))).max() <= 0.25 * 0.02 + 1e-9


# Lease


def test_a_second_commander_is_refused_until_the_first_has_been_silent_long_enough(cell):
    cell.open().acquire("first")
    with pytest.raises(ArmError, match=r"'first' \(process 1 on here\)"):
        cell.acquire("second")
    cell.tick(250)
    cell.acquire("second")
    with pytest.raises(LeaseLost, match="'second'"):
        cell.supervisor.heartbeat(cell.now, cell.stamp(token="old"))


def test_losing_the_lease_stops_the_arm():
    cell = Cell(served(watchdog_s=5.0))
    cell.running()
    cell.tick(190)
    assert cell.mode == "RUN"
    cell.tick(15)
    assert cell.mode == "HOLD" and cell.flags & GateFlag.WATCHDOG and cell.state().lease == 0
    with pytest.raises(LeaseLost):
        cell.target()
    cell.tick()
    assert cell.flags & GateFlag.STALE


def test_releasing_it_stops_the_arm(cell):
    cell.running()
    cell.supervisor.release(cell.now, cell.stamp())
    assert cell.mode == "HOLD" and cell.state().commander == ""


@pytest.mark.parametrize("offset_s", [0, 1_000_000, -1_000_000])
def test_old_commands_are_dropped_whatever_the_sender_clock_says(offset_s):
    offset_ns = offset_s * 1000 * MS
    cell = Cell()
    cell.open()
    cell.acquire(lag_ns=offset_ns)
    cell.supervisor.start(cell.now, cell.stamp(age_ns=offset_ns + 3 * MS), None, cell.done)
    cell.tick(2)
    cell.target(x=0.001, age_ns=offset_ns + 90 * MS)
    cell.tick()
    with pytest.raises(ArmError, match=r"110 ms old \(limit 100 ms\)"):
        cell.target(x=0.002, age_ns=offset_ns + 110 * MS)
    cell.tick()
    assert cell.flags & GateFlag.STALE and cell.supervisor.dropped == 1


def test_a_queue_of_old_commands_after_a_pause_is_dropped_whole(cell):
    cell.running()
    cell.target(x=0.001)
    sent = cell.now
    cell.at(cell.now + 700 * MS)
    for step in range(5):
        with pytest.raises(ArmError, match="ms old"):
            cell.target(x=0.01, age_ns=cell.now - sent - step * MS)
    cell.supervisor.tick(cell.now)
    assert cell.mode == "HOLD"


def test_a_command_that_comes_twice_counts_once(cell):
    cell.running()
    cell.target(x=0.001)
    for sequence in (cell.sequence, cell.sequence - 1):
        with pytest.raises(ArmError, match="came after"):
            cell.target(x=0.01, sequence=sequence)
    assert cell.supervisor.dropped == 2


def test_a_commander_with_other_settings_is_refused_naming_them(cell):
    cell.open()
    other = EnvConfig(limits=LimitsConfig(force_limit_n=20.0), arm=ArmConfig(kind="franka", contact=Gains()))
    commander = Commander("env", 1, "here", 0.1)
    with pytest.raises(ConfigError, match=r"env\.arm\.contact and env\.arm\.moving, env\.limits"):
        cell.supervisor.acquire(cell.now, cell.now, commander, agreement(other))


@pytest.mark.parametrize("period_s", [0.0, float("nan"), 60.0])
def test_a_commander_cannot_talk_the_watchdog_away(cell, period_s):
    with pytest.raises(ConfigError, match="period_s"):
        cell.acquire(period_s=period_s)


# Faults


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        ({"changes": {"fault": "reflex: joint 4"}}, "reflex: joint 4"),
        ({"failure": ArmError("connection reset")}, "connection reset"),
        ({"failure": RuntimeError("SDK")}, "SDK"),
        ({"changes": {"pose": np.full(7, np.nan)}}, "not finite"),
        ({"frozen": True}, "ms old"),
        ({"changes": {"engaged": False}}, "stopped following"),
        ({"changes": {"gripper_ns": 1}}, "gripper was last heard"),
        ({"changes": {"gripper_width_m": float("nan")}}, "width is not finite"),
    ],
)
def test_trouble_faults_at_once_and_not_one_set_point_more_is_sent(cell, trouble, says):
    cell.running()
    cell.target(x=0.01)
    cell.tick(3)
    vars(cell.driver).update(trouble)
    began = cell.now
    while cell.mode != "FAULT" and cell.now < began + 1000 * MS:
        cell.tick()
        if cell.mode == "RUN":
            cell.target(x=0.01)
    sent = len(cell.driver.setpoints)
    assert cell.now - began <= 110 * MS and says in fault(cell)
    cell.tick(50)
    for refused in (cell.target, cell.start):
        with pytest.raises(ArmFault, match="recover"):
            refused()
    assert len(cell.driver.setpoints) == sent
    assert cell.driver.calls[-1] == "disengage"
    assert len(cell.state().pose) == 7  # it goes on publishing what it last knew


def test_a_width_that_grows_old_is_a_fault_of_its_own_which_ends_with_a_new_one():
    cell = Cell(served(gripper_age_s=0.3))
    cell.running()
    heard = cell.now
    cell.driver.changes = {"gripper_ns": heard, "gripper_width_m": 0.03, "gripper_stroke_m": 0.05}
    while cell.now < heard + 300 * MS:
        cell.tick()
        cell.target()
    assert cell.mode == "RUN"
    state = cell.state()
    assert (state.gripper_ns, state.gripper_width_m, state.gripper_stroke_m) == (heard, 0.03, 0.05)
    cell.tick()
    assert fault(cell) == (
        "the gripper was last heard 305 ms ago (limit 300 ms); look at its cable and its power"
    )
    cell.recover()
    cell.tick(200)
    assert cell.mode == "FAULT" and "gripper" in str(cell.answers[-1])
    cell.driver.changes |= {"gripper_ns": cell.now}
    cell.recover()
    cell.tick(2)
    assert cell.mode == "HOLD" and cell.answers[-1] is None


def test_a_fault_stays_when_its_cause_goes_until_somebody_recovers(cell):
    cell.running()
    cell.break_it()
    cell.repair()
    cell.tick(10)
    assert cell.mode == "FAULT" and cell.state().fault == "reflex"
    cell.recover()
    cell.tick(2)
    assert cell.mode == "HOLD" and cell.answers[-1] is None and cell.state().fault == ""
    sent = len(cell.driver.setpoints)
    cell.tick(20)
    assert cell.mode == "HOLD" and len(cell.driver.setpoints) == sent
    cell.start()
    cell.tick()
    assert cell.mode == "RUN"


def test_recovering_is_refused_while_the_cause_is_there(cell):
    cell.running()
    cell.break_it()
    cell.recover()
    cell.tick(2)
    assert cell.mode == "FAULT" and "still there" in str(cell.answers[-1])
    cell.driver.clear_fault = lambda: None  # an SDK that says yes and does nothing
    cell.recover()
    cell.tick(120)
    assert cell.mode == "FAULT" and isinstance(cell.answers[-1], ArmFault)


def test_an_emergency_stop_is_never_cleared_by_software(cell):
    cell.running()
    cell.break_it(fault="emergency stop", estop=True)
    with pytest.raises(ArmFault, match="release it at the robot"):
        cell.recover()
    assert "clear_fault" not in cell.driver.calls
    cell.repair()
    cell.tick()
    assert cell.mode == "FAULT"
    cell.recover()
    cell.tick(2)
    assert cell.mode == "HOLD"


def test_an_emergency_stop_before_the_link_was_lost_does_not_bar_the_way_back(cell):
    cell.running()
    cell.break_it(fault="emergency stop", estop=True)
    cell.driver.failure = ArmError("the robot was switched off")
    cell.tick(2)
    reconnect = cell.driver.clear_fault

    def clear_fault():
        cell.driver.failure = None
        cell.repair()
        reconnect()

    cell.driver.clear_fault = clear_fault
    cell.recover()
    cell.tick(2)
    assert cell.mode == "HOLD" and cell.answers[-1] is None


def test_an_emergency_stop_that_is_last_heard_of_long_ago_does_not_either(cell):
    cell.running()
    cell.break_it(fault="emergency stop", estop=True)
    cell.driver.frozen = True
    cell.tick(15)
    with pytest.raises(ArmFault, match="release it"):
        cell.recover()
    cell.tick(10)
    cell.recover()
    assert cell.driver.calls[-1] == "clear_fault"


def test_recoveries_that_fail_are_counted_too(cell):
    cell.running()
    cell.break_it()
    for _ in range(3):
        cell.recover()
        cell.tick(2)
        assert "still there" in str(cell.answers[-1])
    with pytest.raises(ArmFault, match="3 times in 600 s"):
        cell.recover()
    assert cell.driver.calls.count("clear_fault") == 3


def test_a_recovery_has_a_name_and_they_are_counted(cell):
    cell.running()
    for _ in range(3):
        cell.break_it()
        with pytest.raises(ArmError, match="name"):
            cell.recover(by=" ")
        cell.repair()
        cell.recover(by="Ada")
        cell.tick(2)
        assert cell.mode == "HOLD" and "recovered by Ada" in cell.supervisor.arm.events[-1][1]
    cell.break_it()
    cell.repair()
    with pytest.raises(ArmFault, match=r"3 times in 600 s.*in \d+ s"):
        cell.recover()
    cell.at(cell.now + 600_000 * MS)
    cell.tick()
    cell.recover()
    cell.tick(2)
    assert cell.mode == "HOLD"


def test_a_fault_while_the_driver_engages_ends_in_a_fault_and_let_go():
    cell = Cell(at_once=False)
    cell.open()
    cell.elsewhere.finish()
    cell.tick()
    cell.acquire()
    cell.start()
    cell.break_it()
    assert cell.mode == "FAULT"
    cell.elsewhere.finish()
    cell.tick(2)
    cell.elsewhere.finish()
    cell.tick(2)
    assert isinstance(cell.answers[-1], ArmFault) and cell.driver.calls[-2:] == ["engage", "disengage"]
    assert cell.driver.setpoints == []


# Force


def test_the_force_is_watched_in_every_round_not_only_at_commands(cell):
    cell.running()
    cell.target(x=0.012)
    cell.tick(2)
    spike = {"wrench": np.array([0.0, 0.0, -60.0, 0.0, 0.0, 0.0])}
    cell.driver.changes = spike
    cell.tick(2)
    cell.driver.changes = {}
    cell.tick()
    assert cell.mode == "RUN"
    cell.driver.changes = spike
    cell.tick(3)
    assert cell.mode == "HOLD" and cell.flags & GateFlag.FORCE and cell.state().force_n == 60.0
    cell.driver.changes = {}
    with pytest.raises(ArmError, match="HOLD"):
        cell.target()
    assert np.abs(np.diff(x_written(cell))).max() < 0.25 * 0.005 + 1e-9
    cell.start()
    assert cell.mode == "RUN"


def test_a_force_that_is_not_a_number_is_too_much(cell):
    cell.running()
    cell.driver.changes = {"wrench": np.full(6, np.nan)}
    cell.tick(3)
    assert cell.mode == "HOLD" and cell.flags & GateFlag.FORCE


# Settings and slow motions


def test_resets_move_with_limits_and_impedance_of_their_own():
    cell = Cell(EnvConfig(arm=ArmConfig(kind="franka", contact=SOFT, moving=STIFF)))
    cell.running()
    assert cell.driver.gains == SOFT
    assert cell.target(x=0.04).flags & GateFlag.LEASH
    cell.supervisor.resetting(cell.now, cell.stamp(), True)
    assert cell.driver.gains == STIFF
    assert not cell.target(x=0.04).flags & GateFlag.LEASH
    cell.supervisor.resetting(cell.now, cell.stamp(), False)
    assert cell.driver.gains == SOFT
    cell.supervisor.gains(cell.now, cell.stamp(), Gains())
    assert cell.driver.gains == Gains()


HARD = Gains(translation_n_m=10_000.0, clip_m=(0.05, 0.05, 0.05))
CAPPED = Gains(
    translation_n_m=2000.0,
    rotation_nm_rad=100.0,
    clip_m=(0.005, 0.005, 0.006),
    clip_neg_m=(0.005, 0.005, 0.0025),
    clip_rad=(0.05, 0.05, 0.02),
)


@pytest.mark.parametrize(
    ("gains", "says"),
    [
        (HARD, r"500\.0 N \+x \(limit 10\.0 N: env\.arm\.contact and env\.arm\.moving"),
        (Gains(1000.0, 40.0, clip_m=(0.01, 0.01, 0.0121)), r"12\.1 N \+z \(limit 12\.0 N"),
        (
            Gains(1000.0, 40.0, clip_m=(0.01, 0.01, 0.01), clip_neg_m=(0.01, 0.011, 0.005)),
            r"11\.0 N -y \(limit 10\.0 N",
        ),
        (Gains(1000.0, 40.0, clip_m=(0.01, 0.01, 0.01)), r"10\.0 N -z \(limit 5\.0 N"),
        (
            Gains(1000.0, 100.0, clip_m=(0.005, 0.005, 0.005), clip_rad=(0.05, 0.05, 0.03)),
            r"3\.0 Nm about \+z \(limit 2\.0 Nm",
        ),
    ],
)
def test_gains_that_press_harder_than_configured_are_refused(gains, says):
    cell = Cell(EnvConfig(arm=ArmConfig(kind="franka", contact=CAPPED))).running()
    for asked in (lambda: cell.supervisor.gains(cell.now, cell.stamp(), gains), lambda: cell.start(gains)):
        with pytest.raises(ArmError, match=says):
            asked()
    cell.supervisor.stop(cell.now)
    with pytest.raises(ArmError, match=says):
        cell.start(gains)
    assert cell.mode == "HOLD"
    cell.start()
    assert cell.driver.gains == CAPPED


def test_the_harder_of_contact_and_moving_is_the_bound():
    moving = Gains(2000.0, clip_m=(0.015, 0.015, 0.015))
    asked = Gains(1000.0, 50.0, clip_m=(0.03, 0.03, 0.03))
    cell = Cell(EnvConfig(arm=ArmConfig(kind="franka", contact=CAPPED, moving=moving))).running()
    cell.supervisor.gains(cell.now, cell.stamp(), asked)
    assert cell.driver.gains == asked
    with pytest.raises(ArmError, match=r"30\.1 N"):
        cell.supervisor.gains(cell.now, cell.stamp(), replace(asked, clip_m=(0.0301, 0.03, 0.03)))


def test_where_none_is_configured_the_force_limit_bounds_the_push():
    cell = Cell().running()
    for pushes in (Gains(), Gains(3400.0), Gains(700.0, clip_m=(0.05, 0.05, 0.05))):
        cell.supervisor.gains(cell.now, cell.stamp(), pushes)
        assert cell.driver.gains == pushes
    # A Franka's own clip is 7.5 mm, 10 mm upwards and down.
    for pushes, says in (
        (Gains(3600.0), r"36\.0 N \+z \(limit 35\.0 N: env\.limits\.force_limit_n"),
        (HARD, r"500\.0 N"),
        (Gains(rotation_nm_rad=100.0, clip_rad=(0.4, 0.1, 0.1)), r"40\.0 Nm about \+x \(limit 30\.0"),
    ):
        with pytest.raises(ArmError, match=says):
            cell.supervisor.gains(cell.now, cell.stamp(), pushes)


def test_a_driver_without_clips_of_its_own_is_bounded_by_the_leash():
    cell = Cell(EnvConfig(arm=ArmConfig(kind="sim_server"))).running()
    cell.supervisor.gains(cell.now, cell.stamp(), Gains(2900.0))
    with pytest.raises(ArmError, match=r"36\.0 N"):
        cell.supervisor.gains(cell.now, cell.stamp(), Gains(3000.0))


def joint_cell(at_once=False, home=HOME):
    cell = Cell(EnvConfig(arm=ArmConfig(kind="franka", joint_home=home)), at_once)
    cell.open()
    cell.elsewhere.finish()
    cell.tick()
    cell.acquire()
    cell.start()
    cell.elsewhere.finish()
    cell.tick(2)
    return cell


def move(cell, q=HOME):
    cell.supervisor.joints(cell.now, cell.stamp(), q, cell.done)


def test_a_joint_motion_goes_home_from_hold_with_the_driver_let_go():
    cell = joint_cell()
    with pytest.raises(ArmError, match="stop"):
        move(cell)
    cell.target(x=0.012)
    cell.tick(5)
    cell.supervisor.stop(cell.now)
    move(cell)
    assert "move_joints" not in cell.driver.calls  # it brakes first
    cell.tick(30)
    sent = len(cell.driver.setpoints)
    cell.elsewhere.finish()
    cell.tick(5)
    assert cell.driver.calls[-2:] == ["disengage", "move_joints"] and cell.answers[-1] is None
    assert cell.mode == "HOLD" and len(cell.driver.setpoints) == sent
    cell.start()
    cell.elsewhere.finish()
    cell.tick(2)
    assert cell.mode == "RUN" and cell.driver.engagements == 2


@pytest.mark.parametrize(
    ("home", "q", "says"),
    [((), HOME, "joint_home is empty"), (HOME, np.zeros(7), "only"), (HOME, HOME[:6], "only")],
)
def test_a_joint_motion_to_anywhere_else_is_refused(home, q, says):
    cell = joint_cell(home=home)
    cell.supervisor.stop(cell.now)
    with pytest.raises(ArmError, match=says):
        move(cell, q)


def moving():
    cell = joint_cell()
    cell.supervisor.stop(cell.now)
    cell.tick(30)
    move(cell)
    cell.tick()
    assert cell.state().job == "move_joints"
    return cell


def test_a_stop_ends_a_joint_motion_at_once():
    cell = moving()
    cell.supervisor.stop(cell.now, "somebody is in the way")
    assert cell.driver.aborted == 1
    cell.elsewhere.finish()
    cell.tick()
    assert "somebody is in the way" in str(cell.answers[-1]) and cell.mode == "HOLD"


def test_a_stop_counts_while_the_driver_lets_go_before_a_joint_motion():
    """Nothing moves yet that an abort could end."""
    cell = moving()
    disengage = cell.driver.disengage

    def stopped_meanwhile():
        cell.supervisor.stop(cell.now, "somebody is in the way")
        disengage()

    cell.driver.disengage = stopped_meanwhile
    cell.elsewhere.finish()
    cell.tick()
    assert "move_joints" not in cell.driver.calls and "in the way" in str(cell.answers[-1])


def test_a_joint_motion_is_told_to_end_in_every_round_until_it_has():
    """A driver whose motion only just begins may not have heard the first time."""
    cell = moving()
    cell.supervisor.stop(cell.now, "somebody is in the way")
    cell.tick(3)
    assert cell.driver.aborted == 4
    cell.elsewhere.finish()
    cell.tick(3)
    assert cell.driver.aborted == 4


def test_a_driver_that_cannot_end_a_motion_is_noted_once():
    cell = moving()

    def refuse():
        raise RuntimeError("no such call")

    cell.driver.abort = refuse
    cell.supervisor.stop(cell.now, "somebody is in the way")
    cell.tick(3)
    said = [what for _, what in cell.supervisor.arm.events if what.startswith("abort")]
    assert said == ["abort failed: no such call"]


def test_a_commander_that_dies_ends_its_joint_motion():
    cell = moving()
    began = cell.now
    while not cell.driver.aborted:
        cell.tick()
    assert 250 < (cell.now - began) / MS <= 305 and cell.flags & GateFlag.WATCHDOG
    cell.tick(50)
    assert cell.supervisor.watchdog_trips == 1
    cell.elsewhere.finish()
    cell.tick()
    assert "no heartbeat" in str(cell.answers[-1])


def test_heartbeats_keep_a_joint_motion_going():
    cell = moving()
    for _ in range(200):
        cell.tick(15)
        cell.supervisor.heartbeat(cell.now, cell.stamp())
    assert cell.driver.aborted == 0 and cell.supervisor.watchdog_trips == 0


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ((0.2, 0.0, 0.05, 0.0, 0.0, 0.0), "outside the workspace"),
        ((0.0, 0.0, 0.25, 0.0, 0.0, 0.0), "outside the workspace"),
        ((0.0, 0.0, -0.03, 0.0, 0.0, 0.0), "outside the workspace"),
        ((0.0, 0.0, 0.05, 0.7, 0.0, 0.0), "0.70 rad about x"),
        ((0.0, 0.0, 0.05, 0.0, -0.7, 0.0), "-0.70 rad about y"),
        ((0.0, 0.0, 0.05, 0.0, 0.0, 1.0), "1.00 rad about z"),
    ],
)
def test_a_joint_motion_that_leads_astray_is_a_fault(where, says):
    cell = moving()
    cell.driver.pose = FRAME.pose(where)
    cell.tick()
    assert cell.driver.aborted == 1 and cell.mode == "FAULT" and says in fault(cell)


def test_a_joint_motion_may_turn_the_tool_a_little_beyond_its_limits():
    cell = moving()
    cell.driver.pose = FRAME.pose((0.0, 0.0, 0.05, 0.5, 0.0, 0.7))
    cell.tick()
    assert cell.driver.aborted == 0 and cell.mode == "HOLD"


def test_a_joint_motion_that_presses_is_ended():
    cell = moving()
    cell.driver.changes = {"wrench": np.array([50.0, 0, 0, 0, 0, 0])}
    cell.tick(3)
    cell.elsewhere.finish()
    cell.tick()
    assert cell.driver.aborted >= 1 and "too hard" in str(cell.answers[-1]) and cell.mode == "HOLD"


def test_one_slow_thing_at_a_time():
    cell = joint_cell()
    cell.supervisor.stop(cell.now)
    cell.supervisor.tare(cell.now, cell.stamp(), cell.done)
    with pytest.raises(ArmError, match=r"busy \(zero_ft\)"):
        cell.supervisor.load(cell.now, cell.stamp(), 0.1, (0, 0, 0), cell.done)
    cell.elsewhere.finish()
    cell.tick()
    cell.supervisor.load(cell.now, cell.stamp(), 0.1, (0, 0, 0), cell.done)
    cell.elsewhere.finish()
    assert cell.driver.calls[-3:] == ["zero_ft", "disengage", "set_load"] and cell.elsewhere.most == 1


def test_a_load_is_changed_at_rest_and_let_go():
    cell = joint_cell()
    with pytest.raises(ArmError, match="RUN; stop"):
        cell.supervisor.load(cell.now, cell.stamp(), 0.1, (0, 0, 0.02), cell.done)
    cell.target(x=0.012)
    cell.tick(5)
    cell.supervisor.stop(cell.now)
    cell.supervisor.load(cell.now, cell.stamp(), 0.1, (0, 0, 0.02), cell.done)
    assert not cell.supervisor.arm.resting and cell.driver.calls[-1] == "engage"
    cell.tick(40)
    cell.elsewhere.finish()
    cell.tick()
    assert cell.driver.calls[-2:] == ["disengage", "set_load"] and cell.answers[-1] is None
    assert cell.mode == "HOLD"


@pytest.mark.parametrize(
    "load", [(-1.0, (0, 0, 0)), (float("nan"), (0, 0, 0)), (1.0, (0, 0, 3)), (1.0, (0, 0))]
)
def test_a_load_that_cannot_be_is_refused(cell, load):
    cell.open().acquire()
    with pytest.raises(ArmError, match="load of"):
        cell.supervisor.load(cell.now, cell.stamp(), *load, cell.done)


def test_the_gripper_moves_at_once_and_not_in_a_fault(cell):
    cell.open().acquire()
    for action in ("open", "close", "move"):
        cell.supervisor.gripper(cell.now, cell.stamp(), action, 0.03, 20.0)
    assert cell.driver.gripper.calls == ["open", "close", ("move", 0.03, 20.0)]
    with pytest.raises(ArmError, match="gripper to"):
        cell.supervisor.gripper(cell.now, cell.stamp(), "move", 9.0, 20.0)
    cell.break_it()
    with pytest.raises(ArmFault):
        cell.supervisor.gripper(cell.now, cell.stamp(), "open", 0.0, 0.0)
