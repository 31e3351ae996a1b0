"""Batches drawn ahead, in a thread: while one is learned from, the next one's images are cut and copied.

For a trunk that is trained, whose batches are tens of megabytes of images. With a frozen trunk a batch is
ready in a millisecond and nothing is drawn ahead.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import torch

from handrail.agent.batch import Batch
from handrail.agent.sampling import Sampler


class Prefetcher:
    """One batch ahead of whoever asks. While one is open, nobody else may draw from its sampler.

    What is added or labelled reaches the batch after the next: the next one is there already.

    Args:
        sampler: What batches come from; its `memory.lock` is held while one is drawn.
        draw: One of its methods, without arguments.
        device: Where batches go; for a GPU they wait in pinned memory and travel beside the computation.
    """

    def __init__(
        self, sampler: Sampler, draw: Callable[[], Batch], device: torch.device | str = "cpu"
    ) -> None:
        self._sampler, self._draw, self._device = sampler, draw, torch.device(device)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="prefetch")
        self._ahead: Future[Batch] | None = None
        self._state = sampler.random_state

    @property
    def random_state(self) -> dict[str, Any]:
        """The sampler's random state before the batch that `next` gives: what a checkpoint must hold.

        Setting it drops what was drawn ahead.
        """
        return self._state if self._ahead is not None else self._sampler.random_state

    @random_state.setter
    def random_state(self, state: dict[str, Any]) -> None:
        self._drop()
        self._sampler.random_state = state

    def next(self) -> Batch:
        """The batch that was drawn ahead; the one after it is begun.

        Raises:
            SamplingError: a view is empty; nothing is drawn ahead then.
        """
        ahead, self._ahead = self._ahead or self._worker.submit(self._prepared), None
        batch = ahead.result()
        self._state = self._sampler.random_state
        self._ahead = self._worker.submit(self._prepared)
        return self._sent(batch)

    def close(self) -> None:
        """End the thread; what was drawn ahead is as if it never had been."""
        self._drop()
        self._worker.shutdown()

    def _drop(self) -> None:
        if self._ahead is not None:
            wait([self._ahead])
            self._ahead, self._sampler.random_state = None, self._state

    def _prepared(self) -> Batch:
        batch = self._draw()
        return _each(batch, torch.Tensor.pin_memory) if self._device.type == "cuda" else batch

    def _sent(self, batch: Batch) -> Batch:
        if self._device.type == "cpu":
            return batch
        return _each(batch, lambda tensor: tensor.to(self._device, non_blocking=True))


def _each(batch: Batch, change: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
    """A batch with every tensor changed."""
    tensors = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    changed: dict[str, Any] = {name: change(t) for name, t in tensors.items() if t is not None}
    return dataclasses.replace(batch, **changed)
