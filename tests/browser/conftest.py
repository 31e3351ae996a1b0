"""A real browser in front of a real console, whose control loop drives the simulated arm.

A module has one browser and one run; each person at it has a browser context of their own. What a page
complains of (an error in its console, a dialog, a request to another host) fails the test, unless the test
has said that it must come.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from console_page import Person
from console_run import ConsoleRun
from playwright.sync_api import Browser

from handrail.launch.bench import console_browser

_REPORT = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Remember whether the test failed: then there will be pictures."""
    report = yield
    item.stash[_REPORT] = item.stash.get(_REPORT, False) or report.failed
    return report


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, headless, for as long as a module lasts: its event loop would be in other modules' way."""
    if lacking := console_browser.missing():
        if os.environ.get("CI") == "true":
            pytest.fail(lacking)
        pytest.skip(lacking)
    with console_browser.browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[ConsoleRun]:
    """A run in which a policy drives, with its console."""
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
