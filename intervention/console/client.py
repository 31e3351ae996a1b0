"""The console's end of the desk, for one thread that may wait: the command line, tests."""

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import zmq

from handrail.intervention.console.messages import LARGEST, Ack, Command, ToDesk, Verb, desk_address
from handrail.robot_env.errors import HandrailError
from handrail.robot_env.unpacking import Malformed, unpack

_AT_ONCE = 100  # of many: fewer than a socket holds back
_ack = msgspec.msgpack.Decoder(Ack)


class DeskSilent(HandrailError):
    """No control loop answers."""

    exit_code = 18


class DeskClient:
    """Sends commands to a run's control loop and waits for the answers.

    Args:
        socket_dir: the run's.
    """

    def __init__(self, socket_dir: Path) -> None:
        self._socket = zmq.Context.instance().socket(zmq.DEALER)
        self._socket.setsockopt(zmq.MAXMSGSIZE, LARGEST)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.connect(desk_address(socket_dir))

    def __enter__(self) -> "DeskClient":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def send(self, message: ToDesk) -> None:
        """Send without waiting."""
        self._socket.send(msgspec.msgpack.encode(message))

    def ask(self, verb: Verb, who: str, timeout_s: float = 2.0, **details: Any) -> Ack:
        """Ask for something and wait for the answer.

        Args:
            verb: see `messages.Verb`.
            who: asks.
            timeout_s: patience [s].
            details: the other fields of a `Command`.

        Raises:
            DeskSilent: no answer; whether the command was carried out is not known.
        """
        command = Command(verb=verb, who=who, **_stamped(details))
        for ack in self._asked([command], timeout_s):
            return ack
        raise DeskSilent(
            f"no control loop of this run answered {verb!r} within {timeout_s:.0f} s; is it still running?"
        )

    def ask_each(
        self, verb: Verb, who: str, timeout_s: float, asked: Sequence[Mapping[str, Any]]
    ) -> Iterator[Ack]:
        """Ask for many things, and yield the answers as they come; what has none by then is not known of.

        Args:
            verb: see `messages.Verb`.
            who: asks.
            timeout_s: patience with each hundred of them [s].
            asked: the other fields of each `Command`, its id among them.
        """
        for first in range(0, len(asked), _AT_ONCE):
            part = asked[first : first + _AT_ONCE]
            yield from self._asked(
                [Command(verb=verb, who=who, **_stamped(details)) for details in part], timeout_s
            )

    def _asked(self, commands: Sequence[Command], timeout_s: float) -> Iterator[Ack]:
        open_ids = {command.id for command in commands}
        for command in commands:
            self.send(command)
        deadline_s = time.monotonic() + timeout_s
        while open_ids and (left_s := deadline_s - time.monotonic()) > 0.0:
            if self._socket.poll(int(left_s * 1000) + 1):
                try:
                    ack = unpack(_ack, self._socket.recv())
                except Malformed:
                    continue
                if ack.id in open_ids:
                    open_ids.remove(ack.id)
                    yield ack

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _stamped(details: Mapping[str, Any]) -> dict[str, Any]:
    """With a name and the time, where it has none."""
    return {"id": uuid.uuid4().hex, "issued_ns": time.monotonic_ns(), **details}
