"""Which episodes are meant: one set of conditions for the page, `handrail review` and `handrail export`.

Every condition has the form of a word, as a command line or an address gives it; they hold together ("and").
They are checked when the filter is made, and become SQL over `index_schema`'s view `overview`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any, Self

from handrail.intervention.labeller import CLASSIFIER, TASK, Label
from handrail.robot_env.errors import ConfigError

OUTCOMES = ("success", "failure", "shown", "aborted", "open")
"""What episodes come to: "shown" to a classifier, "aborted" without a result, "open" while they run."""
PURPOSES = ("train", "demo", "classify", "evaluate")
NONE = "none"
"""Asks for episodes that have none of what is asked about."""
LABELS = (*Label, NONE)
MACHINE, PERSON = "machine", "person"
"""Labellers by their kind; any other word is a labeller's name."""

_RANGE = re.compile(r"(\d{1,15})?(-)?(\d{1,15})?")
_RANGES_LIMIT = 500  # SQLite nests one condition in the next, a thousand deep at most
_TEXT_LIMIT = 200


@dataclass(frozen=True)
class EpisodeFilter:
    """Conditions on episodes; None asks nothing.

    Attributes:
        outcome: one of `OUTCOMES`.
        label: one of `LABELS`; "none" for episodes without a label.
        labeller: who gave the current label: "machine", "person", or a name.
        human: whether a human drove any step.
        purpose: one of `PURPOSES`.
        weights: version of the policy's weights: "40", "40-80", "40-", "-80", or "none" without a policy.
        operator: name of the person at the arm.
        day: on which it began, here: "2026-03-01", or the first and the last day: "2026-03-01..2026-03-07".
        text: what any remark or reason given to the episode contains, whatever the case.
        episodes: numbers and ranges: "3,7,10-20,40-".
        last: only the last so many of those that meet the other conditions.

    Raises:
        ConfigError: a condition has no meaning.
    """

    outcome: str | None = None
    label: str | None = None
    labeller: str | None = None
    human: bool | None = None
    purpose: str | None = None
    weights: str | None = None
    operator: str | None = None
    day: str | None = None
    text: str | None = None
    episodes: str | None = None
    last: int | None = None

    def __post_init__(self) -> None:
        for name, known in (("outcome", OUTCOMES), ("label", LABELS), ("purpose", PURPOSES)):
            if (value := getattr(self, name)) is not None and value not in known:
                raise ConfigError(f"{name}={value}: choose one of {', '.join(known)}")
        if self.last is not None and self.last < 1:
            raise ConfigError(f"last={self.last}: must be at least 1")
        for name in ("labeller", "operator", "text"):
            if len(getattr(self, name) or "") > _TEXT_LIMIT:
                raise ConfigError(f"{name}= is longer than {_TEXT_LIMIT} letters; a part of it will do")
        if self.weights not in (None, NONE):
            _ranges("weights", self.weights)
        if self.episodes is not None:
            _ranges("episodes", self.episodes)
        if self.day is not None:
            _days(self.day)

    @classmethod
    def of(cls, words: Mapping[str, Any]) -> Self:
        """The filter that an address's query, or a command's options, ask for; "" and None ask nothing.

        Args:
            words: condition by name, as text or as a value of its type; names that are no condition are left
                alone.

        Raises:
            ConfigError: a condition has no meaning.
        """
        names = [field.name for field in fields(cls)]
        asked = {name: words[name] for name in names if words.get(name) not in (None, "")}
        if isinstance(human := asked.get("human"), str):
            if human not in ("true", "false"):
                raise ConfigError(f"human={human}: must be true or false")
            asked["human"] = human == "true"
        if isinstance(last := asked.get("last"), str):
            if not (last.isascii() and last.isdigit() and len(last) < 16):
                raise ConfigError(f"last={last}: must be a whole number")
            asked["last"] = int(last)
        return cls(**asked)

    def words(self) -> dict[str, str]:
        """The conditions that are set, as text; `of` makes the same filter of them again."""
        asked = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: str(value).lower() if name == "human" else str(value) for name, value in asked.items()
                if value is not None}  # fmt: skip

    def where(self) -> tuple[str, list[object]]:
        """The conditions as SQL over `overview`, `last` left out, with the values of its marks."""
        terms: list[str] = ["1"]
        values: list[object] = []

        def add(term: str, *filled: object) -> None:
            terms.append(term)
            values.extend(filled)

        for name in ("outcome", "purpose", "operator"):
            if (value := getattr(self, name)) is not None:
                add(f"{name} = ?", value)
        if self.label is not None:
            add("label IS ?", None if self.label == NONE else self.label)
        match self.labeller:
            case None:
                pass
            case "machine":
                add(MACHINE_SAID)
            case "person":
                add(f"label IS NOT NULL AND NOT {MACHINE_SAID}")
            case name:
                add("labeller = ?", name)
        if self.human is not None:
            add("(human_steps > 0) = ?", self.human)
        if self.weights == NONE:
            add("weights_version < 0")
        for column, ranges in (("weights_version", self.weights), ("episode", self.episodes)):
            if ranges not in (None, NONE):
                bounds = _ranges(column, ranges)
                add(f"({' OR '.join([f'{column} BETWEEN ? AND ?'] * len(bounds))})", *sum(bounds, ()))
        if self.day is not None:
            add("day BETWEEN ? AND ?", *_days(self.day))
        if self.text is not None:
            pattern = "%" + re.sub(r"([\\%_])", r"\\\1", self.text) + "%"
            add(r"episode IN (SELECT episode FROM events WHERE why LIKE ? ESCAPE '\')", pattern)
        return " AND ".join(terms), values


MACHINE_SAID = f"(labeller = '{TASK}' OR labeller GLOB '{CLASSIFIER}*')"
"""`labeller.said_by_machine` as SQL over `overview`."""


def _ranges(name: str, text: str) -> list[tuple[int, int]]:
    """Closed intervals of "3,7,10-20,40-"."""
    parts = text.split(",")
    if len(parts) > _RANGES_LIMIT:
        raise ConfigError(f"{name}= has {len(parts)} parts, limit {_RANGES_LIMIT}; name ranges such as 10-20")
    found = []
    for part in parts:
        match = _RANGE.fullmatch(part.strip())
        low, dash, high = match.groups() if match else (None, None, None)
        if low is None and high is None:
            raise ConfigError(f"{name}={text}: numbers and ranges are meant, such as 3,7,10-20,40-")
        first = int(low or 0)
        last = int(high) if high is not None else (2**62 if dash else first)
        if last < first:
            raise ConfigError(f"{name}={text}: {part.strip()} ends before it begins")
        found.append((first, last))
    return found


def _days(text: str) -> tuple[str, str]:
    """First and last day of "2026-03-01" or "2026-03-01..2026-03-07"."""
    first, _, last = text.partition("..")
    try:
        days = date.fromisoformat(first), date.fromisoformat(last or first)
    except ValueError:
        raise ConfigError(
            f"day={text}: a day is meant (2026-03-01), or two (2026-03-01..2026-03-07)"
        ) from None
    return days[0].isoformat(), days[1].isoformat()
