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
from handrail.robot_env.errors import HandrailError
from handrail.robot_env.unpacking import Malformed, unpack

_REMEMBERED = 1000
_EARLY_MS = 1000.0  # a command may be stamped so much after it arrives: clocks are translated
_IDLE_MS, _LOOK_MS = 50, 5

Outcome = Callable[[], str | None]
"""Asked again and again for what came of a command: None while it is under way, then as `Obey` says."""
Obey = Callable[[Command], str | Outcome]
"""Begins to carry out a command. Returns why it is refused, "" when it is done, or what to ask for that.
Called from the desk's thread, as is what it returns."""


class Desk:
    """Owned by whoever owns the run's actor role; a thread serves it.

    Args:
        address: to bind.
        obey: carries out commands.
        feel: takes what an operator's hand does.
        watch: told that somebody looks on.
        closing: called last, in the thread that `obey` is called in.
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
        closing: Callable[[], None] = lambda: None,
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.malformed = 0
        self._obey, self._feel, self._watch, self._closing = obey, feel, watch, closing
        self._now_ns = now_ns
        self._answered: OrderedDict[str, Ack] = OrderedDict()
        self._waiting: dict[str, tuple[Outcome, list[bytes]]] = {}
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
            try:
                self._look()
            except Exception:  # who is deaf to a stop is worse than who has missed a word
                structlog.get_logger().exception("desk")
        self._closing()

    def _look(self) -> None:
        if self._socket.poll(_LOOK_MS if self._waiting else _IDLE_MS):
            self._take(*self._socket.recv_multipart())
        for command_id, (outcome, askers) in [*self._waiting.items()]:
            if (why := self._asked(outcome)) is not None:
                del self._waiting[command_id]
                self._send(self._settle(command_id, why), *askers)

    def _take(self, identity: bytes, *frames: bytes) -> None:
        try:
            message = unpack(self._decoder, frames[-1])
        except (Malformed, IndexError):
            self.malformed += 1
            return
        match message:
            case Hand():
                self._feel(message)
            case Watch():
                self._watch(message)
            case Command(id=name) if name in self._waiting:
                self._waiting[name][1].append(identity)
            case Command(id=name) if (before := self._answered.get(name)) is not None:
                self._send(msgspec.structs.replace(before, repeated=True), identity)
            case Command():
                self._begin(message, identity)

    def _begin(self, command: Command, identity: bytes) -> None:
        if (objection := self._objection(command)) is not None:
            self._send(self._remember(objection), identity)
            return
        why = self._asked(lambda: self._obey(command))
        if callable(why):
            self._waiting[command.id] = why, [identity]
        else:
            self._send(self._settle(command.id, why or ""), identity)

    def _objection(self, command: Command) -> Ack | None:
        """Why a command is not looked at, if so."""
        if command.protocol != PROTOCOL:
            return Ack(command.id, "refused", f"this run speaks protocol {PROTOCOL}: restart the console")
        age_ms = (self._now_ns() - command.issued_ns) / 1e6
        if command.verb in NEVER_EXPIRES or -_EARLY_MS <= age_ms <= command.ttl_ms:
            return None
        late = f"{command.verb} came {age_ms / 1000:.1f} s after it was asked for"
        return Ack(command.id, "expired", f"{late}, limit {command.ttl_ms / 1000:.1f} s; ask again")

    @staticmethod
    def _asked(ask: Callable[[], str | Outcome | None]) -> str | Outcome | None:
        """What came of it; an error is an answer too: whatever happens, the desk goes on."""
        try:
            return ask()
        except HandrailError as error:
            return str(error)
        except Exception as error:
            structlog.get_logger().exception("command")
            return f"{type(error).__name__}: {' '.join(str(error).split())}"

    def _settle(self, name: str, why: str | Outcome) -> Ack:
        assert isinstance(why, str)
        return self._remember(Ack(name, "refused" if why else "done", why))

    def _remember(self, ack: Ack) -> Ack:
        self._answered[ack.id] = ack
        if len(self._answered) > _REMEMBERED:
            self._answered.popitem(last=False)
        return ack

    def _send(self, ack: Ack, *askers: bytes) -> None:
        answer = msgspec.msgpack.encode(ack)
        for identity in askers:
            with contextlib.suppress(zmq.ZMQError):  # who has gone needs no answer
                self._socket.send_multipart([identity, answer], flags=zmq.NOBLOCK)
