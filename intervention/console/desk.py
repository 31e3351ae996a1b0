"""The desk: where a control loop takes an operator's commands, in a thread of its own.

Every command is answered. It takes effect once, whatever is sent again; one that is older than it is worth is
refused, and says so; a stop is never too old.
"""

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

import msgspec
import structlog
import zmq

from handrail.intervention.console.messages import (
    LARGEST,
    NEVER_EXPIRES,
    PROTOCOL,
    Ack,
    Command,
    Hand,
    ToDesk,
    Watch,
)

_REMEMBERED = 1000
_EARLY_NS = 1_000_000_000  # a command may be stamped so much after it arrives: clocks are translated

Obey = Callable[[Command], str]
"""Carries out a command; returns why it is refused, "" when it is done. Called from the desk's thread."""


class Desk:
    """Owned by whoever owns the run's actor role; a thread serves it.

    Args:
        address: to bind.
        obey: carries out commands.
        feel: takes what an operator's hand does.
        watch: told that somebody looks on.
        now_ns: the clock.

    Attributes:
        malformed: messages that were none of the three; counted and survived.
    """

    def __init__(
        self,
        address: str,
        obey: Obey,
        feel: Callable[[Hand], None],
        watch: Callable[[Watch], None],
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.malformed = 0
        self._obey, self._feel, self._watch, self._now_ns = obey, feel, watch, now_ns
        self._answered: OrderedDict[str, Ack] = OrderedDict()
        self._decoder = msgspec.msgpack.Decoder(ToDesk)
        self._stop = threading.Event()
        self._socket = zmq.Context.instance().socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.MAXMSGSIZE, LARGEST)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(address)
        self._thread = threading.Thread(target=self._serve, name="desk", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more; harmless when closed already."""
        self._stop.set()
        self._thread.join(timeout=2.0)
        self._socket.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            if not self._socket.poll(50):
                continue
            identity, *frames = self._socket.recv_multipart()
            try:
                message = self._decoder.decode(frames[-1])
            except (msgspec.DecodeError, msgspec.ValidationError, IndexError):
                self.malformed += 1
                continue
            match message:
                case Hand():
                    self._feel(message)
                case Watch():
                    self._watch(message)
                case Command():
                    answer = msgspec.msgpack.encode(self.answer(message))
                    with contextlib.suppress(zmq.ZMQError):  # who has gone needs no answer
                        self._socket.send_multipart([identity, answer], flags=zmq.NOBLOCK)

    def answer(self, command: Command) -> Ack:
        """Carry out a command, once, and say what came of it."""
        if (before := self._answered.get(command.id)) is not None:
            return msgspec.structs.replace(before, repeated=True)
        ack = self._judge(command)
        self._answered[command.id] = ack
        if len(self._answered) > _REMEMBERED:
            self._answered.popitem(last=False)
        return ack

    def _judge(self, command: Command) -> Ack:
        if command.protocol != PROTOCOL:
            return Ack(command.id, "refused", f"this run speaks protocol {PROTOCOL}: restart the console")
        age_ms = (self._now_ns() - command.issued_ns) / 1e6
        if command.verb not in NEVER_EXPIRES and not -_EARLY_NS / 1e6 <= age_ms <= command.ttl_ms:
            late = f"{command.verb} came {age_ms / 1000:.1f} s after it was asked for, limit "
            return Ack(command.id, "expired", f"{late}{command.ttl_ms / 1000:.1f} s; ask again")
        try:
            why = self._obey(command)
        except Exception as error:  # whatever it is, the desk goes on
            structlog.get_logger().exception("command", verb=command.verb)
            why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return Ack(command.id, "refused" if why else "done", why)
