"""The wire to an arm: command to set-point, age of the state, the watchdog, the operator's hand; under load.

An arm server with the simulated driver runs as `handrail arm-server` does, at the priority it gets; whoever
commands it is a process of its own, at the actor's. Beside them a learner-like process trains flat out.
Nothing real moves.
"""

import dataclasses
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from handrail.agent.config import RunConfig
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import arm_link, compose
from handrail.launch.bench.arm_sides import command_until_killed, command_while, follow_a_hand, train_flat_out
from handrail.launch.bench.figures import Figure, percentiles
from handrail.launch.bench.side import other_side
from handrail.launch.errors import BenchSilent
from handrail.launch.options import Option, Options
from handrail.launch.processes import last_line
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.remote.endpoints import Endpoints
from handrail.robot_env.remote.feed import StateFeed
from handrail.robot_env.remote.messages import Counters, State
from handrail.robot_env.remote.timing import watchdog_ns

OPTIONS = (
    Option("seconds", int, "of commands, and of a hand's motion [s]", 20),
    Option("hz", int, "commands a second", 20),
    Option("kills", int, "commanders to kill while they drive", 20),
    Option("load", ("learner", "none"), "what trains meanwhile", "learner"),
)
LATENCY_MS, AGE_MS, WATCHDOG_MS = 5.0, 10.0, 20.0
"""Targets: command to set-point (p99), age of the state (p99), HOLD after the watchdog's time."""
_START_S = 30.0
_HOLD_S = 10.0
_SEED = 7
_ENDLESS = 1_000_000


def measure(options: Options, config: RunConfig) -> Iterator[Figure]:
    """Each phase in turn, beside the load."""
    with tempfile.TemporaryDirectory(prefix="handrail-bench-") as folder, ExitStack() as stack:
        run, config = _prepare(Path(folder), options, config)
        stack.callback(shutil.rmtree, run.socket_dir(), ignore_errors=True)
        stack.enter_context(_arm_server(run, config.env))
        if options["load"] == "learner":
            threads = config.learner.torch_threads
            load = stack.enter_context(other_side(train_flat_out, str(run.path), threads=threads))
            load.lines.next("training")
        feed = StateFeed(Endpoints.of(config.env.arm))
        stack.callback(feed.close)
        _await(feed, lambda state: bool(state.pose), "no reading of the simulated arm")
        yield from _wire(run, feed, options["seconds"])
        yield from _hand(run, options["seconds"], 1.0 / options["hz"])
        yield from _watchdog(run, feed, config.env, options["kills"])


def _prepare(folder: Path, options: Options, config: RunConfig) -> tuple[RunDirectory, RunConfig]:
    """A run whose configuration all processes read: the simulated arm behind a server in `folder`."""
    # A station's place, posture and port belong to its arm; and no other server may know these names.
    server = dataclasses.replace(config.env.arm.server, rest_port=0, keys="")
    arm = dataclasses.replace(
        config.env.arm, kind="sim_server", server=server, joint_home=(), joint_home_every=0
    )
    # One long episode: a reset is nobody's to steer.
    task = dataclasses.replace(config.env.task, max_steps=_ENDLESS, seated_pose=None)
    env = dataclasses.replace(
        config.env,
        hz=float(options["hz"]),
        cameras=(),
        camera_devices=(),
        arm=arm,
        task=task,
        regrasp=None,
        regrasp_every=0,
    )
    config = dataclasses.replace(config, env=arm_link.at(env, f"ipc://{folder / 'arm'}"))
    return RunDirectory(folder / "run").create(compose.dump(config), {}), config


@contextmanager
def _arm_server(run: RunDirectory, config: EnvConfig) -> Iterator[None]:
    """`handrail arm-server`, as the supervisor starts it."""
    words = (f"run={run.path}", f"arm_address={config.arm.server.address}")
    log = run.logs / "arm-server.log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "handrail.launch.cli", "arm-server", *words],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env={**os.environ, "HANDRAIL_PARENT": str(os.getpid())},
        )
    try:
        deadline = time.monotonic() + _START_S
        while not arm_link.answers(config):
            if process.poll() is not None or time.monotonic() > deadline:
                raise BenchSilent(f"the arm server did not answer; the last it said: {last_line(log)}")
        yield
    finally:
        process.terminate()
        process.wait(_START_S)


def _wire(run: RunDirectory, feed: StateFeed, seconds: int) -> Iterator[Figure]:
    """Commands at a steady rate, and the server's own counters meanwhile."""
    before = _counters(feed)
    with other_side(command_while, str(run.path), str(seconds)) as side:
        (words,) = side.lines.next("found")
    found = json.loads(words)
    after = _counters(feed)
    yield Figure("commander_priority", found["priority"], "0 plain, 1 nice -15, 2 SCHED_FIFO")
    yield from _against("command_to_set_point", found["latency_ms"], LATENCY_MS)
    yield from percentiles("command_round_trip", found["round_trip_ms"], "ms")
    yield from _against("state_age", found["age_ms"], AGE_MS)
    ticks = after.ticks - before.ticks
    yield Figure("server_ticks", ticks, "ticks")
    yield Figure("server_overruns", 100.0 * (after.overruns - before.overruns) / max(1, ticks), "%")
    yield Figure("server_worst_lateness", after.worst_lateness_ns / 1e6, "ms")


def _hand(run: RunDirectory, seconds: int, period_s: float) -> Iterator[Figure]:
    """From the report of a device to the command that has it in it, through thread, arbiter and mapping."""
    with other_side(follow_a_hand, str(run.path), str(seconds)) as side:
        (words,) = side.lines.next("found")
    yield from _against("report_to_command", json.loads(words), 1e3 * period_s)


def _watchdog(run: RunDirectory, feed: StateFeed, config: EnvConfig, kills: int) -> Iterator[Figure]:
    """Kill commanders in mid-motion; from the last command to HOLD."""
    rng = random.Random(_SEED)
    limit_ms = watchdog_ns(config.arm.server, 1.0 / config.hz) / 1e6
    hold_ms = []
    for _ in range(kills):
        with other_side(command_until_killed, str(run.path)) as side:
            side.lines.next("commanding")
            time.sleep(rng.uniform(0.1, 0.4))
            side.process.kill()
        _await(feed, lambda state: state.mode == "hold", "the arm did not hold")
        state = feed.newest
        assert state is not None
        hold_ms.append((state.mode_ns - state.command_ns) / 1e6)
        _await(feed, lambda state: state.lease == 0, "the lease did not end")
    if hold_ms:
        yield Figure("watchdog", limit_ms, "ms")
        yield from percentiles("command_to_hold", hold_ms, "ms")
        yield Figure("command_to_hold_max_of_limit", max(hold_ms) / (limit_ms + WATCHDOG_MS), "1")


def _against(name: str, samples_ms: list[float], target_ms: float) -> Iterator[Figure]:
    """Percentiles, and the 99th as a share of its target: 1 is just met."""
    figures = percentiles(name, samples_ms, "ms")
    yield from figures
    yield Figure(f"{name}_p99_of_target", figures[1].value / target_ms, "1")


def _counters(feed: StateFeed) -> Counters:
    state = feed.newest
    assert state is not None
    return state.counters


def _await(feed: StateFeed, wanted: Callable[[State], bool], what: str) -> None:
    if not feed.wait(wanted, _HOLD_S):
        raise BenchSilent(f"{what} within {_HOLD_S:.0f} s")
