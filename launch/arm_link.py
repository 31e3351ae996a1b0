"""Which arm server a command means, and whether one is there."""

import dataclasses
from pathlib import Path

from handrail.agent.config import RunConfig
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose, runs
from handrail.launch.options import Options
from handrail.robot_env.arms.config import ArmConfig, ArmServerConfig
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import ArmError, ConfigError
from handrail.robot_env.remote.client import greet
from handrail.robot_env.remote.endpoints import Endpoints
from handrail.robot_env.remote.messages import State
from handrail.robot_env.remote.operator import ArmOperator
from handrail.robot_env.remote.whereabouts import announced

NOTHING_TO_SERVE = (
    "env.arm.kind is 'sim', the simulated arm inside the actor, which has no server; choose arm=sim_server, "
    "or a station with a real arm"
)

GREETING_S = 0.5
"""How long a server on this machine may take to say that it is there [s]."""


def meant(options: Options, overrides: list[str], missing: compose.Missing = "refused") -> RunConfig:
    """The configuration that a command line means: of a run, or composed; with the arm server's address.

    Args:
        options: the command's.
        overrides: the rest of the line.
        missing: what becomes of facts of the station or the task that nobody has given yet.

    Raises:
        ConfigError: an override is refused, or there is no arm server to speak of.
        RunMissing: no run of that name.
    """
    address = options["arm_address"]
    if options.get("run") is None:
        config = compose.compose(overrides, missing).config
    else:
        if overrides:
            raise ConfigError(
                f"{overrides[0]}: a run has its configuration already; leave it out, or leave run= out"
            )
        run = runs.find(options["run"], options["runs"])
        config = compose.load(run.config_file)
        if address is None and _lives(run_address(run)):
            address = run_address(run)
    if not config.env.arm.served:
        raise ConfigError(NOTHING_TO_SERVE)
    return dataclasses.replace(config, env=at(config.env, address))


def named(options: Options, overrides: list[str]) -> EnvConfig:
    """How to reach the one server that a command line names: by its run, its station, or its address alone.

    All that is wanted of a configuration is where its server is; what else it lacks is of no matter.

    Raises:
        ConfigError: an override is refused, or there is no arm server to speak of.
        RunMissing: no run of that name.
    """
    address = options["arm_address"]
    if address is None or overrides or options.get("run") is not None:
        return meant(options, overrides, "ignored").env
    known = [each for each in around() if each.arm.server.address == address]
    return known[0] if known else _behind(ArmServerConfig(address=address))


def around() -> list[EnvConfig]:
    """How to reach every arm server of this user's on this machine, stations and runs alike."""
    return [_behind(server) for server in announced()]


def _behind(server: ArmServerConfig) -> EnvConfig:
    """Whatever arm is there: to an operator's words its kind is of no matter."""
    return EnvConfig(arm=ArmConfig(kind="sim_server", server=server))


def at(config: EnvConfig, address: str | None) -> EnvConfig:
    """The configuration with its arm server at another address; as it is when that is None."""
    if address is None:
        return config
    server = dataclasses.replace(config.arm.server, address=address)
    return dataclasses.replace(config, arm=dataclasses.replace(config.arm, server=server))


def for_evaluation(config: RunConfig) -> RunConfig:
    """The configuration with a simulated arm in the process itself, where the arm is simulated at all.

    Real time and one arm are for training; an evaluation has a cell of its own, as fast as it goes.
    """
    if config.env.arm.real:
        return config
    arm = dataclasses.replace(config.env.arm, kind="sim")
    return dataclasses.replace(config, env=dataclasses.replace(config.env, arm=arm))


def run_address(run: RunDirectory) -> str:
    """Where an arm server of the run's own listens."""
    return f"ipc://{run.socket_dir() / 'arm'}"


def _lives(address: str) -> bool:
    return Path(address.removeprefix("ipc://")).is_dir()


def own_address(run: RunDirectory, config: RunConfig) -> str | None:
    """Where a run is to start an arm server of its own; None when it needs none, or one answers already.

    A simulated one listens in the run's own folder, so that two runs do not share an arm. A real one listens
    where it is configured: there an operator's `handrail arm stop` looks for it.
    """
    arm = config.env.arm
    if not arm.served or answers(config.env):
        return None
    return arm.server.address or f"ipc://{Endpoints.of(arm).folder}" if arm.real else run_address(run)


def answers(config: EnvConfig) -> bool:
    """Whether an arm server is there."""
    try:
        greet(config, GREETING_S)
    except ArmError:
        return False
    return True


def newest(operator: ArmOperator) -> State:
    """The newest state as the server sent it, from after the last thing asked for.

    Raises:
        ArmError: the server is silent.
    """
    try:
        operator.state()
    except ArmError:
        # It may speak without having heard of its robot yet: that is a state too.
        if operator.newest is None or operator.newest.pose:
            raise
    assert operator.newest is not None
    return operator.newest
