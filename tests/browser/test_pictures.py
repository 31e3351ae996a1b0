"""Every picture of the manual can be taken, and shows what it must; `--pictures=PATH` keeps them there."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from console_page import Person
from console_pictures import AT_REST, DARK, LIVE, SET_UP, keep, rig, take
from console_run import ConsoleRun, Kept
from playwright.sync_api import Browser

from handrail.launch import compose
from handrail.launch.bench.console_side import served
from handrail.launch.bench.long_log import write_long_log

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
EPISODES, STEPS = 30, 20  # of which some have failed


@pytest.fixture(scope="module")
def olga(live: ConsoleRun, come_in: Callable[..., Person]) -> Person:
    person = come_in(live, name="Maria")
    person.claim()
    return person


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(compose.SEARCH_PATH, raising=False)
        patch.chdir(folder)
        run = write_long_log(folder / "runs" / "kept", EPISODES, STEPS, cameras=1, side=64)
        with served(folder / "out", "console", f"run={run.path}", "port=0") as console:
            yield Kept(run, console)


@pytest.fixture(scope="module")
def maria(kept: Kept, come_in: Callable[..., Person]) -> Person:
    person = come_in(kept.console, name="Maria")
    person.claim()
    return person


@pytest.fixture(scope="module")
def rigged(maria: Person) -> Person:
    rig(maria)
    return maria


@pytest.fixture
def wanted(request: pytest.FixtureRequest) -> Callable[[str, bytes], None]:
    """Keeps a picture, where they are wanted."""
    folder = request.config.getoption("--pictures")
    return lambda name, content: None if folder is None else keep(folder, name, content)


@pytest.mark.parametrize("name", [*LIVE, *(f"{each}-dark" for each in DARK)])
def test_of_a_run_that_trains(live: ConsoleRun, olga: Person, name: str, wanted: Callable[..., None]) -> None:
    which, _, dark = name.partition("-")
    wanted(name, take(olga, LIVE[which], live, dark or "light"))


@pytest.mark.parametrize("name", AT_REST)
def test_of_a_run_at_rest(kept: Kept, maria: Person, name: str, wanted: Callable[..., None]) -> None:
    wanted(name, take(maria, AT_REST[name], kept))


@pytest.mark.parametrize("name", SET_UP)
def test_of_a_station_that_is_set_up(
    kept: Kept, rigged: Person, name: str, wanted: Callable[..., None]
) -> None:
    wanted(name, take(rigged, SET_UP[name], kept))


def test_they_are_the_manual_s() -> None:
    known = {f"console-{name}.png" for name in (*LIVE, *(f"{each}-dark" for each in DARK), *AT_REST, *SET_UP)}
    assert {path.name for path in IMAGES.glob("console-*.png")} == known
