"""What the tests measure, kept: with `--figures PATH` as a JSON file and as a table after the run."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Protocol


class Figure(Protocol):
    """The fixture `figure`: keep one measured value; does nothing without `--figures`."""

    def __call__(self, name: str, value: float, unit: str, limit: float | None = None) -> None:
        """Add `value` to the figure `name`; `limit` is what is required of it, or what the test asserts."""
        ...


@dataclass
class Measured:
    """One figure.

    Attributes:
        name: What was measured, and from when to when.
        unit: Of the values and the limit.
        limit: What is required of it; None where nothing is.
        test: Who measured it, without parameters.
        values: As they came.
    """

    name: str
    unit: str
    limit: float | None
    test: str
    values: list[float]


class Figures:
    """All figures of a run, in the order in which they came."""

    def __init__(self) -> None:
        self._measured: dict[tuple[str, str], Measured] = {}

    def add(self, test: str, name: str, value: float, unit: str, limit: float | None = None) -> None:
        """Keep a value; repetitions and parameters of a test add to one figure."""
        figure = self._measured.setdefault((test, name), Measured(name, unit, limit, test, []))
        assert (figure.unit, figure.limit) == (unit, limit), f"{name} has two units or limits"
        figure.values.append(float(value))

    def write(self, path: Path) -> None:
        """One object a figure."""
        objects = [asdict(figure) for figure in self._measured.values()]
        path.write_text(json.dumps(objects, indent=1, ensure_ascii=False) + "\n")

    def table(self) -> list[str]:
        """Lines of Markdown, and how busy the machine was."""
        lines = ["| figure | n | p50 | max | limit |", "|---|---|---|---|---|"]
        for each in self._measured.values():
            limit = "" if each.limit is None else f"{each.limit:g} {each.unit}"
            p50, most = (f"{value:.4g} {each.unit}" for value in (median(each.values), max(each.values)))
            lines.append(f"| {each.name} | {len(each.values)} | {p50} | {most} | {limit} |")
        return [*lines, f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"]
