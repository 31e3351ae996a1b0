"""A commander without manners: it sends what a test tells it to, stamps and all, and never a heartbeat."""

import itertools
import time

import zmq

from handrail.robot_env.config import EnvConfig
from handrail.robot_env.remote.agreement import agreement
from handrail.robot_env.remote.endpoints import Endpoints
from handrail.robot_env.remote.messages import Acquire, Body, Lease
from handrail.robot_env.remote.wire import Reply, pack_request, unpack_reply

DEADLINE_MS = 10_000


class RawCommander:
    """One DEALER socket.

    Args:
        config: of the server.
        offset_ns: by how much this one's clock is ahead [ns].
    """

    def __init__(self, config: EnvConfig, offset_ns: int = 0) -> None:
        endpoints = Endpoints.of(config.arm)
        self._config = config
        self._offset_ns = offset_ns
        self._ids = itertools.count(1)
        self.sequence = 0
        self.token = ""
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        endpoints.secure(self.socket, server=False)
        self.socket.connect(endpoints.commands)

    def __enter__(self) -> "RawCommander":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.socket.close()

    def acquire(self, name="raw", period_s=0.1, other: dict[str, str] | None = None) -> Reply:
        """Ask for the lease; `other` are digests of settings to claim instead of the true ones."""
        settings = {**agreement(self._config), **(other or {})}
        reply = self.ask(Acquire(name, 1, "here", period_s, settings))
        if isinstance(reply.body, Lease):
            self.token = reply.body.token
        return reply

    def send(self, body: Body, *, age_ns=0, sequence: int | None = None, token: str | None = None) -> int:
        """Send a request as if it were `age_ns` old; its id."""
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        number = next(self._ids)
        stamp = time.monotonic_ns() + self._offset_ns - age_ns
        self.socket.send(pack_request(number, body, stamp, self.token if token is None else token, sequence))
        return number

    def ask(self, body: Body, **how) -> Reply:
        """Send a request and wait for its reply, whatever that says."""
        number = self.send(body, **how)
        while self.socket.poll(DEADLINE_MS):
            reply = unpack_reply(self.socket.recv())
            if reply.id == number:
                return reply
        raise AssertionError(f"no reply to {body}")
