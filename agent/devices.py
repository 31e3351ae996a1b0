"""Which device an actor listens to, by name."""

from __future__ import annotations

from handrail.agent.config import RunConfig
from handrail.intervention.config import MappingConfig, OperatorConfig
from handrail.intervention.device import Device
from handrail.intervention.keyboard import Keyboard, TerminalKeys
from handrail.intervention.operator import SYNTHETIC_MAPPING, SyntheticOperator
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
    """
    if config.actor.device == "keyboard":
        return Keyboard(TerminalKeys()), config.mapping
    if env.scene is None:
        raise ConfigError(
            "actor.device is 'synthetic', which watches the simulated cell, and this station has none; "
            "choose actor.device=keyboard"
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
