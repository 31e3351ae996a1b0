"""One line of `handrail doctor`, and how a list of them is shown."""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from rich.console import Console
from rich.markup import escape

Verdict = Literal["ok", "note", "skip", "fail"]
_STYLES = {"ok": "green", "note": "yellow", "skip": "dim", "fail": "bold red"}


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
        name: what was looked at.
        verdict: "note" is something to know, "skip" could not be looked at, "fail" stops a run.
        text: what was found, and what to do about it.
    """

    name: str
    verdict: Verdict
    text: str


def show(checks: Iterable[Check], *, as_json: bool, as_lines: bool = False) -> list[Check]:
    """Print checks, each as soon as it has been made, or all of them as JSON; returns them.

    Args:
        checks: what is to be shown.
        as_json: all of them at the end, as one list.
        as_lines: each as one line of JSON, as soon as it has been made; for whoever follows along.
    """
    made = []
    console = Console(highlight=False, soft_wrap=True)
    for check in checks:
        made.append(check)
        if as_lines:
            sys.stdout.write(json.dumps(asdict(check)) + "\n")
            sys.stdout.flush()
        elif not as_json:
            style = _STYLES[check.verdict]
            console.print(f"[{style}]{check.verdict:<5}[/] {check.name:<14} {escape(check.text)}")
    if as_json and not as_lines:
        sys.stdout.write(json.dumps([asdict(check) for check in made], indent=2) + "\n")
    return made
