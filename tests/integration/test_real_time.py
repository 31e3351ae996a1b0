"""The environment and the session on a simulated arm behind its server, in real time."""

import dataclasses
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from benches.served import RunningServer, served_config

from handrail.agent.config import RunConfig
from handrail.agent.session import Session
from handrail.intervention.config import OperatorConfig
from handrail.intervention.log_format import EpisodeEnd, EpisodeStart, Event
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.arms.sim import SimDriver
from handrail.robot_env.make import make_env
from handrail.robot_env.remote.operator import ArmOperator
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.sim.expert import ScriptedExpert

MAX_STEPS = 50


@pytest.fixture
def cell() -> Iterator[tuple[SimDriver, RunningServer]]:
    driver = SimDriver(SimCell())
    running = RunningServer(driver, served_config("sim_server"))
    yield driver, running
    running.close()


def test_an_expert_seats_the_module_through_the_arm_server(cell) -> None:
    _, running = cell
    env = make_env(running.config)
    try:
        assert env.scene is not None and not env.lockstep and env.streams_hand
        expert = ScriptedExpert(env.action_spec, target_reference=env.config.target_reference)
        first, _ = env.reset(seed=4)
        expert.reset(np.random.default_rng(4))
        began_ns = env.last_arm_state.device_ns
        terminated = truncated = False
        steps = 0
        while not (terminated or truncated):
            _, reward, terminated, truncated, info = env.step(expert.act(env.scene.truth()))
            steps += 1
        assert terminated and reward == 1.0 and info["success"] and steps <= MAX_STEPS
        # The time that counts is the arm's: so many steps took so long, give or take a busy machine.
        simulated_s = (env.last_arm_state.device_ns - began_ns) / 1e9
        assert simulated_s == pytest.approx(steps * env.period_s, rel=0.5)
        # And a second episode lifts the module out again, without a jump.
        second, _ = env.reset(seed=5)
        assert second["state"][2] > env.config.task.clearance_m and first["state"][2] > 0
    finally:
        env.close()


def test_an_incident_ends_the_episode_and_holds_until_an_operator_recovers(cell, tmp_path) -> None:
    driver, running = cell
    config = RunConfig(env=running.config, operator=OperatorConfig(level="expert"))
    config = dataclasses.replace(config, log=dataclasses.replace(config.log, reserve_bytes=0))
    run = RunDirectory(tmp_path / "run").create("", {})
    steps, ends, reasons = [], [], []
    recovered = threading.Event()

    def between_steps(transition) -> bool:
        steps.append(transition)
        if len(steps) == 5:
            driver.inject_fault("protective stop, for the test")
        return True

    def on_hold(reason: str) -> None:
        reasons.append(reason)
        if len(reasons) == 5:  # nothing goes on by itself
            driver.remove_cause()
            with ArmOperator(running.config) as operator:
                assert operator.state().mode is ArmMode.FAULT
                operator.recover("maria")
                assert operator.state().mode is ArmMode.HOLD
            recovered.set()

    deadline_s = time.monotonic() + 60
    with Session(run, config) as session:
        session.drive(
            None,
            "demo",
            wanted=lambda: not ends and time.monotonic() < deadline_s,
            between_steps=between_steps,
            after_episode=ends.append,
            on_hold=on_hold,
        )
    assert recovered.is_set() and len(ends) == 1 and ends[0].success
    assert all("protective stop, for the test" in reason and "recover by=" in reason for reason in reasons)
    records = [record for _, record in LogReader(run.segments).records()]
    aborted = [r for r in records if isinstance(r, Event) and r.kind == "aborted"]
    assert [r.episode for r in aborted] == [0] and "protective stop" in aborted[0].why
    assert [r.episode for r in records if isinstance(r, EpisodeStart)] == [0, 1]
    assert [r.episode for r in records if isinstance(r, EpisodeEnd)] == [1]
