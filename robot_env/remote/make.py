"""Putting an arm server together, and a clock that goes by the robot's time.

This module imports no driver until it is asked for one: each brings its SDK, the simulated one its physics.
"""

import time

from handrail.robot_env.arms.driver import ArmDriver
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import ArmError, ConfigError
from handrail.robot_env.remote.client import ArmClient
from handrail.robot_env.remote.server import ArmServer
from handrail.robot_env.tasks import RamInsertion

_STANDSTILL_S = 10.0


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
            from handrail.robot_env.arms.franka import FrankaDriver

            return FrankaDriver(config.arm.franka)
        case "ur":
            from handrail.robot_env.arms.ur import URDriver

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

    Args:
        config: the arm, its limits and its task.
        driver: the arm's driver; None makes it from `config`.

    Raises:
        ConfigError: a setting is refused; without a simulated cell, that includes a missing seated pose.
        MissingExtra: the driver's SDK is not installed.
    """
    driver = driver or make_driver(config)
    scene = getattr(driver, "scene", None)  # what only a simulated driver has
    return ArmServer(driver, config, RamInsertion(config.task, scene).frame(), scene)


class DeviceClock:
    """Time as the served robot counts it: a slow emulator, or a busy machine, changes nothing.

    Args:
        client: of the arm, connected before the clock is used.
    """

    def __init__(self, client: ArmClient) -> None:
        self._client = client

    def now_ns(self) -> int:
        """The robot's time [ns]."""
        return self._client.newest.device_ns

    def wait_until(self, t_ns: int) -> None:
        """Return once the robot's time has come to `t_ns`.

        Raises:
            ArmError: it has stood still for ten seconds.
        """
        while (before_ns := self.now_ns()) < t_ns:
            end_s = time.monotonic() + _STANDSTILL_S
            while not self._client.feed.wait(lambda state: state.device_ns >= t_ns, 0.5):
                if self.now_ns() > before_ns:
                    break
                if time.monotonic() > end_s:
                    raise ArmError(f"the robot's time has stood still for {_STANDSTILL_S:g} s")

    def stalled_ns(self) -> int:
        """Always zero: the robot does not wait for this process."""
        return 0
