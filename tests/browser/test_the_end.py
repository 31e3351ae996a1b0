"""Coming by the printed address, being named, leaving; and how a run ends for whoever looks on."""

import re
import signal
from collections.abc import Callable

import pytest
from console_page import Person
from console_run import ConsoleRun
from playwright.sync_api import Browser, expect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def live(own_live: ConsoleRun) -> ConsoleRun:
    return own_live


def printed(live: ConsoleRun, role: str) -> str:
    """The address as `handrail train` prints it."""
    return f"{live.address}/login?token={live.tokens[role]}"


def test_by_the_printed_address_a_name_is_asked_for_once(
    live: ConsoleRun, browser: Browser, people: list[Person]
) -> None:
    quentin = Person(browser, live.address)
    people.append(quentin)
    quentin.page.goto(printed(live, "operator"))
    expect(quentin.page.locator("#token")).to_have_value(live.tokens["operator"])
    assert live.tokens["operator"] not in quentin.page.url, "nobody looks over a shoulder at it"
    expect(quentin.page.locator("#name")).to_be_focused()
    quentin.page.keyboard.type("Quentin")
    quentin.page.keyboard.press("Enter")
    quentin.wait_connected()
    expect(quentin.act("me")).to_have_text("Quentin")
    quentin.page.goto(printed(live, "operator"))  # known already
    quentin.wait_connected()
    quentin.page.context.clear_cookies()
    quentin.page.goto(printed(live, "viewer"))  # as somebody else, but by the same name, if they say so
    expect(quentin.page.locator("button")).to_be_focused()
    expect(quentin.page.locator("button")).to_have_text("Sign in as Quentin")
    expect(quentin.page.locator("#name")).to_have_value("Quentin")
    assert "/login" in quentin.page.url, "nobody is signed in as the last one unasked"
    quentin.page.keyboard.press("Enter")
    quentin.wait_connected()
    expect(quentin.act("me")).to_have_text("Quentin (viewer)")
    quentin.leave()


def test_a_link_of_somebody_elses_takes_nobodys_place(
    live: ConsoleRun, come_in: Callable[..., Person]
) -> None:
    olga = come_in(live)
    olga.claim()
    olga.page.goto(f"{printed(live, 'viewer')}&name=Mallory")
    expect(olga.page.locator("#name")).to_have_value("Mallory")
    expect(olga.page.locator("#refused")).to_contain_text("is signed in already, as an operator")
    expect(olga.page.locator("button")).not_to_be_focused()
    olga.page.get_by_role("link", name="Stay as you are").click()
    olga.wait_connected()
    expect(olga.act("me")).to_have_text("Olga")
    olga.expect_lease("mine")
    olga.leave()


def test_a_page_for_which_there_is_no_room_says_so_and_stays_away(
    live: ConsoleRun, come_in: Callable[..., Person]
) -> None:
    olga = come_in(live)
    olga.page.evaluate(
        """const live = location.origin.replace('http', 'ws') + '/ws/live';
        window.others = Array.from({ length: 24 }, () => new WebSocket(live));"""
    )
    olga.page.wait_for_function("() => others.every((each) => each.readyState !== WebSocket.CONNECTING)")
    olga.page.wait_for_function("() => others.some((each) => each.readyState === WebSocket.CLOSED)")
    late = olga.page.context.new_page()
    late.goto(live.address)
    expect(late.locator("#messages")).to_contain_text("Too many pages of this run are open")
    expect(late.locator("body")).to_have_attribute("data-connected", "false")
    expect(olga.page.locator("body")).to_have_attribute("data-connected", "true")
    olga.page.evaluate("others.forEach((each) => each.close())")
    late.reload()
    expect(late.locator("body")).to_have_attribute("data-connected", "true")
    late.close()
    olga.leave()


def test_signing_out_gives_the_controls_back_and_ends_every_page(
    live: ConsoleRun, come_in: Callable[..., Person]
) -> None:
    olga = come_in(live)
    olga.claim()
    other = olga.page.context.new_page()
    other.goto(live.address)
    expect(other.locator("body")).to_have_attribute("data-lease", "mine")
    olga.act("me").click()
    expect(olga.page.locator("dialog#me")).to_contain_text("Olga")
    olga.page.route("**/logout", lambda route: route.fulfill(status=500))
    olga.act("logout").click()
    expect(olga.page.locator("#messages")).to_contain_text("Still signed in")
    assert "/login" not in olga.page.url, "nobody believes to be out who is in"
    olga.page.unroute("**/logout")
    olga.act("me").click()
    olga.act("logout").click()
    for page in (olga.page, other):
        expect(page).to_have_url(f"{live.address}/login")
    expect(olga.page.locator("#name")).to_have_value("")
    vera = come_in(live, "viewer", "Vera")
    vera.expect_lease("none")
    vera.leave()
    olga.forgive("WebSocket|Failed to load")
    olga.leave()


def test_who_stopped_is_said_to_everybody_and_how_it_goes_on(
    live: ConsoleRun, olga: Person, come_in: Callable[..., Person]
) -> None:
    quentin = come_in(live, "operator", "Quentin")
    quentin.press("Space")
    live.heard.until(lambda now: now.paused, "a stop")
    for person, on in ((olga, "Resume (p) goes on."), (quentin, "Olga resumes.")):
        expect(person.page.locator("#driver .word")).to_have_text("STOPPED")
        expect(person.page.locator("#driver .reason")).to_have_text(f"by Quentin. {on}")
    note = quentin.page.locator("#messages [data-about=pause]")
    expect(note).to_contain_text("Stopped. Olga resumes.")
    episode = live.heard.until(lambda now: now.stopped, "a stop").episode
    live.wait_for_event(episode, kind="stopped", who="Quentin")
    olga.press("p")
    expect(quentin.page.locator("#driver .word")).to_have_text(re.compile("POLICY|RESET"))
    expect(note).to_have_count(0, timeout=2000)  # it is so no more, though a warning lasts longer
    olga.expect_driver("policy", "reset")
    olga.press("p")
    expect(quentin.page.locator("#driver .word")).to_have_text("PAUSED")
    expect(quentin.page.locator("#driver .reason")).to_have_text(re.compile("^by Olga"))
    olga.press("p")
    live.heard.until(lambda now: not now.paused, "the end of the pause")
    quentin.leave()


# end × alive × rest, and whether the page has heard a loop → the word, with a connection and without.
READINGS = [
    (None, True, "", True, "POLICY", "NO CONNECTION"),
    (None, False, "", True, "NO CONTROL LOOP", "NO CONNECTION"),
    (None, False, "left", True, "AT REST", "NO CONNECTION"),
    (None, False, "nobody", False, "AT REST", "NO CONNECTION"),
    (None, False, "nobody", True, "NO CONTROL LOOP", "NO CONNECTION"),
    (None, False, "starting", False, "STARTING", "NO CONNECTION"),
    (None, False, "starting", True, "NO CONTROL LOOP", "NO CONNECTION"),
    (False, True, "", True, "ENDING", "NO CONNECTION"),
    (False, False, "", True, "NO CONTROL LOOP", "NO CONNECTION"),
    (False, False, "starting", False, "ENDING", "NO CONNECTION"),
    (True, False, "left", False, "ENDED", "ENDED"),
    (True, False, "", False, "ENDED", "ENDED"),
]
_READ = """async rows => {
    const {reading} = await import("/static/banner.js");
    const now = {driver: "policy", can: []}, hello = {again: "run=live"};
    return rows.map(([final, alive, rest, drove]) => [true, false].map(connected => {
        const end = final === null ? null : {final, outcome: "failed", why: "no arm", result: "nothing"};
        const {word, next} = reading({connected, alive: alive && connected, rest, drove, end, now, hello});
        return [word, (next ?? []).join(" ")];
    }));
}"""


def test_only_what_is_over_is_calm_without_a_connection(live: ConsoleRun, olga: Person) -> None:
    told = olga.page.evaluate(_READ, READINGS)
    assert [[word for word, _ in each] for each in told] == [list(row[4:]) for row in READINGS]
    (_, here), (_, gone) = told[-1]
    assert here == "Review (3) is open here, handrail train run=live goes on."
    assert gone == "handrail console run=live opens the review, handrail train run=live goes on."


def test_the_end_is_no_loss(live: ConsoleRun, olga: Person) -> None:
    """Last, as it ends the run: the page says how, also once the console has gone with the rest."""
    olga.forgive("WebSocket|net::ERR|Failed to load")
    live.process.send_signal(signal.SIGINT)
    driver = olga.page.locator("#driver")
    expect(driver).to_have_attribute("data-driver", "ended")
    assert live.process.wait(60.0) == 0
    expect(olga.page.locator("body")).to_have_attribute("data-connected", "false")
    olga.expect_driver("ended")
    expect(driver.locator(".word")).to_have_text("ENDED")
    result = re.search(r"Stopped: (.*)\. Nothing is lost", live.printed())
    assert result is not None, live.printed()
    expect(driver.locator(".reason")).to_have_text(f"Stopped: {result[1]}. Nothing is lost.")
    for command in ("console", "train"):
        expect(driver).to_contain_text(f"handrail {command} run={live.run.path}")
    assert f"handrail console run={live.run.path}" in live.printed()
    expect(olga.page.locator("#top")).not_to_contain_text("no connection")
    expect(olga.field("operator")).to_have_text("nobody")
