"""`handrail regrasp`: take a module anew, guided by an operator who stands at the arm.

Nothing moves while a hand is in the cell: the arm holds until the operator has acknowledged each step with
the device's success button (y on a keyboard).
"""

import time

from rich.console import Console

from handrail.agent.config import HAND_DEVICES
from handrail.agent.devices import make_operator_device
from handrail.intervention.device import Device, check_at_rest
from handrail.intervention.hold import wait_until_heard
from handrail.intervention.keyboard import Keyboard, TerminalKeys
from handrail.launch import arm_link
from handrail.launch.options import Options
from handrail.launch.supervisor import Interrupt
from handrail.robot_env import realtime
from handrail.robot_env.env import RobotEnv
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.make import make_env

_LOOK_S = 0.05


def main(options: Options, overrides: list[str]) -> int:
    """Guide one regrasp; Ctrl-C holds the arm where it is.

    Raises:
        ConfigError: the task has no regrasp, or its grasp pose lies outside the workspace.
        ArmError: no arm server answers, somebody else commands the arm, or a real one is to be moved without
            real-time priority.
        ResetError: it took too long, nothing was caught, or somebody else stopped the arm; it holds.
        DeviceError: the operator's device is missing, or not at rest.
    """
    config = arm_link.meant(options, overrides)
    if config.env.regrasp is None:
        raise ConfigError(
            "this task takes no module anew: env.regrasp is not configured; give env.regrasp.grasp_pose, as "
            "task=ram_insertion_real does"
        )
    person = config.actor.device in HAND_DEVICES
    device = make_operator_device(config) if person else Keyboard(TerminalKeys())
    console = Console(highlight=False, soft_wrap=True, markup=False)
    device.open()
    try:
        wait_until_heard(device)
        check_at_rest(device, time.monotonic_ns())
        env = make_env(config.env)
        try:
            with realtime.control_loop(config.env.arm) as warning, Interrupt().installed() as interrupt:
                if warning:
                    console.print(warning)
                held = guide(env, device, console, interrupt)
        finally:
            env.close()
    finally:
        device.close()
    if not held:
        raise KeyboardInterrupt
    console.print("Done: the arm holds above the holder, with a module in its jaws.")
    return 0


def guide(env: RobotEnv, device: Device, console: Console, interrupt: Interrupt) -> bool:
    """Go through the procedure, each prompt printed once; whether a module is held at its end.

    Args:
        env: of the arm.
        device: acknowledges with its success button.
        console: for the prompts.
        interrupt: ends it early; the arm then holds.
    """
    procedure = env.regrasp()
    said = ""
    while interrupt.number is None:
        step = procedure.step("success" in device.read(time.monotonic_ns()).buttons)
        if step.prompt != said:
            said = step.prompt
            console.print(said)
        if step.done:
            return True
        time.sleep(_LOOK_S)
    procedure.cancel()
    return False
