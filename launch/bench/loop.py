"""The control loop in real time, beside a learner that trains flat out on the same cores.

Actor, log, arbiter, operator, weights and learner are the product's, and the learner is a process of its own.
Only the arm is simulated: its physics follows the clock on the wall, in the control thread, so the work
reported here includes it.
"""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from handrail.agent.config import RunConfig
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose, telemetry
from handrail.launch.bench.figures import Figure, percentiles
from handrail.launch.bench.side import THREAD_VARIABLES
from handrail.launch.errors import BenchSilent
from handrail.launch.options import Option, Options
from handrail.launch.supervisor import process_specs
from handrail.robot_env import realtime
from handrail.robot_env.arms.arm import ArmState
from handrail.robot_env.arms.lockstep import LockstepArm
from handrail.robot_env.clock import NS_PER_MS, NS_PER_S, MonotonicClock
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.env import RobotEnv
from handrail.robot_env.geometry import Array, Vector
from handrail.robot_env.observation import Observation
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.tasks import RamInsertion

OPTIONS = (
    Option("seconds", int, "control time to measure, resets not counted [s]", 30),
    Option("hz", int, "steps a second", 20),
    Option(
        "priority", ("best", "plain"), "of the control thread: the best the system allows, or none", "best"
    ),
)
_START_S = 120.0
_TIMEOUT_S = 1800.0
_LEVELS = {"plain": 0, "nice": 1, "fifo": 2}
_CATCH_UP_NS = NS_PER_S
_FLAT_OUT = 1_000_000  # updates per step: a limit that is never met


class PacedClock(MonotonicClock):
    """Real time; remembers how long the loop worked between two waits of a running episode."""

    def __init__(self) -> None:
        super().__init__()
        self.work_ms: list[float] = []
        self.measuring = False
        self._woken_ns = time.monotonic_ns()

    def begin(self) -> None:
        """An episode's first step begins now."""
        self.measuring, self._woken_ns = True, time.monotonic_ns()

    def wait_until(self, t_ns: int) -> None:
        """Sleep until `t_ns`."""
        if self.measuring:
            self.work_ms.append((time.monotonic_ns() - self._woken_ns) / NS_PER_MS)
        super().wait_until(t_ns)
        self._woken_ns = time.monotonic_ns()


class PacedEnv(RobotEnv):
    """Tells its clock when an episode's steps begin: a reset takes as long as it takes."""

    def __init__(self, clock: PacedClock, config: EnvConfig) -> None:
        cell = SimCell(config.sim)
        task = RamInsertion(config.task, cell)
        arm = PacedArm(cell, config.limits, task.frame(), 1.0 / config.hz)
        arm.follow(clock)
        super().__init__(arm, task, clock, config, scene=cell)
        self._paced = clock

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """As every reset, unmeasured."""
        self._paced.measuring = False
        found = super().reset(seed=seed, options=options)
        self._paced.begin()
        return found


class PacedArm(LockstepArm):
    """The simulated arm, moving while real time passes: its physics catches up whenever it is asked."""

    def follow(self, clock: PacedClock) -> None:
        """Follow a clock from now on."""
        self._clock, self._followed_ns = clock, clock.now_ns()

    def state(self) -> ArmState:
        """Reading of this moment."""
        self._catch_up()
        return super().state()

    def set_target(self, pose: Vector, twist: Vector | None = None) -> Array:
        """Command a tool pose, now."""
        self._catch_up()
        return super().set_target(pose, twist)

    def _catch_up(self) -> None:
        now_ns = self._clock.now_ns()
        # Time in which nobody drove (a start, a long stall) is not simulated afterwards.
        self.advance(min(now_ns - self._followed_ns, _CATCH_UP_NS))
        self._followed_ns = now_ns


def measure(options: Options, config: RunConfig) -> Iterator[Figure]:
    """Demonstrate as fast as it goes, then drive in real time while the learner trains."""
    config = dataclasses.replace(
        config,
        env=dataclasses.replace(config.env, hz=float(options["hz"]), cameras=()),
        agent=dataclasses.replace(
            config.agent, utd=_FLAT_OUT, clone_updates=min(200, config.agent.clone_updates)
        ),
        learner=dataclasses.replace(config.learner, training_starts=1),
        actor=dataclasses.replace(config.actor, demonstrations=5, device="synthetic"),
        goal=dataclasses.replace(config.goal, max_env_steps=1_000_000),
    )
    wanted = max(1, options["seconds"]) * options["hz"]
    with tempfile.TemporaryDirectory(prefix="handrail-bench-") as folder:
        run = RunDirectory(Path(folder) / "loop").create(compose.dump(config), {})
        collector = telemetry.Collector(telemetry.address(run.socket_dir()))
        try:
            with _learner_process(run, config) as learner:
                found = _in_process(run, wanted, options["priority"])
                learner_rss_mb = rss_mb(learner.pid)
            reports = [each for each in collector.poll(1.0) if each.get("phase") == "train"]
        finally:
            collector.close()
    ticks = found["ticks"]
    yield Figure("priority", found["priority"], "0 plain, 1 nice -15, 2 SCHED_FIFO")
    yield Figure("steps", ticks, "steps")
    yield Figure("overruns", 100.0 * found["overruns"] / ticks, "%")
    yield Figure("host_stalls", 100.0 * found["host_stalls"] / ticks, "%")
    yield Figure("worst_lateness", found["worst_lateness_ms"], "ms")
    yield from percentiles("work", found["work_ms"], "ms")
    rates = [each["updates_per_s"] for each in reports if "updates_per_s" in each]
    if rates:
        yield Figure("learner_updates_per_s", median(rates), "updates/s")
    yield Figure("learner_rss", learner_rss_mb, "MB")
    yield Figure("actor_rss", found["rss_mb"], "MB")


def _in_process(run: RunDirectory, wanted: int, priority: str) -> dict[str, Any]:
    """What `actor_side` measures in a process with one thread for numerics, as the actor has."""
    code = "import sys; from handrail.launch.bench.loop import actor_side; actor_side(*sys.argv[1:])"
    result = subprocess.run(
        [sys.executable, "-c", code, str(run.path), str(wanted), priority],
        env={**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1")},
        stdout=subprocess.PIPE,
        timeout=_TIMEOUT_S,
        check=True,
    )
    return json.loads(result.stdout)


@contextmanager
def _learner_process(run: RunDirectory, config: RunConfig) -> Iterator[subprocess.Popen[bytes]]:
    """`handrail learner`, as the supervisor starts it."""
    spec = next(each for each in process_specs(run, config) if each.role == "learner")
    process = subprocess.Popen(
        spec.command,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **spec.environment, "HANDRAIL_PARENT": str(os.getpid())},
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


# In the actor's process
# ---------------------------------------------------------------------------------------------------


def actor_side(path: str, wanted: str, priority: str) -> None:
    """Drive a run for so many measured steps, and write what was counted to stdout as JSON."""
    from handrail.agent.actor import Actor
    from handrail.agent.session import Session

    run, clock, stop = RunDirectory(path), PacedClock(), threading.Event()
    config = compose.load(run.config_file)

    def enough(report: dict[str, Any]) -> None:
        if len(clock.work_ms) >= int(wanted):
            stop.set()

    with Session(run, config) as session:
        actor = Actor(run, session, stop, lambda _: None)
        actor.demonstrate()  # in lockstep: as fast as it goes
        actor.close()
        session.env.close()
        session.env = PacedEnv(clock, config.env)
        actor = Actor(run, session, stop, enough)
        patience = threading.Timer(_START_S, stop.set)
        patience.start()
        actor.wait_for_policy()
        patience.cancel()
        if not actor.policy.ready:
            raise BenchSilent(f"the learner published no weights within {_START_S:.0f} s; see above")
        level = _LEVELS[realtime.raise_priority(alone=True)] if priority == "best" else 0
        actor.train()
        actor.close()
        counts = session.env.tick_counts
    found = {
        "priority": level,
        "ticks": counts.ticks,
        "overruns": counts.overruns,
        "host_stalls": counts.host_stalls,
        "worst_lateness_ms": counts.worst_lateness_ns / NS_PER_MS,
        "work_ms": clock.work_ms,
        "rss_mb": rss_mb(os.getpid()),
    }
    clock.close()
    sys.stdout.write(json.dumps(found))


def rss_mb(pid: int) -> float:
    """Resident memory of a process [MB]."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0
