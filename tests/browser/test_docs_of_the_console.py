"""The manual is held to the page: the keys it lists, and the pictures it shows."""

import re
from pathlib import Path

import pytest
from console_page import Person
from console_run import ConsoleRun
from PIL import Image
from playwright.sync_api import expect

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
_READY = {
    "run": "button[data-verb=success]",
    "review": "#episodes tbody tr",
    "review/{}": "input#scrub",
    "setup": "button[data-job=preflight]",
}
PICTURES = sorted((DOCS / "images").glob("console-*.png"))
_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_ROW = re.compile(r"^\| ((?:`[^`]+` ?)+)\| (.+?) \|$", re.MULTILINE)
_SHOWN = """() => [...document.querySelectorAll("dialog#keys section")].map(section => [
    section.querySelector("h2").textContent,
    [...section.querySelectorAll("dt:has(kbd)")].map(key => [
        [...key.querySelectorAll("kbd")].map(each => each.textContent.trim()).join(" "),
        key.nextElementSibling.textContent.trim(),
    ]),
])"""


def listed() -> dict[str, dict[str, str]]:
    """Keys and what they do, by section, as `docs/keys.md` has them."""
    _, *parts = _SECTION.split((DOCS / "keys.md").read_text())
    sections = zip(parts[::2], parts[1::2], strict=True)
    return {
        title: {" ".join(re.findall(r"`([^`]+)`", keys)): words for keys, words in _ROW.findall(text)}
        for title, text in sections
    }


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_printed_page_lists_the_page_s_keys(live: ConsoleRun, olga: Person) -> None:
    live.heard.wait(lambda heard: heard.ended, "a finished episode")
    shown: dict[str, dict[str, str]] = {}
    for view, ready in _READY.items():
        olga.go(view.format(min(live.heard.ended)))
        olga.page.wait_for_selector(ready)
        olga.press("?")
        expect(olga.page.locator("dialog#keys")).to_be_visible()
        shown |= {title: dict(rows) for title, rows in olga.page.evaluate(_SHOWN) if rows}
        olga.page.keyboard.press("Escape")
        expect(olga.page.locator("dialog#keys")).to_have_count(0)
    assert shown == listed()


def test_the_pictures_are_there_small_and_used() -> None:
    assert PICTURES
    pages = "".join(page.read_text() for page in [ROOT / "README.md", *DOCS.glob("*.md")])
    for path in PICTURES:
        with Image.open(path) as picture:
            assert picture.size == (1280, 720), path.name
        assert path.stat().st_size <= 200_000, path.name
        assert f"images/{path.name}" in pages, f"{path.name} is on no page"
