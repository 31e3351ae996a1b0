"""Questions to an arm server, each with a deadline."""

import itertools
import time
from collections.abc import Callable
from contextlib import suppress

import zmq

from handrail.robot_env.errors import ArmError
from handrail.robot_env.remote.endpoints import Endpoints
from handrail.robot_env.remote.messages import Body
from handrail.robot_env.remote.wire import (
    MAX_MESSAGE_BYTES,
    Reply,
    error_of,
    pack_request,
    unpack_reply,
)
from handrail.robot_env.unpacking import Malformed

_SLICE_S = 0.05


class Requester:
    """One socket to a server's commands. One thread at a time.

    Args:
        endpoints: of the server.

    Attributes:
        sent_ns: when the last question was sent [ns].
        shown: tick of the first state that shows everything that was answered here, refusals included.
        answered: whether the last question was, if only by a refusal.
    """

    def __init__(self, endpoints: Endpoints) -> None:
        self.sent_ns = 0
        self.shown = 0
        self.answered = True
        self._ids = itertools.count(1)
        self._address = endpoints.commands
        try:
            self._socket = zmq.Context.instance().socket(zmq.DEALER)
        except zmq.ZMQError as error:
            raise ArmError(f"no socket for the arm server at {self._address}: {error}") from error
        try:
            endpoints.secure(self._socket, server=False)
            self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
            # A command for a server that is not there must not wait for it.
            self._socket.setsockopt(zmq.IMMEDIATE, 1)
            self._socket.connect(endpoints.commands)
        except BaseException:
            self._socket.close()
            raise

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def tell(self, body: Body, token: str = "") -> None:
        """Send something that is not answered; not at all while the server cannot be reached."""
        frame = pack_request(next(self._ids), body, time.monotonic_ns(), token)
        with suppress(zmq.ZMQError):
            self._socket.send(frame, zmq.NOBLOCK)

    def ask(
        self,
        body: Body,
        timeout_s: float,
        token: str = "",
        sequence: int = 0,
        still_there: Callable[[], None] = lambda: None,
    ) -> Reply:
        """Send a request and wait for its reply.

        Args:
            body: what to ask.
            timeout_s: how long to wait [s].
            token: of the lease; "" without one.
            sequence: number of the command.
            still_there: called every now and then while waiting; may raise to give up.

        Raises:
            ArmError: no reply in time.
            ConfigError: as the server raised it, like every other error.
        """
        try:
            return self._ask(body, time.monotonic() + timeout_s, token, sequence, still_there)
        except zmq.ZMQError as error:  # the connection went between the look at it and its use, for one
            raise ArmError(
                f"the arm server at {self._address} cannot be asked ({error}); see whether it runs"
            ) from error

    def _ask(
        self, body: Body, deadline_s: float, token: str, sequence: int, still_there: Callable[[], None]
    ) -> Reply:
        self.answered = False
        self._poll(zmq.POLLOUT, deadline_s, still_there)
        number = next(self._ids)
        self.sent_ns = time.monotonic_ns()
        self._socket.send(pack_request(number, body, self.sent_ns, token, sequence), zmq.NOBLOCK)
        while True:
            self._poll(zmq.POLLIN, deadline_s, still_there)
            try:
                reply = unpack_reply(self._socket.recv())
            except Malformed:
                continue
            if reply.id != number:
                continue  # the answer to a question that was given up
            self.shown, self.answered = reply.tick, True
            error = error_of(reply)
            if error is not None:
                raise error
            return reply

    def _poll(self, what: int, deadline_s: float, still_there: Callable[[], None]) -> None:
        while True:
            left_s = deadline_s - time.monotonic()
            if self._socket.poll(max(0, round(1000 * min(left_s, _SLICE_S))), what):
                return
            if left_s <= 0.0:
                raise ArmError(
                    f"the arm server at {self._address} did not answer in time; see whether it runs"
                )
            still_there()
