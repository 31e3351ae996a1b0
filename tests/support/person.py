"""Somebody at a device who lets the arm do as it does, and presses what a test tells them to."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from handrail.intervention.device import Reading


@dataclass
class Person:
    """A device of a person's.

    Attributes:
        pause: set to press the pause button once.
        on_look: called whenever the control loop looks at the device.
    """

    name: str = "person"
    pause: threading.Event = field(default_factory=threading.Event)
    on_look: Callable[[], None] = lambda: None

    def open(self) -> None: ...

    def close(self) -> None: ...

    def read(self, now_ns: int) -> Reading:
        self.on_look()
        pressed = self.pause.is_set()
        self.pause.clear()
        return Reading(np.zeros(6), now_ns, frozenset({"pause"} if pressed else ()))
