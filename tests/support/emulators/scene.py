"""The cell around an emulated robot, whichever emulator has it."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np

from handrail.robot_env.geometry import Array
from handrail.robot_env.sim.config import RandomizationConfig
from handrail.robot_env.sim.randomize import Draw, draw


class Emulator(Protocol):
    """A robot in a process of its own, with a channel that tells the truth."""

    def ask(self, what: str, /, **details: Any) -> Any:
        """Say a word over the control channel."""
        ...

    def truth(self) -> Mapping[str, Any]:
        """Where everything really is."""
        ...


class EmulatedScene:
    """What of a `Scene` is alike: the seated pose and new circumstances. Success and truth are each robot's.

    Args:
        emulator: the robot.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self.seated_pose: Array = np.array(emulator.truth()["seated_pose"])

    def randomize(self, rng: np.random.Generator, config: RandomizationConfig | None = None) -> Draw:
        """Put the next episode's circumstances in force."""
        episode = Draw() if config is None else draw(rng, config)
        self._emulator.ask("randomize", draw=asdict(episode))
        self.seated_pose = np.array(self._emulator.truth()["seated_pose"])
        return episode
