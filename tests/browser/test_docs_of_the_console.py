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
PICTURES = sorted((DOCS / "images").glob("console-*.png"))
_ROW = re.compile(r"^\| ((?:`[^`]+`[ ]?)+)\| (.+?) \|$", re.MULTILINE)


def listed() -> dict[str, str]:
    """Keys and what they do, as `docs/keys.md` has them."""
    rows = _ROW.findall((DOCS / "keys.md").read_text())
    return {" ".join(re.findall(r"`([^`]+)`", keys)): words for keys, words in rows}


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_printed_page_lists_the_page_s_keys(live: ConsoleRun, olga: Person) -> None:
    shown: dict[str, str] = {}
    for view in ("run", "critic", "review", "setup"):
        olga.go(view)
        olga.page.wait_for_selector(f'body[data-view="{view}"]')
        olga.press("?")
        expect(olga.page.locator("dialog#keys")).to_be_visible()
        shown |= dict(
            olga.page.evaluate(
                """() => [...document.querySelectorAll("dialog#keys dt:has(kbd)")].map(key => [
                    [...key.querySelectorAll("kbd")].map(each => each.textContent).join(" ").trim(),
                    key.nextElementSibling.textContent.trim(),
                ])"""
            )
        )
        olga.page.keyboard.press("Escape")
        expect(olga.page.locator("dialog#keys")).to_have_count(0)
    assert {re.sub(r" +", " ", keys): words for keys, words in shown.items()} == listed()


def test_the_pictures_are_there_small_and_used() -> None:
    assert PICTURES
    pages = "".join(page.read_text() for page in [ROOT / "README.md", *DOCS.glob("*.md")])
    for path in PICTURES:
        with Image.open(path) as picture:
            assert picture.size == (1280, 720), path.name
        assert path.stat().st_size <= 200_000, path.name
        assert f"images/{path.name}" in pages, f"{path.name} is on no page"
