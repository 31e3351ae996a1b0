"""A real browser in front of a real console, whose control loop drives the simulated arm.

The modules use one browser and one run, one after another; each person has a browser context of their own.
A module that kills or ends its run, or holds all of its log to something, has a `live` of its own. What a
page complains of (an error in its console, a dialog, a request to another host) fails the test, unless the
test has said that it must come.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from console_page import Person
from console_pictures import keep
from console_run import ConsoleRun
from lasting import Lasting
from playwright.sync_api import Browser

from handrail.launch.bench import console_browser

_REPORT = pytest.StashKey[bool]()
_LASTING = pytest.StashKey[Lasting]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Remember whether the test failed: then there will be pictures."""
    report = yield
    item.stash[_REPORT] = item.stash.get(_REPORT, False) or report.failed
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None):
    """Leaving this folder ends what its modules share: the browser's event loop is in other tests' way."""
    yield
    if nextitem is None or Path(__file__).parent not in nextitem.path.parents:
        item.config.stash.get(_LASTING, Lasting()).close()


@pytest.fixture(scope="session")
def lasting(pytestconfig: pytest.Config) -> Lasting:
    """What the modules share; ended by the hook above."""
    pytestconfig.stash[_LASTING] = lasting = Lasting()
    return lasting


@pytest.fixture(scope="module")
def browser(lasting: Lasting) -> Browser:
    """Chromium, headless."""
    if lacking := console_browser.missing():
        if os.environ.get("CI") == "true":
            pytest.fail(lacking)
        pytest.skip(lacking)
    return lasting.browser()


@pytest.fixture(scope="module")
def live(
    tmp_path_factory: pytest.TempPathFactory, browser: Browser, lasting: Lasting
) -> Iterator[ConsoleRun]:
    """A run in which a policy drives, with its console."""
    with lasting.live(tmp_path_factory.mktemp("console")) as run:
        yield run


@pytest.fixture(scope="module")
def own_live(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[ConsoleRun]:
    """Such a run for this module alone: name it `live` there."""
    run = ConsoleRun(tmp_path_factory.mktemp("console"))
    try:
        run.wait_for_training()
        yield run
    finally:
        run.close()


@pytest.fixture(scope="module")
def people(browser: Browser) -> Iterator[list[Person]]:
    """Everybody who has come in the module."""
    come: list[Person] = []
    yield come
    for person in come:
        person.give_back()
        person.leave()


@pytest.fixture(scope="module")
def come_in(browser: Browser, people: list[Person]) -> Callable[..., Person]:
    """Let somebody sit down at a console: `come_in(live, "viewer", "Vera", width=1024)`."""

    def come(run: ConsoleRun, role: str = "operator", name: str = "Olga", **look: Any) -> Person:
        person = Person(browser, run.address, **look)
        people.append(person)
        person.sign_in(run.tokens[role], name)
        return person

    return come


@pytest.fixture(scope="module")
def olga(live: ConsoleRun, come_in: Callable[..., Person]) -> Person:
    """The operator of the module, who has taken the lease."""
    person = come_in(live)
    person.claim()
    return person


@pytest.fixture(autouse=True)
def _pages_have_nothing_to_complain_of(
    request: pytest.FixtureRequest, people: list[Person], tmp_path: Path
) -> Iterator[None]:
    yield
    failed = request.node.stash.get(_REPORT, False)
    complaints = [complaint for person in people for complaint in person.take_complaints()]
    if failed or complaints:
        for number, person in enumerate(people):
            request.node.add_report_section("call", f"page {number}", person.picture(tmp_path, number))
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def wanted(request: pytest.FixtureRequest) -> Callable[[str, bytes], None]:
    """Keeps a picture, where they are wanted."""
    folder = request.config.getoption("--pictures")
    return lambda name, content: None if folder is None else keep(folder, name, content)
