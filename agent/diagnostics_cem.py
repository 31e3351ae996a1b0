"""Does the actor find what the critics prefer? A search over actions, compared with the actor's own.

The cross-entropy method as QT-Opt runs it (arXiv 1806.10293, §4.2): 64 samples, the best 6 refit the
Gaussian, twice. It begins at the actor's action, so it never finds less: a gap that stays large says that the
actor lags behind its critics, or that they have a peak where no data is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from handrail.agent.networks.mlp import EnsembleMLP

_SAMPLES = 64
_ELITES = 6
_ITERATIONS = 2
_FIRST_STD = 0.5  # of actions in [-1, 1]


@torch.no_grad()
def cem_gap(critic: EnsembleMLP, observation: Tensor, action: Tensor, generator: torch.Generator) -> float:
    """Mean of Q(CEM) − Q(μ), Q the critics' mean, μ the actor's action; 0 or more.

    Args:
        critic: The ensemble.
        observation: (B, F), what it reads of the states.
        action: (B, A), the actor's.
        generator: Source of the samples.
    """

    def value(actions: Tensor) -> Tensor:  # (B, N, A) -> (B, N)
        seen = observation.unsqueeze(1).expand(-1, actions.shape[1], -1)
        pairs = torch.cat([seen, actions], -1).flatten(0, 1)
        return critic(pairs).squeeze(-1).mean(0).view(actions.shape[:2])

    own = value(action.unsqueeze(1)).squeeze(1)
    best, mean, std = own, action, torch.full_like(action, _FIRST_STD)
    for _ in range(_ITERATIONS):
        noise = torch.randn((len(action), _SAMPLES, action.shape[1]), generator=generator)
        samples = (mean.unsqueeze(1) + std.unsqueeze(1) * noise).clamp(-1.0, 1.0)
        values, order = value(samples).topk(_ELITES, dim=1)
        elites = samples.gather(1, order.unsqueeze(-1).expand(-1, -1, action.shape[1]))
        best = torch.maximum(best, values[:, 0])
        mean, std = elites.mean(1), elites.std(1)
    return float((best - own).mean())
