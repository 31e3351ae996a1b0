"""Cameras of the simulated cell."""

from handrail.robot_env.cameras.camera import Frame
from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.errors import CameraError
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.sim.scene import SimScene

WIDEST_PLAIN = 256
"""Images wider than this many pixels are for people, and drawn with every detail."""


class MujocoCamera:
    """A camera of the simulated cell: about 2.5 ms for 128x128 pixels on a CPU, without shadows.

    Cameras of one cell share the rendered model and, at equal size, the GL context.

    Args:
        cell: The cell it looks at.
        config: Name, view and size.
    """

    def __init__(self, cell: SimCell, config: CameraConfig) -> None:
        self.name = config.name
        self.width, self.height = config.width, config.height
        self._source = config.source
        self._cell = cell
        self._scene = SimScene.shared(cell, fine=config.width > WIDEST_PLAIN)
        self._open = False
        self._sequence = -1
        self._last: Frame | None = None

    def open(self) -> None:
        """Make the GL context and render once, so that a missing library is found now.

        Raises:
            CameraError: No such view; or, as `RenderingUnavailable`, no library that can render.
        """
        if not self._open:
            self._scene.render(self._source, self.width, self.height)
            self._open = True

    def close(self) -> None:
        """Free the GL context; other cameras of the same scene make theirs anew when they read."""
        if self._open:
            self._open = False
            self._last = None
            self._scene.close()

    def read(self) -> Frame:
        """An image of the cell as it is now; the same frame while no time passes.

        Raises:
            CameraError: The camera is not open.
        """
        if not self._open:
            raise CameraError(f"camera {self.name} is not open; call open() first")
        t_ns = self._cell.time_ns
        if self._last is None or self._last.t_ns != t_ns:
            self._sequence += 1
            image = self._scene.render(self._source, self.width, self.height)
            self._last = Frame(image, t_ns, self._sequence)
        return self._last
