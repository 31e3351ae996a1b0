"""The tasks: what an episode starts from and what it is measured against.

A task is facts and small decisions; how the arm gets to a start is `reset.py`, and the loop is `env.py`.
Adding a task means adding a class like this one, never another environment.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Protocol

import numpy as np

from handrail.robot_env.config import TaskConfig
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.geometry import Array, Vector, WorkFrame, quat_multiply
from handrail.robot_env.sim.config import RandomizationConfig
from handrail.robot_env.sim.truth import RamTruth

TOOL_DOWN: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0)
"""Orientation of a tool that points straight down with its x axis along the base's."""
RESET_OPTIONS = ("start", "randomize")
"""What an environment's reset may be told: see `RobotEnv.reset`."""


class Scene(Protocol):
    """What stands around the arm, where a program can know it: the simulated cell."""

    seated_pose: Array
    """(7,) tool pose with the module seated in the *nominal* socket, base frame."""

    def randomize(self, rng: np.random.Generator, config: RandomizationConfig | None = None) -> object:
        """Put the next episode's circumstances in force; None for the nominal ones. The arm does not move."""
        ...

    def success(self) -> bool:
        """Whether the module is seated now."""
        ...

    def truth(self) -> RamTruth:
        """What a person standing beside the cell could see, the hidden displacement included."""
        ...


@dataclass(frozen=True)
class Start:
    """Where an episode starts, in work coordinates: from the seated pose at the nominal socket.

    Attributes:
        x_m: along the slot [m].
        y_m: across it [m].
        z_m: above the seated pose [m].
        yaw_rad: turn about the vertical [rad].
    """

    x_m: float
    y_m: float
    z_m: float
    yaw_rad: float

    @property
    def coordinates(self) -> tuple[float, ...]:
        """The six work coordinates of the tool."""
        return self.x_m, self.y_m, self.z_m, 0.0, 0.0, self.yaw_rad


class RamInsertion:
    """Seat a memory module, held by the gripper, in its socket.

    Args:
        config: start range, reset and length of an episode.
        scene: where the seated pose comes from when the configuration gives none.

    Raises:
        ConfigError: neither the configuration nor a scene says where the seated pose is.
    """

    def __init__(self, config: TaskConfig, scene: Scene | None = None) -> None:
        if config.seated_pose is None and scene is None:
            raise ConfigError(
                "task.seated_pose is None and there is no simulated scene to ask; "
                "teach the tool pose with the module seated"
            )
        self.config = config
        self._scene = scene

    @property
    def seated_pose(self) -> Array:
        """(7,) tool pose with the module seated in the nominal socket, base frame."""
        if self.config.seated_pose is not None:
            return np.array(self.config.seated_pose)
        assert self._scene is not None
        return self._scene.seated_pose

    def frame(self) -> WorkFrame:
        """Work frame at the nominal seated pose, its axes the socket's: x along the slot, z up."""
        seated: Vector = self.seated_pose
        turned = quat_multiply(seated[3:7], [-TOOL_DOWN[0], 0.0, 0.0, 0.0])
        return WorkFrame(seated, turned)

    def start(self, rng: np.random.Generator, options: Mapping[str, Any]) -> Start:
        """An episode's start by the options of its reset; draws the same from `rng` whatever they are.

        Raises:
            ConfigError: an unknown option, or a start out of reach.
        """
        for name in options:
            if name not in RESET_OPTIONS:
                raise ConfigError(
                    f"reset option {name!r} is unknown; the options are {', '.join(RESET_OPTIONS)}"
                )
        drawn, given = self.sample_start(rng), options.get("start")
        return drawn if given is None else self.fixed_start(given)

    def sample_start(self, rng: np.random.Generator) -> Start:
        """Draw a start, uniform over the full range; always four numbers from `rng`."""
        c = self.config
        x, y, z, yaw = rng.uniform(-1.0, 1.0, 4).tolist()
        return Start(
            x * c.start_xy_m, y * c.start_xy_m, c.start_height_m + z * c.start_z_m, yaw * c.start_yaw_rad
        )

    def fixed_start(self, values: "Start | Sequence[float]") -> Start:
        """A start given by the caller instead, refused when it is not in the start range's reach.

        Raises:
            ConfigError: not four finite numbers, or below the clearance.
        """
        numbers = astuple(values) if isinstance(values, Start) else tuple(float(v) for v in values)
        if len(numbers) != 4 or not all(math.isfinite(v) for v in numbers):
            raise ConfigError(f"start is {numbers}; give x, y, z [m] and yaw [rad], four finite numbers")
        if numbers[2] < self.config.clearance_m:
            raise ConfigError(
                f"start is {numbers[2]} m above the seated pose, below task.clearance_m = "
                f"{self.config.clearance_m} m, where it would touch the socket; start higher"
            )
        return Start(*numbers)
