"""A camera without a scene: its pictures have one colour each."""

import numpy as np

from handrail.robot_env.cameras.camera import Frame


class Painted:
    """A `Camera` called "wrist", 32x32 pixels.

    Args:
        shades: brightness of its pictures, in order; the last one stays.
    """

    name, width, height = "wrist", 32, 32

    def __init__(self, *shades: int) -> None:
        self._shades = shades
        self._reads = 0

    def open(self) -> None:
        """Nothing to open."""

    def close(self) -> None:
        """Nothing to close."""

    def read(self) -> Frame:
        """The next picture."""
        self._reads += 1
        shade = self._shades[min(self._reads, len(self._shades)) - 1]
        return Frame(np.full((32, 32, 3), shade, np.uint8), self._reads, self._reads)
