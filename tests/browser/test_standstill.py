"""What the banner says of a run that nobody drives any more: lost, about to go on, or ended."""

from collections.abc import Callable, Iterator

import pytest
from console_page import Person
from console_run import Kept
from consoled import Loop, until
from playwright.sync_api import Browser, expect

from handrail.launch import compose, runs, telemetry
from handrail.launch.bench.console_side import served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

WORDS = ("task=ram_insertion_cameras", "vision.trunk=cnn")
RESULT = "no evaluation yet after 123456 steps, 1234.5 robot minutes, 12:34:56 in all"
_CUT = """() => {
  const board = document.querySelector("#bridge .board").getBoundingClientRect();
  const stop = document.querySelector("#bridge [data-verb=stop]").getBoundingClientRect();
  const parts = [...document.querySelectorAll("#driver .word, #driver .reason, #driver .next, #driver code")];
  const cut = parts.filter(part => {
    const {left, right, top, bottom} = part.getBoundingClientRect();
    const {scrollWidth, scrollHeight, clientWidth, clientHeight} = part;
    const inside = part.matches(".reason, .next");
    return inside && (scrollHeight > clientHeight + 1 || scrollWidth > clientWidth + 1)
      || left < board.left || right > board.right || top < board.top || bottom > board.bottom;
  }).map(part => part.textContent);
  const rows = parts.slice(0, 3).map(part => part.getBoundingClientRect());
  const over = rows.some((a, i) => rows.some((b, j) => i < j && a.left < b.right && b.left < a.right
    && a.top < b.bottom - 1 && b.top < a.bottom - 1));
  return {cut, over, stop: board.right > stop.left};
}"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Kept]:
    """A run that has not begun, in a folder with a long name, and its console."""
    folder = tmp_path_factory.mktemp("standstill")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(compose.SEARCH_PATH, raising=False)
        run = runs.create("insertion-at-the-bench", str(folder), compose.compose(WORDS), WORDS)
    with served(folder / "out", "console", f"run={run.path}", "port=0") as console:
        yield Kept(run, console)


@pytest.fixture(scope="module")
def rita(kept: Kept, come_in: Callable[..., Person]) -> Person:
    """The operator."""
    rita = come_in(kept.console, name="Rita")
    rita.claim()
    return rita


def test_a_start_after_a_loop_was_killed_is_a_start(kept: Kept, rita: Person) -> None:
    word = rita.page.locator("#driver .word")
    lock = kept.run.lock("supervisor")
    loop = Loop(kept.run)
    rita.expect_driver("policy")
    until(lambda: rita.ask_raw("pause")[0]["status"] == "done", "the desk")
    loop.close()
    lock.release()
    expect(word).to_have_text("NO CONTROL LOOP")
    lock = kept.run.lock("supervisor")
    try:
        expect(word).to_have_text("STARTING")
        expect(rita.page.locator(".eyes")).to_have_text("No picture: the control loop is starting")
        rita.press("p")
        rita.expect_message("not possible: the control loop is starting")
    finally:
        lock.release()
    rita.expect_driver("rest")


def read_whole(person: Person) -> None:
    """Nothing of the banner is cut or covered, on a tablet nor on a small screen, with a note nor without."""
    for width in (1024, 1280):
        person.page.set_viewport_size({"width": width, "height": 768})
        for note in (False, True):
            if note:
                person.page.evaluate("handrail.context.toast('A note beside it.', 'warn')")
            found = person.page.evaluate(_CUT)
            assert found == {"cut": [], "over": False, "stop": False}, (width, note)
        person.page.locator("#messages .message button").click()


@pytest.fixture(scope="module")
def vera(kept: Kept, come_in: Callable[..., Person]) -> Person:
    """Looks on as the session ends."""
    vera = come_in(kept.console, "viewer", "Vera")
    relay = telemetry.Relay(telemetry.relay_address(kept.run.socket_dir()))

    def ended() -> bool:
        relay(telemetry.ending("spent", "", RESULT, final=True))
        return vera.page.locator("#driver").get_attribute("data-driver") == "ended"

    try:
        until(ended, "the end")
    finally:
        relay.close()
    return vera


@pytest.mark.parametrize("view", ["run", "critic", "setup", "review"])
def test_how_it_ended_and_how_it_goes_on_is_read_whole(kept: Kept, vera: Person, view: str) -> None:
    vera.go(view)
    expect(vera.page.locator("body")).to_have_attribute("data-view", view)
    expect(vera.page.locator("#driver code")).to_have_text(f"handrail train run={kept.run.path}")
    read_whole(vera)


def test_so_it_is_once_the_console_has_gone(kept: Kept, vera: Person, rita: Person) -> None:
    """Last, as it ends the console."""
    for person in (vera, rita):
        person.forgive("WebSocket|net::ERR|Failed to load")
    kept.console.process.terminate()
    expect(vera.page.locator("#driver code")).to_have_count(2)
    read_whole(vera)
