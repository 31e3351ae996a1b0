"""What holds for an arm behind the supervisor, whatever its commander, its robot and its host do.

Random sequences of everything that can happen, on a simulated clock. More of them:
HANDRAIL_ARM_TARGETS=1000000 python -m pytest -m slow tests/robot_env/remote/test_supervisor_laws.py
"""

import os
import random
from collections import Counter, deque
from contextlib import suppress

import numpy as np
import pytest
from supervised import FRAME, MS, Cell, served

from handrail.robot_env.arms.arm import ArmMode, Gains
from handrail.robot_env.arms.config import ArmConfig
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import HandrailError
from handrail.robot_env.gate import GateLimits
from handrail.robot_env.remote.lease import Stamp

HOME = (0.0, -0.8, 0.0, -2.4, 0.0, 1.6, 0.8)
CONFIG = EnvConfig(arm=ArmConfig(kind="franka", joint_home=HOME))
BUILT = [
    GateLimits.build(CONFIG.limits, FRAME, m, 0.1) for m in (CONFIG.limits.motion, CONFIG.limits.reset_motion)
]
LOW, HIGH = np.array(BUILT[0].low) - 2e-7, np.array(BUILT[0].high) + 2e-7
SPEED, ACCELERATION, JERK = (
    np.maximum(*(np.array(getattr(limits, name)) for limits in BUILT))
    for name in ("speed", "acceleration", "jerk")
)


def check_motion(setpoints):
    """Speed, acceleration and jerk by divided differences: means of what they stand for, never above it."""
    engagements = Counter(each for _, _, each in setpoints)
    for engagement in engagements:
        points = {t: pose for t, pose, each in setpoints if each == engagement}  # the last of each moment
        x = np.array([FRAME.coordinates(pose) for pose in points.values()])
        t = np.array(list(points)) / 1e9
        assert np.isfinite(x).all() and (x >= LOW).all() and (x <= HIGH).all()
        differences = x
        for order, limit in enumerate((SPEED, ACCELERATION, JERK), 1):
            if len(t) <= order:
                break
            span = (t[order:] - t[:-order])[:, None]
            differences = order * (differences[1:] - differences[:-1]) / span
            worst = np.abs(differences).max(0)
            assert (worst <= limit * (1 + 1e-4) + 1e-6).all(), f"derivative {order}: {worst} over {limit}"


def random_pose(rng):
    low, high = np.array(BUILT[0].low), np.array(BUILT[0].high)
    kind = rng.integers(8)
    wanted = rng.uniform(low, high) if kind < 3 else rng.uniform(2 * low, 2 * high)
    if kind == 3:
        wanted = np.where(rng.random(6) < 0.5, low, high)
    pose = FRAME.pose(wanted.tolist())
    if kind == 4:
        pose[rng.integers(7)] = rng.choice([np.nan, np.inf, -np.inf])
    return -pose if kind == 5 else pose


def run_targets(targets, seed):
    """Random goals, resets, stops, starts and contacts; the number of set-points checked."""
    rng = np.random.default_rng(seed)
    checked = 0
    while targets > 0:
        cell = Cell(CONFIG).running()
        for _ in range(25):
            targets -= 1
            kind = rng.integers(12)
            if kind == 0:
                cell.supervisor.resetting(cell.now, cell.stamp(), bool(rng.integers(2)))
            elif kind == 1:
                cell.supervisor.stop(cell.now)
            elif kind == 2:
                cell.driver.changes = {"wrench": np.full(6, 50.0)} if rng.random() < 0.5 else {}
            elif kind == 3:
                cell.driver.offset[:3] = rng.normal(0.0, 0.003, 3)
            if cell.mode == "HOLD":
                cell.start()
            if cell.mode == "RUN":
                cell.supervisor.target(cell.now, cell.stamp(), random_pose(rng))
            for _ in range(rng.integers(1, 7)):
                cell.tick(ms=int(rng.integers(1, 15)) if rng.random() < 0.2 else 5)
        assert cell.mode in ("RUN", "HOLD")
        check_motion(cell.driver.setpoints)
        checked += len(cell.driver.setpoints)
    return checked


def test_no_limit_is_ever_exceeded():
    assert run_targets(15_000, seed=1) > 40_000


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_no_limit_is_ever_exceeded_in_many_sequences():
    assert run_targets(int(os.environ.get("HANDRAIL_ARM_TARGETS", "100000")), seed=2) > 0


class Chaos:
    """One random life of an arm, and what must hold after everything that happens in it."""

    WATCHDOG_MS = 250

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.cell = Cell(served(CONFIG), at_once=False)
        self.driver = self.cell.driver
        self.supervisor = self.cell.supervisor
        self.asked = 0
        self.answered = Counter()
        self.commanded_ns = 0
        self.recovered = deque()
        self.recover_asked = self.start_asked = False
        self.sent_in = Counter()
        record = self.driver.set_setpoint

        def set_setpoint(pose):
            self.sent_in[self.supervisor.mode] += 1
            assert np.isfinite(pose).all()
            record(pose)

        self.driver.set_setpoint = set_setpoint
        self.events = [getattr(self, name) for name in sorted(dir(self)) if name.startswith("on_")]

    def done(self):
        self.asked += 1
        number = self.asked

        def done(error):
            self.answered[number] += 1

        return done

    def stamp(self) -> Stamp:
        kind = self.rng.random()
        if kind < 0.05:
            return self.cell.stamp(token="a stranger's")
        if kind < 0.1:
            return self.cell.stamp(sequence=self.cell.sequence)
        if kind < 0.15:
            return self.cell.stamp(age_ns=self.rng.randrange(2000) * MS)
        return self.cell.stamp()

    def on_target(self):
        self.supervisor.target(
            self.cell.now, self.stamp(), random_pose(np.random.default_rng(self.rng.randrange(2**32)))
        )
        self.commanded_ns = self.cell.now

    on_target_too = on_target_as_well = on_target_again = on_target

    def on_rounds(self):
        for _ in range(self.rng.randrange(1, 30)):
            self.cell.tick()
            self.check()

    on_more_rounds = on_rounds

    def on_beats(self):
        for _ in range(self.rng.randrange(1, 80)):
            self.supervisor.heartbeat(self.cell.now, self.cell.stamp())
            self.cell.tick()
            self.check()

    def on_jump(self):
        self.cell.tick(ms=self.rng.choice([50, 300, 1500, 6000]))

    def on_acquire(self):
        self.cell.acquire()

    on_acquire_too = on_acquire

    def on_release(self):
        if self.rng.random() < 0.3:
            self.supervisor.release(self.cell.now, self.cell.stamp())
            self.start_asked = False

    def on_start(self):
        gains = Gains() if self.rng.random() < 0.3 else None
        self.supervisor.start(self.cell.now, self.stamp(), gains, self.done())
        self.start_asked = True
        self.commanded_ns = self.cell.now

    on_start_too = on_start_as_well = on_start

    def on_stop(self):
        self.supervisor.stop(self.cell.now)
        self.start_asked = False  # a start from before it must not run

    def on_resetting(self):
        self.supervisor.resetting(self.cell.now, self.stamp(), self.rng.random() < 0.5)

    def on_tare(self):
        self.supervisor.tare(self.cell.now, self.stamp(), self.done())

    def on_joints(self):
        self.supervisor.joints(self.cell.now, self.stamp(), list(HOME), self.done())

    def on_work_ends(self):
        self.cell.elsewhere.finish()

    on_work_ends_too = on_work_ends_as_well = on_work_ends

    def on_trouble(self):
        self.driver.changes = self.rng.choice(
            [
                {"fault": "reflex", "engaged": False},
                {"fault": "emergency stop", "estop": True},
                {"pose": np.full(7, np.nan)},
                {"wrench": np.full(6, 99.0)},
                {"engaged": False},
                {"pose": FRAME.pose((0.0, 0.0, 0.4, 0.0, 0.0, 0.0))},
            ]
        )

    def on_silence(self):
        self.driver.frozen = True

    def on_broken_link(self):
        self.driver.failure = OSError("no route")

    def on_repair(self):
        self.driver.changes, self.driver.failure, self.driver.frozen = {}, None, False

    on_repair_too = on_repair_as_well = on_repair

    def on_recover(self):
        done = self.done()
        self.recover_asked = self.asked
        self.supervisor.recover(self.cell.now, "somebody", done)

    def on_reflex_and_recovery(self):
        self.cell.elsewhere.finish()
        self.cell.break_it()
        self.on_repair()
        self.cell.elsewhere.finish()
        self.cell.tick(2)
        self.on_recover()
        self.cell.elsewhere.finish()
        self.cell.tick(2)

    def live(self, events):
        self.cell.open()
        for _ in range(events):
            before = self.supervisor.mode
            cleared = self.driver.calls.count("clear_fault")
            estop = bool(self.driver.changes.get("estop"))
            event = self.rng.choice(self.events)
            with suppress(HandrailError):
                event()
            self.check()
            after = self.supervisor.mode
            if before is ArmMode.FAULT and after is not ArmMode.FAULT:
                assert self.recover_asked and after is ArmMode.HOLD, f"{event.__name__} ended a fault"
            if before is not ArmMode.RUN and after is ArmMode.RUN:
                assert self.start_asked and before is ArmMode.HOLD, f"{event.__name__} made it run"
                self.start_asked = False
            if estop and event.__name__ == "on_recover":
                assert self.driver.calls.count("clear_fault") == cleared
        self.driver.changes, self.driver.failure, self.driver.frozen = {}, None, False
        for _ in range(8):
            self.cell.elsewhere.finish()
            self.cell.tick(120)
        return self

    def check(self):
        state = self.cell.state()
        assert set(self.sent_in) <= {ArmMode.HOLD, ArmMode.RUN}, self.sent_in
        assert self.cell.elsewhere.most <= 1
        if self.supervisor.mode is ArmMode.RUN:
            assert state.lease and not state.fault
            waits = state.job == "zero_ft"
            assert waits or self.cell.now - state.command_ns <= (self.WATCHDOG_MS + 5) * MS
        else:
            assert (self.supervisor.mode is ArmMode.FAULT) == bool(state.fault)
        events = self.supervisor.arm.events
        while events:
            t_ns, what = events.popleft()
            if what == "HOLD: recovered by somebody":
                self.recovered.append(t_ns)
        while self.recovered and self.cell.now - self.recovered[0] > 600_000 * MS:
            self.recovered.popleft()
        assert len(self.recovered) <= 3
        assert all(count == 1 for count in self.answered.values())


@pytest.mark.parametrize("batch", range(4))
def test_no_life_of_an_arm_breaks_the_rules(batch):
    modes, recovered = Counter(), 0
    for seed in range(100 * batch, 100 * batch + 40):
        life = Chaos(seed).live(120)
        modes.update(life.sent_in)
        recovered += len(life.recovered)
    assert modes[ArmMode.RUN] > 100 and modes[ArmMode.HOLD] > 100 and recovered > 0
