"""Which device an actor listens to, by name."""

from __future__ import annotations

from handrail.agent.config import HAND_DEVICES, RunConfig
from handrail.intervention.config import ButtonsConfig, MappingConfig, OperatorConfig
from handrail.intervention.console.hand import NoDevice
from handrail.intervention.device import Device
from handrail.intervention.gamepad import Gamepad
from handrail.intervention.keyboard import Keyboard, TerminalKeys
from handrail.intervention.operator import SYNTHETIC_MAPPING, SyntheticOperator
from handrail.intervention.spacemouse import SpaceMouse
from handrail.robot_env.env import RobotEnv
from handrail.robot_env.errors import ConfigError


def make_device(config: RunConfig, env: RobotEnv, *, demonstrate: bool) -> tuple[Device, MappingConfig]:
    """The configured device, not yet opened, and the mapping that goes with it.

    Args:
        config: of the run; `actor.device` names the device.
        env: what the synthetic operator watches.
        demonstrate: whether it is to drive whole episodes (a person simply does).

    Raises:
        ConfigError: the synthetic operator is asked for where there is no simulated cell to watch.
        MissingExtra: the device's extra is not installed.
    """
    if config.actor.device in HAND_DEVICES:
        return make_operator_device(config), config.mapping
    if env.scene is None:
        raise ConfigError(
            f"actor.device is {config.actor.device!r}, which watches the simulated cell, and this station "
            "has none; choose device=spacemouse, gamepad, keyboard or console"
        )
    operator = OperatorConfig(level="none") if config.actor.device == "none" else config.operator
    device = SyntheticOperator(
        operator,
        env.scene.truth,
        env.action_spec,
        env.period_s,
        env.config.limits,
        env.config.target_reference,
        always=demonstrate,
    )
    return device, SYNTHETIC_MAPPING


def make_operator_device(config: RunConfig) -> Device:
    """The device of a person, not yet opened.

    Raises:
        ConfigError: `actor.device` names none, or buttons are given names that the keyboard does not know.
        MissingExtra: the device's extra is not installed.
    """
    device, stale_s = config.device, config.arbiter.stale_s
    match config.actor.device:
        case "spacemouse":
            return SpaceMouse(device.path, device.buttons, poll_s=device.poll_s, stale_s=stale_s)
        case "gamepad":
            return Gamepad(
                device.path,
                device.buttons,
                dead_zone=device.stick_dead_zone,
                poll_s=device.poll_s,
                stale_s=stale_s,
            )
        case "keyboard":
            if device.buttons != ButtonsConfig():
                raise ConfigError(
                    "device.buttons is set, and a keyboard's keys are fixed; leave it out, "
                    "or choose device=gamepad"
                )
            return Keyboard(TerminalKeys(), device.key_deflection, device.key_s)
        case "console":
            return NoDevice()
        case other:
            raise ConfigError(
                f"actor.device is {other!r}, which is nobody's hand; "
                "choose device=spacemouse, gamepad, keyboard or console"
            )
