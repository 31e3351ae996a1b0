"""The gripper, as the environment sees it."""

from typing import Protocol


class Gripper(Protocol):
    """A parallel gripper. Every method may be called from the control thread and returns at once."""

    def open(self) -> None:
        """Open fully."""
        ...

    def close(self) -> None:
        """Close until something is held."""
        ...

    def move(self, width_m: float, force_n: float) -> None:
        """Move the jaws to `width_m` apart [m], pressing with at most `force_n` [N]."""
        ...

    @property
    def width_m(self) -> float:
        """Opening between the jaws [m]."""
        ...
