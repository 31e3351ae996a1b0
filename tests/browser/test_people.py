"""Who may do what: viewers, a second operator, a page that is loaded again, names that are no markup."""

from collections.abc import Callable

import pytest
from console_page import Person
from console_run import ConsoleRun
from playwright.sync_api import expect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

VERBS = (
    "success",
    "failure",
    "discard",
    "pause",
    "resume",
    "reset",
    "regrasp",
    "acknowledge",
    "stop",
    "takeover",
)
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def vera(live: ConsoleRun, come_in: Callable[..., Person]) -> Person:
    return come_in(live, "viewer", "Vera")


def untouched(live: ConsoleRun) -> None:
    now = live.heard.until(lambda now: now.running, "an episode")
    assert not now.paused and not now.hand


def test_a_viewer_sees_and_cannot_act(live: ConsoleRun, vera: Person) -> None:
    body = vera.page.locator("body")
    expect(body).to_have_attribute("data-role", "viewer")
    vera.page.wait_for_selector('canvas[data-camera="overview"][data-sequence]')
    for verb in VERBS:
        button = vera.verb(verb)
        if button.count():
            expect(button).to_be_disabled()
    for key in ("p", "y", "n", "x", "Space", "Backspace", "k", "t"):
        vera.press(key)
    untouched(live)


def test_the_server_refuses_a_viewer_who_goes_past_the_page(live: ConsoleRun, vera: Person) -> None:
    now = live.heard.until(lambda now: now.episode >= 0, "an episode")
    for verb in ("pause", "success", "label", "stop"):
        (answer,) = vera.ask_raw(verb, episode=now.episode, label="failure", why="because")
        assert answer["status"] == "refused" and answer["why"], answer
    closed = vera.page.evaluate(
        """() => new Promise(resolve => {
            const hand = new WebSocket(`ws://${location.host}/ws/hand`);
            hand.onclose = event => resolve(event.code);
            hand.onopen = () => hand.send(JSON.stringify(
                {sequence: 1, t_ms: performance.now(), twist: [1, 0, 0, 0, 0, 0], drive: true, held: []}));
        })"""
    )
    assert closed in (4403, 1006)
    status = vera.page.evaluate(
        """async () => (await fetch("/api/episodes/0/label", {
            method: "POST", headers: {"Content-Type": "application/json"}, body: '{"label": "failure"}'
        })).status"""
    )
    assert status in (403, 404, 405)
    vera.forgive(r"WebSocket connection|status of 40[345]")
    untouched(live)


def test_one_operator_at_a_time(live: ConsoleRun, olga: Person, come_in: Callable[..., Person]) -> None:
    otto = come_in(live, "operator", "Otto")
    otto.expect_lease("other")
    expect(otto.page.locator("body")).to_contain_text("Olga")
    claim = otto.act("claim")
    if claim.count() and claim.is_enabled():
        claim.click()
    otto.expect_lease("other")
    (answer,) = otto.ask_raw("pause")
    assert answer["status"] == "refused" and "Olga" in answer["why"]
    # A stop is taken from every operator, whoever has the lease.
    (answer,) = otto.ask_raw("stop")
    assert answer["status"] == "done"
    live.heard.until(lambda now: now.paused, "a stop")
    (answer,) = olga.ask_raw("resume")
    assert answer["status"] == "done"
    olga.act("release").click()
    olga.expect_lease("none")
    otto.claim()
    olga.expect_lease("other")
    otto.act("release").click()
    otto.expect_lease("none")
    olga.claim()
    otto.leave()


def test_loading_the_page_again_keeps_everything(live: ConsoleRun, olga: Person) -> None:
    olga.go("run")
    olga.drive()
    now = live.heard.until(lambda now: now.running and now.real_time and 10 < now.step < 150, "an episode")
    olga.page.reload()
    olga.wait_connected()
    olga.expect_lease("mine")
    olga.page.wait_for_selector('canvas[data-camera="overview"][data-sequence]')
    expect(olga.field("operator")).to_contain_text("Olga")
    # All steps of the running episode are here again, those before the reload too.
    olga.page.wait_for_function(
        """([episode, step]) => {
            const shown = window.handrail.context.live.state.steps;
            return shown.episode > episode || (shown.episode === episode && shown.steps.length >= step);
        }""",
        arg=[now.episode, now.step],
    )
    assert not live.heard.until(lambda now: True, "the run").paused


def test_names_that_look_like_markup_are_text(
    live: ConsoleRun, come_in: Callable[..., Person], olga: Person
) -> None:
    olga.act("release").click()
    olga.expect_lease("none")
    eve = come_in(live, "operator", EVIL)
    eve.claim()
    olga.expect_lease("other")
    expect(olga.page.locator("body")).to_contain_text(EVIL)
    expect(eve.page.locator("body")).to_contain_text(EVIL)
    finished = live.heard.until(lambda now: now.episode >= 1, "two episodes").episode - 1
    (answer,) = eve.ask_raw("comment", episode=finished, why=EVIL)
    assert answer["status"] == "done"
    live.wait_for_event(finished, kind="comment", why=EVIL, who=EVIL)
    for person in (eve, olga):
        person.go(f"review/{finished}")
        expect(person.page.locator("#history")).to_contain_text(EVIL)
        assert person.page.locator('img[src="x"]').count() == 0
        person.go("run")
    eve.act("release").click()
    eve.expect_lease("none")
    olga.claim()
