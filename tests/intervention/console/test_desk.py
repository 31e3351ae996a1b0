"""The desk, over real sockets: every command answered, once, in time or not at all."""

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import zmq

from handrail.intervention.console.client import DeskClient, DeskSilent
from handrail.intervention.console.desk import Desk, Outcome
from handrail.intervention.console.messages import Command, Hand, Watch, desk_address
from handrail.robot_env.errors import HandrailError


class Office:
    """A desk whose commands are noted; `answers` says what becomes of them."""

    def __init__(self, folder: Path) -> None:
        self.obeyed: list[Command] = []
        self.felt: list[Hand] = []
        self.watched: list[Watch] = []
        self.closed_in: list[str] = []
        self.answers: dict[str, str | Outcome | Exception] = {}
        self.desk = Desk(
            desk_address(folder),
            self.obey,
            self.felt.append,
            self.watched.append,
            lambda: self.closed_in.append(""),
        )
        self.client = DeskClient(folder)

    def obey(self, command: Command) -> str | Outcome:
        self.obeyed.append(command)
        answer = self.answers.get(command.verb, "")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self.client.close()
        self.desk.close()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.close()


def test_a_command_is_carried_out_and_answered(office: Office) -> None:
    ack = office.client.ask("success", "ada", episode=3, why="seated")
    assert (ack.status, ack.why, ack.repeated) == ("done", "", False)
    (command,) = office.obeyed
    assert (command.verb, command.who, command.episode, command.why) == ("success", "ada", 3, "seated")


def test_a_command_sent_twice_takes_effect_once_and_is_answered_twice(office: Office) -> None:
    first = office.client.ask("discard", "ada", id="the same")
    again = office.client.ask("discard", "ada", id="the same")
    assert first.status == again.status == "done"
    assert again.repeated and not first.repeated
    assert len(office.obeyed) == 1


def test_a_refusal_says_why_and_is_remembered_too(office: Office) -> None:
    office.answers["regrasp"] = "no gripper here"
    ack = office.client.ask("regrasp", "ada", id="x")
    assert (ack.status, ack.why) == ("refused", "no gripper here")
    office.answers.clear()
    assert office.client.ask("regrasp", "ada", id="x").why == "no gripper here"


def test_a_command_older_than_it_is_worth_is_refused_and_says_so(office: Office) -> None:
    old_ns = time.monotonic_ns() - 3_000_000_000
    ack = office.client.ask("success", "ada", issued_ns=old_ns, ttl_ms=2000)
    assert ack.status == "expired"
    assert "3.0 s" in ack.why and "limit 2.0 s" in ack.why
    assert not office.obeyed


def test_a_command_from_the_future_is_a_broken_clock(office: Office) -> None:
    ack = office.client.ask("resume", "ada", issued_ns=time.monotonic_ns() + 60_000_000_000)
    assert ack.status == "expired" and not office.obeyed


def test_a_stop_is_never_too_old(office: Office) -> None:
    assert office.client.ask("stop", "ada", issued_ns=0, ttl_ms=1).status == "done"
    assert [command.verb for command in office.obeyed] == ["stop"]


def test_what_takes_a_moment_is_answered_when_it_is_over(office: Office) -> None:
    said: list[str] = []
    office.answers["failure"] = lambda: said[0] if said else None
    command = Command("slow", "failure", "ada", time.monotonic_ns())
    office.client.send(command)
    office.client.send(command)  # pressed twice while it is under way
    assert office.client.ask("pause", "ada").status == "done"  # the desk does not wait meanwhile
    said.append("")
    ack = office.client.ask("failure", "ada", id="slow")
    assert ack.status == "done"
    assert [command.verb for command in office.obeyed].count("failure") == 1


@pytest.mark.parametrize(
    ("error", "told"),
    [(HandrailError("value 3, limit 2"), "value 3, limit 2"), (KeyError("x"), "KeyError: 'x'")],
)
def test_an_error_is_an_answer_and_the_desk_goes_on(office: Office, error: Exception, told: str) -> None:
    office.answers["label"] = error
    ack = office.client.ask("label", "ada", episode=1, label="failure")
    assert (ack.status, ack.why) == ("refused", told)
    assert office.client.ask("pause", "ada").status == "done"


def test_another_protocol_is_refused(office: Office) -> None:
    ack = office.client.ask("pause", "ada", protocol=99)
    assert ack.status == "refused" and "restart the console" in ack.why


def test_hands_and_watchers_are_passed_on_without_an_answer(office: Office) -> None:
    hand = Hand("ada", 1, 5, (0.1, 0.0, 0.0, 0.0, 0.0, 0.0), True, ("success",))
    office.client.send(hand)
    office.client.send(Watch(fps=10.0, real_time=True))
    assert office.client.ask("pause", "ada").status == "done"  # so both have been handled by now
    assert office.felt == [hand] and office.watched == [Watch(10.0, True)]


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"\xc1",
        b"x" * 1000,
        msgspec.msgpack.encode({"type": "command"}),
        msgspec.msgpack.encode([1, 2]),
        msgspec.msgpack.encode({"type": "command", "verb": "?"}).replace(b"?", b"\xff"),
    ],
)
def test_what_is_no_message_is_counted_and_survived(office: Office, junk: bytes) -> None:
    office.client._socket.send(junk)
    assert office.client.ask("pause", "ada").status == "done"
    assert office.desk.malformed == 1


def test_one_that_is_too_large_costs_the_sender_its_connection_only(office: Office, tmp_path: Path) -> None:
    rude = zmq.Context.instance().socket(zmq.DEALER)
    rude.setsockopt(zmq.LINGER, 0)
    rude.connect(desk_address(tmp_path))
    rude.send(b"x" * 200_000)
    assert office.client.ask("pause", "ada").status == "done"
    rude.close()


def test_closing_happens_in_the_desks_own_thread_once(tmp_path: Path) -> None:
    office = Office(tmp_path)
    office.close()
    assert office.closed_in == [""]


def test_a_desk_that_is_not_there_is_noticed(tmp_path: Path) -> None:
    with DeskClient(tmp_path) as client, pytest.raises(DeskSilent, match="still running"):
        client.ask("pause", "ada", timeout_s=0.05)


def test_answers_are_not_remembered_for_ever_even_if_nothing_was_obeyed(office: Office) -> None:
    for number in range(1200):
        office.client.ask("pause", "ada", id=str(number), issued_ns=0)
    assert len(office.desk._answered) == 1000
