"""One plain sentence for each panel of the critic view: what its figures say, and no more than they say."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

SOURCES = ("demo", "intervention", "online_success", "online_failure")
"""Where a sample comes from, as the learner's diagnostics name it."""
NOUNS = {
    "demo": "demonstrations",
    "intervention": "interventions",
    "online_success": "the policy's own steps in successes",
    "online_failure": "the policy's own steps elsewhere",
}
"""What a source is called in a sentence."""
_AXES = ("x", "y", "z", "rx", "ry", "rz")
_MINUS = re.compile(r"(?<![\w-])-(?=\d)")
_ABOUT = 0.05  # a difference of value that is called none


@dataclass(frozen=True)
class Read:
    """What the sentences are made of.

    Attributes:
        lately: the mean of a scalar's last few values, or None.
        at_first: the mean of its first few, or None.
        snapshots: the newest, by name.
    """

    lately: Callable[[str], float | None]
    at_first: Callable[[str], float | None] = lambda _: None
    snapshots: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def sentences(read: Read) -> dict[str, str]:
    """A sentence by panel; "" for a panel whose figures are not there yet."""
    return {about: _MINUS.sub("−", words(read)) for about, words in _PANELS.items()}


def _shares(read: Read) -> str:
    shares = _by_source(read, "share")
    if not shares:
        return ""
    most = max(shares, key=lambda source: shares[source])
    rows = _by_source(read, "rows")
    said = f"{_capital(NOUNS[most])} give {_percent(shares[most])} of the critic's gradient"
    if sum(rows.values()):
        said += f" with {_percent(rows.get(most, 0.0) / sum(rows.values()))} of its samples"
    first = read.at_first(f"share/{most}")
    if first is not None and abs(first - shares[most]) >= 0.1:
        said += f"; at first it was {_percent(first)}"
    return said + "."


def _histogram(read: Read) -> str:
    means = _by_source(read, "q_mean")
    online = {source: means[source] for source in ("online_success", "online_failure") if source in means}
    if "demo" not in means or not online:
        return ""
    gap = read.lately("q_gap")
    said = f"The critic values demonstrated actions at {means['demo']:.2f}"
    said += "".join(
        f", {words} at {online[source]:.2f}"
        for source, words in (
            ("online_success", "the policy's in successes"),
            ("online_failure", "the policy's elsewhere"),
        )
        if source in online
    )
    if gap is not None and abs(gap) < _ABOUT:
        said += ": it hardly tells them apart"
    return said + "."


def _value(read: Read) -> str:
    shot = read.snapshots.get("value")
    if not shot or not shot.get("values"):
        return ""
    values, wanted = shot["values"], shot.get("discounted") or []
    said = f"Along demonstration {shot['episode']} value goes from {values[0]:.2f} to {values[-1]:.2f}"
    if wanted:
        gap = sum(abs(v - w) for v, w in zip(values, wanted, strict=False)) / len(values)
        said += f" (γᵏ from {wanted[0]:.2f} to {wanted[-1]:.2f}): {gap:.2f} off on average"
        said += ", so it has spread all the way back" if gap < _ABOUT else ""
    return said + "."


def _td(read: Read) -> str:
    medians = _by_source(read, "td_median")
    if not medians:
        return ""
    most = max(medians, key=lambda source: medians[source])
    high = read.lately(f"td_p95/{most}")
    said = f"The critic errs most on {NOUNS[most]}: half of them by more than {medians[most]:.3f}"
    return said + (f", one in twenty by more than {high:.2f}." if high is not None else ".")


def _effective(read: Read) -> str:
    share = read.lately("effective_samples")
    if share is None:
        return ""
    said = f"{_percent(share)} of a batch still moves the critic"
    parts = _by_source(read, "effective")
    if parts and share > 0:
        most = max(parts, key=lambda source: parts[source])
        said += f"; {_percent(parts[most])} of that are {NOUNS[most]}"
    return said + "."


def _overestimation(read: Read) -> str:
    over = read.lately("overestimation")
    if over is None:
        return ""
    above = read.lately("above_ceiling") or 0.0
    said = "On unaided episodes the critic promises "
    if abs(over) < _ABOUT:
        said += f"about what they return ({over:+.2f})"
    else:
        said += f"{abs(over):.2f} {'more' if over > 0 else 'less'} than they return"
    return said + (f"; {_percent(above)} of its values are impossible." if above > 0 else ".")


def _entropy(read: Read) -> str:
    entropy, wanted = read.lately("entropy"), read.lately("target_entropy")
    if entropy is None or wanted is None:
        return ""
    how = (
        "about as much as"
        if abs(entropy - wanted) < 1
        else ("more than" if entropy > wanted else "less than")
    )
    return f"The policy explores {how} it is asked to: entropy {entropy:.1f}, target {wanted:.1f}."


def _temperature(read: Read) -> str:
    now, first = read.lately("temperature"), read.at_first("temperature")
    if now is None:
        return ""
    trend = ""
    if first is not None and first > 0:
        trend = ", as at first" if 0.8 < now / first < 1.25 else f"; at first it was {first:.3g}"
    return f"Temperature {now:.3g}{trend}."


def _sigma(read: Read) -> str:
    known = {axis: read.lately(f"sigma/{number}") for number, axis in enumerate(_AXES)}
    spread = {axis: value for axis, value in known.items() if value is not None}
    if not spread:
        return ""
    wide, narrow = max(spread, key=lambda a: spread[a]), min(spread, key=lambda a: spread[a])
    return (
        f"It tries most about {wide} (σ {spread[wide]:.2f}), least about {narrow} (σ {spread[narrow]:.2f})."
    )


def _saturation(read: Read) -> str:
    share = read.lately("saturation")
    if share is None:
        return ""
    if share == 0:
        return "No component of the action is at its limit."
    return f"{_percent(share)} of the action's components are at their limit."


def _distance(read: Read) -> str:
    now, first = read.lately("actor_human_distance"), read.at_first("actor_human_distance")
    if now is None:
        return ""
    before = f"; at first {first:.2f}" if first is not None and abs(first - now) >= 0.05 else ""
    return f"Where you took over lately, you and the policy differed by {now:.2f}{before}."


def _reward(read: Read) -> str:
    density = _by_source(read, "reward_density")
    rows = _by_source(read, "rows")
    online = [source for source in SOURCES[1:] if source in density and rows.get(source)]
    count = sum(rows[source] for source in online)
    if not count:
        return ""
    share = sum(density[source] * rows[source] for source in online) / count
    said = (
        f"{_percent(share, 1)} of online samples carry a reward"
        if share
        else "No online sample carries a reward"
    )
    return said + (
        f", {_percent(density['demo'], 1)} of the demonstrated ones." if "demo" in density else "."
    )


def _cem(read: Read) -> str:
    gap = read.lately("cem_gap")
    return (
        "" if gap is None else f"A search finds actions that the critic values {gap:.3f} above the policy's."
    )


_PANELS: dict[str, Callable[[Read], str]] = {
    "shares": _shares,
    "histogram": _histogram,
    "value": _value,
    "overestimation": _overestimation,
    "td": _td,
    "effective": _effective,
    "reward": _reward,
    "entropy": _entropy,
    "temperature": _temperature,
    "sigma": _sigma,
    "saturation": _saturation,
    "distance": _distance,
    "cem": _cem,
}


def _by_source(read: Read, kind: str) -> dict[str, float]:
    found = {source: read.lately(f"{kind}/{source}") for source in SOURCES}
    return {source: value for source, value in found.items() if value is not None}


def _percent(share: float, digits: int = 0) -> str:
    """Percent; what is not nothing is never called 0."""
    least = 10.0**-digits
    return f"<{least:g} %" if 0 < 100 * share < least / 2 else f"{100 * share:.{digits}f} %"


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]
