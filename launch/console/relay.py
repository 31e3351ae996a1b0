"""The console's way to the control loop's desk, for its event loop: commands and their answers, hand, watch.

Nothing is kept for a control loop that is not there: what an operator asked of one must not reach the next.
"""

import asyncio
import contextlib
import itertools

import msgspec
import zmq
import zmq.asyncio

from handrail.intervention.console.client import DeskSilent
from handrail.intervention.console.messages import LARGEST, Ack, Command, ToDesk
from handrail.robot_env.unpacking import Malformed, unpack

ANSWER_S = 2.0
_QUEUE = 100


class Relay:
    """Belongs to one event loop.

    Args:
        address: of the desk; it need not be there yet.
        context: of the sockets.
    """

    def __init__(self, address: str, context: zmq.asyncio.Context) -> None:
        self._socket = context.socket(zmq.DEALER)
        for option, value in (
            (zmq.MAXMSGSIZE, LARGEST),
            (zmq.LINGER, 0),
            (zmq.SNDHWM, _QUEUE),
            (zmq.RECONNECT_IVL, 100),
            (zmq.RECONNECT_IVL_MAX, 500),
            (zmq.IMMEDIATE, 1),  # no queue for a peer that is not there
        ):
            self._socket.setsockopt(option, value)
        self._socket.connect(address)
        self._asked: dict[str, list[asyncio.Future[Ack]]] = {}
        self._decoder = msgspec.msgpack.Decoder(Ack)

    def send(self, message: ToDesk) -> bool:
        """Send without an answer; False when nobody is there to take it."""
        # With NOBLOCK the future that comes back is done.
        sent = self._socket.send(msgspec.msgpack.encode(message), flags=zmq.NOBLOCK)
        assert isinstance(sent, asyncio.Future)
        return sent.exception() is None

    async def ask(self, command: Command) -> Ack:
        """Ask for something and wait for the answer.

        Raises:
            DeskSilent: no answer; whether the command was carried out is not known.
        """
        answer: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
        waiting = self._asked.setdefault(command.id, [])
        waiting.append(answer)
        try:
            if self.send(command):
                with contextlib.suppress(TimeoutError):
                    return await asyncio.wait_for(answer, ANSWER_S)
                raise DeskSilent(
                    f"no answer to {command.verb!r} within {ANSWER_S:.0f} s: whether it was done is not known"
                )
            raise DeskSilent(f"nobody drives this run now: {command.verb!r} has reached no one")
        finally:
            waiting.remove(answer)
            if not waiting:
                self._asked.pop(command.id, None)

    async def serve(self) -> None:
        """Take answers until cancelled."""
        while True:
            frames = await self._socket.recv_multipart()
            with contextlib.suppress(Malformed):
                ack = unpack(self._decoder, frames[-1])
                # Answers come in the order of the questions, also of those with one id.
                waiting = (each for each in self._asked.get(ack.id, ()) if not each.done())
                for answer in itertools.islice(waiting, 1):
                    answer.set_result(ack)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
