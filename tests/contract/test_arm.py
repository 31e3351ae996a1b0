"""What every arm must do, whatever it is made of. A driver joins with a bench in `tests/support/benches`.

Every bench has a `station()`, which makes one for each test; what outlives a test, such as the process of an
emulator, is the station's. One whose extra is not installed is skipped, with the line that says so.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from benches.bench import PERIOD_S, Bench
from commander import RawCommander

from handrail.robot_env.arms.arm import ArmMode, ArmState, Gains
from handrail.robot_env.config import EnvConfig, LimitsConfig
from handrail.robot_env.errors import ArmError, ArmFault, ConfigError, MissingExtra
from handrail.robot_env.gate import GateFlag
from handrail.robot_env.geometry import pose_distance, quat_rotate
from handrail.robot_env.remote.client import ArmClient
from handrail.robot_env.remote.messages import Hello, SetGains, Start, Target
from handrail.robot_env.remote.operator import ArmOperator

SEVERAL_S = 10.0
BENCHES: dict[str, tuple[str, tuple[str, ...]]] = {
    "lockstep panda": ("lockstep", ("panda",)),
    "lockstep ur5e": ("lockstep", ("ur5e",)),
    "sim server": ("sim_server", ()),
    "franka": ("franka", ()),
    "ur": ("ur", ()),
    "serl http": ("serl_http", ()),
}
# Two servers between the commander and the robot, each with age limits of its own.
IN_REAL_TIME = ("serl http",)
EVERY = [
    pytest.param(name, marks=pytest.mark.realtime, id=name) if name in IN_REAL_TIME else name
    for name in BENCHES
]
SERVED = [each for name, each in zip(BENCHES, EVERY, strict=True) if not name.startswith("lockstep")]


@pytest.fixture(scope="module", params=EVERY)
def station(request) -> Iterator[Callable[[], Bench]]:
    """Makes benches of one kind; all that is tested on it comes before the next kind is started."""
    name, arguments = BENCHES[request.param]
    module = pytest.importorskip(f"benches.{name}", exc_type=ImportError)
    with module.station(*arguments) as make:
        yield make


@pytest.fixture
def bench(station) -> Iterator[Bench]:
    try:
        bench = station()
    except MissingExtra as missing:
        pytest.skip(str(missing))
    try:
        bench.arm.connect()
        yield bench
    finally:
        bench.close()


@pytest.fixture
def served(bench) -> Bench:
    """Of a test that is `behind_the_server`."""
    return bench


behind_the_server = pytest.mark.parametrize("station", SERVED, indirect=True, scope="module")


def press(bench: Bench) -> ArmState:
    """Press the module on the board beside the slot; a reading in which it does, for the force swings."""
    for _ in range(40):
        bench.drive(bench.above(y=0.01, z=-0.005), PERIOD_S)
        state = bench.arm.state()
        if state.wrench[2] < -4.0:  # the tool's z points down, the board pushes up
            return state
    pytest.fail(f"it never pressed: {state.wrench}")


def require_joint_home(bench: Bench) -> None:
    if not bench.joint_home:
        pytest.skip("this arm makes no joint motion that can be ended")


def settings(bench: Bench) -> EnvConfig:
    assert bench.config is not None
    return bench.config


def test_it_comes_up_holding_and_drops_commands_until_started(bench):
    before = bench.arm.state()
    assert before.mode is ArmMode.HOLD
    with pytest.raises(ArmError, match=r"HOLD.*start"):
        bench.arm.set_target(bench.above(x=0.02))
    bench.wait(0.3)
    after = bench.arm.state()
    assert after.gate_flags & GateFlag.HOLD
    assert pose_distance(before.pose, after.pose)[0] < 5e-4


def test_quaternions_are_xyzw_and_the_tool_points_down(bench):
    pose = bench.arm.state().pose
    assert pose.shape == (7,) and np.linalg.norm(pose[3:]) == pytest.approx(1.0)
    np.testing.assert_allclose(quat_rotate(pose[3:], (0, 0, 1)), (0, 0, -1), atol=0.02)


def test_readings_have_their_shapes_and_belong_to_the_reader(bench):
    first = bench.arm.state()
    assert first.twist.shape == first.wrench.shape == (6,) and first.q.shape == first.dq.shape
    first.pose[:] = np.nan
    bench.wait(0.03)
    second = bench.arm.state()
    assert np.isfinite(second.pose).all() and second.t_ns > first.t_ns


def test_it_tracks_a_target(bench):
    bench.arm.start()
    target = bench.above(x=0.008, y=-0.005, z=0.06, yaw=0.1)
    state = bench.reach(target)
    distance_m, angle_rad = pose_distance(state.pose, target)
    assert distance_m < bench.tolerance_m and angle_rad < 10 * bench.tolerance_m


def test_a_quaternion_and_its_negative_move_it_alike(bench):
    bench.arm.start()
    target = bench.above(x=0.004, z=0.055, yaw=0.08)
    mirrored = np.concatenate([target[:3], -target[3:]])
    goals = []
    for pose in (target, mirrored):
        bench.reach(bench.above())
        goals.append(bench.arm.set_target(pose))
        distance_m, angle_rad = pose_distance(bench.reach(pose).pose, target)
        assert distance_m < bench.tolerance_m and angle_rad < 10 * bench.tolerance_m
    distance_m, angle_rad = pose_distance(*goals)
    assert distance_m < bench.tolerance_m and angle_rad < 10 * bench.tolerance_m


def test_its_twist_is_in_the_base_frame(bench):
    bench.arm.start()
    bench.reach(bench.above())
    for _ in range(20):  # to and fro until it is caught in the middle of a motion along x
        for x in (0.02, -0.02):
            bench.arm.set_target(bench.above(x=x))
            for _ in range(5):
                bench.wait(0.02)
                twist = bench.arm.state().twist
                if twist[0] > 0.02:
                    assert np.abs(twist[1:3]).max() < twist[0] / 2
                    return
    pytest.fail("it was never seen to move along x")


def test_the_wrench_is_what_the_environment_does_to_the_tool(bench):
    bench.arm.start()
    bench.reach(bench.above(y=0.01))
    bench.arm.zero_ft()
    assert np.abs(bench.arm.state().wrench).max() < 0.5
    state = press(bench)
    assert state.peak_force_n >= abs(state.wrench[2]) - 0.5
    assert quat_rotate(state.pose[3:], state.wrench[:3])[2] > 3.0


def test_the_peak_force_is_the_one_since_the_last_reading(bench):
    bench.arm.start()
    bench.reach(bench.above(y=0.01))
    bench.arm.zero_ft()
    assert press(bench).peak_force_n > 3.0
    bench.drive(bench.above(y=0.01, z=0.03), 0.7)
    assert bench.arm.state().peak_force_n > 3.0  # it still pressed when this time began
    bench.reach(bench.above(y=0.01, z=0.03))
    bench.wait(0.1)
    assert bench.arm.state().peak_force_n < 2.0


def test_the_goal_it_returns_is_the_one_the_gate_let_through(bench):
    bench.arm.start()
    here = bench.arm.state().pose
    goal = bench.arm.set_target(bench.above(x=0.5))
    assert bench.arm.state().gate_flags & GateFlag.LEASH
    assert pose_distance(goal, here)[0] == pytest.approx(LimitsConfig().motion.leash_m, rel=0.02)


def test_stop_brakes_holds_and_starts_again_where_it_stands(bench):
    bench.arm.start()
    bench.drive(bench.above(x=0.03), 0.3)
    bench.arm.stop()
    bench.wait(0.4)
    stopped = bench.arm.state()
    assert stopped.mode is ArmMode.HOLD and np.abs(stopped.twist[:3]).max() < 5e-3
    with pytest.raises(ArmError):
        bench.arm.set_target(bench.above())
    bench.arm.start()
    bench.wait(0.3)
    assert bench.arm.state().mode is ArmMode.RUN
    assert pose_distance(stopped.pose, bench.arm.state().pose)[0] < 1e-3


def test_no_number_that_is_not_finite_moves_it(bench):
    bench.arm.start()
    before = bench.reach(bench.above()).pose
    for bad in (np.full(7, np.nan), np.full(7, np.inf)):
        goal = bench.arm.set_target(bad)
        assert np.isfinite(goal).all()
        bench.wait(0.2)
        state = bench.arm.state()
        assert state.gate_flags & GateFlag.NONFINITE
        assert pose_distance(before, state.pose)[0] < 1e-3


def test_new_gains_do_not_move_a_resting_arm(bench):
    bench.arm.start()
    before = bench.reach(bench.above()).pose
    bench.arm.set_gains(Gains(translation_n_m=1000.0, rotation_nm_rad=75.0))
    bench.wait(0.4)
    assert pose_distance(before, bench.arm.state().pose)[0] < 1e-3


def test_a_fault_is_latched_until_its_cause_is_gone_and_an_operator_recovers(bench, figure):
    bench.arm.start()
    bench.break_it()
    faulted_ns = bench.clock.now_ns()
    if bench.stopped_ns is not None:
        took_ms = (faulted_ns - bench.stopped_ns()) / 1e6
        figure(f"{settings(bench).arm.kind}: the robot stops to FAULT, its own time", took_ms, "ms")
    with pytest.raises(ArmFault, match="recover"):
        bench.arm.start()
    with pytest.raises(ArmFault):
        bench.arm.recover()
    bench.repair_it()
    with pytest.raises(ArmError):
        bench.arm.set_target(bench.above())
    began_ns = bench.clock.now_ns()
    bench.arm.recover()
    assert bench.arm.state().mode is ArmMode.HOLD
    if bench.config is not None:
        took_ms = (bench.clock.now_ns() - began_ns) / 1e6
        figure(f"{bench.config.arm.kind}: recover to HOLD, its own time", took_ms, "ms")
    bench.arm.start()
    bench.reach(bench.above())


def test_a_joint_motion_goes_home_and_the_set_point_begins_there(bench):
    require_joint_home(bench)
    bench.arm.start()
    bench.reach(bench.above(x=0.03, y=-0.02, z=0.06, yaw=0.15))
    with pytest.raises(ArmError, match=r"RUN; stop\(\)"):
        bench.arm.move_joints(bench.joint_home)
    bench.arm.stop()
    bench.arm.move_joints(bench.joint_home)
    arrived = bench.arm.state()
    assert arrived.mode is ArmMode.HOLD
    np.testing.assert_allclose(arrived.q, bench.joint_home, atol=0.01)
    bench.arm.start()
    bench.wait(0.3)
    assert pose_distance(arrived.pose, bench.arm.state().pose)[0] < 2e-3  # nothing pulls it back
    bench.reach(bench.above())


def test_whoever_is_asked_in_a_joint_motion_ends_it(bench):
    ended_in_the_middle(bench, lambda: "that is far enough")


def ended_in_the_middle(bench: Bench, reason: Callable[[], str]) -> None:
    """Ask for `reason` when a joint motion is under way; the arm then holds, and can go on."""
    require_joint_home(bench)
    home, began, asked = np.array(bench.joint_home), np.zeros(0), 0
    bench.arm.start()
    began = bench.reach(bench.above(x=0.03, y=-0.02, z=0.06, yaw=0.15)).q
    bench.arm.stop()

    def interrupt() -> str:
        nonlocal asked
        asked += 1
        return reason() if np.abs(bench.arm.state().q - began).max() > 0.01 else ""

    with pytest.raises(ArmError, match="ended"):
        bench.arm.move_joints(home, interrupt)
    stopped = bench.arm.state()
    assert asked > 1 and stopped.mode is ArmMode.HOLD and np.abs(stopped.q - home).max() > 0.02
    bench.wait(0.3)
    np.testing.assert_allclose(bench.arm.state().q, stopped.q, atol=5e-3)
    bench.wait(0.3)
    bench.arm.move_joints(home)  # nothing is wrong with it
    np.testing.assert_allclose(bench.arm.state().q, home, atol=0.01)
    bench.arm.start()
    bench.reach(bench.above())


def test_it_can_be_closed_twice_and_says_so_when_used_afterwards(bench):
    bench.arm.close()
    bench.arm.close()
    with pytest.raises(ArmError, match="connect"):
        bench.arm.state()


# Arms behind the arm server


@behind_the_server
def test_a_second_commander_is_refused_and_told_who_commands(served):
    second = ArmClient(settings(served), "intruder")
    with pytest.raises(ArmError, match=r"commanded by 'contract suite' \(process \d+ on "):
        second.connect()
    served.arm.start()
    assert served.arm.state().mode is ArmMode.RUN
    served.arm.close()
    second.connect()
    assert second.state().mode is ArmMode.HOLD
    second.close()


@behind_the_server
def test_a_commander_with_other_limits_is_refused(served):
    served.arm.close()
    with RawCommander(settings(served)) as raw:
        reply = raw.acquire(other={"env.limits": "other"})
        assert (reply.error, raw.token) == (ConfigError.__name__, "") and "env.limits" in reply.message


@behind_the_server
def test_anybody_may_stop_it(served):
    served.arm.start()
    with ArmOperator(settings(served)) as operator:
        assert operator.stop()
        assert operator.state().mode is ArmMode.HOLD
    commander = served.arm
    assert isinstance(commander, ArmClient)  # which hears of what others do when the next state comes
    assert commander.feed.wait(lambda state: state.mode == ArmMode.HOLD.value, SEVERAL_S)


@behind_the_server
def test_anybody_may_stop_a_joint_motion(served):
    with ArmOperator(settings(served)) as operator:

        def somebody_stops_it() -> str:
            operator.stop()
            return ""

        ended_in_the_middle(served, somebody_stops_it)


@behind_the_server
def test_old_foreign_and_repeated_commands_are_dropped_counted_and_flagged(served):
    served.arm.close()
    config = settings(served)
    pose = served.above(x=0.01).tolist()
    with ArmOperator(config) as watch, RawCommander(config, offset_ns=10**15) as raw:
        assert raw.ask(Hello()).body is not None
        raw.acquire()
        assert raw.ask(Start()).error == ""
        assert raw.ask(Target(pose)).error == ""
        watch.feed.wait(lambda state: state.mode == ArmMode.RUN.value, SEVERAL_S)
        watch.state()
        for refused, how in (
            ("ms old", {"age_ns": 5 * 10**9}),
            ("was dropped", {"sequence": 2}),
            ("lease has ended", {"token": "a stranger's"}),
        ):
            before = watch.state()
            reply = raw.ask(Target(pose), **how)
            assert refused in reply.message
            watch.feed.wait(lambda state, tick=reply.tick: state.tick >= tick, SEVERAL_S)
            assert watch.state().gate_flags & GateFlag.STALE and before.mode is ArmMode.RUN
        assert watch.newest is not None and watch.newest.counters.dropped == 3
        assert raw.ask(SetGains(Gains()), age_ns=5 * 10**9).error == "ArmError"


@behind_the_server
def test_a_silent_commander_loses_its_lease_and_the_arm_holds(served):
    served.arm.close()
    config = settings(served)
    with ArmOperator(config) as watch, RawCommander(config) as raw:
        raw.acquire("silent one")
        raw.ask(Start())
        assert watch.feed.wait(lambda state: state.mode == "run", SEVERAL_S)
        assert watch.feed.wait(lambda state: state.mode == "hold" and state.lease == 0, SEVERAL_S)
        assert watch.state().gate_flags & GateFlag.WATCHDOG
        assert raw.ask(Start()).error == "LeaseLost"
    served.arm.connect()  # nobody has to wait for a dead commander
    served.arm.start()
    assert served.arm.state().mode is ArmMode.RUN


@behind_the_server
def test_three_recoveries_in_ten_minutes_are_enough(served):
    for _ in range(3):
        served.break_it()
        served.repair_it()
        served.arm.recover(by="a patient operator")
        assert served.arm.state().mode is ArmMode.HOLD
    served.break_it()
    served.repair_it()
    with pytest.raises(ArmFault, match=r"3 times in 600 s.*possible in \d+ s"):
        served.arm.recover(by="a patient operator")
