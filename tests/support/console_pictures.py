"""The pictures of the operator's manual: what each shows, how the page comes to show it, and what must be seen.

`tools/screenshots.py` keeps them, of runs worth looking at; a browser test takes each of small runs, so that a page
which shows something else by now is noticed.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from console_page import Person
from console_run import ConsoleRun, Kept
from PIL import Image
from playwright.sync_api import Locator, expect


LARGEST = 200_000
"""Of a picture [bytes]."""
_TAKEN = """() => new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)))"""


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        name: of its file, without "console-" and ".png".
        show: brings the page there.
        seen: what it must show, all of it in the window: selectors, and words (regular expressions).
        leave: brings the page back to where another picture can begin.
        scheme: "light" or "dark".
    """

    name: str
    show: Callable[[Person, Any], None]
    seen: tuple[tuple[str, str], ...]
    leave: Callable[[Person], None] = lambda person: None
    scheme: str = "light"
