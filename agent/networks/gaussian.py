"""The tanh-squashed Gaussian of SAC (Haarnoja et al., arXiv 1812.05905, appendix C)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
_LOG_TWO = math.log(2.0)


def split_head(raw: Tensor, log_std_bounds: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """An actor's output (..., 2A) as the mean and the clamped log standard deviation of u, each (..., A)."""
    mean, log_std = raw.chunk(2, dim=-1)
    return mean, log_std.clamp(*log_std_bounds)


def squash(mean: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """A reparameterised action and its log-probability.

    `u = mean + exp(log_std) noise`, `a = tanh(u)`, and by the change of variables
    `log π(a|s) = log N(u) − Σ log(1 − tanh² u)`, where `log(1 − tanh² u) = 2 (log 2 − u − softplus(−2u))`
    stays finite for large |u| (1812.05905, eq. 26, in its numerically stable form).

    Args:
        mean: (..., A), of u before squashing.
        log_std: (..., A).
        noise: (..., A), standard normal.

    Returns:
        The action (..., A) in (−1, 1), and log π (...,).
    """
    u = mean + log_std.exp() * noise
    log_normal = -0.5 * noise.square() - log_std - _HALF_LOG_TWO_PI
    correction = 2.0 * (_LOG_TWO - u - functional.softplus(-2.0 * u))
    return torch.tanh(u), (log_normal - correction).sum(-1)


def negative_log_likelihood(mean: Tensor, log_std: Tensor, action: Tensor, margin: float = 0.02) -> Tensor:
    """−log N(atanh(a); mean, std) up to a constant, (...,): the behaviour-cloning loss in u-space.

    `margin` keeps atanh finite: an action at the limit counts as `1 − margin`.
    """
    u = torch.atanh(action.clamp(-1.0 + margin, 1.0 - margin))
    return (0.5 * ((u - mean) / log_std.exp()).square() + log_std).sum(-1)
