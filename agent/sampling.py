"""Batches that are half replay and half demonstrations (RLPD, 2302.02948 §4.1)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from handrail.agent.batch import Batch
from handrail.agent.image_source import PixelSource
from handrail.agent.replay import ReplayMemory
from handrail.agent.views import View
from handrail.robot_env.errors import HandrailError


class SamplingError(HandrailError):
    """A batch cannot be drawn as configured."""

    exit_code = 17


class Sampler:
    """Draws batches from a memory's views.

    Args:
        memory: where transitions live.
        batch_size: B, even.
        discount: γ.
        n_step: longest return.
        rng: the source of every draw (its state is part of a checkpoint).
        pixels: what becomes of the memory's frames; None without cameras.
    """

    def __init__(
        self,
        memory: ReplayMemory,
        batch_size: int,
        discount: float,
        n_step: int,
        rng: np.random.Generator,
        pixels: PixelSource | None = None,
    ) -> None:
        self.memory, self.batch_size, self.discount, self.n_step = memory, batch_size, discount, n_step
        self.rng, self.pixels = rng, pixels

    @property
    def random_state(self) -> dict[str, Any]:
        """State of `rng`; may be set."""
        return dict(self.rng.bit_generator.state)

    @random_state.setter
    def random_state(self, state: dict[str, Any]) -> None:
        self.rng.bit_generator.state = state

    def symmetric(self) -> Batch:
        """B/2 from replay, then B/2 from demo.

        Raises:
            SamplingError: when a view is empty. A batch is never silently filled from the other one.
        """
        half = self.batch_size // 2
        with self.memory.lock:
            return self.gather(np.concatenate([self._draw("replay", half), self._draw("demo", half)]))

    def only(self, view: str) -> Batch:
        """B from one view: "demo" for cloning, "replay" where a run has no human in it at all."""
        with self.memory.lock:
            return self.gather(self._draw(view, self.batch_size))

    def _draw(self, name: str, count: int) -> np.ndarray:
        view: View = getattr(self.memory, name)
        if len(view) == 0:
            raise SamplingError(
                f"the {name} buffer is empty: a batch needs {count} transitions from it; record "
                "demonstrations (actor.demonstrations), or train without a human (agent.symmetric=false)"
            )
        return view.draw(self.rng, count)

    def gather(self, numbers: np.ndarray) -> Batch:
        """A batch of these transitions; whoever else uses the memory must be kept off by its lock."""
        columns = self.memory.gather(numbers, self.discount, self.n_step)
        before, after = columns.pop("frames", None), columns.pop("next_frames", None)
        batch = {name: torch.from_numpy(column) for name, column in columns.items()}
        if self.pixels is not None and before is not None and after is not None:
            # Apart: one tensor of both would be so large that the allocator gives its pages back each time.
            batch["pixels"] = self.pixels.gather(before, self.rng)
            batch["next_pixels"] = self.pixels.gather(after, self.rng)
        return Batch(**batch)
