"""How the actor stands: its noise and its limits; and how far the acting policy is from the human.

The actor is one network. The acting policy (`handrail.agent.policy`) is the averaged actor and, with a second
proposal, the frozen clone: it does what the target critics prefer.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

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


@torch.no_grad()
def acting_means(agent: SAC, state: Tensor, pixels: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """What the acting policy does without noise, by `ActorPolicy`'s rule.

    Args:
        agent: Its averaged actor proposes, and its clone where there is one; its target critics choose.
        state: (N, D).
        pixels: What the encoders read, (N, cameras, …); None without cameras.

    Returns:
        Actions (N, A), and where the clone's is chosen (N,) bool; None without a second proposal.
    """
    bounds, seen = agent.config.log_std_bounds, agent.target_perception(state, pixels)
    own = torch.tanh(split_head(agent.average(seen)[0], bounds)[0])
    if agent.clone is None or agent.clone_perception is None or not agent.config.second_proposal:
        return own, None
    clone = torch.tanh(split_head(agent.clone(agent.clone_perception(state, pixels))[0], bounds)[0])
    judged = torch.stack([torch.cat([seen, action], -1) for action in (own, clone)]).flatten(0, 1)
    own_q, clone_q = agent.target_critic(judged).squeeze(-1).amin(0).view(2, -1)
    chosen = clone_q > own_q
    return torch.where(chosen.unsqueeze(-1), clone, own), chosen


class FreshTakeovers:
    """How far the acting policy is from what a human does, on steps it has not been trained on.

    Of the acting policy without noise, as an evaluation has it: ‖a_human − a(s)‖.

    Args:
        agent: What acts.
        memory: Where the steps are.
        reader: Reads them.
    """

    def __init__(self, agent: SAC, memory: ReplayMemory, reader: StepReader) -> None:
        self._agent, self._memory, self._reader = agent, memory, reader
        self._fresh: list[int] = []
        self._distances: list[float] = []
        self._clone_chosen: list[bool] = []

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
        for steps in self._reader.read(numbers):
            action, chosen = acting_means(self._agent, steps.state, steps.pixels)
            self._distances += torch.linalg.vector_norm(steps.action - action, dim=-1).tolist()
            self._clone_chosen += [] if chosen is None else chosen.tolist()

    def scalars(self) -> dict[str, float]:
        """Over the steps since the last call: the mean distance, and the share in which the clone is chosen.

        Returns:
            `actor_human_distance`, and with a second proposal `clone_share`; nothing without steps.
        """
        seen = {"actor_human_distance": self._distances, "clone_share": self._clone_chosen}
        self._distances, self._clone_chosen = [], []
        return {name: float(np.mean(values)) for name, values in seen.items() if values}
