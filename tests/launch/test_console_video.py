"""`/ws/video`: pictures as they travel, only those somebody wants, no more than a page can show."""

import asyncio
import io
import threading
import time

import numpy as np
import pytest
from consoled import Consoled, Loop, heard, until
from PIL import Image

from handrail.intervention.console.messages import FrameHead
from handrail.launch.console.video import IN_FLIGHT, Screen, Video, encode


def test_a_picture_travels_whole(site: Consoled, loop: Loop) -> None:
    heard(site, loop)
    with site.viewer().socket("/ws/video") as screen:
        began_ms = time.monotonic_ns() / 1e6

        def shown():
            loop.show("front", 5, shade=200)
            try:
                return screen.picture(0.2)
            except TimeoutError:
                return None

        head, jpeg = until(shown, "a picture")
        assert (head["camera"], head["sequence"], head["width"], head["height"]) == ("front", 5, 32, 24)
        assert began_ms <= head["t_ms"] <= time.monotonic_ns() / 1e6
        image = Image.open(io.BytesIO(jpeg))
        assert image.format == "JPEG" and image.size == (32, 24)
        assert np.abs(np.asarray(image, dtype=int) - 200).max() < 8


def test_a_page_that_shows_nothing_gets_two_and_then_the_newest(site: Consoled, loop: Loop) -> None:
    heard(site, loop)
    with site.viewer().socket("/ws/video") as screen, site.viewer().socket("/ws/video") as other:
        other.send(kind="want", cameras=["side"])

        def flow():
            loop.show("front", 1)
            try:
                return screen.picture(0.2)
            except TimeoutError:
                return None

        until(flow, "the first picture")  # from here on, pictures arrive at once
        pending = threading.Event()

        def film() -> None:
            for sequence in range(2, 40):
                loop.show("front", sequence)
                time.sleep(0.01)
            pending.set()

        film()
        got = [1]
        with pytest.raises(TimeoutError):
            while True:
                got.append(screen.picture(0.5)[0]["sequence"])
        assert len(got) <= IN_FLIGHT + 1  # the first may have been shown twice
        screen.send(kind="seen", camera="front", sequence=got[-1])
        assert screen.picture()[0]["sequence"] == 39  # the newest, not the next
        with pytest.raises(TimeoutError):
            other.picture(0.1)
        loop.show("side", 1)
        assert other.picture()[0]["camera"] == "side"


@pytest.mark.parametrize("text", ["", "{}", '{"kind":"seen"}', '{"kind":"want","cameras":[1]}', "x" * 100])
def test_nonsense_is_survived(site: Consoled, loop: Loop, text: str) -> None:
    with site.viewer().socket("/ws/video") as screen:
        screen.connection.send(text)
        assert "not understood" in screen.hear("error")["why"]


def picture(sequence: int, camera: str = "front") -> tuple[FrameHead, bytes]:
    return FrameHead(camera, sequence, 1_500_000, (4, 6, 3)), bytes([sequence % 256]) * (4 * 6 * 3)


def test_nothing_is_encoded_for_nobody() -> None:
    async def go() -> None:
        video = Video()
        video.take(*picture(1))
        assert not video.busy
        screen = Screen()
        screen.wanted = frozenset({"side"})
        video.screens.add(screen)
        video.take(*picture(2))
        assert not video.busy
        screen.wanted = None
        video.take(*picture(3))
        assert video.busy
        assert (await asyncio.wait_for(screen.next(), 10))[0] == encode(*picture(3))
        video.close()

    asyncio.run(go())


def test_the_newest_takes_the_place_of_what_waits() -> None:
    async def go() -> None:
        screen = Screen()
        screen.offer("front", 1, b"1")
        screen.offer("front", 2, b"2")
        screen.offer("side", 1, b"side")
        assert await screen.next() == [b"2", b"side"]
        screen.offer("front", 3, b"3")
        assert await screen.next() == [b"3"]
        screen.offer("front", 4, b"4")
        screen.offer("front", 5, b"5")
        waiting = asyncio.ensure_future(screen.next())
        await asyncio.sleep(0)
        assert not waiting.done()
        screen.saw("front", 99)  # never sent: means nothing
        screen.saw("elsewhere", 3)
        await asyncio.sleep(0)
        assert not waiting.done()
        screen.saw("front", 3)  # and with it the one before
        assert await waiting == [b"5"]
        screen.offer("front", 1, b"again")  # another control loop counts from one again
        assert await screen.next() == [b"again"]
        screen.saw("front", 1)
        screen.offer("front", 2, b"next")
        assert await screen.next() == [b"next"]

    asyncio.run(go())


def test_what_is_not_wanted_any_more_is_not_sent() -> None:
    async def go() -> None:
        screen = Screen()
        for sequence in range(5):
            screen.offer("front", sequence, b"front")
            screen.wanted = frozenset({"side"})
            screen.offer("side", sequence, b"side")
            assert await screen.next() == [b"side"]
            screen.saw("side", sequence)
        screen.wanted = None
        screen.offer("front", 9, b"front")
        assert await screen.next() == [b"front"]

    asyncio.run(go())
