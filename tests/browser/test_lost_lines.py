"""A machine that sleeps, a link that freezes: the page finds the clock again, and says what is so."""

import re
import threading
from collections.abc import Callable, Iterator

import pytest
from console_page import Person
from console_run import ConsoleRun
from playwright.sync_api import Page, WebSocketRoute

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

# A line that can be made slower, so that what was known before is the best that is known.
_SLOW = """(() => {
  const property = Object.getOwnPropertyDescriptor(WebSocket.prototype, "onmessage");
  const late = hear => event => window.slow ? setTimeout(() => hear(event), 60) : hear(event);
  const set = function (hear) { property.set.call(this, late(hear)); };
  Object.defineProperty(WebSocket.prototype, "onmessage", {set});
})()"""
_SLEEPS = """([seconds, wall]) => {
  window.slow = true;
  const page = performance.now.bind(performance), clock = Date.now;
  performance.now = () => page() - 1000 * seconds;
  if (!wall) Date.now = () => clock() - 1000 * seconds;
}"""
_KNOWS = """() => {
  const {live} = window.handrail.context;
  return new Promise(resolve => {
    const off = live.on("pong", ({server_ms: truth}) => {
      off();
      resolve(Math.abs(live.serverNow() - truth) < 1000);
    });
  });
}"""
_WORDS = """() => {
  const word = document.querySelector("#driver .word");
  window.words = [word.textContent];
  const look = new MutationObserver(() => window.words.push(word.textContent));
  look.observe(word, {childList: true, characterData: true, subtree: true});
}"""
_CLOCK = """async () => {
  const {Clock} = await import("/static/clock.js");
  const page = performance.now;
  let now = 1000;
  performance.now = () => now;
  const clock = new Clock(), read = [];
  // (sent, trip, server's clock ahead of the page's): quick, slow and lopsided, and after 4 s of sleep.
  const ping = (sent, trip, ahead) => {
    now = sent + trip;
    clock.take(sent, sent + trip / 2 + ahead);
    read.push(Math.round(clock.now - now));
  };
  ping(1000, 4, 500);
  ping(3000, 900, 900);
  ping(5000, 40, 520);
  ping(7000, 40, 4500);
  ping(9000, 6, 4501);
  performance.now = page;
  return read;
}"""


@pytest.fixture
def bo(live: ConsoleRun, come_in: Callable[..., Person]) -> Iterator[Person]:
    """At the controls, with a page of his own."""
    person = come_in(live, "operator", "Bo")
    person.claim()
    yield person
    person.at_rest()
    person.give_back()
    person.leave()


def test_what_contradicts_the_clock_replaces_it(bo: Person) -> None:
    assert bo.page.evaluate(_CLOCK) == [500, 500, 500, 4500, 4501]


@pytest.mark.parametrize("wall", [True, False], ids=["with a wall clock", "by the pings alone"])
def test_a_page_that_slept_may_act_again(live: ConsoleRun, bo: Person, wall: bool) -> None:
    bo.page.add_init_script(_SLOW)
    bo.page.reload()
    bo.wait_connected()
    bo.page.wait_for_function("() => (window.handrail.context.live.trip ?? 99) < 40")
    bo.page.evaluate(_SLEEPS, [4, wall])
    knows(bo.page)
    bo.press("p")
    live.heard.until(lambda now: now.paused, "a pause that is not too late")


def knows(page: Page) -> None:
    """Two answers to pings are enough: the first may have been on its way already."""
    assert page.evaluate(_KNOWS) or page.evaluate(_KNOWS)


def test_a_frozen_link_is_doubted_while_a_hand_drives(live: ConsoleRun, bo: Person) -> None:
    mute = threading.Event()

    def between(page: WebSocketRoute) -> None:
        server, heard = page.connect_to_server(), not mute.is_set()  # one that hung at first goes on hanging
        server.on_message(lambda text: page.send(text) if heard and not mute.is_set() else None)

    bo.page.route_web_socket(re.compile("/ws/live$"), between)
    bo.page.reload()
    bo.wait_connected()
    bo.expect_lease("mine")
    bo.go("run")
    bo.verb("takeover").click()
    bo.expect_driver("human")
    bo.page.evaluate(_WORDS)
    mute.set()
    bo.expect_message("Holding still ended: the connection to the console was lost")
    mute.clear()
    bo.wait_connected()
    said = bo.page.evaluate("window.words")
    assert said.index("NO NEWS") < said.index("NO CONNECTION")
