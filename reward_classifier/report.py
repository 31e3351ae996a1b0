"""The page that says what a classifier can and cannot do: one HTML file that needs nothing else.

Every figure on it is of held-out episodes: each one judged by a head that has not seen it.
"""

from __future__ import annotations

import base64
from html import escape
from statistics import median

import numpy as np

from handrail.reward_classifier import png
from handrail.reward_classifier.calibration import ScoredEpisode
from handrail.reward_classifier.curves import (
    average_precision,
    precision_recall,
    precision_recall_svg,
    trace_svg,
)
from handrail.reward_classifier.dataset import NEGATIVE, POSITIVE
from handrail.reward_classifier.guard import Guard
from handrail.reward_classifier.train import Trained

_WORST = 12  # pictures of each kind
_TRACES = 60

_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#5b6570;--paper:#fff;--line:#d5dae0;--blue:#1f6feb;
--green:#2da44e;--red:#cf222e;--soft:#f4f6f8}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--dim:#9aa4af;--paper:#0d1117;--line:#30363d;
--blue:#58a6ff;--green:#3fb950;--red:#ff7b72;--soft:#161b22}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:64rem;
margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
p.bound{font-size:1.15rem;background:var(--soft);border-left:4px solid var(--green);padding:.6rem .9rem}
p.bound.short{border-color:var(--red)}
table{border-collapse:collapse}td,th{border:1px solid var(--line);padding:.3rem .7rem;text-align:right}
th{font-weight:600;text-align:left}
svg{width:20rem;max-width:100%;background:var(--soft)}svg text{font-size:11px;fill:var(--dim)}
svg.trace{width:100%}.grid{stroke:var(--line);fill:none}.curve{stroke:var(--blue);fill:none;stroke-width:2}
.mark{fill:var(--red)}.threshold{stroke:var(--red);stroke-dasharray:4 3}.success{fill:var(--green);opacity:.3}
.left-out{fill:var(--dim);opacity:.2}
.gallery,.traces{display:grid;gap:1rem;grid-template-columns:repeat(auto-fill,minmax(16rem,1fr))}
figure{margin:0}figure img{width:49%;image-rendering:pixelated}figcaption{font-size:.85rem;color:var(--dim)}
"""


def page(trained: Trained) -> str:
    """The report as HTML: errors and their bound, curves, confusion, worst frames, every episode's scores."""
    calibration = trained.calibration
    scores = np.concatenate([each.scores for each in trained.held_out])
    labels = np.concatenate([each.frames.labels for each in trained.held_out])
    spoken_of = (labels == POSITIVE) | (labels == NEGATIVE)
    scores, positive = scores[spoken_of], labels[spoken_of] == POSITIVE
    _, precision, recall = precision_recall(scores, positive)
    short = "" if calibration.supported else " short"
    sections = [
        "<h1>Reward classifier</h1>",
        f'<p class="bound{short}">{"<br>".join(escape(each) for each in calibration.sentences())}</p>',
        _facts(trained),
        "<h2>Precision and recall, frame by frame</h2>",
        f"<p>Average precision {average_precision(precision, recall):.4f}. The dot is the threshold, "
        f"{calibration.threshold:.4g}.</p>",
        precision_recall_svg(scores, positive, calibration.threshold),
        "<h2>Confusion at the threshold, frame by frame</h2>",
        "<p>Before k in a row and the guard have had their say.</p>",
        _confusion(scores >= calibration.threshold, positive),
        "<h2>Nearest to a false success</h2>",
        _gallery(trained, NEGATIVE),
        "<h2>Successes that look least like one</h2>",
        _gallery(trained, POSITIVE),
        "<h2>Scores of each episode</h2>",
        "<p>Green: success. Grey: left out. Dashed: the threshold.</p>",
        _traces(trained),
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Reward classifier</title><style>{_STYLE}</style><body>{''.join(sections)}</body></html>\n"
    )


def _facts(trained: Trained) -> str:
    calibration = trained.calibration
    frames = [each.frames for each in trained.held_out]
    cameras = ", ".join(f"{each.name} {each.width}×{each.height}" for each in trained.cameras)
    passes = median(fold.best for fold in trained.folds)
    rows = {
        "episodes": f"{len(frames)}, of {', '.join(sorted({each.recording for each in frames}))}",
        "frames": f"{sum(int((f.labels == POSITIVE).sum()) for f in frames)} of success, "
        f"{sum(int((f.labels == NEGATIVE).sum()) for f in frames)} others",
        "cameras": cameras,
        "trunk": f"{trained.trunk.name}, {trained.trunk.key}",
        "rule": f"{calibration.consecutive} frames in a row from {calibration.threshold:.4g}",
        "guard": _guard(calibration.guard),
        "temperature": f"{trained.temperature:.3g}",
        "training": f"{len(trained.folds)} folds, {passes:g} passes, {trained.seconds:.0f} s",
    }
    cells = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in rows.items())
    return f"<table>{cells}</table>"


def _guard(guard: Guard) -> str:
    bounds = (
        ("aside", guard.lateral_m, 1000.0, "mm"),
        ("height", guard.height_m, 1000.0, "mm"),
        ("turn", guard.rotation_rad, 1000.0, "mrad"),
        ("force", guard.force_n, 1.0, "N"),
    )
    said = [
        f"{name} ≤ {value * scale:.3g} {unit}" for name, value, scale, unit in bounds if value is not None
    ]
    return ", ".join(said) or "none"


def _confusion(claimed: np.ndarray, positive: np.ndarray) -> str:
    def cell(is_claimed: bool, is_positive: bool) -> str:
        return f"<td>{int(((claimed == is_claimed) & (positive == is_positive)).sum())}</td>"

    return (
        "<table><tr><th></th><th>called success</th><th>not called</th></tr>"
        f"<tr><th>success</th>{cell(True, True)}{cell(False, True)}</tr>"
        f"<tr><th>no success</th>{cell(True, False)}{cell(False, False)}</tr></table>"
    )


def _gallery(trained: Trained, label: int) -> str:
    """The frames of a class that were judged worst: one of each episode, so that they differ."""
    worst: list[tuple[float, ScoredEpisode, int]] = []
    for each in trained.held_out:
        looks = np.flatnonzero(each.frames.labels == label)
        if len(looks):
            sign = 1.0 if label == POSITIVE else -1.0
            look = int(looks[np.argmin(sign * each.scores[looks])])
            worst.append((sign * float(each.scores[look]), each, look))
    worst.sort(key=lambda entry: entry[0])
    return f'<div class="gallery">{"".join(_figure(e, look) for _, e, look in worst[:_WORST])}</div>'


def _figure(episode: ScoredEpisode, look: int) -> str:
    frames = episode.frames
    images = []
    for camera, pictures in frames.images.items():
        data = base64.b64encode(png.encode(pictures[look])).decode("ascii")
        images.append(f'<img alt="{escape(camera, quote=True)}" src="data:image/png;base64,{data}">')
    caption = escape(f"{frames.name}, step {look}: score {episode.scores[look]:.4f}")
    return f"<figure>{''.join(images)}<figcaption>{caption}</figcaption></figure>"


def _traces(trained: Trained) -> str:
    """Scores over time, the episodes nearest to an error first."""

    def trouble(each: ScoredEpisode) -> float:
        negative, positive = (each.scores[each.frames.labels == kind] for kind in (NEGATIVE, POSITIVE))
        return max(float(negative.max(initial=0.0)), 1.0 - float(positive.max()) if len(positive) else 0.0)

    figures = [
        f"<figure>{trace_svg(e.scores, e.frames.labels, trained.calibration.threshold, e.frames.name)}"
        f"<figcaption>{escape(e.frames.name)}</figcaption></figure>"
        for e in sorted(trained.held_out, key=trouble, reverse=True)[:_TRACES]
    ]
    return f'<div class="traces">{"".join(figures)}</div>'
