"""`/ws/hand`: what an operator's hand does reaches the desk fresh, in order, and from one page alone."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import websockets.exceptions
from consoled import Consoled, Loop, Socket, consoled, heard, make_run, until

from handrail.intervention.run_directory import RunDirectory
from handrail.launch.console.hand import NO_LEASE, REPLACED


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    return make_run(tmp_path)


@pytest.fixture
def loop(run: RunDirectory) -> Iterator[Loop]:
    loop = Loop(run)
    yield loop
    loop.close()


@pytest.fixture
def site(run: RunDirectory, loop: Loop) -> Iterator[Consoled]:
    with consoled(run) as served:
        heard(served, loop)
        yield served


def move(hand: Socket, number: int, **facts: Any) -> None:
    known = {"t_ms": time.monotonic_ns() / 1e6, "twist": [0.5, 0, 0, 0, 0, -1], "drive": True}
    hand.connection.send(json.dumps(known | {"sequence": number, "held": []} | facts))


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
            t_ms = time.monotonic_ns() / 1e6
            move(hand, 1, t_ms=t_ms, held=["success"])
            move(hand, 2)
            until(lambda: len(loop.hands) == 2, "the hand")
            first, second = loop.hands
            assert (first.who, first.twist, first.drive) == ("Ada", (0.5, 0, 0, 0, 0, -1), True)
            assert first.held == ("success",) and first.t_ns == int(t_ms * 1e6)
            assert second.sequence == first.sequence + 1
        # The page has gone: it lets go.
        until(lambda: len(loop.hands) == 3, "its letting go")
        assert loop.hands[2].drive is False and loop.hands[2].twist == (0.0,) * 6
        assert loop.hands[2].sequence == second.sequence + 1


def test_old_early_late_and_repeated_ones_are_dropped(site: Consoled, loop: Loop) -> None:
    ada = site.operator()
    with ada.socket() as page:
        page.send(kind="claim")
        page.hear("lease", mine=True)
        with ada.socket("/ws/hand") as hand:
            clock_ms = time.monotonic_ns() / 1e6
            move(hand, 5, t_ms=clock_ms - 1000)
            move(hand, 6, t_ms=clock_ms + 1000)
            move(hand, 7, t_ms=1e300)
            move(hand, 8)
            move(hand, 8)
            move(hand, 3)
            move(hand, 9, drive=False)
            until(lambda: loop.hands and not loop.hands[-1].drive, "the last")
            assert [each.drive for each in loop.hands] == [True, False]


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
            move(hand, 1)
            until(lambda: loop.hands, "the hand")
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
            move(first, 1)
            until(lambda: loop.hands, "the first")
            with ada.socket("/ws/hand") as second:
                assert closed(first) == REPLACED
                move(second, 1, twist=[0, 1, 0, 0, 0, 0])
                until(lambda: loop.hands[-1].twist[1] == 1.0, "the second")
                sequences = [each.sequence for each in loop.hands]
                assert sequences == sorted(set(sequences))
