"""What a camera is to the rest of Handrail."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Frame:
    """One image and its age.

    Attributes:
        image: Shape (H, W, 3), uint8, RGB, owned by the receiver.
        t_ns: When it was exposed, on the clock of the arm [ns].
        sequence: Counts the frames of one camera; two equal numbers are the same exposure.
    """

    image: NDArray[np.uint8]
    t_ns: int
    sequence: int


class Camera(Protocol):
    """A camera. Open, read and close it from one and the same thread.

    Attributes:
        name: The key of its image in the observation.
        width: Image width [pixels].
        height: Image height [pixels].
    """

    name: str
    width: int
    height: int

    def open(self) -> None:
        """Start the camera; calling it again does nothing.

        Raises:
            CameraError: It cannot be started; the message says why and what to do.
        """
        ...

    def close(self) -> None:
        """Stop the camera and free what it holds; calling it again does nothing."""
        ...

    def read(self) -> Frame:
        """The newest frame.

        Raises:
            CameraError: The camera is not open or gives no frames.
        """
        ...
