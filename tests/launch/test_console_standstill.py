"""What a page is told where no control loop is heard: at rest, starting, ending, ended, or not known."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from consoled import Consoled, Loop, Socket, heard, until

from handrail.intervention.console.messages import Left
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import telemetry
from handrail.launch.console import hub

STOPPED = {"outcome": "stopped", "why": "", "result": "3 of 10 after 600 steps"}
REPORT = {"kind": "learner", "phase": "train", "updates": 5}


@pytest.fixture
def page(site: Consoled) -> Iterator[Socket]:
    with site.viewer().socket() as page:
        yield page


@pytest.fixture
def relay(run: RunDirectory, page: Socket) -> Iterator[Callable[[telemetry.Report], None]]:
    """A supervisor's, once it is heard: until its socket has connected, a report is lost."""
    relay = telemetry.Relay(telemetry.relay_address(run.socket_dir()))

    def told() -> bool:
        relay(REPORT)
        return bool(page.hear("run")["supervised"])

    try:
        until(told, "a report")
        yield relay
    finally:
        relay.close()


def leave(loop: Loop) -> None:
    assert loop.state is not None
    boot = loop.state.boot
    loop.state = None
    loop.feed.send(Left(boot))


def rests(page: Socket, until_rest: str) -> list[str]:
    """What a page is told one after another, up to this."""
    told: list[str] = []
    while not told or told[-1] != until_rest:
        told.append(page.hear("now")["rest"])
    return told


def test_between_rest_and_the_first_loop_somebody_is_starting(
    page: Socket, run: RunDirectory, request: pytest.FixtureRequest
) -> None:
    rests(page, "nobody")
    lock = run.lock("supervisor")
    try:
        assert "" not in rests(page, "starting")
        request.getfixturevalue("loop")
        assert page.hear("now")["alive"]
    finally:
        lock.release()


def test_a_farewell_is_enough_to_be_at_rest(site: Consoled, loop: Loop, run: RunDirectory) -> None:
    lock = run.lock("actor")
    try:
        heard(site, loop)
        with site.viewer().socket() as page:
            leave(loop)
            assert page.hear("now", alive=False)["rest"] == "left", "the lock is still held"
    finally:
        lock.release()


def test_after_a_farewell_the_next_session_is_starting(
    site: Consoled, loop: Loop, page: Socket, run: RunDirectory
) -> None:
    heard(site, loop)
    leave(loop)
    rests(page, "left")
    lock = run.lock("supervisor")
    try:
        assert set(rests(page, "starting")) <= {"left", "starting"}
    finally:
        lock.release()


def test_after_a_loop_was_lost_another_session_is_starting(
    site: Consoled, loop: Loop, page: Socket, run: RunDirectory
) -> None:
    lock = run.lock("supervisor")
    heard(site, loop)
    until(lambda: (told := page.hear("now"))["alive"] and told["session"], "its session")
    loop.state = None  # killed, without a word
    lost = page.hear("now", alive=False)
    lock.release()
    lock = run.lock("supervisor")
    try:
        assert lost["rest"] == "" and set(rests(page, "starting")) <= {"", "starting"}
        with site.viewer().socket() as later:
            assert later.hear("now")["session"] not in ("", lost["session"])
    finally:
        lock.release()


def test_a_loop_that_its_supervisor_starts_again_is_of_the_same_session(
    site: Consoled, loop: Loop, page: Socket, run: RunDirectory
) -> None:
    locks = [run.lock("supervisor"), run.lock("actor")]
    heard(site, loop)
    until(lambda: (told := page.hear("now"))["alive"] and told["session"], "its session")
    loop.state = None
    lost = page.hear("now", alive=False)
    locks.pop().release()
    locks.append(run.lock("actor"))
    locks.pop(0).release()  # and the supervisor leaves it behind
    loop.be(boot="another")
    again = page.hear("now", alive=True)
    assert (lost["rest"], again["session"]) == ("", lost["session"])
    locks.pop().release()


def test_a_start_that_takes_too_long_is_no_start(
    monkeypatch: pytest.MonkeyPatch, page: Socket, run: RunDirectory
) -> None:
    monkeypatch.setattr(hub, "STARTING_S", 1.0)
    rests(page, "nobody")
    lock = run.lock("supervisor")
    try:
        assert "starting" in rests(page, "")
    finally:
        lock.release()


def test_an_end_is_final_once_nothing_can_move(
    site: Consoled, loop: Loop, page: Socket, relay: Callable[[telemetry.Report], None]
) -> None:
    heard(site, loop)
    relay(telemetry.ending(**STOPPED, final=False))
    assert page.hear("now", end=STOPPED | {"final": False})["alive"]
    leave(loop)
    assert page.hear("now", alive=False)["end"] == STOPPED | {"final": True}, "its loop has said farewell"
    relay(REPORT)  # the learner, on its way out
    relay(telemetry.ending(**STOPPED | {"result": "counted"}, final=True))
    told: list[Any] = []
    while not told or told[-1]["result"] != "counted":
        told.append(page.hear("now")["end"])
    assert None not in told


def test_a_loop_that_falls_silent_while_it_ends_makes_no_end_final(
    site: Consoled, loop: Loop, page: Socket, relay: Callable[[telemetry.Report], None]
) -> None:
    heard(site, loop)
    relay(telemetry.ending("failed", "the actor ended 3 times", "nothing", final=False))
    assert page.hear("now", end={"outcome": "failed", "why": "the actor ended 3 times", "result": "nothing",
                                 "final": False})["alive"]  # fmt: skip
    last, loop.state = loop.state, None
    silent = page.hear("now", alive=False)
    assert (silent["rest"], silent["end"]["final"]) == ("", False)
    loop.state = last
    assert page.hear("now", alive=True)["end"]["outcome"] == "failed", "it was only slow"


def test_the_reports_of_another_session_take_the_end_away(
    page: Socket, relay: Callable[[telemetry.Report], None]
) -> None:
    relay(telemetry.ending(**STOPPED, final=True))
    assert page.hear("now", end=STOPPED | {"final": True})
    assert page.hear("run")["phase"] == "ended"
    relay({"kind": "notice", "text": "the console did not end"})
    page.hear("run", notices=["the console did not end"])
    relay(REPORT)
    assert page.hear("now")["end"] is None
    assert page.hear("run")["phase"] == "training"


def test_somebody_who_takes_the_run_takes_the_end_away(
    page: Socket, run: RunDirectory, relay: Callable[[telemetry.Report], None]
) -> None:
    relay(telemetry.ending(**STOPPED, final=True))
    assert page.hear("now", end=STOPPED | {"final": True})
    lock = run.lock("supervisor")
    try:
        assert page.hear("now", end=None)["rest"] == "starting"
    finally:
        lock.release()
