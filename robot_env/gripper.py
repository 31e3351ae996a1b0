"""The gripper, as the environment sees it.

Commands are asked for, not waited for: a gripper takes half a second to move, which a control loop does not
have. Whether something is held is read off the width, which every gripper reports and none gets wrong: jaws
that stop wider than shut have something between them.
"""

from typing import Protocol


class Gripper(Protocol):
    """A parallel gripper. Every method may be called from the control thread and returns at once.

    A new command replaces one that is still under way. A command that cannot be sent raises `ArmError`.
    """

    def open(self) -> None:
        """Open fully."""
        ...

    def close(self) -> None:
        """Close until something is held, and go on holding it with the gripper's own force."""
        ...

    def move(self, width_m: float, force_n: float) -> None:
        """Move the jaws to `width_m` apart [m]; what they meet on the way is held with `force_n` [N]."""
        ...

    @property
    def width_m(self) -> float:
        """Opening between the jaws [m], as last read."""
        ...
