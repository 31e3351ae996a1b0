"""What of a classifier's report reaches the page: all that ours holds, and nothing else of a file."""

import re
from collections.abc import Iterator

import pytest
from trained import CONFIG, show

from handrail.launch.console.report import Node, contents
from handrail.reward_classifier.dataset import gather
from handrail.reward_classifier.report import page
from handrail.reward_classifier.train import train
from handrail.vision.trunk import Trunk, build


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of a real training."""
    frames = gather([show(tmp_path_factory.mktemp("shown"))], CONFIG)
    return page(train(frames, CONFIG, Trunk("cnn", build("cnn", 0).state_dict())))


def walk(nodes: list[Node]) -> Iterator[tuple[str, dict[str, str]]]:
    for node in nodes:
        if not isinstance(node, str):
            yield node[0], node[1]
            yield from walk(node[2])


def words(nodes: list[Node]) -> str:
    return "".join(node if isinstance(node, str) else words(node[2]) for node in nodes)


def test_all_that_a_report_holds_is_there(written: str) -> None:
    parts = contents(written)
    met = [name for name, _ in walk(parts)]
    body = written.partition("<body>")[2]
    for name in (
        "h2",
        "p",
        "tr",
        "td",
        "svg",
        "path",
        "rect",
        "circle",
        "text",
        "figure",
        "img",
        "figcaption",
    ):
        assert met.count(name) == len(re.findall(f"<{name}[ >]", body)) > 0, name
    assert all(
        known["src"].startswith("data:image/png;base64,") for name, known in walk(parts) if name == "img"
    )
    assert {known["viewBox"] for name, known in walk(parts) if name == "svg"} == set(
        re.findall('viewBox="(.*?)"', body)
    )
    said = words(parts)
    assert "held-out episodes" in said and "color-scheme" not in said


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<script>evil()</script><p>a</p>", [("p", {}, ["a"])]),
        ("<style>p{}</style>b", ["b"]),
        ("<form action='/logout'><p>in it</p><input><button>go</button></form>c", ["c"]),
        (
            "<svg viewBox='0 0 1 1'><a href='/'><text>x</text></a></svg>",
            [("svg", {"viewBox": "0 0 1 1"}, [])],
        ),
        ("<p style='x' onclick='y' id='z' class='bound'>d</p>", [("p", {"class": "bound"}, ["d"])]),
        ("<img src='https://elsewhere/x.png' alt='e'>", [("img", {"alt": "e"}, [])]),
        ("<img src='data:image/svg+xml,<svg/>'>f", [("img", {}, []), "f"]),
        ("<link rel=stylesheet href=x><meta charset=utf-8>g", ["g"]),
        ("</p></div><p>h</table>i", [("p", {}, ["h", "i"])]),
        ("<div>" * 50 + "j", None),
    ],
)
def test_what_is_not_known_is_left_out(text: str, parts: list[Node] | None) -> None:
    found = contents(text)
    if parts is None:
        assert len(list(walk(found))) < 20 and words(found) == ""
    else:
        assert found == parts
