"""What a camera is to the rest of Handrail."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from handrail.robot_env.errors import CameraError


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


def check_skew(frames: Mapping[str, Frame], limit_s: float) -> None:
    """Refuse images that do not show one moment.

    Args:
        frames: The images of one observation, by camera.
        limit_s: The largest difference between two stamps [s].

    Raises:
        CameraError: Two of them lie further apart; names both.
    """
    if len(frames) < 2:
        return
    oldest = min(frames, key=lambda name: frames[name].t_ns)
    newest = max(frames, key=lambda name: frames[name].t_ns)
    skew_ns = frames[newest].t_ns - frames[oldest].t_ns
    if skew_ns > limit_s * 1e9:
        raise CameraError(
            f"camera {oldest} is {skew_ns / 1e6:.0f} ms behind camera {newest}, limit "
            f"{1000 * limit_s:.0f} ms; lower their resolution or put them on separate USB controllers"
        )
