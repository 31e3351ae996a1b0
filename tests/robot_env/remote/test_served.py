"""Client and server over real sockets, with an arm that does at once what it is told."""

import socket
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import replace

import msgspec
import numpy as np
import pytest
import zmq
from benches.served import RunningServer, served_config
from commander import RawCommander
from recording import RecordingDriver
from supervised import ABOVE, FRAME

from handrail.robot_env.arms.arm import ArmMode, Gains
from handrail.robot_env.arms.config import ArmServerConfig
from handrail.robot_env.config import LimitsConfig, TaskConfig
from handrail.robot_env.errors import ArmError, ArmFault, ConfigError
from handrail.robot_env.gate import GateFlag
from handrail.robot_env.remote import client as remote_client
from handrail.robot_env.remote import wire
from handrail.robot_env.remote.client import ArmClient, greet
from handrail.robot_env.remote.endpoints import Endpoints, make_keys
from handrail.robot_env.remote.messages import Start, Target
from handrail.robot_env.remote.operator import ArmOperator, stop_arm
from handrail.robot_env.remote.wire import PROTOCOL, unpack_reply

SOON_S = 10.0
HOME = (0.0, -0.8, 0.0, -2.4, 0.0, 1.6, 0.8)
GENEROUS = ArmServerConfig(watchdog_s=5.0, lease_s=5.0, command_age_s=2.0, reading_age_s=2.0)
CONFIG = replace(
    served_config("franka", server=GENEROUS, joint_home=HOME),
    task=TaskConfig(seated_pose=tuple(FRAME.pose([0.0] * 6).tolist())),
)


class LiveDriver(RecordingDriver):
    """In real time; its joint motion lasts until it is aborted."""

    def __init__(self, **how):
        super().__init__(FRAME.pose(ABOVE), **how)
        self.moving, self.let_go = threading.Event(), threading.Event()
        self.closed = threading.Event()

    @property
    def now_ns(self):
        return time.monotonic_ns()

    @now_ns.setter
    def now_ns(self, value):
        pass

    def move_joints(self, q, speed):
        self.moving.set()
        assert self.let_go.wait(SOON_S)
        raise ArmError("aborted")

    def abort(self):
        super().abort()
        self.let_go.set()

    def close(self):
        self.closed.set()


@contextmanager
def serving(config=CONFIG, driver=None):
    with closing(RunningServer(driver or LiveDriver(), config)) as running:
        yield running


@pytest.fixture
def driver():
    return LiveDriver()


@pytest.fixture
def running(driver):
    with serving(driver=driver) as running:
        yield running


@pytest.fixture
def client(running):
    with closing(ArmClient(running.config)) as client:
        client.connect()
        yield client


def pose(x=0.0, z=0.04):
    return FRAME.pose((x, 0.0, z, 0.0, 0.0, 0.0))


def free_ports():
    """A port that is free, and the next one too."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


def with_server(config, **changes):
    return replace(config, arm=replace(config.arm, server=replace(config.arm.server, **changes)))


def test_without_a_server_the_client_says_how_to_start_one(tmp_path):
    config = with_server(CONFIG, address=f"ipc://{tmp_path}")
    with pytest.raises(ArmError, match=r"no arm server answers for 'arm' .* start `handrail arm-server`"):
        greet(config, timeout_s=0.1)


def test_making_a_client_takes_no_lease_and_leaves_nothing_open(running):
    client = ArmClient(running.config)
    assert client.gripper is not None and client.scene is None
    with pytest.raises(ArmError, match="connect"):
        client.state()
    with ArmOperator(running.config) as operator:
        operator.state()
        assert operator.newest is not None and operator.newest.lease == 0


def test_a_state_never_shows_the_world_from_before_the_last_answer(client, driver):
    for _ in range(20):
        client.start()
        assert client.state().mode is ArmMode.RUN
        client.set_target(pose(x=0.5))
        assert client.state().gate_flags & GateFlag.LEASH
        client.stop()
        assert client.state().mode is ArmMode.HOLD
        with pytest.raises(ArmError):
            client.set_target(pose())
        assert client.state().gate_flags & GateFlag.HOLD


def test_flags_and_peaks_are_kept_until_somebody_looks_and_for_everybody(client, driver, running):
    client.start()
    with ArmOperator(running.config) as operator:
        operator.state()
        driver.changes = {"wrench": np.array([0.0, 0.0, -20.0, 0.0, 0.0, 0.0])}
        assert operator.feed.wait(lambda state: state.force_n == 20.0, SOON_S)
        driver.changes = {}
        assert operator.feed.wait(lambda state: state.force_n == 0.0, SOON_S)
        client.set_target(pose(x=0.5))
        first = client.state()  # of after the command
        after = client.newest.tick
        assert operator.feed.wait(lambda state: state.tick >= after, SOON_S)
        for reader, state in ((client, first), (operator, operator.state())):
            assert state.peak_force_n == 20.0 and state.gate_flags & GateFlag.LEASH
            again = reader.state()
            assert again.peak_force_n == 0.0 and not again.gate_flags


def test_errors_of_the_server_are_raised_as_what_they_are(client, driver):
    client.start()
    driver.changes = {"fault": "reflex", "engaged": False}
    assert client.feed.wait(lambda state: state.mode == "fault", SOON_S)
    for refused in (client.start, lambda: client.set_target(pose()), client.recover):
        with pytest.raises(ArmFault, match="reflex"):
            refused()
    state = client.state()
    assert (state.mode, state.fault) == (ArmMode.FAULT, "reflex")
    driver.changes = {}
    client.recover(by="Ada")
    assert client.state().mode is ArmMode.HOLD


def test_a_client_with_other_limits_is_refused(running):
    other = replace(running.config, limits=LimitsConfig(force_limit_n=10.0))
    with pytest.raises(ConfigError, match=r"differ in env\.limits"):
        ArmClient(other).connect()


def test_gains_load_tare_and_gripper_reach_the_driver(client, driver):
    client.set_load(0.4, (0.0, 0.0, 0.05))
    assert driver.calls[-2:] == ["disengage", "set_load"]
    client.start(Gains(translation_n_m=700.0))
    assert driver.gains == Gains(translation_n_m=700.0)
    client.set_gains(Gains(clip_m=(0.004, 0.004, 0.002)))
    assert driver.gains == Gains(clip_m=(0.004, 0.004, 0.002))
    with pytest.raises(ArmError, match=r"RUN; stop\(\) it before its load"):
        client.set_load(0.4, (0.0, 0.0, 0.05))
    client.zero_ft()
    client.gripper.move(0.02, 30.0)
    client.gripper.open()
    assert driver.calls[-1] == "zero_ft"
    assert driver.gripper.calls == [("move", 0.02, 30.0), "open"]
    assert client.gripper.width_m == 0.0


def test_a_stop_from_another_thread_ends_a_joint_motion(client, driver):
    stopper = threading.Thread(target=lambda: (driver.moving.wait(SOON_S), client.stop()))
    stopper.start()
    with pytest.raises(ArmError, match="stopped"):
        client.move_joints(HOME)
    stopper.join()
    assert driver.aborted >= 1 and client.state().mode is ArmMode.HOLD


class Forgetful(LiveDriver):
    """Begins its joint motion when it is let, and has then forgotten what it was told before."""

    def __init__(self):
        super().__init__()
        self.begin, self.ended_by_abort = threading.Event(), False

    def move_joints(self, q, speed):
        self.moving.set()
        assert self.begin.wait(SOON_S)
        self.let_go.clear()
        self.ended_by_abort = self.let_go.wait(SOON_S)
        raise ArmError("aborted")


def test_one_stop_is_enough_for_a_joint_motion_that_only_just_begins():
    driver, told = Forgetful(), []

    def stop():
        assert driver.moving.wait(SOON_S)
        with ArmOperator(running.config) as operator:
            told.append(operator.stop())
        driver.begin.set()

    with serving(driver=driver) as running, closing(ArmClient(running.config)) as client:
        client.connect()
        stopper = threading.Thread(target=stop)
        stopper.start()
        with pytest.raises(ArmError, match="stopped"):
            client.move_joints(HOME)
        stopper.join()
    assert told == [True] and driver.ended_by_abort


def test_a_commander_who_lost_the_arm_holds_nobody_else_s(driver):
    config = with_server(CONFIG, lease_s=0.3)
    with serving(config, driver) as running, closing(ArmClient(running.config)) as client:
        client.connect()
        client.start()
        client.hold()
        assert client.state().mode is ArmMode.HOLD
        client._beats, beats = None, client._beats  # its heart stops
        assert client.feed.wait(lambda state: state.lease == 0, SOON_S)
        client._beats = beats
        client.hold()  # nobody has it: no harm
        with closing(ArmClient(running.config, "somebody")) as other:
            other.connect()
            other.start()
            assert client.feed.wait(lambda state: "somebody" in state.commander, SOON_S)
            with pytest.raises(ArmError, match="commanded by 'somebody'"):
                client.hold()
            assert other.state().mode is ArmMode.RUN and other.stops == 0


def test_a_hold_that_no_server_hears_says_so(running):
    with closing(ArmClient(running.config)) as client:
        client.connect()
        running.close()
        with pytest.raises(ArmError, match="server"):
            client.hold()


def test_a_lost_lease_is_taken_anew_by_the_next_start(driver):
    config = with_server(CONFIG, lease_s=0.3)
    with serving(config, driver) as running, closing(ArmClient(running.config)) as client:
        client.connect()
        client.start()
        client._beats, beats = None, client._beats  # its heart stops
        assert client.feed.wait(lambda state: state.lease == 0, SOON_S)
        with pytest.raises(ArmError, match="lease has ended"):
            client.set_target(pose())
        assert client.state().mode is ArmMode.HOLD
        client._beats = beats
        client.start()
        client.set_target(pose())
        assert client.state().mode is ArmMode.RUN


def test_a_server_that_ends_lets_go_of_the_arm_and_the_client_faults_and_finds_the_next_one(driver, tmp_path):
    tmp_path.chmod(0o700)
    config = with_server(CONFIG, watchdog_s=0.5)
    first = RunningServer(driver, config)
    client = ArmClient(first.config)
    with closing(client):
        client.connect()
        client.start()
        client.set_target(pose(x=0.01))
        first.close()
        assert driver.closed.is_set() and driver.calls[-1] == "disengage"
        client.feed.wait(lambda state: False, 0.6)
        with pytest.raises(ArmError, match=r"silent.*handrail arm-server"):
            client.state()
        with pytest.raises(ArmError):
            client.set_target(pose())
        client.stop()
        same = with_server(CONFIG, watchdog_s=0.5, address=first.config.arm.server.address)
        boot = client.newest.boot
        with serving(same):
            assert client.feed.wait(lambda state: state.boot != boot, SOON_S)
            assert client.state().mode is ArmMode.HOLD
            with pytest.raises(ArmError, match="lease"):
                client.set_target(pose())
            client.start()
            assert client.state().mode is ArmMode.RUN


def test_a_state_from_before_a_command_that_nobody_answered_counts_no_more(driver, tmp_path):
    """A server that was killed leaves a young state of an arm that is well: nobody goes on because of it."""
    tmp_path.chmod(0o700)
    config = with_server(CONFIG, watchdog_s=3.0, command_age_s=0.1)
    first = RunningServer(driver, config)
    with closing(ArmClient(first.config)) as client:
        client.connect()
        client.start()
        first.close()
        with pytest.raises(ArmError, match="not answer in time"):
            client.set_target(pose())
        boot = client.newest.boot
        with pytest.raises(ArmError, match=r"silent.*handrail arm-server"):
            client.state()
        with serving(with_server(config, address=first.config.arm.server.address)):
            assert client.feed.wait(lambda state: state.boot != boot, SOON_S)
            client.start()
            assert client.state().mode is ArmMode.RUN


def test_a_server_that_ends_cannot_be_started_again(driver):
    running = RunningServer(driver, CONFIG)
    gone = threading.Event()

    def insist():
        with RawCommander(running.config) as raw:
            raw.acquire()
            raw.ask(Start())
            side = 1
            while not gone.is_set():
                raw.send(Start())
                raw.send(Target(pose(x=0.03 * side).tolist()))
                if abs(driver.pose[0] - pose(x=0.03 * side)[0]) < 0.005:
                    side = -side
                time.sleep(0.002)

    insisting = threading.Thread(target=insist)
    insisting.start()
    try:
        deadline_s = time.monotonic() + SOON_S
        while len(driver.setpoints) < 100 and time.monotonic() < deadline_s:
            time.sleep(0.01)
    finally:
        running.close()
        gone.set()
        insisting.join()
    supervisor = running.server.supervisor
    assert len(driver.setpoints) >= 100 and supervisor.mode is ArmMode.HOLD and supervisor.arm.resting
    assert driver.calls[-1] == "disengage" and driver.closed.is_set()


def test_a_client_whose_joint_motion_takes_long_is_heard_all_the_while(driver):
    config = with_server(CONFIG, watchdog_s=0.8, lease_s=8.0)
    with serving(config, driver) as running, closing(ArmClient(running.config)) as client:
        client.connect()
        stopper = threading.Thread(target=lambda: (driver.let_go.wait(1.7), driver.let_go.set()))
        stopper.start()
        with pytest.raises(ArmError, match="aborted"):  # what the driver says when it is told to let go
            client.move_joints(HOME)
        stopper.join()
        assert driver.aborted == 0 and client.newest.counters.watchdog == 0


def test_a_client_is_asked_in_a_joint_motion_whether_it_may_go_on(client, driver):
    client.connect()
    asked = []

    def interrupt():
        asked.append(driver.moving.is_set())
        return "paused by the operator" if driver.moving.is_set() and len(asked) > 2 else ""

    with pytest.raises(ArmError, match="motion was ended: stopped"):
        client.move_joints(HOME, interrupt)
    assert driver.aborted >= 1 and len(asked) > 2
    assert client.state().mode is ArmMode.HOLD and client.newest.counters.stops == 0  # its own stop


def test_a_robot_that_cannot_be_reached_ends_the_server_with_its_reason(driver):
    driver.refuse["connect"] = "no route to the robot"
    with pytest.raises(ArmError, match="no route to the robot"):
        RunningServer(driver, CONFIG)


def test_rubbish_is_counted_and_disturbs_nobody(client, running):
    client.start()
    rng = np.random.default_rng(0)
    with RawCommander(running.config) as stranger:
        valid = b"\x86\xa8protocol\x01"
        for size in rng.integers(0, 300, 3000):
            stranger.socket.send(rng.bytes(int(size)) if size % 2 else valid + rng.bytes(int(size)))
        stranger.socket.send_multipart([b"one", b"two", b"three"])
        client.set_target(pose(x=0.002))
        assert stranger.ask(Target(pose().tolist()), token="guess").error == "LeaseLost"
    assert client.feed.wait(
        lambda state: state.counters.malformed >= 3000 and state.counters.dropped == 1, SOON_S
    )
    assert client.state().mode is ArmMode.RUN


def test_a_frame_that_is_too_big_costs_its_sender_the_connection_and_nobody_else(client, running):
    client.start()
    with RawCommander(running.config) as stranger:
        stranger.socket.send(bytes(1_000_000))
    client.set_target(pose())
    assert client.state().mode is ArmMode.RUN


@pytest.mark.parametrize("body", [{"type": "recover", "by": "Ada"}, {"type": "of later days"}, "nothing"])
def test_another_protocol_is_told_so(running, body):
    with RawCommander(running.config) as stranger:
        reply = said_in_another_protocol(stranger, body)
        assert reply.id == 5 and f"protocol {PROTOCOL}, this client 99" in reply.message


def test_a_stop_counts_whatever_its_protocol(client, running):
    client.start()
    with RawCommander(running.config) as stranger:
        assert not said_in_another_protocol(stranger, {"type": "hello"}).error
        assert client.state().mode is ArmMode.RUN
        assert not said_in_another_protocol(stranger, {"type": "stop", "of_later_days": 1}).error
    assert client.feed.wait(lambda state: state.mode == ArmMode.HOLD.value, SOON_S)


def test_a_client_of_another_version_stops_the_arm_and_is_told_so_where_it_wants_more(
    client, running, monkeypatch
):
    client.start()
    for part in (wire, remote_client):  # what is sent from here on is of another version
        monkeypatch.setattr(part, "PROTOCOL", 99)
    stop_arm(running.config)
    assert client.feed.wait(lambda state: state.mode == ArmMode.HOLD.value, SOON_S)
    with pytest.raises(ConfigError, match=f"protocol {PROTOCOL}, this client 99"):
        greet(running.config)


def said_in_another_protocol(stranger, body):
    envelope = {"protocol": 99, "id": 5, "sent_ns": 0, "token": "", "sequence": 0, "body": body}
    stranger.socket.send(msgspec.msgpack.encode(envelope))
    assert stranger.socket.poll(10_000)
    return unpack_reply(stranger.socket.recv())


def test_a_subscriber_that_does_not_read_disturbs_nobody(client, running):
    idle = zmq.Context.instance().socket(zmq.SUB)
    idle.setsockopt(zmq.RCVHWM, 1)
    idle.setsockopt(zmq.SUBSCRIBE, b"")
    idle.connect(Endpoints.of(running.config.arm).state)
    try:
        begun = client.newest.tick
        assert client.feed.wait(lambda state: state.tick > begun + 300, SOON_S)
        client.start()
        assert client.state().mode is ArmMode.RUN
    finally:
        idle.close(0)


def test_over_tcp_with_keys_the_right_client_is_served_and_a_stranger_hears_nothing(driver, tmp_path):
    keys, others = tmp_path / "keys", tmp_path / "others"
    make_keys(keys)
    make_keys(others)
    (others / "server.key").write_bytes((keys / "server.key").read_bytes())  # it knows whom to call
    config = with_server(CONFIG, address=f"tcp://127.0.0.1:{free_ports()}", keys=str(keys))
    with serving(config, driver) as running, closing(ArmClient(running.config)) as client:
        client.connect()
        client.start()
        client.set_target(pose(x=0.002))
        assert client.state().mode is ArmMode.RUN
        for stranger in (with_server(config, keys=str(others)), with_server(config, keys="")):
            with pytest.raises(ArmError, match="no arm server answers"):
                greet(stranger, timeout_s=0.5)
        client.set_target(pose(x=0.003))


def test_two_servers_cannot_have_one_address(running):
    with pytest.raises(ArmError, match="already runs"):
        RunningServer(LiveDriver(), running.config)


def test_a_start_by_somebody_without_the_lease_is_dropped(client, running):
    with RawCommander(running.config) as stranger:
        assert stranger.ask(Start()).error == "LeaseLost"
    assert client.state().mode is ArmMode.HOLD
