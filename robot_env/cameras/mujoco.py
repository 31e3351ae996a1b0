"""Cameras of the simulated cell."""

from handrail.robot_env.cameras.camera import Frame
from handrail.robot_env.cameras.config import SIM_PICTURE, CameraConfig
from handrail.robot_env.errors import CameraError, ConfigError
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.sim.scene import SimScene

WIDEST_PLAIN = 256
"""Images wider than this many pixels are for people, and drawn with every detail."""


class MujocoCamera:
    """A camera of the simulated cell: about 2.5 ms for 128x128 pixels on a CPU, without shadows.

    Cameras of one cell share the rendered model and, at equal size, the GL context. A crop costs nothing:
    that part alone is drawn.

    Args:
        cell: The cell it looks at.
        config: Name, view, crop and size.
        fine: Whether every detail is drawn; None leaves it to the size of the image.

    Raises:
        ConfigError: The crop reaches beyond the camera's picture.
    """

    def __init__(self, cell: SimCell, config: CameraConfig, fine: bool | None = None) -> None:
        if config.crop is not None:
            left, top, width, height = config.crop
            if left + width > SIM_PICTURE[0] or top + height > SIM_PICTURE[1]:
                raise ConfigError(
                    f"camera {config.name}: crop {config.crop} (left, top, width, height) reaches beyond the "
                    f"{SIM_PICTURE[0]}x{SIM_PICTURE[1]} pixels of a simulated camera; make it smaller"
                )
        self.name = config.name
        self._crop = config.crop
        self.width, self.height = config.width, config.height
        self._source = config.source
        self._cell = cell
        self._scene = SimScene.shared(cell, fine=config.width > WIDEST_PLAIN if fine is None else fine)
        self._open = False
        self._sequence = -1
        self._last: Frame | None = None

    def open(self) -> None:
        """Make the GL context and render once, so that a missing library is found now.

        Raises:
            CameraError: No such view; or, as `RenderingUnavailable`, no library that can render.
        """
        if not self._open:
            self._scene.render(self._source, self.width, self.height, self._crop)
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
            image = self._scene.render(self._source, self.width, self.height, self._crop)
            self._last = Frame(image, t_ns, self._sequence)
        return self._last
