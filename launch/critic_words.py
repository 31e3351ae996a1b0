"""One plain sentence for each panel of the critic view: what its figures say, and no more than they say."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
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
_NEAR = 0.2  # of what a value should be: so much off is still called right
_TOLD = 0.1  # where γᵏ is below this, a value of 0 is as right as it
_AGAINST = 0.02  # a share so far below 0 is told


@dataclass(frozen=True)
class Read:
    """What the sentences are made of.

    Attributes:
        lately: the mean of a scalar's last few values, or None.
        at_first: the mean of its first few, or None.
        snapshots: the newest, by name.
        effective_td: |TD error| above which a sample counts as effective.
    """

    lately: Callable[[str], float | None]
    at_first: Callable[[str], float | None] = lambda _: None
    snapshots: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    effective_td: float = 0.1


def sentences(read: Read) -> dict[str, str]:
    """A sentence by panel; "" for a panel whose figures are not there yet."""
    return {about: _MINUS.sub("−", words(read)) for about, words in _PANELS.items()}


def _shares(read: Read) -> str:
    shares = _by_source(read, "share")
    if not shares:
        return ""
    most = max(shares, key=lambda source: shares[source])
    rows = _by_source(read, "rows")
    part = f"{_percent(shares[most])} of the gradient of the critic's last layer"
    if shares[most] > 1.005:  # what pulls against it takes the rest away again
        said = f"{_capital(NOUNS[most])} pull for more than the whole: {part}"
    else:
        said = f"{_capital(NOUNS[most])} give {part}"
    if sum(rows.values()):
        said += f", with {_percent(rows.get(most, 0.0) / sum(rows.values()))} of the samples"
    first = read.at_first(f"share/{most}")
    if first is not None and abs(first - shares[most]) >= 0.1:
        said += f"; at first it was {_percent(first)}"
    against = [source for source in shares if shares[source] <= -_AGAINST]
    if against:
        said += f"; {_listed([f'{NOUNS[each]} ({_percent(shares[each])})' for each in against])}"
        said += " pull against it"
    return said + "."


def _histogram(read: Read) -> str:
    means = _by_source(read, "q_mean")
    online = {source: means[source] for source in ("online_success", "online_failure") if source in means}
    if "demo" not in means or not online:
        return ""
    said = f"The critic values demonstrated actions at {means['demo']:.2f}"
    said += "".join(
        f", {words} at {online[source]:.2f}"
        for source, words in (
            ("online_success", "the policy's in successes"),
            ("online_failure", "the policy's elsewhere"),
        )
        if source in online
    )
    if all(abs(mean - means["demo"]) < _ABOUT for mean in online.values()):
        said += ": it hardly tells them apart"
    return said + "."


def _value(read: Read) -> str:
    shot = read.snapshots.get("value")
    if not shot or not shot.get("values"):
        return ""
    values, wanted = shot["values"], shot.get("discounted") or []
    said = f"Along demonstration {shot['episode']} value goes from {values[0]:.2f} to {values[-1]:.2f}"
    if wanted:
        gap, above = _short_of(values, wanted), _short_of(wanted, values)
        said += f" (γᵏ from {wanted[0]:.2f} to {wanted[-1]:.2f}): {gap:.2f} short of it on average"
        if above >= _ABOUT:
            said += f" and {above:.2f} above, as it should be where the policy is quicker than that"
        said += _spread(values, wanted, gap)
    return said + "."


def _spread(values: Sequence[float], wanted: Sequence[float], gap: float) -> str:
    """Whether value has reached the beginning; the first third is asked by itself, for γᵏ is small there."""
    if wanted[0] < _TOLD:
        return "; γᵏ is too small at the beginning to tell whether it has spread that far"
    third = -(-len(values) // 3)
    first, there = values[:third], wanted[:third]
    said = f"; over the first third {fmean(first):.2f} where γᵏ is {fmean(there):.2f}"
    near = gap < _ABOUT and _short_of(first, there) < _NEAR * fmean(there)
    return said + (", so it has spread all the way back" if near else "")


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
    said = f"On {_percent(share)} of a batch's samples the critic errs by more than {read.effective_td:g}"
    parts = _by_source(read, "effective")
    if parts and share > 0:
        most = max(parts, key=lambda source: parts[source])
        said += f"; {_percent(parts[most])} of them are {NOUNS[most]}"
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
    said = f"Where you took over lately, you and the policy differed by {now:.2f}"
    if first is not None and abs(first - now) >= 0.05:
        said += f"; at first {first:.2f}"
    clone = read.lately("clone_share")
    if clone is not None:
        said += (
            f". In {_percent(clone)} of those steps it would have acted as the clone of the demonstrations"
        )
    return said + "."


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
        else "None of the online samples looked at lately carries a reward"
    )
    return said + (
        f", {_percent(density['demo'], 1)} of the demonstrated ones." if "demo" in density else "."
    )


def _cem(read: Read) -> str:
    gap = read.lately("cem_gap")
    return (
        "" if gap is None else f"A search finds actions that the critic values {gap:.3f} above the actor's."
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


def _short_of(values: Sequence[float], wanted: Sequence[float]) -> float:
    return fmean(max(0.0, right - value) for value, right in zip(values, wanted, strict=False))


def _listed(words: Sequence[str]) -> str:
    head = ", ".join(words[:-1])
    return f"{head} and {words[-1]}" if head else words[-1]


def _percent(share: float, digits: int = 0) -> str:
    """Percent; what is not nothing is never called 0."""
    least = 10.0**-digits
    return f"<{least:g} %" if 0 < 100 * share < least / 2 else f"{100 * share:.{digits}f} %"


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]
