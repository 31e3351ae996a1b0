"""Whether two cameras were exchanged: each shows what the other one showed.

A serial number says which camera a picture comes from, and not where that camera is mounted. Only what it
shows tells.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

CLEARLY = 0.9
"""Exchanged cameras fit better than this share of how badly they fit as they are."""

SMALL = (72, 96)
"""Height and width of a small picture [pixels]."""
_CELLS = (4, 6)
_DIRECTIONS = 8
_FLAT = 0.1  # of edges, in logarithms of brightness: less than that is noise


@dataclass(frozen=True)
class Exchanged:
    """Two cameras that fit better crossed.

    Attributes:
        a: one camera.
        b: the other one.
        straight: how far both are from what they showed themselves, added up.
        crossed: how far each is from what the other one showed, added up.
    """

    a: str
    b: str
    straight: float
    crossed: float


def exchanged(names: Iterable[str], distance: Callable[[str, str], float]) -> Iterator[Exchanged]:
    """Every two cameras that clearly fit better crossed.

    Args:
        names: the cameras.
        distance: how far what the first one shows now is from what the second one showed; infinite where the
            two cannot be compared.
    """
    for a, b in combinations(sorted(names), 2):
        straight, crossed = distance(a, a) + distance(b, b), distance(a, b) + distance(b, a)
        if crossed < CLEARLY * straight:
            yield Exchanged(a, b, straight, crossed)


def small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture made small: (72, 96, 3) uint8 of (H, W, 3) uint8, each pixel the mean of its part.

    Looks at 16 pixels of each part, so that it costs a control loop 0.3 ms of a picture of any size.
    """
    height, width = picture.shape[:2]
    rows, columns = (
        np.arange(4 * n) * size // (4 * n) for n, size in zip(SMALL, (height, width), strict=True)
    )
    lines = picture[rows].reshape(SMALL[0], 4, width, 3).sum(1, dtype=np.uint16)
    parts = lines[:, columns].reshape(*SMALL, 4, 3)
    added = parts[:, :, 0] + parts[:, :, 1] + parts[:, :, 2] + parts[:, :, 3]  # many times as fast as sum(2)
    return (added / 16).round().astype(np.uint8)


def outline(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What stays of a small picture (72, 96, 3) uint8 when the light or the view changes a little: (192,).

    Directions of edges, part by part (Dalal and Triggs, 2005), of length 1. Brightness counts for nothing,
    and an edge may wander within its part.
    """
    grey = np.log1p(picture.mean(2))
    down, right = np.gradient(grey)
    direction = np.mod(np.arctan2(down, right), np.pi) / np.pi * _DIRECTIONS
    lower, share = np.floor(direction).astype(int) % _DIRECTIONS, direction % 1.0
    high, wide = (np.arange(n) * cells // n for n, cells in zip(SMALL, _CELLS, strict=True))
    part = _DIRECTIONS * (_CELLS[1] * high[:, None] + wide[None, :])
    strength, length = np.hypot(down, right), _DIRECTIONS * _CELLS[0] * _CELLS[1]
    found = np.zeros(length)
    for bins, weight in ((lower, 1.0 - share), ((lower + 1) % _DIRECTIONS, share)):
        found += np.bincount((part + bins).ravel(), (strength * weight).ravel(), length)
    found = found.reshape(-1, _DIRECTIONS)
    found /= np.linalg.norm(found, axis=1, keepdims=True) + _FLAT
    found -= found.mean()
    return (found / max(float(np.linalg.norm(found)), 1e-9)).ravel()
