"""`/ws/hand`: what an operator's hand does reaches the desk fresh, in order, and from one page alone."""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import websockets.exceptions
from consoled import Consoled, Loop, Socket, consoled, heard, until

from handrail.intervention.run_directory import RunDirectory
from handrail.launch.console.hand import NO_LEASE, REPLACED

_NUMBERS = itertools.count(1000)  # sequences go up


@pytest.fixture
def site(run: RunDirectory, loop: Loop) -> Iterator[Consoled]:
    with consoled(run) as served:
        heard(served, loop)
        yield served


def move(hand: Socket, number: int, **facts: Any) -> None:
    known = {"t_ms": time.monotonic_ns() / 1e6, "twist": [0.5, 0, 0, 0, 0, -1], "drive": True}
    hand.connection.send(json.dumps(known | {"sequence": number, "held": []} | facts))


def keep_moving(hand: Socket, arrived: Callable[[], Any], **facts: Any) -> int:
    """Move until it has arrived, as a page does: what is late is dropped. Returns the last number."""

    def moved() -> int:
        number = next(_NUMBERS)
        move(hand, number, **facts)
        return number if arrived() else 0

    return until(moved, "the hand")


def closed(hand: Socket) -> int:
    with pytest.raises(websockets.exceptions.ConnectionClosed) as ended:
        while True:
            hand.connection.recv(10)
    assert ended.value.rcvd is not None
    return ended.value.rcvd.code


def test_a_hand_reaches_the_desk(site: Consoled, loop: Loop) -> None:
    ada = site.operator("Ada")
    with ada.socket() as page:
        page.send(kind="claim")
        page.hear("lease", mine=True)
        with ada.socket("/ws/hand") as hand:
            sent: list[float] = []

            def held() -> list[Any]:
                sent.append(time.monotonic_ns() / 1e6)
                move(hand, next(_NUMBERS), t_ms=sent[-1], held=["success"])
                return loop.hands

            until(held, "the hand")
            keep_moving(hand, lambda: not loop.hands[-1].held)
            first, last = loop.hands[0], loop.hands[-1]
            assert (first.who, first.twist, first.drive) == ("Ada", (0.5, 0, 0, 0, 0, -1), True)
            assert first.held == ("success",) and first.t_ns in [int(t_ms * 1e6) for t_ms in sent]
            assert last.sequence > first.sequence
        # The page has gone: it lets go.
        until(lambda: not loop.hands[-1].drive, "its letting go")
        assert loop.hands[-1].twist == (0.0,) * 6
        sequences = [each.sequence for each in loop.hands]
        assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))


def test_old_early_late_and_repeated_ones_are_dropped(site: Consoled, loop: Loop) -> None:
    ada = site.operator()
    with ada.socket() as page:
        page.send(kind="claim")
        page.hear("lease", mine=True)
        with ada.socket("/ws/hand") as hand:
            clock_ms = time.monotonic_ns() / 1e6
            for number, t_ms in ((5, clock_ms - 1000), (6, clock_ms + 60_000), (7, 1e300)):
                move(hand, number, t_ms=t_ms, twist=[1, 0, 0, 0, 0, 0])
            number = keep_moving(hand, lambda: loop.hands)
            for again in (number, 8, number - 1):
                move(hand, again, twist=[1, 0, 0, 0, 0, 0])
            keep_moving(hand, lambda: not loop.hands[-1].drive, drive=False)
            assert all(each.twist[0] == 0.5 for each in loop.hands)


@pytest.mark.parametrize(
    "facts",
    [
        {"twist": [0, 0, 0, 0, 0]},
        {"twist": [1.01, 0, 0, 0, 0, 0]},
        {"twist": [None, 0, 0, 0, 0, 0]},
        {"twist": ["0", 0, 0, 0, 0, 0]},
        {"drive": 1},
        {"held": ["x"] * 17},
        {"held": ["x" * 65]},
        {"t_ms": "now"},
        {"sequence": 1.5},
        {"sequence": 10**30},
    ],
)
def test_a_hand_that_is_none_is_dropped_and_told(site: Consoled, loop: Loop, facts: dict[str, Any]) -> None:
    ada = site.operator()
    with ada.socket() as page:
        page.send(kind="claim")
        page.hear("lease", mine=True)
        with ada.socket("/ws/hand") as hand:
            move(hand, 1, **facts)
            assert "not understood" in hand.hear("error")["why"]
            hand.connection.send('{"sequence":1,"t_ms":NaN,"twist":[0,0,0,0,0,0],"drive":true}')
            assert "not understood" in hand.hear("error")["why"]
        assert loop.hands == []


def test_it_takes_the_lease(site: Consoled, loop: Loop) -> None:
    ada = site.operator("Ada")
    with ada.socket("/ws/hand") as hand:
        assert closed(hand) == NO_LEASE
    with site.viewer().socket("/ws/hand") as hand:
        assert closed(hand) == NO_LEASE
    with ada.socket() as page:
        page.send(kind="claim")
        page.hear("lease", mine=True)
        with site.operator("Bo").socket("/ws/hand") as other:
            assert closed(other) == NO_LEASE
        with ada.socket("/ws/hand") as hand:
            keep_moving(hand, lambda: loop.hands)
            page.send(kind="release")
            page.hear("lease", mine=False)
            until(lambda: not loop.hands[-1].drive, "its letting go")
            assert closed(hand) == NO_LEASE


def test_the_page_that_came_last_drives(site: Consoled, loop: Loop) -> None:
    ada = site.operator()
    with ada.socket() as page:
        page.send(kind="claim")
        page.hear("lease", mine=True)
        with ada.socket("/ws/hand") as first:
            keep_moving(first, lambda: loop.hands)
            with ada.socket("/ws/hand") as second:
                assert closed(first) == REPLACED
                keep_moving(second, lambda: loop.hands[-1].twist[1] == 1.0, twist=[0, 1, 0, 0, 0, 0])
                sequences = [each.sequence for each in loop.hands]
                assert sequences == sorted(set(sequences))
