"""What the page does with a hand at it: lets it go, hears its buttons, notices a dead line, and keeps quiet.

Where a device or a line is needed that no test has, the page gets one of the same make: a pad behind the
browser's own call, a socket that hangs, a module of the page by itself.
"""

import re
import threading
from collections.abc import Callable, Iterator

import pytest
from console_page import Person
from console_run import ConsoleRun
from playwright.sync_api import WebSocketRoute, expect

from handrail.intervention.transition import Source

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

_ARMED = "() => window.handrail.context.hand.armed"
_PAD = """() => {
  const buttons = Array.from({length: 17}, () => ({pressed: false, value: 0}));
  window.pad = {connected: true, mapping: "standard", index: 0, id: "pad", axes: [0, 0, 0, 0], buttons};
  navigator.getGamepads = () => [window.pad];
  window.handrail.context.hand.choose("gamepad");
  return window.handrail.context.hand.arm();
}"""
_PRESS = "([button, down]) => { window.pad.buttons[button].pressed = down }"
_LISTEN = """() => {
  const {sounds} = window.handrail.context;
  window.played = [];
  sounds.play = name => window.played.push(name);
}"""
_COLLECTS = """() => {
  const {state} = window.handrail.context.live;
  let now = state.now;
  const get = () => now && {...now, purpose: "classify"};
  Object.defineProperty(state, "now", {get, set: told => { now = told }});
}"""
_KEYS = """async () => {
  const {keyboard} = await import("/static/keys.js");
  const page = document.implementation.createHTMLDocument();
  const keys = keyboard(page), did = [];
  keys.bind(" ", "", () => did.push("stop"));
  keys.bind("Enter", "", () => did.push("go on"), {first: true, when: () => window.asked});
  keys.bind("Enter", "", () => did.push("play"));
  const down = init => page.dispatchEvent(new KeyboardEvent("keydown", init));
  const press = (key, more = {}) => down({key, code: key, ...more});
  window.asked = false; press("Enter");
  window.asked = true; press("Enter");
  press(" ", {ctrlKey: true}); press(" ", {altKey: true}); press(" ", {metaKey: true});
  return did;
}"""
_NOTES = """() => {
  const {toast} = window.handrail.context;
  document.getElementById("messages").replaceChildren();
  toast("STOP got no answer.", "bad");
  for (const name of ["one", "two", "three", "four", "five"]) toast(name, "info");
  return [...document.querySelectorAll("#messages .message > span")].map(each => each.textContent);
}"""
_MELODIES = """async () => {
  const sung = [];
  const create = AudioContext.prototype.createOscillator;
  AudioContext.prototype.createOscillator = function () { sung.push(1); return create.call(this); };
  const {sounds} = window.handrail.context;
  const notes = name => { const before = sung.length; sounds.play(name); return sung.length - before; };
  const counts = [notes("success"), notes("reset"), notes("policy"), notes("fault")];
  AudioContext.prototype.createOscillator = create;
  return counts;
}"""
_TRACES = """async () => {
  const {traces} = await import("/static/run/traces.js");
  const root = document.createElement("div");
  document.getElementById("view").append(root);
  const steps = {episode: 1, steps: [[0, 0, 1.0, null, 0.25]]};
  const texts = [];
  for (const threshold of [0.6, null]) {
    const end = traces(root, {live: {state: {steps, now: {most_steps: 10, threshold}}, on: () => () => {}}});
    await new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    texts.push(root.querySelectorAll("h2")[2].textContent);
    end();
    root.replaceChildren();
  }
  root.remove();
  return texts;
}"""


@pytest.fixture(autouse=True)
def _the_policy_drives_on(live: ConsoleRun, olga: Person) -> Iterator[None]:
    """However a test has left the run: it goes on, and the page is as it was loaded."""
    yield
    olga.page.reload()
    olga.wait_connected()
    olga.go("run")
    olga.page.wait_for_selector("button[data-verb=success]")
    olga.ask_raw("resume")
    live.heard.until(lambda now: not now.paused and now.driver != "held", "the policy to go on")


def shows(person: Person, view: str) -> None:
    """Wait until a view is there."""
    person.page.wait_for_function("view => document.body.dataset.view === view", arg=view)


def guide_in_the_set_up(person: Person) -> None:
    """Go to the set-up, as it is while examples are collected."""
    person.page.evaluate(_COLLECTS)
    person.go("setup")
    shows(person, "setup")
    expect(person.page.locator(".setup-guide [data-act=drive]")).to_be_visible()


@pytest.mark.parametrize("source", ["keyboard", "gamepad"])
def test_leaving_a_view_lets_go_of_the_arm(live: ConsoleRun, olga: Person, source: str) -> None:
    guide_in_the_set_up(olga)
    olga.page.evaluate(_PAD) if source == "gamepad" else olga.press("k")
    olga.page.wait_for_function(_ARMED)
    now = live.heard.until(lambda now: now.real_time and now.running, "real time, for a hand is there")
    olga.go("review")
    shows(olga, "review")
    assert olga.page.evaluate(_ARMED) is False
    if source == "keyboard":
        olga.page.keyboard.down("w")
    else:
        olga.page.evaluate(_PRESS, [5, True])  # the pad's deadman
    live.heard.until(lambda then: then.t_ns > now.t_ns + 1_500_000_000, "time to have driven")
    olga.page.keyboard.up("w")
    steps = [step for number, each in live.heard.steps.items() if number >= now.episode for step in each]
    assert steps and all(step.source != Source.HUMAN for step in steps)


@pytest.mark.parametrize("view", ["setup", "run"])
def test_buttons_of_a_device_mean_the_same_in_every_view(live: ConsoleRun, olga: Person, view: str) -> None:
    if view == "setup":
        guide_in_the_set_up(olga)
    else:
        olga.go(view)
        shows(olga, view)
    olga.page.evaluate(_PAD)
    olga.page.wait_for_function(_ARMED)
    olga.page.evaluate(_PRESS, [8, True])
    live.heard.until(lambda now: now.paused, "a stop by the pad")
    olga.page.wait_for_function("() => window.handrail.context.live.state.now.paused")
    olga.page.evaluate(_PRESS, [9, True])
    live.heard.until(lambda now: not now.paused, "Start, which resumes")


def test_a_device_holds_an_example_while_its_button_is_down(olga: Person) -> None:
    guide_in_the_set_up(olga)
    olga.page.evaluate(_PAD)
    olga.page.wait_for_function(_ARMED)
    held = olga.page.evaluate(
        """async () => {
          const {hand} = window.handrail.context, did = [];
          const {hold, drop} = hand;
          hand.hold = name => { did.push(["hold", name]); hold.call(hand, name) };
          hand.drop = name => { did.push(["drop", name]); drop.call(hand, name) };
          const told = down => new CustomEvent("button", {detail: {name: "success", down}});
          const tell = down => hand.dispatchEvent(told(down));
          tell(true);
          tell(false);
          return did;
        }"""
    )
    assert held == [["hold", "success"], ["drop", "success"]]


def test_set_up_drives_with_the_same_controls_as_the_deck(olga: Person) -> None:
    controls = {}
    for view in ("run", "setup"):
        olga.go(view)
        shows(olga, view)
        olga.page.wait_for_selector(".driving [data-act=drive]", state="attached")
        controls[view] = olga.page.evaluate(
            """() => [...document.querySelectorAll(".driving :is(button, select)")]
                .map(node => node.dataset.act ?? node.dataset.verb ?? node.name)"""
        )
    assert controls["run"] == controls["setup"] == ["drive", "takeover", "source", "facing"]
    olga.press("k")  # there is nothing to guide beside a training run, so the key means nothing
    assert olga.page.evaluate(_ARMED) is False
    guide_in_the_set_up(olga)
    olga.press("k")
    olga.page.wait_for_function(_ARMED)


def test_a_line_that_hangs_is_a_line_that_is_lost(live: ConsoleRun, come_in: Callable[..., Person]) -> None:
    vera = come_in(live, "viewer", "Vera")
    mute = threading.Event()

    def between(page: WebSocketRoute) -> None:
        server, heard = (
            page.connect_to_server(),
            not mute.is_set(),
        )  # one that hung from the start goes on hanging
        server.on_message(lambda text: page.send(text) if heard and not mute.is_set() else None)

    vera.page.route_web_socket(re.compile("/ws/live$"), between)
    vera.page.reload()
    vera.wait_connected()
    vera.expect_driver("policy", "reset", "countdown")
    mute.set()
    expect(vera.page.locator("body")).to_have_attribute("data-connected", "false")
    vera.expect_driver("gone")
    expect(vera.page.locator("#driver")).to_contain_text("NO CONNECTION")
    mute.clear()
    vera.wait_connected()
    vera.expect_driver("policy", "reset", "countdown")
    vera.leave()


def test_a_simulation_that_runs_ahead_is_not_listened_to(live: ConsoleRun, olga: Person) -> None:
    olga.go("critic")
    shows(olga, "critic")
    live.heard.until(lambda now: not now.real_time and now.driver == "policy", "the simulation to run ahead")
    expect(olga.page.locator("#driver")).to_have_attribute("aria-live", "off")
    olga.page.evaluate(_LISTEN)
    before = len(live.heard.ended)
    live.heard.wait(lambda heard: len(heard.ended) >= before + 3, "three episodes")
    expect(olga.page.locator("#messages .message", has_text=re.compile("ended:"))).to_have_count(0)
    assert olga.page.evaluate("window.played") == []
    olga.ask_raw("stop")
    olga.page.wait_for_function("() => window.played.some(name => name === 'hold' || name === 'held')")
    expect(olga.page.locator("#driver")).to_have_attribute("aria-live", "assertive")


def test_a_note_that_matters_is_not_pushed_out(olga: Person) -> None:
    assert olga.page.evaluate(_NOTES) == ["STOP got no answer.", "five", "four", "three"]


def test_one_melody_is_heard_at_a_time(olga: Person) -> None:
    olga.page.locator("#run-name").click()
    expect(olga.act("mute")).to_have_text("Sound on")
    # Success sings; what only takes its course waits for it; an alarm waits for nobody.
    assert olga.page.evaluate(_MELODIES) == [3, 0, 0, 5]


def test_a_silent_browser_asks_to_be_touched(live: ConsoleRun, come_in: Callable[..., Person]) -> None:
    vera = come_in(live, "viewer", "Vera")
    expect(vera.act("mute")).to_have_text("Sound: touch the page")
    vera.act("mute").click()  # which is a touch, and mutes nothing
    expect(vera.act("mute")).to_have_text("Sound on")
    vera.act("mute").click()
    expect(vera.act("mute")).to_have_text("Sound off")
    vera.leave()


def test_stop_and_an_answer_come_before_whatever_a_view_binds(olga: Person) -> None:
    assert olga.page.evaluate(_KEYS) == ["play", "go on", "stop", "stop", "stop"]


def test_looking_up_the_keys_ends_driving(olga: Person) -> None:
    olga.go("run")
    olga.page.wait_for_selector("button[data-verb=success]")
    olga.drive()
    olga.press("?")
    expect(olga.page.locator("dialog#keys")).to_be_visible()
    expect(olga.act("drive")).to_have_attribute("aria-pressed", "false")
    olga.page.keyboard.press("Escape")
    expect(olga.page.locator("dialog#keys")).to_have_count(0)


def test_a_classifier_s_score_stands_beside_its_threshold(olga: Person) -> None:
    olga.go("run")
    olga.page.wait_for_selector("button[data-verb=success]")
    assert olga.page.evaluate(_TRACES) == ["Classifier0.25 / threshold 0.60", "Classifier0.25"]
