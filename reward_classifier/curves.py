"""The curves of a report, as SVG: precision and recall, and the scores of an episode."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import numpy as np

from handrail.reward_classifier.dataset import LEFT_OUT, POSITIVE

_SIDE, _MARGIN = 320, 44
_TRACE_WIDTH, _TRACE_HEIGHT = 360, 72


def precision_recall(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(threshold, precision, recall) at each score there is, the highest first.

    Args:
        scores: (N,) probabilities of success.
        positive: (N,) bool; one of them at least is true.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(positive[order])
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # of equal scores
    return ranked[last], hits[last] / (last + 1), hits[last] / hits[-1]


def average_precision(precision: np.ndarray, recall: np.ndarray) -> float:
    """Area under the steps of a precision-recall curve."""
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def precision_recall_svg(scores: np.ndarray, positive: np.ndarray, threshold: float) -> str:
    """The curve, with a mark where the threshold is."""
    thresholds, precision, recall = precision_recall(scores, positive)
    points = [(0.0, float(precision[0])), *zip(recall.tolist(), precision.tolist(), strict=True)]
    low, high, span = _MARGIN, _SIDE - 12, _SIDE - 12 - _MARGIN

    def place(x: float, y: float) -> tuple[float, float]:
        return low + x * span, high - y * span - (_MARGIN - 12)

    parts = [f'<svg viewBox="0 0 {_SIDE} {_SIDE}" role="img" aria-label="precision against recall">']
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = place(tick, tick)
        left, bottom = place(0.0, 0.0)
        right, top = place(1.0, 1.0)
        parts.append(
            f'<path class="grid" d="M{left:.1f} {y:.1f}H{right:.1f}M{x:.1f} {top:.1f}V{bottom:.1f}"/>'
        )
        parts.append(f'<text x="{left - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16:.1f}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<path class="curve" d="{_path(place(*point) for point in points)}"/>')
    at = np.flatnonzero(thresholds >= threshold)
    if len(at):
        x, y = place(float(recall[at[-1]]), float(precision[at[-1]]))
        parts.append(f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="5"/>')
    parts.append(f'<text x="{_SIDE / 2:.0f}" y="{_SIDE - 4}" text-anchor="middle">recall</text>')
    parts.append(
        f'<text x="12" y="{_SIDE / 2:.0f}" text-anchor="middle" '
        f'transform="rotate(-90 12 {_SIDE / 2:.0f})">precision</text></svg>'
    )
    return "".join(parts)


def trace_svg(scores: np.ndarray, labels: np.ndarray, threshold: float, name: str) -> str:
    """Scores of an episode over its looks; where it shows success the ground is tinted, green."""
    step = _TRACE_WIDTH / max(1, len(scores))
    parts = [
        f'<svg class="trace" viewBox="0 0 {_TRACE_WIDTH} {_TRACE_HEIGHT}" role="img" '
        f'aria-label="{escape(name, quote=True)}">'
    ]
    for kind, css in ((POSITIVE, "success"), (LEFT_OUT, "left-out")):
        for look in np.flatnonzero(labels == kind).tolist():
            parts.append(
                f'<rect class="{css}" x="{look * step:.1f}" y="0" width="{step:.1f}" '
                f'height="{_TRACE_HEIGHT}"/>'
            )
    level = _TRACE_HEIGHT * (1.0 - threshold)
    parts.append(f'<path class="threshold" d="M0 {level:.1f}H{_TRACE_WIDTH}"/>')
    points = (((i + 0.5) * step, _TRACE_HEIGHT * (1.0 - score)) for i, score in enumerate(scores.tolist()))
    parts.append(f'<path class="curve" d="{_path(points)}"/></svg>')
    return "".join(parts)


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
