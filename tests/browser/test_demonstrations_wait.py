"""Demonstrations with the page as the only device: nothing moves before somebody there is about to drive."""

from collections.abc import Callable, Iterator

import pytest
from console_page import Person
from console_run import ConsoleRun
from playwright.sync_api import Browser, expect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[ConsoleRun]:
    run = ConsoleRun(tmp_path_factory.mktemp("console"), "actor.device=console")
    try:
        yield run
    finally:
        run.close()


def test_it_waits_for_a_hand_at_the_page(live: ConsoleRun, come_in: Callable[..., Person]) -> None:
    bo = come_in(live, "operator", "Bo")
    bo.expect_driver("waiting")
    banner = bo.page.locator("#driver")
    expect(banner).to_contain_text("WAITING")
    expect(banner).to_contain_text("take the controls on the page and press Drive (k)")
    expect(bo.page.locator("#advice")).to_contain_text("It waits for demonstrations: 0 of 2.")
    expect(bo.field("weight_age")).to_have_text("–")  # before there are any
    bo.claim()
    bo.expect_driver("waiting")
    assert live.episodes() == []
    bo.drive()
    live.heard.until(lambda now: now.running and now.purpose == "demo", "a demonstration")
    bo.let_go()
    bo.press("x")
    live.heard.until(lambda now: not now.running and now.driver == "waiting", "the next, which waits again")
    assert len(live.episodes()) == 1
