"""Index sets over the transition table."""

from __future__ import annotations

import numpy as np


class View:
    """A set of transitions, by absolute number, ascending. The oldest leave first."""

    def __init__(self) -> None:
        self._numbers = np.empty(1024, dtype=np.int64)
        self._head = 0
        self._tail = 0

    def __len__(self) -> int:
        return self._tail - self._head

    def add(self, number: int) -> None:
        """Append a transition's absolute number, larger than all before."""
        if self._tail == len(self._numbers):
            live = self._numbers[self._head : self._tail]
            grown = np.empty(max(1024, 2 * len(live)), dtype=np.int64)
            grown[: len(live)] = live
            self._numbers, self._head, self._tail = grown, 0, len(live)
        self._numbers[self._tail] = number
        self._tail += 1

    def forget_before(self, number: int) -> None:
        """Drop what the table no longer holds."""
        while self._head < self._tail and self._numbers[self._head] < number:
            self._head += 1

    def assign(self, first: int, stop: int, numbers: np.ndarray) -> None:
        """Of the transitions in [first, stop), hold exactly `numbers` (ascending) from now on."""
        live = self._numbers[self._head : self._tail]
        low, high = np.searchsorted(live, [first, stop])
        if np.array_equal(live[low:high], numbers):
            return
        self._numbers = np.concatenate([live[:low], numbers, live[high:]])
        self._head, self._tail = 0, len(self._numbers)

    def between(self, first: int, stop: int) -> np.ndarray:
        """The transitions in [first, stop) that are held, ascending."""
        live = self._numbers[self._head : self._tail]
        low, high = np.searchsorted(live, [first, stop])
        return live[low:high].copy()

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """(count,) absolute numbers, uniform with replacement. The view must not be empty."""
        return self._numbers[self._head + rng.integers(0, len(self), count)]
