"""Randomly shifted images: an image moved by a few pixels, its border repeated where nothing is known.

This is the random crop of a padded image (DrQ, arXiv 2004.13649) without the padded copy: indices are clamped
instead, on uint8.
"""

from __future__ import annotations

import numpy as np

_U64 = np.uint64


def shifted(images: np.ndarray, shifts: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Images moved each by its own shift: `out[n, y, x] = images[n, clamp(y + dy), clamp(x + dx)]`.

    Args:
        images: (N, H, W, 3) uint8.
        shifts: (N, 2) integers (dy, dx), each smaller than the image's side [pixels].
        out: Where to, of the same shape; None for a new array.
    """
    out = np.empty_like(images) if out is None else out
    for target, image, (dy, dx) in zip(out, images, shifts.tolist(), strict=True):
        shift_into(target, image, dy, dx)
    return out


def shift_into(out: np.ndarray, image: np.ndarray, dy: int, dx: int) -> None:
    """One image (H, W, 3) moved by (dy, dx) pixels into `out`, as `shifted` does."""
    height, width = image.shape[:2]
    top, bottom = max(0, -dy), height - max(0, dy)
    left, right = max(0, -dx), width - max(0, dx)
    out[top:bottom, left:right] = image[top + dy : bottom + dy, left + dx : right + dx]
    if left:
        out[top:bottom, :left] = out[top:bottom, left : left + 1]
    if right < width:
        out[top:bottom, right:] = out[top:bottom, right - 1 : right]
    out[:top] = out[top]
    out[bottom:] = out[bottom - 1]


def view_shifts(identities: np.ndarray, views: np.ndarray, cameras: int, largest: int) -> np.ndarray:
    """Shifts (N, cameras, 2) of views of frames: uniform in ±`largest`, and the same whenever asked again.

    View 0 is the frame as it is. The shift is a hash of frame, view and camera (SplitMix64), so that a view
    that has been dropped, or is needed after a restart, comes back as it was.

    Args:
        identities: (N,) int64, one for each frame, never reused.
        views: (N,) numbers of views.
        cameras: Number of cameras of a frame.
        largest: Largest shift [pixels].
    """
    lanes = np.arange(2 * cameras, dtype=_U64)
    seed = (identities.astype(_U64) << _U64(8)) + views.astype(_U64)
    mixed = _splitmix(_splitmix(seed)[:, None] + lanes[None, :])
    drawn = (mixed >> _U64(33)).astype(np.int64) % (2 * largest + 1) - largest
    drawn[views == 0] = 0
    return drawn.reshape(len(identities), cameras, 2)


def _splitmix(z: np.ndarray) -> np.ndarray:
    z = z + _U64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> _U64(30))) * _U64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> _U64(27))) * _U64(0x94D049BB133111EB)
    return z ^ (z >> _U64(31))
