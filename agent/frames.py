"""The frame pool: what the policy's cameras saw, one copy a moment.

A *frame* is one moment's images of all cameras; it has an absolute number, in order of arrival. Two steps
that meet share the frame between them, because both name it by the log's ids. Frames leave as they came,
oldest first, and memory is taken in blocks while the pool fills.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np

from handrail.intervention.log_format import FrameRecord, image_from, moment_of
from handrail.robot_env.errors import CameraError

_BLOCK = 64  # frames


class FramePool:
    """Images by frame number. One thread at a time may use it.

    Args:
        cameras: Names of those to keep, in the order of a frame's images; others are left out.
        image: (H, W) of each.

    Attributes:
        added: Frames that ever arrived; the next one's number.
        oldest: Number of the oldest frame that is still here.
    """

    def __init__(self, cameras: tuple[str, ...], image: tuple[int, int]) -> None:
        self.cameras, self.shape = cameras, (len(cameras), *image, 3)
        self.added = self.oldest = 0
        self._blocks: dict[int, np.ndarray] = {}
        self._spare: np.ndarray | None = None
        self._numbers: dict[int, int] = {}  # by the log's moment
        self._moments: deque[int] = deque()  # of the frames that are here, oldest first
        self._lacking: dict[int, set[int]] = {}  # cameras of a frame whose image has not arrived
        self._camera_at: dict[int, int] = {}  # camera of a frame, by its position in the log's ids

    @property
    def held(self) -> int:
        """Frames that are here."""
        return self.added - self.oldest

    @property
    def frame_bytes(self) -> int:
        """Of one frame."""
        return int(np.prod(self.shape))

    @property
    def bytes(self) -> int:
        """Memory taken."""
        return (len(self._blocks) + (self._spare is not None)) * _BLOCK * self.frame_bytes

    def put(self, record: FrameRecord) -> None:
        """Copy an image in.

        Raises:
            CameraError: its size is not that of the pool's.
        """
        if record.camera not in self.cameras:
            return
        if record.shape != self.shape[1:]:
            raise CameraError(
                f"Image {record.frame_id} of camera {record.camera!r} is {record.shape}, the policy sees "
                f"{self.shape[1:]}; start a new run for cameras of another size."
            )
        moment, position = moment_of(record.frame_id)
        camera = self._camera_at.setdefault(position, self.cameras.index(record.camera))
        number = self._numbers.get(moment)
        if number is None:
            number = self._begin(moment)
        self.images(number)[camera] = image_from(record)
        lacking = self._lacking.get(number)
        if lacking is not None:
            lacking.discard(camera)
            if not lacking:
                del self._lacking[number]

    def _begin(self, moment: int) -> int:
        number = self.added
        if number // _BLOCK not in self._blocks:
            block, self._spare = self._spare, None
            self._blocks[number // _BLOCK] = (
                np.empty((_BLOCK, *self.shape), np.uint8) if block is None else block
            )
        self.added += 1
        self._numbers[moment] = number
        self._moments.append(moment)
        self._lacking[number] = set(range(len(self.cameras)))
        return number

    def number(self, frames: Mapping[str, int]) -> int | None:
        """Number of the frame that a step names by its images' ids; None where an image is not here."""
        moments = {moment_of(frames[camera])[0] for camera in self.cameras if camera in frames}
        number = self._numbers.get(moments.pop()) if len(moments) == 1 else None
        return None if number is None or number in self._lacking else number

    def locate(self, frame_id: int) -> tuple[int, int] | None:
        """(frame number, camera) of one image by its id in the log; None while, or when, it is not here."""
        moment, position = moment_of(frame_id)
        number, camera = self._numbers.get(moment), self._camera_at.get(position)
        return None if number is None or camera is None else (number, camera)

    def images(self, number: int) -> np.ndarray:
        """A frame's images (cameras, H, W, 3) uint8, in place."""
        return self._blocks[number // _BLOCK][number % _BLOCK]

    def is_whole(self, number: int) -> bool:
        """Whether a frame is here with the images of all cameras."""
        return self.oldest <= number < self.added and number not in self._lacking

    def forget_before(self, number: int) -> None:
        """Drop older frames."""
        while self.oldest < number:
            del self._numbers[self._moments.popleft()]
            self._lacking.pop(self.oldest, None)
            self.oldest += 1
            if self.oldest % _BLOCK == 0:
                self._spare = self._blocks.pop(self.oldest // _BLOCK - 1)
