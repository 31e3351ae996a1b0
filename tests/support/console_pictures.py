"""The pictures of the operator's manual: how the page comes to show each, and what must be seen on it.

`tools/screenshots.py` keeps them, of runs worth looking at. A browser test takes each of small runs: a page
that shows something else by now, or has it outside the window, is noticed.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from console_hand import by_human, guide, hold_down
from console_page import Person
from console_run import ConsoleRun
from PIL import Image
from playwright.sync_api import expect

LARGEST = 200_000
"""Of a picture's file [bytes]."""
SIZE = (1280, 720)
FAR_MM = 40.0
"""How far from the seated pose the corners of the workspace are, to either side [mm]."""
_PAINTED = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        show: brings the page there, given what `take` was given.
        seen: what must be seen, the whole of it in the window: words (a regular expression) by selector.
        leave: brings the page back to where the next picture may begin.
    """

    show: Callable[[Person, Any], None]
    seen: dict[str, str] = field(default_factory=dict)
    leave: Callable[[Person], None] = lambda _: None


def _of_the_policy(person: Person, live: ConsoleRun) -> None:
    person.go("run")
    person.drive()
    person.page.wait_for_selector('canvas[data-camera="overview"][data-sequence]')
    person.expect_driver("policy")
    now = live.heard.until(lambda now: now.running and now.real_time, "an episode in real time")
    if now.step > 8:  # the next one need not be waited for: in real time an episode takes its time
        person.ask_raw("reset", episode=now.episode)
    live.heard.until(
        lambda now: now.running and now.real_time and now.driver == "policy" and 8 < now.step < 15,
        "the middle of an episode",
    )


def _of_a_human(person: Person, live: ConsoleRun) -> None:
    _of_the_policy(person, live)
    hold_down(live, person, "s", lambda heard: by_human(heard.now))
    person.expect_driver("human")


def _hands_off(person: Person) -> None:
    person.page.keyboard.up("s")
    person.let_go()


def _of_the_critic(person: Person, live: ConsoleRun) -> None:
    live.heard.wait(lambda heard: "rows/demo" in heard.learner.get("diagnostics", {}), "its diagnostics")
    person.go("critic")
    person.page.wait_for_selector("#shares canvas")


def _of_the_review(person: Person, live: ConsoleRun) -> None:
    person.go("review")


def _of_an_episode(person: Person, live: ConsoleRun) -> None:
    live.heard.wait(lambda heard: heard.ended, "a finished episode")
    ended = max(live.heard.ended)
    person.go(f"review/{ended}")
    expect(
        person.page.locator(f'#episode[data-episode="{ended}"] figure[data-timeline="reward"]')
    ).to_be_visible()


def _of_the_checks(person: Person, live: ConsoleRun) -> None:
    person.go("setup")
    person.page.click('button[data-job="preflight"]')


def _of_the_reel(person: Person, kept: object) -> None:
    person.go("review/reel")


def rig(person: Person) -> None:
    """Start the set-up, once: the arm is there to be guided."""
    person.go("setup")
    person.page.click("button[data-job=rig]")
    expect(person.page.locator(".setup-guide")).to_be_visible()


def _part(person: Person, name: str) -> None:
    person.go("setup")
    expect(person.page.locator(".setup-guide")).to_be_visible()
    person.part(name)


def _of_a_crop(person: Person, kept: object) -> None:
    _part(person, "crop")
    stage = person.page.locator(".crop-stage")
    expect(stage.locator("canvas[data-sequence]")).to_be_visible()
    box = stage.bounding_box()
    assert box is not None
    mouse = person.page.mouse
    mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.2 * box["height"])
    mouse.down()
    mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.8 * box["height"], steps=5)
    mouse.up()


def _of_a_workspace(person: Person, kept: object) -> None:
    _part(person, "workspace")
    expect(person.page.locator("#workspace canvas[data-sequence]").first).to_be_visible()
    person.drive()
    guide(person, "war", ("y", 1, FAR_MM))
    guide(person, "sd", ("y", -1, FAR_MM))
    expect(person.page.locator("#workspace .corners li")).to_have_count(2)


LIVE = {
    "run": Picture(
        _of_the_policy,
        {
            "#driver": "POLICY",
            'canvas[data-camera="overview"]': "",
            'button[data-verb="success"]': "Success",
            'button[data-verb="stop"]': "STOP",
            "#coach": r"\w",
            "#advice li": r"\w",
        },
        Person.let_go,
    ),
    "human": Picture(_of_a_human, {"#driver": "HUMAN.*Maria", ".verdicts": "Success"}, _hands_off),
    "critic": Picture(
        _of_the_critic, {"#shares canvas": "", '.sentence[data-about="shares"]': "critic's last layer"}
    ),
    "review": Picture(
        _of_the_review,
        {
            "#totals": r"\d",
            "table#episodes thead": "Outcome",
            "form.filters": "",
        },
    ),
    "episode": Picture(
        _of_an_episode,
        {
            "#episode header": r"Episode \d+",
            "#scrub": "",
            'figure[data-timeline="reward"]': "Reward",
            'button[data-label="exclude"]': "Exclude",
            "#history": r"\w",
        },
    ),
    "setup": Picture(_of_the_checks, {"#preflight .summary": "Ready", "li[data-check=disk]": "disk"}),
}
"""Of a run that trains."""
AT_REST = {
    "reel": Picture(
        _of_the_reel,
        {
            "#reel .caption": r"Episode \d+: \d+ of \d+",
            "canvas#frame-wrist": "",
            '#reel button[data-act="next"]': "Next",
        },
    ),
}
"""Of a run with cameras that nobody drives, from its console."""
SET_UP = {
    "crop": Picture(
        _of_a_crop,
        {"button[data-part=crop]": "● 1", ".crop-stage": "", ".crop-rect": ""},
    ),
    "workspace": Picture(
        _of_a_workspace,
        {"#workspace .verdict": "A box of", ".corners": "", 'button[data-act="corner"]': "Take corner"},
        Person.let_go,
    ),
}
"""The same, once `rig` was called."""
DARK = ("run", "critic")
"""Those of `LIVE` that are taken in the dark as well, as "<name>-dark"."""


def take(person: Person, picture: Picture, subject: object, scheme: str = "light") -> bytes:
    """Take a picture, and see that it shows what it must; the file's content.

    Args:
        person: who looks at it, and has the lease.
        picture: which.
        subject: the `ConsoleRun` or `Kept` that it is of.
        scheme: "light" or "dark".
    """
    person.page.emulate_media(color_scheme=scheme)  # pyright: ignore[reportArgumentType]
    try:
        picture.show(person, subject)
        person.page.mouse.move(0, 0)
        _require(person, picture)
        person.page.evaluate(_PAINTED)
        return small(person.page.screenshot())
    finally:
        picture.leave(person)
        person.page.emulate_media(color_scheme="light")


def _require(person: Person, picture: Picture) -> None:
    """What must be seen is, the whole of it in the window."""
    width, height = SIZE
    for selector, words in picture.seen.items():
        place = person.page.locator(selector).first
        expect(place).to_be_visible()
        if words:
            expect(place).to_contain_text(re.compile(words, re.DOTALL))
        box = place.bounding_box()
        assert box is not None
        right, bottom = box["x"] + box["width"], box["y"] + box["height"]
        inside = min(box["x"], box["y"]) >= 0.0 and right <= width and bottom <= height
        assert inside, f"{selector} is not whole in the window: {box}"


def small(png: bytes) -> bytes:
    """The same picture, with as many colours as there is room for."""
    shown = Image.open(io.BytesIO(png)).convert("RGB")
    data = io.BytesIO()
    for colours in (256, 128, 64, 32):
        data = io.BytesIO()
        shown.quantize(colours, dither=Image.Dither.NONE).save(data, "PNG", optimize=True)
        if data.tell() <= LARGEST:
            break
    return data.getvalue()


def keep(folder: Path, name: str, content: bytes) -> None:
    """Keep a picture where the manual, or whoever asked, finds it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"console-{name}.png").write_bytes(content)
