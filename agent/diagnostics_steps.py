"""Single steps out of the memory, as the networks would see them, for a look at them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from handrail.agent.image_source import PixelSource
from handrail.agent.replay import ReplayMemory
from handrail.agent.sac import SAC


@dataclass(frozen=True)
class Steps:
    """N steps.

    Attributes:
        state: (N, D), before each of them.
        action: (N, A), the one executed.
        pixels: What the encoder reads, (N, cameras, …); None without cameras.
    """

    state: Tensor
    action: Tensor
    pixels: Tensor | None

    @torch.no_grad()
    def value(self, agent: SAC) -> np.ndarray:
        """(N,) the critics' mean of Q(s, a)."""
        observation = agent.perception(self.state, self.pixels)
        return agent.critic(torch.cat([observation, self.action], -1)).squeeze(-1).mean(0).numpy()


class StepReader:
    """Reads steps by number.

    Args:
        memory: Where they are.
        pixels: What becomes of its frames; None without cameras.
        rng: Source of the images' augmentation; its own, training's draws stay as they are.
        most: So many steps are read at once, for their images take room.
    """

    def __init__(
        self, memory: ReplayMemory, pixels: PixelSource | None, rng: np.random.Generator, most: int
    ) -> None:
        self._memory, self._pixels, self._rng, self._most = memory, pixels, rng, most

    def read(self, numbers: np.ndarray) -> Iterator[Steps]:
        """The steps (N,) in parts, in order; all of them must be in the memory."""
        for first in range(0, len(numbers), self._most):
            with self._memory.lock:
                columns = self._memory.gather(numbers[first : first + self._most], 1.0, 1)
                pixels = None if self._pixels is None else self._pixels.gather(columns["frames"], self._rng)
            state, action = torch.from_numpy(columns["observation"]), torch.from_numpy(columns["action"])
            yield Steps(state, action, pixels)
