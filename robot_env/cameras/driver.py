"""What a physical camera is to its stream: opened, waited for and emptied by one thread, and by no other."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class DeviceFrame:
    """One frame as the device delivers it.

    Attributes:
        image: Shape (H, W, 3), uint8, RGB, owned by the receiver.
        number: The device's count of frames; a gap is a frame that never arrived.
        device_ns: The device's own stamp [ns]; None where it has none.
        device_clock: Which clock that is: the device's word for it.
    """

    image: NDArray[np.uint8]
    number: int
    device_ns: int | None = None
    device_clock: str = ""


class CameraDriver(Protocol):
    """A camera's SDK behind five calls. Everything but the constructor is called from the stream's thread.

    Attributes:
        identity: What makes this camera this one (serial number, device node, file): no two streams share it.
        live: Whether it makes frames now. A recording is not reopened when it is over.
        warnings: What is not as it should be, though it works: a slow USB port.
    """

    identity: str
    live: bool
    warnings: tuple[str, ...]

    def open(self) -> None:
        """Start the camera that `identity` names, and no other.

        Raises:
            CameraError: It is not there or cannot be started; the message lists what is connected.
            ConfigError: It does not offer what is asked of it.
        """
        ...

    def wait(self, timeout_s: float) -> bool:
        """Wait for a frame newer than the last one taken, without holding up other threads.

        Args:
            timeout_s: The longest to wait [s].

        Returns:
            Whether there is one.

        Raises:
            CameraError: No frame will come any more.
        """
        ...

    def take(self) -> DeviceFrame:
        """The frame that `wait` announced."""
        ...

    def close(self) -> None:
        """Let go of the camera; never raises, and may be called again."""
        ...
