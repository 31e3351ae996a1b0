"""Whether cameras were exchanged: two of which each shows what the other one showed, or more in a circle.

A serial number says which camera a picture comes from, and not where that camera is mounted. Only what it
shows tells.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CLEARLY = 0.9
"""Exchanged cameras fit better than this share of how badly they fit as they are."""

SMALL = (72, 96)
"""Height and width of a small picture [pixels]."""
_CELLS = (4, 6)
_DIRECTIONS = 8
_FLAT = 0.1  # of edges, in logarithms of brightness: less than that is noise

Distance = Callable[[str, str], float]
"""How far what the first camera shows now is from what the second one showed; infinite where that says
nothing."""


@dataclass(frozen=True)
class Exchanged:
    """Cameras that fit better in each other's places.

    Attributes:
        names: each shows what the next one showed, and the last one what the first one showed.
        straight: how far they are from what they showed themselves, added up.
        crossed: how far each is from what the next one showed, added up.
    """

    names: tuple[str, ...]
    straight: float
    crossed: float

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        """Each camera, and the one whose picture it shows."""
        return tuple(zip(self.names, (*self.names[1:], self.names[0]), strict=True))

    def said(self, when: str) -> str:
        """In words: "a shows what b showed <when>, b what c showed, c what a showed"."""
        (first, of), *others = self.links
        return ", ".join(
            (f"{first} shows what {of} showed {when}", *(f"{a} what {b} showed" for a, b in others))
        )


def exchanged(names: Iterable[str], distance: Distance) -> Iterator[Exchanged]:
    """All cameras that clearly fit better in each other's places, circle by circle.

    Args:
        names: the cameras.
        distance: between what is shown now and what was shown; called once for each two.
    """
    known = sorted(names)
    far = {(a, b): distance(a, b) for a in known for b in known}
    fits = _fitting(known, lambda a, b: far[a, b])
    seen = set[str]()
    for first in known:
        circle = list[str]()
        while (name := fits[circle[-1]] if circle else first) not in seen:
            seen.add(name)
            circle.append(name)
        straight = sum(far[name, name] for name in circle)
        crossed = sum(far[name, fits[name]] for name in circle)
        if len(circle) > 1 and crossed < CLEARLY * straight:
            yield Exchanged(tuple(circle), straight, crossed)


def _fitting(names: Sequence[str], distance: Distance) -> dict[str, str]:
    """Whose earlier picture each camera shows, each one's once, so that all of them together fit best.

    Goes through the sets of cameras that are spoken for (Held and Karp, 1962): some hundred of them for six.
    """
    best: dict[frozenset[str], tuple[float, dict[str, str]]] = {frozenset(): (0.0, {})}
    for name in names:
        further: dict[frozenset[str], tuple[float, dict[str, str]]] = {}
        for taken, (cost, fits) in best.items():
            for other in names:
                if other not in taken:
                    offer, key = cost + distance(name, other), taken | {other}
                    if key not in further or offer < further[key][0]:
                        further[key] = offer, {**fits, name: other}
        best = further
    ((_, fits),) = best.values()
    return fits


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
