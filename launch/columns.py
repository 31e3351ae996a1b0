"""A table as wide as the terminal: where there is no room for all columns, the least needed are left out.

A number that is cut off says something else, so a column is shown whole or not at all; only the last one,
of somebody's words, is wrapped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

_GAP = 2  # between two columns
_WORDS = 18  # letters a line that somebody's words need at least
_NAME = 24  # of a name that is longer the rest may be cut off

Kind = Literal["number", "name", "words"]


@dataclass(frozen=True)
class Column:
    """A column and what is in it.

    Attributes:
        name: its head.
        cells: a text for each row.
        rank: those of the highest are left out first; 0 never is.
        kind: how it is set: a number, which is never cut; a name, of which the beginning will do; or words.
    """

    name: str
    cells: Sequence[str | Text]
    rank: int = 0
    kind: Kind = "number"

    @property
    def width(self) -> int:
        """Letters that it needs."""
        longest = max((cell_len(str(cell)) for cell in (self.name, *self.cells)), default=0)
        return {"number": longest, "name": min(longest, _NAME), "words": min(longest, _WORDS)}[self.kind]


def fitted(columns: Sequence[Column], width: int, ends: Sequence[int] = ()) -> tuple[Table, list[str]]:
    """The table, no wider than `width` where that can be, and the names of the columns left out.

    Args:
        columns: all of them, with as many cells each.
        width: letters a line.
        ends: rows that are followed by a line.
    """
    shown = list(columns)
    while sum(each.width + _GAP for each in shown) > width and any(each.rank for each in shown):
        shown.remove(max(shown, key=lambda each: each.rank))
    table = Table(box=None, header_style="bold", padding=(0, 1))
    for each in shown:
        least = None if each.kind == "words" else each.width
        right = "right" if each.kind == "number" else "left"
        table.add_column(
            each.name, justify=right, no_wrap=each.kind != "words", min_width=least, overflow="ellipsis"
        )
    for number, cells in enumerate(zip(*(each.cells for each in shown), strict=True)):
        table.add_row(*cells, end_section=number in ends)
    return table, [each.name for each in columns if each not in shown]
