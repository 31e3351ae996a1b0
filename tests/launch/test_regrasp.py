"""The operator is told each step once, acknowledges with a button, and may leave at any time."""

import signal
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from benches.served import SERVER, RunningServer, served_config
from person import Person
from recording import RecordingGripper
from rich.console import Console

from handrail.agent.config import ActorConfig, RunConfig
from handrail.intervention.device import Reading
from handrail.launch import regrasp
from handrail.launch.regrasp import guide
from handrail.launch.supervisor import Interrupt
from handrail.robot_env import realtime
from handrail.robot_env.arms.sim import SimDriver
from handrail.robot_env.errors import ArmError, ResetError
from handrail.robot_env.make import make_env
from handrail.robot_env.regrasp import PROMPTS, RegraspConfig, RegraspPhase, RegraspStep
from handrail.robot_env.remote.operator import ArmOperator
from handrail.robot_env.sim.cell import SimCell


class Procedure:
    """Waits in two phases for the acknowledgement, as the real one does; notes what it was given."""

    def __init__(self) -> None:
        self.given: list[bool] = []
        self.cancelled = False
        self._phases = [RegraspPhase.LIFT, RegraspPhase.PLACE, RegraspPhase.READY]

    def step(self, acknowledged: bool) -> RegraspStep:
        self.given.append(acknowledged)
        if self._phases[0] is not RegraspPhase.PLACE or acknowledged:
            self._phases = self._phases[1:] or self._phases
        phase = self._phases[0]
        return RegraspStep(phase, PROMPTS[phase], phase is RegraspPhase.READY)

    def cancel(self) -> None:
        self.cancelled = True


def device(*presses: bool):
    """Reads as pressed or not, in turn."""
    looks = iter(presses)

    def read(now_ns: int) -> Reading:
        return Reading(np.zeros(6), now_ns, frozenset({"success"}) if next(looks) else frozenset())

    return SimpleNamespace(read=read)


def test_each_prompt_is_said_once_and_the_button_acknowledges(capsys) -> None:
    procedure = Procedure()
    env = SimpleNamespace(regrasp=lambda: procedure)
    console = Console(soft_wrap=True)
    assert guide(env, device(False, False, False, True), console, Interrupt())  # pyright: ignore[reportArgumentType]
    said = capsys.readouterr().out.splitlines()
    assert said == [PROMPTS[RegraspPhase.PLACE], PROMPTS[RegraspPhase.READY]]
    assert procedure.given == [False, False, False, True] and not procedure.cancelled


def test_ctrl_c_holds_the_arm() -> None:
    procedure, interrupt = Procedure(), Interrupt()
    interrupt(signal.SIGINT, None)
    env = SimpleNamespace(regrasp=lambda: procedure)
    assert not guide(env, device(), Console(quiet=True), interrupt)  # pyright: ignore[reportArgumentType]
    assert procedure.cancelled


def test_a_stop_that_comes_while_the_cameras_open_keeps_the_arm_from_moving(monkeypatch) -> None:
    driver = SimDriver(SimCell())
    driver.gripper = RecordingGripper()
    holder = RegraspConfig(grasp_pose=(0.0, 0.03, 0.03, 0.0, 0.0, 0.0))
    running = RunningServer(driver, replace(served_config("sim_server"), regrasp=holder))
    said: list[str] = []
    monkeypatch.setattr(running.server.supervisor.arm, "note", said.append)
    operator = ArmOperator(running.config)
    env = make_env(running.config)

    def opens() -> None:
        assert operator.stop()
        while env.stops == 0:
            operator.state()

    env._render_camera = SimpleNamespace(open=opens, close=lambda: None)  # pyright: ignore[reportAttributeAccessIssue]
    try:
        with pytest.raises(ResetError, match="somebody else stopped the arm"):
            guide(env, Person(), Console(quiet=True), Interrupt())
        env.close()
    finally:
        operator.close()
        running.close()
    assert not any(what.startswith("RUN") for what in said)


def test_a_real_arm_is_not_moved_without_real_time_priority(monkeypatch) -> None:
    real = served_config("ur", server=replace(SERVER, require_realtime=True))
    task = replace(real.task, seated_pose=tuple(SimCell().seated_pose.tolist()))
    holder = RegraspConfig(grasp_pose=(0.0, 0.03, 0.0, 0.0, 0.0, 0.0))
    running = RunningServer(SimDriver(SimCell()), replace(real, task=task, regrasp=holder))
    person = Person()
    config = RunConfig(env=running.config, actor=ActorConfig(device="spacemouse"))
    monkeypatch.setattr(regrasp.arm_link, "meant", lambda *_: config)
    monkeypatch.setattr(regrasp, "make_operator_device", lambda _: person)
    monkeypatch.setattr(realtime, "raise_priority", lambda: "nice")
    try:
        with pytest.raises(ArmError, match="SCHED_FIFO, which a real arm needs"):
            regrasp.main({}, [])
    finally:
        running.close()
