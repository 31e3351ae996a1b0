"""What is always in sight, and what nothing may cover, at the two sizes that the page is made for."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from console_page import Person
from console_run import ConsoleRun
from playwright.sync_api import expect

from handrail.intervention.proportion import wilson_interval

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

WINDOWS = {"desk": (1280, 720), "tablet": (1024, 768)}
READY = {
    "run": "#advice li",
    "critic": "#shares canvas",
    "review": "table#episodes tbody tr[data-episode]",
    "setup": "section#preflight",
}
LONG = "Driving is not possible: Quentin has the controls, and keeps them until he gives them back. " * 2
_NOTE = """words => {
    const {toast} = window.handrail.context;
    for (const text of words) toast(text, "warn");
}"""
# Whatever can be pressed or looked at, and has a part of it under a note.
_COVERED = """() => {
    const notes = [...document.querySelectorAll("#messages .message")].filter(note => note.checkVisibility());
    const parts = [...document.querySelectorAll("button, a, input, select, canvas, table, .panel, #driver")];
    const meet = (one, other) => one.left < other.right && other.left < one.right
        && one.top < other.bottom && other.top < one.bottom;
    const covered = parts.filter(part => part.checkVisibility() && !part.closest("#messages") && notes.some(
        note => meet(note.getBoundingClientRect(), part.getBoundingClientRect())));
    return [notes.length, covered.map(part => part.outerHTML.slice(0, 80))];
}"""
# How wide a note is, whatever became of the run.
_WIDTHS = """looks => {
    const bridge = document.getElementById("bridge"), look = bridge.dataset.look;
    window.handrail.context.toast("The label is refused: not saved.", "bad");
    const widths = looks.map(each => {
        bridge.dataset.look = each;
        return document.querySelector("#messages .message").getBoundingClientRect().width;
    });
    bridge.dataset.look = look;
    return widths;
}"""
# How far each leaves the window, or the panel that it may be scrolled in.
_OUT = """selectors => selectors.map(selector => {
    const node = document.querySelector(selector), box = node.getBoundingClientRect();
    const panel = node.closest(".panel")?.getBoundingClientRect() ?? {top: 0, bottom: innerHeight};
    return Math.round(Math.max(0, panel.top - box.top, box.bottom - Math.min(panel.bottom, innerHeight),
        box.right - innerWidth));
})"""
# How high the plot of the force reaches [N], in free air and in contact.
_FORCE_REACH = """async () => {
    const {traces} = await import("/static/run/traces.js");
    const Real = window.uPlot, made = [], reach = [];
    window.uPlot = class extends Real { constructor(...how) { super(...how); made.push(this); } };
    const root = document.createElement("div");
    root.className = "traces";
    document.getElementById("view").append(root);
    for (const force of [0.001, 30]) {
        const steps = {episode: 1, steps: [[0, 0, 0, null, null], [1, 0, force, null, null]]};
        const state = {steps, now: {most_steps: 10, threshold: null}};
        const end = traces(root, {live: {state, on: () => () => {}}});
        await new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)));
        reach.push(made[0].scales.y.max);
        end();
        root.replaceChildren();
        made.length = 0;
    }
    root.remove();
    window.uPlot = Real;
    return reach;
}"""
_SUCCESS = """() => [...document.querySelectorAll(".interval:not([data-empty])")].map(
    line => [...line.querySelectorAll(".words")].map(words => words.textContent))"""


@pytest.fixture(scope="module", params=WINDOWS)
def vic(request: pytest.FixtureRequest, live: ConsoleRun, come_in: Callable[..., Person]) -> Iterator[Person]:
    """Looks on, at a desk and at a tablet."""
    width, height = WINDOWS[request.param]
    person = come_in(live, "viewer", f"Vic at a {request.param}", width=width, height=height)
    live.heard.wait(lambda heard: len(heard.ended) > 3, "some episodes")
    yield person
    person.leave()


def shown(person: Person, view: str) -> None:
    person.go(view)
    person.page.wait_for_selector(READY[view])


@pytest.mark.parametrize("view", READY)
def test_notes_cover_nothing(live: ConsoleRun, vic: Person, view: str) -> None:
    if view == "critic":
        live.heard.wait(lambda heard: heard.learner.get("updates", 0) > 400, "the learner's diagnostics")
    shown(vic, view)
    vic.page.evaluate(_NOTE, ["Not so.", LONG, "Nor so."])
    seen, covered = vic.page.evaluate(_COVERED)
    assert seen >= 1 and covered == []


@pytest.mark.parametrize("view", READY)
def test_a_note_has_room_whatever_became_of_the_run(vic: Person, view: str) -> None:
    vic.go(view)
    expect(vic.page.locator("body")).to_have_attribute("data-view", view)
    assert min(vic.page.evaluate(_WIDTHS, ["policy", "gone", "rest", "starting", "ended"])) >= 200


def test_notes_stay_in_sight_while_a_view_scrolls(vic: Person) -> None:
    shown(vic, "critic")
    vic.page.evaluate("window.scrollTo(0, 10_000)")
    vic.page.evaluate(_NOTE, ["Still here."])
    assert vic.page.evaluate("window.scrollY") > 0
    expect(vic.page.locator("#messages .message").first).to_be_in_viewport(ratio=1)
    expect(vic.verb("stop")).to_be_in_viewport(ratio=1)


def test_what_to_do_and_how_it_stands_are_seen_without_scrolling(vic: Person) -> None:
    shown(vic, "run")
    expect(vic.page.locator("#coach")).not_to_be_empty()
    parts = ["#coach", "#advice li", ".success", ".figures", ".deck", ".eyes", ".traces"]
    assert dict(zip(parts, vic.page.evaluate(_OUT, parts), strict=True)) == dict.fromkeys(parts, 0)
    assert vic.page.evaluate("document.scrollingElement.scrollHeight <= innerHeight")


def test_there_is_no_trace_of_a_classifier_where_there_is_none(vic: Person) -> None:
    shown(vic, "run")
    expect(vic.page.locator(".trace:visible")).to_have_count(2)
    expect(vic.page.locator("#run")).not_to_contain_text("no classifier")


def test_the_noise_of_free_air_does_not_look_like_contact(vic: Person) -> None:
    shown(vic, "run")
    free, contact = vic.page.evaluate(_FORCE_REACH)
    assert free == 5 and 30 < contact < 40


def test_the_bounds_of_success_stand_in_figures(vic: Person) -> None:
    shown(vic, "run")
    expect(vic.page.locator(".interval:not([data-empty])")).to_have_count(6)
    lines: list[list[Any]] = vic.page.evaluate(_SUCCESS)
    for rate, bounds in lines:
        successes, episodes = map(int, rate.split()[0].split("/"))
        low, high = (round(100 * each) for each in wilson_interval(successes, episodes))
        assert bounds == f"{low}–{high} %"
    expect(vic.page.locator(".success")).to_contain_text("Wilson")


def test_the_last_episodes_are_a_figure_of_the_deck(live: ConsoleRun, vic: Person) -> None:
    shown(vic, "run")
    live.heard.wait(lambda heard: len(heard.ended) >= 10, "ten episodes")
    expect(vic.field("recent").locator("i")).to_have_count(10)
    expect(vic.page.locator("#messages")).not_to_contain_text("ended:")
