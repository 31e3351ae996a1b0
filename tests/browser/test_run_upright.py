"""The run view on a tablet that is held upright: what the arm needs is in sight, the rest is below it."""

from collections.abc import Callable, Iterator

import pytest
from console_page import Person
from console_run import ConsoleRun
from playwright.sync_api import expect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

_BAND = """() => {
    const box = document.querySelector(".eyes").getBoundingClientRect();
    const pictures = [...document.querySelectorAll(".camera")].map(each => each.getBoundingClientRect());
    return box.height - Math.max(...pictures.map(each => each.height));
}"""


@pytest.fixture(scope="module", params=["light", "dark"])
def upright(
    request: pytest.FixtureRequest, live: ConsoleRun, come_in: Callable[..., Person]
) -> Iterator[Person]:
    """At the controls of such a tablet, with room taken by the browser's own bar."""
    person = come_in(live, "operator", "Uma", width=768, height=940, scheme=request.param, touch=True)
    person.claim()
    person.page.wait_for_selector('canvas[data-camera="overview"][data-sequence]')
    yield person
    person.give_back()
    person.leave()


def test_what_an_operator_needs_is_in_sight_without_scrolling(upright: Person) -> None:
    assert upright.page.evaluate("window.scrollY") == 0
    for needed in (
        "#driver",
        ".clock",
        "[data-verb=stop]",
        "[data-act=drive]",
        "[data-act=release]",
        ".camera",
    ):
        expect(upright.page.locator(needed).first).to_be_in_viewport(ratio=1)
    for verb in ("success", "failure", "discard", "pause", "takeover"):
        expect(upright.verb(verb)).to_be_in_viewport(ratio=1)


def test_there_is_no_band_of_nothing(upright: Person) -> None:
    upright.page.wait_for_function(f"() => Math.abs(({_BAND})()) < 2")
    assert upright.page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


def test_the_header_keeps_off_the_edge_and_to_two_lines(upright: Person) -> None:
    box = upright.act("release").bounding_box()
    assert box is not None and box["y"] >= 2
    assert upright.page.evaluate("document.getElementById('top').offsetHeight") <= 104


@pytest.mark.parametrize("view", ["run", "critic", "setup"])
def test_stop_stays_in_sight_while_a_view_scrolls(upright: Person, view: str) -> None:
    upright.go(view)
    expect(upright.page.locator("body")).to_have_attribute("data-view", view)
    upright.page.evaluate("window.scrollTo(0, 10_000)")
    expect(upright.verb("stop")).to_be_in_viewport(ratio=1)
    upright.go("run")
