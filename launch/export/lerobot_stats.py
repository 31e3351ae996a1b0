"""Statistics of features, as `meta/stats.json` and `meta/episodes` have them; exact, not sampled.

Quantiles of numbers are interpolated between neighbours. Those of images are the level below or at which so
many pixels lie; a level is 1/255.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

Stats = Mapping[str, Any]
"""min, max, mean, std, count, q01, q10, q50, q90, q99: lists of one number a component."""

QUANTILES = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
_LEVELS = 256
_CHANNELS = 3


def array_stats(values: np.ndarray) -> Stats:
    """Statistics of (N,) or (N, D) numbers or flags, component by component."""
    table = values.astype(np.float64).reshape(len(values), -1)
    quantiles = np.quantile(table, list(QUANTILES.values()), axis=0)
    return {
        "min": table.min(0).tolist(),
        "max": table.max(0).tolist(),
        "mean": table.mean(0).tolist(),
        "std": table.std(0).tolist(),
        "count": [len(table)],
        **{name: row.tolist() for name, row in zip(QUANTILES, quantiles, strict=True)},
    }


class ImageStats:
    """Statistics of images, channel by channel, over all their pixels: shape (3, 1, 1), in [0, 1]."""

    def __init__(self) -> None:
        self._counts = np.zeros((_CHANNELS, _LEVELS), np.int64)
        self._images = 0

    def add(self, image: np.ndarray) -> None:
        """Take in an image, (H, W, 3) uint8."""
        for channel in range(_CHANNELS):
            self._counts[channel] += np.bincount(image[..., channel].ravel(), minlength=_LEVELS)
        self._images += 1

    def merge(self, other: "ImageStats") -> None:
        """Take in what another has seen."""
        self._counts += other._counts
        self._images += other._images

    def stats(self) -> Stats:
        """Statistics of what was taken in: at least one image."""
        levels = np.arange(_LEVELS) / (_LEVELS - 1)
        pixels = self._counts[0].sum()
        mean = self._counts @ levels / pixels
        variance = (self._counts * (levels - mean[:, None]) ** 2).sum(1) / pixels
        seen = [np.flatnonzero(channel) for channel in self._counts]
        below = self._counts.cumsum(1)
        return {
            "min": _nested([levels[each[0]] for each in seen]),
            "max": _nested([levels[each[-1]] for each in seen]),
            "mean": _nested(mean),
            "std": _nested(np.sqrt(variance)),
            "count": [self._images],
            **{
                name: _nested([levels[np.searchsorted(each, share * pixels)] for each in below])
                for name, share in QUANTILES.items()
            },
        }


def _nested(values: Any) -> list[list[list[float]]]:
    """Three numbers as (3, 1, 1)."""
    return [[[float(value)]] for value in values]
