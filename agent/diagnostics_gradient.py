"""Who pulls at the critics: the gradient of their loss, split by where the samples come from.

The critics' loss is `L = mean over critics e and rows i of (Q_e(s_i, a_i) − y_i)²`. Their last layer is
linear, `Q_e = w_e · φ_e(s, a) + b_e`, so its gradient is known without a backward pass:

    ∂L/∂(w_e, b_e) = 2/(E·B) Σ_i (Q_e(s_i, a_i) − y_i) (φ_e(s_i, a_i), 1)

Restricted to the rows of origin k this is `g_k`, which holds k's part of the batch already; `g = Σ_k g_k`,
and `share_k = ⟨g_k, g⟩ / ‖g‖²`. The shares add up to 1. One that is negative pulls against the whole, and
another is then above 1. With equal features and equal errors a share is the origin's part of the samples that
err at all.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from handrail.agent.origins import ORIGINS

_TINY = 1e-12
"""A gradient shorter than this has no direction."""


def gradient_shares(td_error: Tensor, features: Tensor, origins: np.ndarray) -> dict[str, float]:
    """Each origin's share of the last layer's gradient, its length, and its cosine with the whole.

    Args:
        td_error: (E, B), Q − y.
        features: (E, B, H), what the last layer reads.
        origins: (B,) of the rows; an origin without rows gets no figures.

    Returns:
        `gradient_norm/<origin>`, and where there is a direction `share/<origin>` and `cosine/<origin>`.
    """
    present = np.unique(origins)
    rows = torch.from_numpy((origins == present[:, None]).astype(np.float32))  # (K, B)
    inputs = torch.cat([features, features.new_ones(*features.shape[:2], 1)], -1)
    per_member = torch.bmm(td_error.unsqueeze(1) * rows, inputs)  # (E, K, H + 1)
    gradients = (per_member * (2.0 / td_error.numel())).transpose(0, 1).flatten(1).double()
    inner = (gradients @ gradients.T).numpy()  # ⟨g_j, g_k⟩
    norms, with_whole, whole = np.sqrt(inner.diagonal()), inner.sum(1), float(np.sqrt(max(inner.sum(), 0.0)))
    found: dict[str, float] = {}
    for k, origin in enumerate(present):
        name = ORIGINS[origin]
        found[f"gradient_norm/{name}"] = float(norms[k])
        if whole > _TINY:
            found[f"share/{name}"] = float(with_whole[k]) / whole**2
            if norms[k] > _TINY:
                found[f"cosine/{name}"] = float(with_whole[k]) / (whole * float(norms[k]))
    return found
