"""A classifier's report as the page may show it: the known parts of the file, and nothing else that is in it.

The file has a style of its own, which the content policy keeps out; and a page must build no element because
a file says so. What is known here is what `reward_classifier.report` writes.
"""

import re
from html.parser import HTMLParser

Node = str | tuple[str, dict[str, str], list["Node"]]
"""A text; or an element: its name, its attributes, what is in it."""

_PLAIN = ("h2", "table", "tr", "th", "td", "figure", "figcaption", "br")
_KNOWN: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_PLAIN, ()),
    **dict.fromkeys(("p", "div"), ("class",)),
    "img": ("alt", "src"),
    "svg": ("class", "viewbox", "role", "aria-label"),
    "path": ("class", "d"),
    "rect": ("class", "x", "y", "width", "height"),
    "circle": ("class", "cx", "cy", "r"),
    "text": ("x", "y", "text-anchor", "transform"),
}
_AROUND = ("html", "body")
_EMPTY = (
    "br",
    "img",
    "meta",
    "link",
    "input",
    "hr",
    "base",
    "area",
    "col",
    "embed",
    "source",
    "track",
    "wbr",
)
_SPELLED = {"viewbox": "viewBox"}  # a parser knows lower case alone
_PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]+")
_DEEPEST = 12


def contents(page: str) -> list[Node]:
    """What a report shows, in order."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Node] = []
        self._open: list[tuple[str, list[Node]]] = [("", self.found)]
        self._unknown: list[str] = []  # an element that is not known, and those in it

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _AROUND and not self._unknown:
            return
        known = _KNOWN.get(tag)
        if self._unknown or known is None or len(self._open) > _DEEPEST:
            if tag not in _EMPTY:
                self._unknown.append(tag)
            return
        kept = {_SPELLED.get(name, name): value or "" for name, value in attrs if name in known}
        if not _PICTURE.fullmatch(kept.get("src", "")):
            kept.pop("src", None)
        inside: list[Node] = []
        self._open[-1][1].append((tag, kept, inside))
        if tag not in _EMPTY:
            self._open.append((tag, inside))

    def handle_endtag(self, tag: str) -> None:
        if self._unknown:
            if tag in self._unknown:
                while self._unknown.pop() != tag:
                    pass
        elif tag in (name for name, _ in self._open[1:]):
            while self._open.pop()[0] != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not self._unknown:
            self._open[-1][1].append(data)
