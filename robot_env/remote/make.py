"""Putting an arm server together.

This module imports no driver until it is asked for one: each brings its SDK, the simulated one its physics.
"""

from handrail.robot_env.arms.driver import ArmDriver
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.remote.server import ArmServer
from handrail.robot_env.tasks import RamInsertion


def make_driver(config: EnvConfig) -> ArmDriver:
    """The driver of `config.arm`, not connected yet.

    Raises:
        ConfigError: the arm lives in the actor, or a fact of the station is missing.
        MissingExtra: its SDK is not installed.
    """
    match config.arm.kind:
        case "sim_server":
            from handrail.robot_env.arms.sim import SimDriver
            from handrail.robot_env.sim.cell import SimCell

            return SimDriver(SimCell(config.sim))
        case "franka":
            from handrail.robot_env.arms.franka.driver import FrankaDriver

            return FrankaDriver(config.arm.franka)
        case "ur":
            from handrail.robot_env.arms.ur.driver import URDriver

            return URDriver(config.arm.ur)
        case "serl_http":
            from handrail.robot_env.arms.serl_http import SerlHttpDriver

            return SerlHttpDriver(config.arm.serl_http)
    raise ConfigError(
        f"env.arm.kind is {config.arm.kind!r}, which lives in the actor and needs no arm server; "
        "choose sim_server, franka, ur or serl_http"
    )


def make_server(config: EnvConfig, driver: ArmDriver | None = None) -> ArmServer:
    """The arm server of `config.arm`; `run` serves.

    Without a seated pose, and without a simulated cell that knows it, the server is for teaching: it shows
    the arm's state, and gives nobody the lease.

    Args:
        config: the arm, its limits and its task.
        driver: the arm's driver; None makes it from `config`.

    Raises:
        ConfigError: a setting is refused.
        MissingExtra: the driver's SDK is not installed.
    """
    driver = driver or make_driver(config)
    scene = getattr(driver, "scene", None)  # what only a simulated driver has
    teaching = scene is None and config.task.seated_pose is None
    frame = None if teaching else RamInsertion(config.task, scene).frame()
    return ArmServer(driver, config, frame, scene)
