"""The console's end of the desk, for one thread that may wait: the command line, tests."""

import time
import uuid
from pathlib import Path
from typing import Any

import msgspec
import zmq

from handrail.intervention.console.messages import LARGEST, Ack, Command, ToDesk, Verb, desk_address
from handrail.robot_env.errors import HandrailError


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
        details = {"id": uuid.uuid4().hex, "issued_ns": time.monotonic_ns(), **details}
        command = Command(verb=verb, who=who, **details)
        self.send(command)
        deadline_s = time.monotonic() + timeout_s
        while (left_s := deadline_s - time.monotonic()) > 0.0 and self._socket.poll(int(left_s * 1000) + 1):
            ack = msgspec.msgpack.decode(self._socket.recv(), type=Ack)
            if ack.id == command.id:
                return ack
        raise DeskSilent(
            f"no control loop of this run answered {verb!r} within {timeout_s:.0f} s; is it still running?"
        )

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
