"""Words from a network on a terminal, and tables that fit it."""

import pytest
from rich.console import Console

from handrail.launch.columns import Column, fitted
from handrail.launch.visible import visible, visible_lines


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("bent pin, Größe 3 – 插头 👩\u200d🔧\u00a0!", "bent pin, Größe 3 – 插头 👩\u200d🔧\u00a0!"),
        ("x\x1b[2J\x1b]0;owned\x07", "x\\x1b[2J\\x1b]0;owned\\x07"),
        ("a\rb\nc\x7f\x9b2J", "a\\rb\\nc\\x7f\\x9b2J"),
        ("\u202eevil\ud800", "\\u202eevil\\ud800"),
    ],
)
def test_what_would_act_on_a_terminal_is_spelled_out(given: str, shown: str) -> None:
    assert visible(given) == shown
    shown.encode()


def test_lines_of_ours_stay_lines() -> None:
    assert visible_lines("one\ntwo\x1b[A") == "one\ntwo\\x1b[A"


COLUMNS = (
    Column("episode", ["1234567", "8"]),
    Column("peak N", ["25.75", "103.25"], rank=2),
    Column("cycle s", ["10.5", "9.5"], rank=3),
    Column("said by", ["Ada", "B" * 40], kind="name"),
    Column("note", ["one two three four five six seven eight nine ten", ""], kind="words"),
)


@pytest.mark.parametrize(
    ("width", "left_out"),
    [(120, []), (69, ["cycle s"]), (60, ["peak N", "cycle s"]), (20, ["peak N", "cycle s"])],
)
def test_columns_are_whole_or_not_there(width: int, left_out: list[str]) -> None:
    table, out = fitted(COLUMNS, width)
    assert out == left_out
    console = Console(width=max(width, 60), color_system=None)
    with console.capture() as capture:
        console.print(table)
    shown = capture.get()
    numbers = [each for each in COLUMNS if each.kind == "number" and each.name not in out]
    assert all(str(cell) in shown for each in numbers for cell in (each.name, *each.cells))
    assert all(len(line) <= max(width, 60) for line in shown.splitlines())
    assert "B" * 20 in shown and "ten" in shown
