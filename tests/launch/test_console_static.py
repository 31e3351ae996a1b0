"""The console's page as files: what its content policy asks of them, and colours that can be read."""

import re
from pathlib import Path

import pytest

import handrail.launch.console

STATIC = Path(handrail.launch.console.__file__).parent / "static"
OWN = sorted(
    path
    for path in STATIC.rglob("*")
    if path.suffix in (".js", ".html", ".css", ".svg") and STATIC / "vendor" not in path.parents
)
MODULES = [path for path in OWN if path.suffix == ".js"]
PAGES = [path for path in OWN if path.suffix == ".html"]
WRITTEN = [path for path in OWN if path.suffix != ".svg"]
MOST_LINES, WIDEST = 400, 140

IMPORT = re.compile(r"""(?:from\s+|import\s*\(?\s*)["'](\.[\w./-]+)["']""")
MARKUP_FROM_TEXT = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc"
)
NAMESPACE = "http://www.w3.org/"

# Text on its ground; a banner's word and the white of a button count as text, too.
PAIRS = [
    *(
        (ink, ground)
        for ink in ("text", "muted", "good", "warn", "bad")
        for ground in ("panel", "bg", "raised")
    ),
    *((ink, "panel") for ink in ("accent", "human-ink", "hold-ink")),
    *((f"on-{state}", state) for state in ("accent", "policy", "human", "hold", "fault", "moving")),
]


def names(paths: list[Path]) -> list[str]:
    return [path.relative_to(STATIC).as_posix() for path in paths]


@pytest.mark.parametrize("path", OWN, ids=names(OWN))
def test_nothing_comes_from_another_host(path: Path) -> None:
    addresses = re.findall(r"(?:https?:|wss?:)?//[\w.-]+\.[a-z]{2,}[^\s\"'`)]*", path.read_text())
    assert [each for each in addresses if not each.startswith(NAMESPACE)] == []


@pytest.mark.parametrize("path", PAGES, ids=names(PAGES))
def test_pages_carry_no_code_and_no_style_of_their_own(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text)
    assert re.findall(r"<script(?![^>]*\ssrc=)", text) == []
    for asked in re.findall(r'(?:src|href)="/static/([^"]+)"', text):
        assert (STATIC / asked).is_file()


@pytest.mark.parametrize("path", MODULES, ids=names(MODULES))
def test_modules_show_text_as_text_and_find_each_other(path: Path) -> None:
    text = path.read_text()
    assert not MARKUP_FROM_TEXT.search(text)
    assert [each for each in IMPORT.findall(text) if not (path.parent / each).is_file()] == []


@pytest.mark.parametrize("path", WRITTEN, ids=names(WRITTEN))
def test_files_can_be_read_by_a_person(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= MOST_LINES, f"over {MOST_LINES} lines: split it by idea"
    long = [number for number, line in enumerate(lines, start=1) if len(line) > WIDEST]
    assert long == [], f"over {WIDEST} characters: wrap them"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), PAIRS)
def test_text_stands_out_from_its_ground(theme: str, ink: str, ground: str) -> None:
    tokens = colours(theme)
    assert contrast(tokens[ink], tokens[ground]) >= 4.5


def colours(theme: str) -> dict[str, str]:
    """The tokens of a theme that are plain colours."""
    light, dark = (STATIC / "tokens.css").read_text().split(':root[data-theme="dark"]')
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    return found if theme == "light" else found | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", dark))


def contrast(one: str, other: str) -> float:
    """The ratio of two colours, as WCAG 2.2 defines it."""
    bright, dim = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
