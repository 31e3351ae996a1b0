"""Where a batch's images come from: frame numbers in, a tensor for the encoder out."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from handrail.agent.cameras import require_shift
from handrail.agent.frames import FramePool
from handrail.vision.augment import shift_into


class PixelSource(Protocol):
    """Turns frames into what the encoder sees."""

    def gather(self, numbers: np.ndarray, rng: np.random.Generator) -> Tensor:
        """A row for each of (N,) frame numbers, each with its own draw of the augmentation."""
        ...


class ShiftedImages:
    """The images themselves, for a trunk that is trained: each row's cameras shifted at random.

    Args:
        frames: Where images live.
        shift_px: Largest shift either way [pixels]; 0 leaves images as they are.
    """

    def __init__(self, frames: FramePool, shift_px: int) -> None:
        require_shift(frames.shape[1:3], shift_px)
        self._frames, self._shift_px = frames, shift_px

    def gather(self, numbers: np.ndarray, rng: np.random.Generator) -> Tensor:
        """(N, cameras, H, W, 3) uint8."""
        out = torch.empty((len(numbers), *self._frames.shape), dtype=torch.uint8)
        rows = out.numpy()
        if not self._shift_px:
            for row, number in zip(rows, numbers.tolist(), strict=True):
                row[:] = self._frames.images(number)
            return out
        cameras, largest = self._frames.shape[0], self._shift_px
        shifts = rng.integers(-largest, largest + 1, (len(numbers), cameras, 2)).tolist()
        for row, number, moves in zip(rows, numbers.tolist(), shifts, strict=True):
            for target, image, (dy, dx) in zip(row, self._frames.images(number), moves, strict=True):
                shift_into(target, image, dy, dx)
        return out
