"""The feature cache: what a frozen trunk makes of a frame is computed once, not in every update.

Each frame has K views: view 0 is the frame as it is, the others are shifted by a few pixels, always the same
ones (see `view_shifts`). A batch draws one of them for each row, independently for s and s′. Feature maps are
float16, C·S numbers an image.

The cache is a ring over frames: a place serves every frame whose number falls on it, the newest has it first,
and whichever is needed takes it over. What is not there is computed on the spot, in one pass for the batch.
So the size of the cache changes speed and nothing else.

A cache belongs to one trunk. With other weights, another precision or normalisation (`Trunk.key`) it is
another cache, filled anew; maps from a process with another key are refused where they arrive
(`FeatureReceiver`).
"""

from __future__ import annotations

import time
from collections import OrderedDict

import numpy as np
import torch
from torch import Tensor

from handrail.agent.cameras import require_shift
from handrail.agent.frames import FramePool
from handrail.vision.augment import shift_into, view_shifts
from handrail.vision.trunk import Trunk

_IMAGES_AT_ONCE = 32  # bounds the trunk's own memory
_FRAMES_AT_ONCE = 4  # of background completion, between two looks at the time
_EARLY = 256  # maps that may wait for their frame


class FeatureCache:
    """Feature maps of a frame pool's frames. One thread may use it.

    Args:
        frames: The pool.
        trunk: Makes the maps.
        views: K.
        shift_px: Largest shift of a view [pixels].
        megabytes: Memory for maps [MB, 10⁶ bytes]; 0 computes every row of every batch anew.

    Attributes:
        rows: Frames that it has room for, with all their views.
        computed: Maps that had to be computed here, by images.
    """

    def __init__(
        self, frames: FramePool, trunk: Trunk, *, views: int, shift_px: int, megabytes: float
    ) -> None:
        require_shift(frames.shape[1:3], shift_px)
        self._frames, self._trunk, self._views, self._shift_px = frames, trunk, views, shift_px
        cameras, height, width, _ = frames.shape
        self.shape = (cameras, trunk.channels, trunk.map_size(height, width))
        self.row_bytes = views * int(np.prod(self.shape)) * 2
        self.rows = int(megabytes * 1e6) // self.row_bytes
        self.computed = 0
        self._maps = torch.empty((self.rows * views, *self.shape), dtype=torch.float16)
        self._owner = np.full(self.rows, -1, np.int64)
        # For each place and view: the cameras whose map is there, a bit each.
        self._there = np.zeros((self.rows, views), np.uint32)
        self._whole = np.uint32(2**cameras - 1)
        self._early: OrderedDict[int, np.ndarray] = OrderedDict()
        self._seen = self._settled = 0
        self._todo: list[int] = []

    @property
    def bytes(self) -> int:
        """Memory that the maps have touched."""
        return int(np.count_nonzero(self._owner >= 0)) * self.row_bytes

    def put(self, frame_id: int, features: np.ndarray) -> None:
        """Take a map (C, S) float16 of view 0 that another process computed with the same trunk.

        It may come before its frame, and then waits for it.
        """
        place = self._frames.locate(frame_id)
        if place is not None:
            self._store(*place, features)
            return
        self._early[frame_id] = features
        if len(self._early) > _EARLY:
            self._early.popitem(last=False)

    def _settle(self) -> None:
        """Store the maps that waited for frames which are here by now."""
        if self._settled == self._frames.added or not self._early:
            return
        self._settled = self._frames.added
        for frame_id in list(self._early):
            place = self._frames.locate(frame_id)
            if place is not None:
                self._store(*place, self._early.pop(frame_id))

    def _store(self, number: int, camera: int, features: np.ndarray) -> None:
        if number >= self._frames.added - self.rows:
            slot = self._claim(number)
            self._maps[slot * self._views, camera] = torch.from_numpy(features.copy())
            self._there[slot, 0] |= np.uint32(1 << camera)

    def _claim(self, number: int) -> int:
        slot = number % self.rows
        if self._owner[slot] != number:
            self._owner[slot] = number
            self._there[slot] = 0
        return slot

    def gather(self, numbers: np.ndarray, rng: np.random.Generator) -> Tensor:
        """Maps (N, cameras, C, S) float16 of (N,) frames, each in a view of its own."""
        views = rng.integers(0, self._views, len(numbers)) if self._views > 1 else np.zeros_like(numbers)
        self._settle()
        if self.rows == 0:
            missing = np.arange(len(numbers))
            out = torch.empty((len(numbers), *self.shape), dtype=torch.float16)
        else:
            slots = numbers % self.rows
            known = (self._owner[slots] == numbers) & (self._there[slots, views] == self._whole)
            out = self._maps.index_select(0, torch.from_numpy(slots * self._views + views))
            missing = np.flatnonzero(~known)
        if len(missing):
            pairs = np.stack([numbers[missing], views[missing]], 1)
            wanted, inverse = np.unique(pairs, axis=0, return_inverse=True)
            made = self._compute(wanted[:, 0], wanted[:, 1])
            out[torch.from_numpy(missing)] = made[torch.from_numpy(inverse.reshape(-1))]
        return out

    def complete(self, budget_s: float) -> int:
        """Compute what is missing, newest frames first, until done or the time is up.

        A few frames are done whatever the budget.

        Returns:
            Frames that are still to do.
        """
        until_s = time.perf_counter() + budget_s
        self._settle()
        self._todo += range(self._seen, self._frames.added)
        self._seen = self._frames.added
        while self._todo:
            chosen, self._todo = self._todo[-_FRAMES_AT_ONCE:], self._todo[:-_FRAMES_AT_ONCE]
            wanted = [pair for number in chosen for pair in self._lacking(number)]
            if wanted:
                self._compute(*np.array(wanted).T)
            if time.perf_counter() >= until_s:
                break
        return len(self._todo)

    def _lacking(self, number: int) -> list[tuple[int, int]]:
        """(frame, view) that the cache should hold and does not."""
        if not self._frames.is_whole(number) or number < self._frames.added - self.rows:
            return []
        slot = number % self.rows
        there = self._there[slot] if self._owner[slot] == number else np.zeros(self._views, np.uint32)
        return [(number, view) for view in range(self._views) if there[view] != self._whole]

    def _compute(self, numbers: np.ndarray, views: np.ndarray) -> Tensor:
        """Maps (N, cameras, C, S) of views of frames; they are kept where there is room."""
        cameras = self.shape[0]
        shifts = view_shifts(numbers, views, cameras, self._shift_px).tolist()
        images = np.empty((len(numbers), *self._frames.shape), np.uint8)
        for row, number, moves in zip(images, numbers.tolist(), shifts, strict=True):
            for target, image, (dy, dx) in zip(row, self._frames.images(number), moves, strict=True):
                shift_into(target, image, dy, dx)
        flat = torch.from_numpy(images).flatten(0, 1)
        made = torch.cat([self._trunk(part).cpu() for part in flat.split(_IMAGES_AT_ONCE)])
        made = made.unflatten(0, (-1, cameras))
        self.computed += len(flat)
        if self.rows:
            for number, view, maps in zip(numbers.tolist(), views.tolist(), made, strict=True):
                slot = self._claim(number)
                self._maps[slot * self._views + view] = maps
                self._there[slot, view] = self._whole
        return made
