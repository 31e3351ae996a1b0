"""Every view opens, fits its window, keeps to its own host and can be worked without a mouse."""

import re
from collections.abc import Callable

import pytest
from console_page import Person
from console_run import ConsoleRun, fresh
from playwright.sync_api import expect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

VIEWS = {
    "run": '#driver[data-driver]:not([data-driver="gone"])',
    "critic": "#shares canvas",
    "review": "table#episodes tbody tr[data-episode]",
    "setup": "section#preflight",
}
WINDOWS = {"desk": (1280, 720, False), "tablet": (1024, 768, True)}
_FIT = """() => {
    const wide = document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth;
    const out = [...document.querySelectorAll("button, a, input, select")].filter(node => {
        const box = node.getBoundingClientRect();
        if (box.width === 0 || !node.checkVisibility()) return false;
        for (let up = node.parentElement; up; up = up.parentElement) {
            if (["auto", "scroll", "hidden"].includes(getComputedStyle(up).overflowX)) return false;
        }
        return box.right > innerWidth + 1 || box.left < -1;
    });
    return [wide, out.map(node => node.outerHTML.slice(0, 80))];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("window", WINDOWS)
def test_every_view_opens_and_fits(
    live: ConsoleRun, come_in: Callable[..., Person], window: str, scheme: str
) -> None:
    width, height, touch = WINDOWS[window]
    vic = come_in(live, "viewer", "Vic", width=width, height=height, touch=touch, scheme=scheme)
    live.heard.wait(lambda heard: heard.learner.get("updates", 0) > 400, "the learner's diagnostics")
    for view, ready in VIEWS.items():
        vic.go(view)
        vic.page.wait_for_selector(ready)
        wide, out = vic.page.evaluate(_FIT)
        assert wide <= 0 and out == [], f"{view} does not fit {width} × {height}: {wide} px, {out}"
    assert (vic.brightness() > 128.0) is (scheme == "light")
    vic.leave()


def test_the_banner_is_read_from_afar(live: ConsoleRun, olga: Person) -> None:
    olga.go("run")
    olga.page.wait_for_selector(VIEWS["run"])
    tallest = olga.page.evaluate(
        """() => Math.max(...[...document.querySelectorAll("#driver, #driver *")]
            .filter(node => node.textContent.trim())
            .map(node => parseFloat(getComputedStyle(node).fontSize)))"""
    )
    assert tallest >= 64.0


def test_the_critic_view_shows_what_the_learner_found(live: ConsoleRun, olga: Person) -> None:
    live.heard.wait(lambda heard: heard.learner.get("updates", 0) > 400, "the learner's diagnostics")
    olga.go("critic")
    for part in ("shares", "histogram", "value", "td", "overestimation"):
        expect(olga.page.locator(f"#{part}").first).to_be_attached()
    expect(olga.page.locator("#shares canvas").first).to_be_visible()
    expect(olga.page.locator(".sentence[data-about]").first).not_to_be_empty()


def test_the_lengths_of_the_gradients_are_behind_the_i(live: ConsoleRun, olga: Person) -> None:
    live.heard.wait(lambda heard: heard.learner.get("updates", 0) > 400, "the learner's diagnostics")
    olga.go("critic")
    olga.page.wait_for_selector("#shares canvas")
    about = olga.page.locator("#about-shares")
    expect(about).to_be_hidden()
    olga.page.click("#shares button.info")
    expect(about).to_contain_text(re.compile(r"cosine with g, lately: demonstrations [\d.e-]+, -?\d\.\d\d"))
    expect(about).to_contain_text("What to do.")
    expect(olga.page.locator('.sentence[data-about="shares"]')).to_contain_text("critic's last layer")
    expect(olga.page.locator('.sentence[data-about="effective"]')).to_contain_text("errs by more than 0.1")


def test_the_set_up_views_open_and_preflight_runs(olga: Person) -> None:
    olga.go("setup")
    for part in ("preflight", "crop", "workspace", "capture", "inbox"):
        expect(olga.page.locator(f"section#{part}")).to_be_attached()
    olga.page.click('button[data-job="preflight"]')
    expect(olga.page.locator("section#preflight")).to_contain_text("disk", ignore_case=True)


def test_the_content_policy_is_strict(live: ConsoleRun, olga: Person) -> None:
    answer = olga.page.request.get(live.address + "/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    script = next(part for part in policy.split(";") if part.strip().startswith("script-src"))
    assert script.split() == ["script-src", "'self'"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"


def test_a_person_without_a_mouse_gets_all_the_way(
    live: ConsoleRun, come_in: Callable[..., Person], olga: Person
) -> None:
    """Signs in, takes the lease, pauses, resumes, slows down and gives a verdict, with keys alone."""
    olga.act("release").click()
    olga.expect_lease("none")
    kim = come_in(live, name="Kim")
    for _ in range(60):
        kim.page.keyboard.press("Tab")
        if kim.page.evaluate("document.activeElement?.dataset?.act === 'claim'"):
            break
    outline = kim.page.evaluate(
        "(s => s.outlineStyle + s.boxShadow)(getComputedStyle(document.activeElement))"
    )
    assert outline != "nonenone"  # one sees where one is
    kim.page.keyboard.press("Enter")
    kim.expect_lease("mine")
    kim.press("p")
    live.heard.until(lambda now: now.paused, "a pause")
    kim.expect_driver("hold", "held")
    kim.press("p")
    now = fresh(live, kim)
    kim.press("n")
    assert live.wait_for_event(now.episode, kind="label", new="failure").who == "Kim"
    kim.let_go()
    kim.act("release").focus()
    kim.page.keyboard.press("Enter")
    kim.expect_lease("none")
    kim.leave()
    olga.claim()
