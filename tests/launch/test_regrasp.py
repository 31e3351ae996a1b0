"""The operator is told each step once, acknowledges with a button, and may leave at any time."""

import signal
from types import SimpleNamespace

import numpy as np
from rich.console import Console

from handrail.intervention.device import Reading
from handrail.launch.regrasp import guide
from handrail.launch.supervisor import Interrupt
from handrail.robot_env.regrasp import PROMPTS, RegraspPhase, RegraspStep


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
