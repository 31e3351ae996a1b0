"""What the critics make of a batch, by where its samples come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from handrail.agent.origins import ORIGINS, Origin

RETURN_CEILING = 1.0
"""A whole episode is worth 1, however it is staged, and γ < 1: no return is higher."""
HISTOGRAM_EDGES = np.arange(-4, 25) / 20.0
"""Of the histograms of Q; what lies beyond an end is counted in the bin there."""


@dataclass(frozen=True)
class JudgedBatch:
    """B samples as the critics see them now.

    Attributes:
        q: (E, B), each critic's value of the action that was taken.
        target: (B,), what they are to learn of it.
        rewards: (B,), each step's own reward.
        origins: (B,), an `Origin` each.
    """

    q: np.ndarray
    target: np.ndarray
    rewards: np.ndarray
    origins: np.ndarray

    @property
    def td_error(self) -> np.ndarray:
        """(B,), of the critics' mean: Q − y."""
        return self.q.mean(0) - self.target


def batch_scalars(batch: JudgedBatch, *, effective_td: float, ceiling_margin: float) -> dict[str, float]:
    """Figures of a batch, the whole and by origin; one without samples gets its 0 rows and 0 effective ones.

    Args:
        batch: The samples.
        effective_td: A sample whose |TD error| is above this counts as effective; smaller errors move
            the critics, too, but little.
        ceiling_margin: ε. A Q above (1 + ε) times the highest return there is, is impossible.
    """
    q, td = batch.q.mean(0), np.abs(batch.td_error)
    effective = td > effective_td
    found = {
        "effective_samples": float(effective.mean()),
        "above_ceiling": float((batch.q > RETURN_CEILING * (1.0 + ceiling_margin)).mean()),
    }
    for origin in Origin:
        name, rows = ORIGINS[origin], batch.origins == origin
        found[f"rows/{name}"] = float(rows.sum())
        if effective.any():
            found[f"effective/{name}"] = float(effective[rows].sum() / effective.sum())
        if rows.any():
            median, high = np.percentile(td[rows], [50, 95])
            found[f"td_median/{name}"], found[f"td_p95/{name}"] = float(median), float(high)
            found[f"q_mean/{name}"] = float(q[rows].mean())
            found[f"reward_density/{name}"] = float((batch.rewards[rows] > 0.0).mean())
    demo, online = batch.origins == Origin.DEMO, batch.origins >= Origin.ONLINE_SUCCESS
    if demo.any() and online.any():
        found["q_gap"] = float(q[demo].mean() - q[online].mean())
    return found


def q_histogram(batch: JudgedBatch) -> dict[str, Any]:
    """How often which Q: `edges` of the bins, and `counts` by origin, for the origins that are there."""
    q = np.clip(batch.q.mean(0), HISTOGRAM_EDGES[0], HISTOGRAM_EDGES[-1])
    counts = {
        ORIGINS[origin]: np.histogram(q[batch.origins == origin], HISTOGRAM_EDGES)[0].tolist()
        for origin in Origin
        if (batch.origins == origin).any()
    }
    return {"edges": HISTOGRAM_EDGES.tolist(), "counts": counts}
