"""`/ws/live` over real sockets: what a page is told, what it may ask, and what becomes of that."""

import json
import math
import socket
import threading
import time

import pytest
import websockets.exceptions
import zmq
from consoled import Consoled, Loop, consoled, heard, until

from handrail.intervention.console.messages import Ended, Left, Step, Steps, desk_address
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import telemetry
from handrail.launch.console import audience, live
from handrail.launch.console.access import Identity
from handrail.launch.console.audience import Audience, Listener


def step(number: int) -> Step:
    return Step(number, 0, 1.5, 0.25, None, 0.0, (0.0,) * 6, 3)


def test_a_page_is_greeted_with_everything(site: Consoled, loop: Loop) -> None:
    heard(site, loop)
    loop.feed.send(Steps(4, [step(0), step(1)]))
    loop.be(episode=4, running=True, step=2)
    with site.viewer("<img onerror=x>").socket() as first:
        hello = first.hear("hello")
        assert (hello["role"], hello["name"], hello["run"]) == ("viewer", "<img onerror=x>", "first")
        assert hello["task"] == "ram_insertion" and hello["hz"] == 10.0 and hello["person"] is False
        assert abs(hello["server_ms"] - time.monotonic_ns() / 1e6) < 60_000
        assert first.hear("lease") == {"kind": "lease", "holder": None, "mine": False}
        assert first.hear("now", alive=True)["now"]["run_id"] == "first"
        until(lambda: first.hear("now")["now"]["step"] == 2, "the episode")
    with site.viewer().socket() as page:
        shown = page.hear("steps")
        assert shown["episode"] == 4
        assert shown["steps"] == [
            [0, 0, 1.5, 0.25, None, 0.0, [0.0] * 6, 3],
            [1, 0, 1.5, 0.25, None, 0.0, [0.0] * 6, 3],
        ]
        success = page.hear("run")["success"]
        assert success["unaided"]["20"] == {"successes": 0, "episodes": 0, "low": 0.0, "high": 1.0}


def test_steps_come_once_and_in_order_and_an_end_after_them(site: Consoled, loop: Loop) -> None:
    heard(site, loop)
    with site.viewer().socket() as page:
        page.hear("run")
        for number in range(30):
            loop.feed.send(Steps(1, [step(number)]))
        loop.feed.send(Ended(1, "train", 30, True, True, None, 0, 0))
        loop.feed.send(Steps(2, [step(0)]))
        steps: list[int] = []
        while True:
            message = json.loads(page.connection.recv(10))
            if message["kind"] == "steps" and message["episode"] == 1:
                steps += [each[0] for each in message["steps"]]
            if message["kind"] == "ended":
                break
        assert steps == list(range(30))
        assert message == {
            "kind": "ended", "episode": 1, "purpose": "train", "steps": 30, "success": True, "unaided": True,
            "truncated_by": None, "human_steps": 0, "takeovers": 0,
        }  # fmt: skip
        assert page.hear("steps", episode=2)["steps"][0][0] == 0


def test_a_control_loop_that_ends_is_told_of(site: Consoled, loop: Loop) -> None:
    heard(site, loop)
    with site.viewer().socket() as page:
        assert page.hear("now", alive=True)
        loop.state = None
        assert page.hear("now", alive=False)["now"] is None
        loop.be(boot="another")
        assert page.hear("now", alive=True)["now"]["boot"] == "another"
        loop.state = None
        gone = page.hear("now", alive=False)
        assert gone["rest"] == "", "that fell silent without a word"


def test_a_run_whose_loop_has_said_farewell_is_at_rest(site: Consoled, loop: Loop) -> None:
    with site.viewer().socket() as page:
        loop.state = None
        if page.hear("now")["alive"]:
            heard(site, loop)
        loop.be(boot="third")
        assert page.hear("now", alive=True)["rest"] == ""
        loop.state = None
        loop.feed.send(Left("third"))
        assert page.hear("now", alive=False, rest="left")
        with site.viewer().socket() as later:
            assert later.hear("now")["rest"] == "left"


def test_the_holder_s_commands_reach_the_desk_with_their_name_and_age(site: Consoled, loop: Loop) -> None:
    heard(site, loop)
    with site.operator("Ada").socket() as page:
        page.send(kind="claim")
        assert page.hear("lease", holder="Ada")["mine"] is True
        issued_ms = time.monotonic_ns() / 1e6
        answer = page.command("success", "7f", issued_ms=issued_ms, episode=3)
        assert answer == {"kind": "ack", "id": "7f", "status": "done", "why": "", "repeated": False}
        (command,) = loop.commands
        assert (command.verb, command.who, command.episode) == ("success", "Ada", 3)
        assert command.issued_ns == int(issued_ms * 1e6)
        assert page.command("success", "7f", episode=3)["repeated"] is True
        assert len(loop.commands) == 1
        old = page.command("pause", "8", issued_ms=time.monotonic_ns() / 1e6 - 5000)
        assert old["status"] == "expired" and "5.0 s" in old["why"]
        loop.refuses = "no episode runs"
        assert page.command("reset", "9")["why"] == "no episode runs"


def test_nobody_else_acts_but_any_operator_stops(site: Consoled, loop: Loop) -> None:
    heard(site, loop)
    with (
        site.operator("Ada").socket() as ada,
        site.operator("Bo").socket() as bo,
        site.viewer().socket() as cy,
    ):
        assert ada.command("pause")["why"] == "take the controls first"
        ada.send(kind="claim")
        assert bo.hear("lease", holder="Ada")["mine"] is False
        bo.send(kind="claim")
        assert "Ada" in bo.hear("error")["why"]
        assert bo.command("pause")["status"] == "refused"
        for verb in ("pause", "success", "stop", "label"):
            assert "viewer" in cy.command(verb, id=verb)["why"]
        cy.send(kind="claim")
        assert "viewer" in cy.hear("error")["why"]
        assert loop.commands == []
        assert bo.command("stop", "s", issued_ms=0.0)["status"] == "done"  # of any age
        assert [(each.verb, each.who) for each in loop.commands] == [("stop", "Bo")]
        ada.send(kind="release")
        assert bo.hear("lease", holder=None)["mine"] is False
        bo.send(kind="claim")
        assert bo.hear("lease", holder="Bo")["mine"] is True


def test_a_reload_keeps_the_lease(site: Consoled) -> None:
    ada = site.operator("Ada")
    with ada.socket() as page:
        page.send(kind="claim")
        page.hear("lease", mine=True)
    with ada.socket() as page, site.operator("Bo").socket() as other:
        assert page.hear("lease")["mine"] is True
        assert other.hear("lease") == {"kind": "lease", "holder": "Ada", "mine": False}


def test_a_command_without_a_control_loop_says_so_and_reaches_no_later_one(
    site: Consoled, run: RunDirectory
) -> None:
    with site.operator().socket() as page:
        page.send(kind="claim")
        answer = page.command("stop")
        assert answer["status"] == "silent" and "nobody drives" in answer["why"]
        late = Loop(run)
        try:
            page.send(kind="watch", fps=3)

            def watched() -> bool:
                page.send(kind="watch", fps=4 + len(late.watches))
                return bool(late.watches)

            until(watched, "the new control loop")
            assert late.commands == []
            assert page.command("pause", "2")["status"] == "done"
        finally:
            late.close()


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "[]", "{}", "null", '{"kind":"nonsense"}', '{"kind":"ping"}', '{"kind":"ping","t":"x"}',
        '{"kind":"command"}', '{"kind":"command","id":"","verb":"pause","issued_ms":1}',
        '{"kind":"command","id":"1","verb":"explode","issued_ms":1}',
        '{"kind":"command","id":"1","verb":"pause","issued_ms":1,"ttl_ms":999999999}',
        '{"kind":"command","id":"1","verb":"pause","issued_ms":1,"episode":"1"}',
        '{"kind":"watch","fps":-1}', '{"kind":"watch","fps":1e-10}', '{"kind":"watch","fps":0.5}',
        '{"kind":"watch","fps":1e9}', "[" * 30_000, '"' + "\\ud800" + '"',
    ],
)  # fmt: skip
def test_nonsense_is_told_and_survived(site: Consoled, text: str) -> None:
    with site.operator().socket() as page:
        page.connection.send(text)
        assert "not understood" in page.hear("error")["why"]
        page.connection.send(text.encode())
        page.send(kind="ping", t=5)
        assert page.hear("pong")["t"] == 5.0


def test_times_that_are_none_are_refused(site: Consoled) -> None:
    with site.operator().socket() as page:
        page.send(kind="claim")
        assert page.command("pause", issued_ms=1e300)["why"] == "issued_ms is no time"


def test_real_time_is_the_holder_s_alone_and_the_most_wanted_rate_wins(site: Consoled, loop: Loop) -> None:
    heard(site, loop)
    with site.operator().socket() as ada, site.viewer().socket() as cy:
        cy.send(kind="watch", fps=30, real_time=True)
        ada.send(kind="watch", fps=10, real_time=True)
        until(lambda: loop.watches[-1].fps == 30.0, "the viewer's rate")
        assert not any(each.real_time for each in loop.watches)
        ada.send(kind="claim")
        ada.hear("lease", mine=True)
        ada.send(kind="watch", fps=10, real_time=True)
        until(lambda: loop.watches[-1].real_time, "real time")


def test_reports_of_the_processes_are_shown(site: Consoled, run: RunDirectory, loop: Loop) -> None:
    relay = telemetry.Relay(telemetry.relay_address(run.socket_dir()))
    try:
        with site.viewer().socket() as page:
            assert page.hear("run")["supervised"] is False

            def told() -> bool:  # until its socket has connected, a report is lost
                relay({"kind": "learner", "phase": "train", "updates": 5, "updates_per_s": math.nan})
                return bool(page.hear("run")["learner"])

            until(told, "a report")
            actor = {"kind": "actor", "driver": "policy", "env_steps": 600, "reset_s": 30.0}
            relay(actor | {"unaided": [True] * 9 + [False], "assisted": [True] * 10})
            relay({"kind": "notice", "text": "the evaluator died"})
            relay({"kind": "evaluation", "set": "check", "env_steps": 500, "successes": 9, "episodes": 10})
            shown = page.hear("run", env_steps=600)
            assert shown["phase"] == "training" and shown["robot_minutes"] == 1.5
            assert shown["learner"] == {
                "kind": "learner",
                "phase": "train",
                "updates": 5,
                "updates_per_s": None,
            }
            assert shown["success"]["unaided"]["20"]["successes"] == 9
            assert shown["success"]["unaided"]["20"]["low"] == pytest.approx(0.596, abs=1e-3)
            assert page.hear("run", notices=["the evaluator died"])["evaluations"][-1]["successes"] == 9
            result = "9 of 10 unaided after 600 steps"
            end = {"outcome": "reached", "why": "", "result": result}
            relay(telemetry.ending(**end, final=False))
            assert page.hear("now", end=end | {"final": False})["alive"]
            assert page.hear("run")["phase"] == "ending"
            relay(telemetry.ending(**end, final=True))
            assert page.hear("now", end=end | {"final": True})
            assert page.hear("run")["phase"] == "ended"
            with site.viewer().socket() as later:
                assert later.hear("now")["end"] == end | {"final": True}
            loop.be(boot="the next session's")
            assert page.hear("now", alive=True)["end"] is None
    finally:
        relay.close()


def test_a_slow_page_is_dropped_and_the_others_hear_everything() -> None:
    everybody = Audience()
    slow, quick = (Listener(Identity("viewer", name, name)) for name in ("slow", "quick"))
    everybody.join(slow)
    everybody.join(quick)
    for number in range(audience.BACKLOG + 1):
        everybody.tell("pong", t=number)
        assert json.loads(quick.waiting.get_nowait()) == {"kind": "pong", "t": number}
    assert slow.dropped and not quick.dropped
    assert slow.waiting.qsize() == audience.BACKLOG


@pytest.mark.slow
def test_a_page_that_takes_nothing_any_more_loses_the_lease(site: Consoled, loop: Loop) -> None:
    """Its machine still answers for it; the others hear everything meanwhile."""
    heard(site, loop)
    ada = site.operator("Ada")
    host, _, port = site.url.removeprefix("http://").partition(":")
    with site.viewer().socket() as other, socket.socket() as frozen:
        frozen.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        frozen.connect((host, int(port)))
        upgrade = (
            f"GET /ws/live HTTP/1.1\r\nHost: {host}:{port}\r\nOrigin: {site.url}\r\nCookie: {ada.cookie}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        claim = b'{"kind":"claim"}'
        frozen.sendall(upgrade.encode())
        assert frozen.recv(12) == b"HTTP/1.1 101"
        frozen.sendall(bytes([0x81, 0x80 | len(claim), 0, 0, 0, 0]) + claim)  # and it never reads again
        other.hear("lease", holder="Ada")
        long = step(0)
        flood = threading.Event()

        def speak() -> None:
            number = 0
            while not flood.wait(0.02):
                loop.feed.send(Steps(number, [long] * 200))
                number += 1

        thread = threading.Thread(target=speak)
        thread.start()
        try:
            assert other.hear("lease", timeout_s=60.0)["holder"] is None
        finally:
            flood.set()
            thread.join()


def test_a_command_is_carried_out_although_its_page_leaves(site: Consoled, loop: Loop) -> None:
    heard(site, loop)
    with site.operator().socket() as page:
        page.send(kind="claim")
        page.send(kind="command", id="1", verb="stop", issued_ms=1.0)
    until(lambda: loop.commands, "the stop")
    with site.viewer().socket() as other:
        assert other.hear("hello")


def test_nobody_s_commands_keep_another_s_from_being_heard(
    site: Consoled, run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a desk that does not answer a command is under way for as long as its answer is waited for."""
    monkeypatch.setattr(live, "_AT_ONCE", 1)
    ada, bo = site.operator("Ada"), site.operator("Bo")
    with (
        zmq.Context() as context,
        context.socket(zmq.ROUTER) as desk,
        ada.socket() as page,
        bo.socket() as other,
    ):
        desk.bind(desk_address(run.socket_dir()))
        page.send(kind="claim")
        page.hear("lease", mine=True)
        assert desk.poll(20_000), "the console has found it"
        page.send(kind="command", id="first", verb="pause", issued_ms=time.monotonic_ns() / 1e6)
        assert page.command("pause", "second")["why"] == "too many commands at once"
        assert other.command("pause", "his")["why"] == "Ada is at the controls"
        assert page.hear("ack", id="first")["status"] == "silent"


def test_pages_are_told_when_the_console_ends(run: RunDirectory) -> None:
    with consoled(run) as site:
        pages = [site.viewer().socket() for _ in range(3)]
        opened = [page.__enter__() for page in pages]
    for each in opened:
        with pytest.raises(websockets.exceptions.ConnectionClosed) as ended:
            while True:
                each.connection.recv(5)
        assert ended.value.rcvd is not None and ended.value.rcvd.code == 1012
    for page in pages:
        page.__exit__(None, None, None)
