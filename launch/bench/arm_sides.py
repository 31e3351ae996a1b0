"""The other processes of `handrail bench arm`: those that command, and the one that trains."""

import json
import os
import random
import select
import struct
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from handrail.agent.config import RunConfig
from handrail.intervention.device import Button, Reading
from handrail.intervention.polled import Look, PolledDevice
from handrail.intervention.rollout import Rollout
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose
from handrail.launch.bench.experience import filled_learner
from handrail.launch.bench.side import say, until_left
from handrail.robot_env import realtime
from handrail.robot_env.clock import NS_PER_S, MonotonicClock, Ticker
from handrail.robot_env.env import RobotEnv
from handrail.robot_env.geometry import Array, Vector
from handrail.robot_env.remote.client import ArmClient
from handrail.robot_env.tasks import RamInsertion

_LEVELS = {"plain": 0, "nice": 1, "fifo": 2}
_STORED = 2000
_REPORT_S = 0.008  # a SpaceMouse reports so often while it is deflected
_REPORT = struct.Struct("qd")
_PUSH = 0.5


def train_flat_out(path: str) -> None:
    """Update networks without a pause, at the learner's niceness."""
    os.nice(19)
    left, run, config = until_left(), RunDirectory(path), _config(path)
    learner = filled_learner(run, config, _STORED)
    batches = [learner.sampler.symmetric() for _ in range(10)]
    learner.agent.update(batches[0], with_actor=True)
    say("training")
    number = 0
    while not left.is_set():
        learner.agent.update(batches[number % len(batches)], with_actor=number % 2 == 0)
        number += 1


def command_while(path: str, seconds: str) -> None:
    """Command the present pose at the configured rate for so many seconds; say what was measured."""
    config = _config(path)
    arm = ArmClient(config.env, "bench")
    level = realtime.raise_priority()
    arm.connect()
    arm.start()
    clock = MonotonicClock()
    ticker = Ticker(clock, round(NS_PER_S / config.env.hz))
    pose = arm.state().pose
    round_trip_ms, age_ms = [], []
    for _ in range(int(seconds) * round(config.env.hz)):
        ticker.wait()
        began = time.monotonic_ns()
        arm.set_target(pose)
        round_trip_ms.append((time.monotonic_ns() - began) / 1e6)
        state = arm.state()
        age_ms.append((time.monotonic_ns() - state.t_ns) / 1e6)
    found = {
        "priority": _LEVELS[level],
        "latency_ms": [ns / 1e6 for ns in arm.latencies_ns],
        "round_trip_ms": round_trip_ms,
        "age_ms": age_ms,
    }
    arm.close()
    clock.close()
    say(f"found {json.dumps(found, separators=(',', ':'))}")


def command_until_killed(path: str) -> None:
    """Command small motions until this process is killed."""
    config = _config(path)
    arm = ArmClient(config.env, "bench")
    realtime.raise_priority()
    arm.connect()
    arm.start()
    pose = arm.state().pose
    ticker = Ticker(MonotonicClock(), round(NS_PER_S / config.env.hz))
    number = 0
    while True:
        ticker.wait()
        moved = pose.copy()
        moved[0] += 0.005 * np.sin(number)
        arm.set_target(moved)
        number += 1
        if number == 3:
            say("commanding")


# The hand
# ---------------------------------------------------------------------------------------------------


class PipedMouse(PolledDevice):
    """A device whose reports come through a pipe, as a HID device's come through its node.

    Attributes:
        seen: number of the newest report that the control loop has read.
    """

    def __init__(self) -> None:
        super().__init__("piped mouse", poll_s=0.005, stale_s=0.15)
        self.seen = 0
        self._taken = 0
        self._value = 0.0
        self._inlet, self._outlet = os.pipe()
        self._reported_ns = 0

    def report(self, number: int, deflection: float) -> None:
        """The hardware reports."""
        os.write(self._outlet, _REPORT.pack(number, deflection))

    def read(self, now_ns: int) -> Reading:
        """As every device, remembering which report it was."""
        self.seen = self._taken
        return super().read(now_ns)

    def _connect(self) -> Mapping[str, Button]:
        return {}

    def _look(self, wait_s: float) -> Look:
        if select.select([self._inlet], [], [], wait_s)[0]:
            data = os.read(self._inlet, 64 * _REPORT.size)
            self._taken, self._value = _REPORT.unpack(data[-_REPORT.size :])
            self._reported_ns = time.monotonic_ns()
        twist = np.array((self._value, 0.0, 0.0, 0.0, 0.0, 0.0))
        return Look(twist, self._reported_ns if self._value else time.monotonic_ns())

    def _disconnect(self) -> None:
        pass


class TimedArm(ArmClient):
    """Notes when the first command after each report was answered.

    Attributes:
        answered_ns: by number of the report.
    """

    mouse: PipedMouse

    def follow(self, mouse: PipedMouse) -> None:
        """Listen to `mouse` from now on."""
        self.mouse = mouse
        self.answered_ns: dict[int, int] = {}

    def set_target(self, pose: Vector, twist: Vector | None = None) -> Array:
        """Command a pose, and note which report was the newest in it."""
        goal = super().set_target(pose, twist)
        self.answered_ns.setdefault(self.mouse.seen, time.monotonic_ns())
        return goal


def follow_a_hand(path: str, seconds: str) -> None:
    """Drive with a hand that changes its mind at random moments; say how long each change took [ms]."""
    config = _config(path)
    arm, mouse, clock = TimedArm(config.env, "bench"), PipedMouse(), MonotonicClock()
    arm.follow(mouse)
    env = RobotEnv(arm, RamInsertion(config.env.task, arm.scene), clock, config.env, scene=arm.scene)
    reported_ns: dict[int, int] = {}
    over = threading.Event()
    hand = threading.Thread(target=_push_to_and_fro, args=(mouse, reported_ns, over), daemon=True)
    realtime.raise_priority()
    mouse.open()
    deadline = time.monotonic() + float(seconds)
    try:
        rollout = Rollout(env, mouse, config.arbiter, config.mapping, None, time.monotonic_ns)
        rollout.run_episode(
            None,
            episode=0,
            seed=(0,),
            purpose="demo",
            between_steps=lambda _: _begun(hand) and time.monotonic() < deadline,
        )
    finally:
        over.set()
        if hand.ident is not None:  # it begins with the first step
            hand.join()
        mouse.close()
        env.close()
    took = [(arm.answered_ns[n] - t) / 1e6 for n, t in reported_ns.items() if n in arm.answered_ns]
    say(f"found {json.dumps(took, separators=(',', ':'))}")


def _begun(hand: threading.Thread) -> bool:
    """The hand moves from the first step on: a reset is nobody's to drive."""
    if hand.ident is None:
        hand.start()
    return True


def _push_to_and_fro(mouse: PipedMouse, reported_ns: dict[int, int], over: threading.Event) -> None:
    rng = random.Random(1)
    number, value, change_at = 0, _PUSH, 0.0
    while not over.wait(_REPORT_S):
        if time.monotonic() >= change_at:
            number, value = number + 1, -value
            reported_ns[number] = time.monotonic_ns()
            change_at = time.monotonic() + rng.uniform(0.1, 0.3)
        mouse.report(number, value)


def _config(path: str) -> RunConfig:
    return compose.load(Path(path) / "config.yaml")
