"""The manual's pictures of a run at rest, and of a station that is set up; see `test_pictures`."""

from collections.abc import Callable, Iterator

import pytest
from console_page import Person
from console_pictures import AT_REST, SET_UP, rig, take
from console_run import Kept
from playwright.sync_api import Browser

from handrail.launch import compose
from handrail.launch.bench.console_side import served
from handrail.launch.bench.long_log import write_long_log

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

EPISODES, STEPS = 30, 20  # of which some have failed


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


@pytest.mark.parametrize("name", AT_REST)
def test_of_a_run_at_rest(kept: Kept, maria: Person, name: str, wanted: Callable[..., None]) -> None:
    wanted(name, take(maria, AT_REST[name], kept))


@pytest.mark.parametrize("name", SET_UP)
def test_of_a_station_that_is_set_up(
    kept: Kept, rigged: Person, name: str, wanted: Callable[..., None]
) -> None:
    wanted(name, take(rigged, SET_UP[name], kept))
