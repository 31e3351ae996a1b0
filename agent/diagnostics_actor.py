"""How the actor stands: its noise, its limits, and how far it is from the human it is about to learn from."""

from __future__ import annotations

import numpy as np
import torch

from handrail.agent.batch import Batch
from handrail.agent.diagnostics_steps import StepReader
from handrail.agent.networks.gaussian import split_head, squash
from handrail.agent.replay import ReplayMemory
from handrail.agent.sac import SAC

_SATURATED = 0.99
"""A mean action beyond this is at its limit."""
_MOST_FRESH = 512
"""Human steps that may wait to be looked at; of more, the oldest are passed over."""


@torch.no_grad()
def actor_scalars(agent: SAC, batch: Batch, generator: torch.Generator) -> dict[str, float]:
    """Entropy (one draw a row) beside its target, temperature, σ of each action component, saturation.

    σ is of u, before the tanh. Saturation is the share of mean actions' components that are at their limit.
    """
    sees = agent.perception if agent.perception.encoder is None else agent.target_perception
    raw = agent.actor(sees(batch.observation, batch.pixels))[0]
    mean, log_std = split_head(raw, agent.config.log_std_bounds)
    _, log_prob = squash(mean, log_std, torch.randn(mean.shape, generator=generator))
    found = {
        "entropy": -float(log_prob.mean()),
        "target_entropy": float(agent.target_entropy),
        "temperature": float(agent.log_temperature.exp()),
        "saturation": float((torch.tanh(mean).abs() > _SATURATED).float().mean()),
    }
    return found | {f"sigma/{axis}": sigma for axis, sigma in enumerate(log_std.exp().mean(0).tolist())}


class FreshTakeovers:
    """How far the acting policy is from what a human does, on steps it has not been trained on.

    Args:
        agent: The averaged actor is the one that acts: ‖a_human − μ(s)‖ is taken of it.
        memory: Where the steps are.
        reader: Reads them.
    """

    def __init__(self, agent: SAC, memory: ReplayMemory, reader: StepReader) -> None:
        self._agent, self._memory, self._reader = agent, memory, reader
        self._fresh: list[int] = []
        self._distances: list[float] = []

    def add(self, number: int) -> None:
        """A human drove this step of a training episode; it has just arrived."""
        self._fresh.append(number)
        del self._fresh[:-_MOST_FRESH]

    @torch.no_grad()
    def look(self) -> None:
        """Compare on what has arrived, before an update can learn from it."""
        if not self._fresh:
            return
        numbers = np.array([number for number in self._fresh if number >= self._memory.oldest], np.int64)
        self._fresh.clear()
        agent = self._agent
        for steps in self._reader.read(numbers):
            raw = agent.average(agent.target_perception(steps.state, steps.pixels))[0]
            mean, _ = split_head(raw, agent.config.log_std_bounds)
            self._distances += torch.linalg.vector_norm(steps.action - torch.tanh(mean), dim=-1).tolist()

    def distance(self) -> float | None:
        """Mean distance over the steps since the last call; None without any."""
        distances, self._distances = self._distances, []
        return float(np.mean(distances)) if distances else None
