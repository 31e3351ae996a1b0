"""An image of the observation: part of a camera's picture, made as large as the policy wants it."""

from handrail.robot_env.cameras.camera import Frame
from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.cameras.opencv import load_cv2
from handrail.robot_env.cameras.stream import FrameStream
from handrail.robot_env.errors import CameraError, ConfigError


class CroppedView:
    """A `Camera` that looks at part of a physical one; any number of views share a stream.

    Each frame is cropped and resized once, in the thread that reads: 0.5 ms from 480x480 to 128x128.

    Args:
        stream: The camera.
        config: Name, crop and size of the image.

    Attributes:
        stream: The camera.

    Raises:
        ConfigError: The crop reaches beyond the camera's picture.
        MissingExtra: OpenCV is not installed.
    """

    def __init__(self, stream: FrameStream, config: CameraConfig) -> None:
        self._cv2 = load_cv2()
        self.name = config.name
        self.width, self.height = config.width, config.height
        self.stream = stream
        size = stream.config.width, stream.config.height
        self._left, self._top, *self._crop_size = config.crop or largest_crop(size, (self.width, self.height))
        crop_width, crop_height = self._crop_size
        if self._left + crop_width > size[0] or self._top + crop_height > size[1]:
            raise ConfigError(
                f"camera {config.name}: crop {config.crop} (left, top, width, height) reaches beyond the "
                f"{size[0]}x{size[1]} pixels of camera device {stream.config.name}; make it smaller"
            )
        shrinks = crop_width >= self.width and crop_height >= self.height
        # Averaging over the area that becomes a pixel: without it fine edges flicker as the hand moves.
        self._how = self._cv2.INTER_AREA if shrinks else self._cv2.INTER_LINEAR
        self._open = False
        self._last: Frame | None = None

    def open(self) -> None:
        """Start the camera, unless another view did."""
        if not self._open:
            self.stream.open()
            self._open = True

    def close(self) -> None:
        """Let go of the camera; the last view stops it."""
        if self._open:
            self._open = False
            self._last = None
            self.stream.close()

    def read(self) -> Frame:
        """The newest frame, cropped; stamped with its arrival.

        Raises:
            CameraError: It is not open, or has no frame that could be an observation.
        """
        if not self._open:
            raise CameraError(f"camera {self.name} is not open; call open() first")
        frame = self.stream.latest().frame
        if self._last is None or self._last.sequence != frame.sequence:
            width, height = self._crop_size
            part = frame.image[self._top : self._top + height, self._left : self._left + width]
            if (width, height) == (self.width, self.height):
                image = part.copy()
            else:
                image = self._cv2.resize(part, (self.width, self.height), interpolation=self._how)
            self._last = Frame(image, frame.t_ns, frame.sequence)
        return self._last


def largest_crop(picture: tuple[int, int], image: tuple[int, int]) -> tuple[int, int, int, int]:
    """The largest part in the middle of a picture that has the image's shape.

    Args:
        picture: Width and height of the picture [pixels].
        image: Width and height of the image [pixels].

    Returns:
        Left, top, width and height [pixels].
    """
    scale = min(picture[0] / image[0], picture[1] / image[1])
    width, height = round(image[0] * scale), round(image[1] * scale)
    return (picture[0] - width) // 2, (picture[1] - height) // 2, width, height
