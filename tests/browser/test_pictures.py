"""Every picture of the manual can be taken, and shows what it must; `--pictures=PATH` keeps them there.

Here those of a run that trains; the others are in `test_pictures_at_rest`.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from console_page import Person
from console_pictures import AT_REST, DARK, LIVE, SET_UP, take
from console_run import ConsoleRun

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"


@pytest.fixture(scope="module")
def live(own_live: ConsoleRun) -> ConsoleRun:
    """Whose log nobody has filled with long names."""
    return own_live


@pytest.fixture(scope="module")
def olga(live: ConsoleRun, come_in: Callable[..., Person]) -> Person:
    person = come_in(live, name="Maria")
    person.claim()
    return person


@pytest.mark.parametrize("name", [*LIVE, *(f"{each}-dark" for each in DARK)])
def test_of_a_run_that_trains(live: ConsoleRun, olga: Person, name: str, wanted: Callable[..., None]) -> None:
    which, _, dark = name.partition("-")
    wanted(name, take(olga, LIVE[which], live, dark or "light"))


def test_they_are_the_manual_s() -> None:
    known = {f"console-{name}.png" for name in (*LIVE, *(f"{each}-dark" for each in DARK), *AT_REST, *SET_UP)}
    assert {path.name for path in IMAGES.glob("console-*.png")} == known
