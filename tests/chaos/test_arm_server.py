"""The arm server and its commander: killed, stopped, flooded, ignored. Times are the server's own stamps."""

import os
import random
import signal
import subprocess
import time
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
import zmq
from arm_process import configured, spawn
from commander import RawCommander

from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose
from handrail.launch.bench.arm_sides import train_flat_out
from handrail.launch.bench.side import other_side
from handrail.robot_env import realtime
from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.errors import ArmError
from handrail.robot_env.gate import GateFlag
from handrail.robot_env.remote.client import ArmClient, greet
from handrail.robot_env.remote.endpoints import Endpoints
from handrail.robot_env.remote.messages import Start, Target
from handrail.robot_env.remote.operator import ArmOperator

pytestmark = pytest.mark.realtime

SOON_S = 20.0
KILLS, SERVER_KILLS = 20, 3
LIMIT_MS, MARGIN_MS = 125.0, 20.0
"""The watchdog's time at 20 Hz, and what may be added to it."""


@contextmanager
def ended(process: subprocess.Popen[str]):
    """A process, killed in the end."""
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.communicate()


def resident_mb(process):
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.fixture
def settings(tmp_path):
    tmp_path.chmod(0o700)
    return {"address": f"ipc://{tmp_path}", "hz": 20.0}


def serve(settings, ahead=False):
    """A server process that answers."""
    process = spawn("serve", ahead=ahead, **settings)
    greet(configured(**settings), timeout_s=SOON_S)
    return process


def commander(settings, ahead=False):
    """A commander process, up to where it would connect."""
    process = spawn("drive", ahead=ahead, **settings)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def go(process):
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    assert process.stdout.readline() == "run\n"


def until(watch, wanted):
    assert watch.feed.wait(wanted, SOON_S), f"waited {SOON_S} s; the newest is {watch.newest}"
    newest = watch.newest
    assert newest is not None
    return newest


@contextmanager
def training(folder):
    """A learner beside the test that trains flat out, as in `handrail bench arm`."""
    config = compose.compose().config
    run = RunDirectory(folder / "run").create(compose.dump(config), {})
    with other_side(train_flat_out, str(run.path), threads=config.learner.torch_threads) as learner:
        learner.lines.next("training")
        yield
        assert learner.process.poll() is None


@pytest.mark.slow
@pytest.mark.skipif(not realtime.fifo_permitted(), reason="SCHED_FIFO is not permitted here: no time holds")
def test_twenty_killed_commanders_are_noticed_in_time_beside_a_training_learner(settings, tmp_path, figure):
    """Every one of them: both ends at the priority of an arm server and an actor, the learner at nice 19."""
    settings["lease_s"] = 0.3
    phase = random.Random(0)
    took_ms = []
    with (
        training(tmp_path),
        ended(serve(settings, ahead=True)),
        ArmOperator(configured(**settings)) as watch,
    ):
        following = commander(settings, ahead=True)
        for _ in range(KILLS):
            with ended(following) as present:
                following = commander(settings, ahead=True)
                go(present)
                until(watch, lambda state: state.mode == "run")
                time.sleep(phase.uniform(0.05, 0.15))
                watch.state()
                assert present.poll() is None
                present.kill()
                state = until(watch, lambda state: state.mode == "hold")
                took_ms.append((state.mode_ns - state.command_ns) / 1e6)
                limit_ms = LIMIT_MS + MARGIN_MS
                figure(
                    "commander killed, learner training: last command to HOLD", took_ms[-1], "ms", limit_ms
                )
                assert watch.state().gate_flags & GateFlag.WATCHDOG
                until(watch, lambda state: state.lease == 0)
        with ended(following):
            pass
    took = np.sort(took_ms)
    said = f"HOLD after {np.percentile(took, [0, 50, 90, 100])} ms (0, 50, 90, 100 %)"
    assert len(took) == KILLS and (took >= LIMIT_MS).all() and (took <= LIMIT_MS + MARGIN_MS).all(), said


def test_a_killed_server_is_missed_and_the_next_one_holds(settings, figure):
    config = configured(**settings)
    server = serve(settings)
    with closing(ArmClient(config)) as client:
        client.connect()
        for _ in range(SERVER_KILLS):
            with ended(server):
                set_going(client)
                killed_s = time.monotonic()
                server.kill()
                with pytest.raises(ArmError):
                    while time.monotonic() < killed_s + SOON_S:
                        client.state()
                missed_s = time.monotonic() - killed_s
                figure("arm server killed: kill to the commander's fault", 1e3 * missed_s, "ms", limit=125.0)
                assert missed_s < 0.125 + 0.5
            with pytest.raises(ArmError):
                client.set_target(np.array([0.5, 0.0, 0.1, 1.0, 0.0, 0.0, 0.0]))
            boot, began_s = client.newest.boot, time.monotonic()
            server = spawn("serve", **settings)
            until(client, lambda state, boot=boot: state.boot != boot and state.mode != "disarmed")
            figure("arm server started again: its process to HOLD", time.monotonic() - began_s, "s")
            assert client.state().mode is ArmMode.HOLD
        with ended(server):
            set_going(client)


def set_going(client):
    """Start the arm and command it; again where this machine stood still for longer than the watchdog."""
    end_s = time.monotonic() + SOON_S
    while True:
        try:
            client.start()
            client.set_target(client.state().pose)
        except ArmError:
            assert time.monotonic() < end_s, "it does not go on"
        else:
            return


def test_a_server_that_was_stopped_drops_what_came_meanwhile_and_holds(settings):
    settings |= {"command_age_s": 0.1, "lease_s": 5.0}
    config = configured(**settings)
    with ended(serve(settings)) as server, RawCommander(config) as raw, ArmOperator(config) as watch:
        raw.acquire()
        assert raw.ask(Start()).error == ""
        here = list(until(watch, lambda state: state.mode == "run").pose)
        before = here[0]
        server.send_signal(signal.SIGSTOP)
        for step in range(10):
            here[0] = before + 0.001 * step
            raw.send(Target(here))
        time.sleep(0.5)
        server.send_signal(signal.SIGCONT)
        state = until(watch, lambda state: state.counters.dropped == 10)
        assert state.mode == "hold" and state.counters.commands == 0
        assert abs(state.pose[0] - before) < 5e-4
        # All of it is old news, save the offset of its clock: a fresh command is as good as ever.
        assert "HOLD" in raw.ask(Target(here)).message


def test_a_commander_that_was_stopped_finds_the_arm_holding_and_cannot_move_it(settings):
    settings["lease_s"] = 5.0
    config = configured(**settings)
    with ended(serve(settings)), ArmOperator(config) as watch, ended(commander(settings)) as process:
        go(process)
        until(watch, lambda state: state.mode == "run")
        process.send_signal(signal.SIGSTOP)
        state = until(watch, lambda state: state.mode == "hold")
        process.send_signal(signal.SIGCONT)
        assert process.stdout is not None
        lines = (line for line in process.stdout if line != "run\n")
        assert all("HOLD" in next(lines) for _ in range(5))
        again = until(watch, lambda now: now.tick > state.tick + 20)
        assert again.mode == "hold" and again.mode_ns == state.mode_ns


def test_a_flood_of_rubbish_takes_nothing_from_the_commander(settings):
    settings["watchdog_s"] = 1.0
    config = configured(**settings)
    rng = random.Random(1)
    rubbish = [rng.randbytes(rng.randrange(1, 200)) for _ in range(997)]
    with ended(serve(settings)) as server, ended(commander(settings)) as process:
        go(process)
        with ArmOperator(config) as watch, RawCommander(config) as stranger:
            watch.state()
            before, before_mb = until(watch, lambda state: True), resident_mb(server)
            for number in range(100_000):
                stranger.socket.send(rubbish[number % len(rubbish)])
            state = until(watch, lambda state: state.counters.malformed >= 100_000)
            assert state.mode == "run" and state.counters.watchdog == 0
            assert state.counters.commands > before.counters.commands
            ticks = state.tick - before.tick
            assert ticks > 0.8 * 200 * (state.sent_ns - before.sent_ns) / 1e9
            assert resident_mb(server) - before_mb < 10.0
            assert process.poll() is None


def test_a_subscriber_that_does_not_read_costs_the_server_nothing(settings):
    with ended(serve(settings)) as server, ArmOperator(configured(**settings)) as watch:
        idle = zmq.Context.instance().socket(zmq.SUB)
        idle.setsockopt(zmq.RCVHWM, 1)
        idle.setsockopt(zmq.SUBSCRIBE, b"")
        idle.connect(Endpoints.of(configured(**settings).arm).state)
        try:
            watch.state()
            began = until(watch, lambda state: True)
            until(watch, lambda state: state.tick >= began.tick + 200)
            before_mb = resident_mb(server)
            state = until(watch, lambda state: state.tick >= began.tick + 800)
            assert resident_mb(server) - before_mb < 5.0
            assert state.tick - began.tick > 0.8 * 200 * (state.sent_ns - began.sent_ns) / 1e9
        finally:
            idle.close(0)
