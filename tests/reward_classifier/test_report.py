import base64
import re
import struct
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from trained import CONFIG, show

from handrail.reward_classifier import png
from handrail.reward_classifier.curves import average_precision, precision_recall, trace_svg
from handrail.reward_classifier.dataset import gather
from handrail.reward_classifier.report import page
from handrail.reward_classifier.train import Trained, train
from handrail.vision.trunk import Trunk, build


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    frames = gather([show(tmp_path_factory.mktemp("shown"))], CONFIG)
    return train(frames, CONFIG, Trunk("cnn", build("cnn", 0).state_dict()))


def decoded(data: bytes) -> np.ndarray:
    """What a reader of PNG files makes of these bytes; every checksum is checked."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(data):
        (length,), kind = struct.unpack_from(">I", data, at), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(kind + body)
        chunks[kind], at = body, at + 12 + length
    width, height, *form = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert form == [8, 2, 0, 0, 0] and list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + 3 * width)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, 3)


def test_a_picture_is_stored_losslessly() -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
    assert np.array_equal(decoded(png.encode(image)), image)
    assert np.array_equal(decoded(png.encode(image[::2, ::-1])), image[::2, ::-1])


def test_precision_and_recall_by_hand() -> None:
    scores = np.array([0.9, 0.8, 0.8, 0.3])
    threshold, precision, recall = precision_recall(scores, np.array([True, True, False, True]))
    assert threshold.tolist() == [0.9, 0.8, 0.3]
    assert precision == pytest.approx([1.0, 2 / 3, 3 / 4])
    assert recall == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert average_precision(precision, recall) == pytest.approx((1.0 + 2 / 3 + 3 / 4) / 3)


class Reader(HTMLParser):
    """Checks that every element is closed where it should be; remembers what was met."""

    VOID = frozenset({"meta", "img", "br", "path", "circle", "rect"})

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        while self.open and self.open[-1] != tag and self.open[-1] in ("meta",):
            self.open.pop()
        assert self.open and self.open.pop() == tag


def test_the_page_says_what_is_known_and_needs_nothing_else(trained: Trained) -> None:
    text = page(trained)
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    for sentence in trained.calibration.sentences():
        assert sentence in text
    assert "at most" in text and "95 %" in text and "do NOT show" in text
    # Nothing from elsewhere, nothing that runs.
    assert "script" not in reader.tags and "link" not in reader.tags
    assert all(value.startswith("data:image/png") for name, value in reader.attributes if name == "src")
    assert not re.search(r"https?://|url\(|@import", text)
    assert "prefers-color-scheme:dark" in text
    assert reader.tags.count("svg") == 1 + len(trained.held_out)


def test_the_confusion_counts_every_frame_spoken_of(trained: Trained) -> None:
    cells = [int(n) for n in re.findall(r"<td>(\d+)</td>", page(trained))]
    labels = np.concatenate([each.frames.labels for each in trained.held_out])
    scores = np.concatenate([each.scores for each in trained.held_out])
    claimed = scores >= trained.calibration.threshold
    assert cells[-4:] == [
        int((claimed & (labels == 1)).sum()),
        int((~claimed & (labels == 1)).sum()),
        int((claimed & (labels == 0)).sum()),
        int((~claimed & (labels == 0)).sum()),
    ]


def test_the_worst_frames_are_shown_as_they_are(trained: Trained) -> None:
    text = page(trained)
    shown = [decoded(base64.b64decode(data)) for data in re.findall(r"base64,([A-Za-z0-9+/=]+)", text)]
    assert len(shown) == 2 * len(trained.held_out)  # of each episode one of each class
    worst = max(trained.held_out, key=lambda e: e.scores[e.frames.labels == 0].max())
    negatives = np.flatnonzero(worst.frames.labels == 0)
    look = negatives[np.argmax(worst.scores[negatives])]
    assert np.array_equal(shown[0], worst.frames.images["wrist"][look])


def test_names_cannot_become_markup(trained: Trained, tmp_path: Path) -> None:
    bad = "<b onload='x'>&"
    held_out = tuple(replace(e, frames=replace(e.frames, recording=bad)) for e in trained.held_out)
    text = page(replace(trained, held_out=held_out))
    assert bad not in text and "&lt;b onload=&#x27;x&#x27;&gt;&amp;" in text
    svg = trace_svg(np.array([0.1, 0.9]), np.array([0, 1], np.int8), 0.5, '"><b>')
    assert "<b>" not in svg and svg.count('class="success"') == 1
