"""The console at an arm in real time: pictures of a cell elsewhere, stops, holding until resumed."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from benches.served import RunningServer, served_config
from console_end import BY_NOBODY, Console

from handrail.robot_env.arms.sim import SimDriver
from handrail.robot_env.remote.operator import ArmOperator
from handrail.robot_env.sim.cell import SimCell

pytestmark = pytest.mark.realtime


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    running = RunningServer(SimDriver(SimCell()), served_config("sim_server"))
    actor = dataclasses.replace(BY_NOBODY.actor, countdown_s=0.5)
    made = Console(tmp_path, dataclasses.replace(BY_NOBODY, env=running.config, actor=actor))
    yield made
    made.close()
    running.close()


def test_the_cell_is_seen_and_driven_from_the_console(console: Console) -> None:
    console.fps = 5.0
    console.until(lambda: console.now and console.now.driver == "countdown")
    assert console.now and 0.0 < console.now.countdown_s <= 0.5 and not console.now.running
    console.until(lambda: console.now and console.now.running and console.now.step > 2)
    console.until(lambda: {head.camera for head, _ in console.pictures} == {"overview", "side"})
    head, pixels = console.pictures[-1]
    assert np.frombuffer(pixels, np.uint8).reshape(head.shape).std() > 10
    height_m = console.now.pose[2]
    console.drive()
    console.until(lambda: console.now and console.now.driver == "human")
    console.until(lambda: console.now and console.now.pose[2] > height_m + 0.002)
    assert console.now and console.now.hand == "ada"


def test_a_stop_at_the_arm_itself_waits_for_the_operator_at_the_console(console: Console) -> None:
    console.until(lambda: console.now and console.now.running and console.now.step > 2)
    assert console.now is not None
    episode = console.now.episode
    assert console.desk.ask("stop", "ada").status == "done"
    with ArmOperator(console.config.env) as operator:  # as the console does, past the control loop
        assert operator.stop()
    console.until(lambda: episode in console.ended and console.now and console.now.driver == "held")
    assert console.now.paused and "resume" in console.now.can
    assert console.desk.ask("resume", "ada").status == "done"
    console.until(lambda: console.now and console.now.running and console.now.episode > episode)


def test_a_hand_that_is_lost_on_a_real_time_arm_is_resumed_by_a_person(console: Console) -> None:
    console.until(lambda: console.now and console.now.running and console.now.step > 2)
    console.drive()
    console.until(lambda: console.now and console.now.driver == "human")
    console.hand = None
    console.until(lambda: console.now and console.now.driver == "hold")
    console.until(lambda: console.now and console.now.paused)
    assert console.desk.ask("resume", "ada").status == "done"
    console.until(lambda: console.now and not console.now.paused and console.now.running)
