"""The two wires between actor and learner: the pulled log and the conflated weights.

**Log.** The actor serves its episode log on a ROUTER socket; the learner pulls: "what follows sequence N?".
Only committed (fdatasynced) records are served. The learner's position is part of its checkpoint, so that
nothing is lost or seen twice across restarts of either side, and a slow learner never blocks the actor. Each
request also carries how far the learner is, which is all the samples-per-insert limiter of a lockstep actor
needs.

    request   = msgpack PullRequest
    reply     = msgpack PullReply, then one frame a record (the payloads of the log, as they stand on disk)

**Weights.** The learner publishes single frames (see `weights`) that ZMQ conflates: the actor sees the newest
only. The last frame is repeated every second for whoever joined late.

A malformed message is counted and survived, on either side. Every request has a deadline.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import zmq

from handrail.intervention.log_reader import LogReader
from handrail.robot_env.errors import HandrailError
from handrail.robot_env.unpacking import Malformed, unpack

PROTOCOL = 1
MAX_MESSAGE_BYTES = 256 * 1024 * 1024
_MAX_RECORDS = 2000
_MAX_REPLY_BYTES = 32 << 20  # of images: a reply must be there within its deadline
_REPEAT_WEIGHTS_S = 1.0
_LEARNER_GONE_S = 5.0


class LinkError(HandrailError):
    """The other side refused, or speaks another protocol."""

    exit_code = 16


class PullRequest(msgspec.Struct, frozen=True):
    """The learner's question, and how far it is."""

    protocol: int
    run_id: str
    schema_hash: str
    boot_id: str
    pid: int
    after: int
    updates: int
    training: bool
    began_at: int  # online steps when training began


class PullReply(msgspec.Struct, frozen=True):
    """The actor's answer; the payloads follow as frames of their own."""

    protocol: int
    refused: str | None = None  # why not
    sequences: list[int] = []
    committed: int = 0


_request = msgspec.msgpack.Decoder(PullRequest)
_reply = msgspec.msgpack.Decoder(PullReply)


@dataclass(frozen=True)
class LearnerProgress:
    """What the actor knows of the learner."""

    updates: int = 0
    training: bool = False
    began_at: int = 0
    position: int = 0  # the last sequence it has
    heard_ns: int = 0
    boot_id: str = ""
    pid: int = 0


def log_address(socket_dir: Path) -> str:
    """Where the actor serves its log."""
    return f"ipc://{socket_dir}/log"


def weights_address(socket_dir: Path) -> str:
    """Where the learner publishes weights."""
    return f"ipc://{socket_dir}/weights"


class LogServer:
    """Serves a log from a thread of its own, beside the control loop.

    Args:
        address: to bind.
        reader: of the run's log, for this server alone.
        committed: the last sequence on disk; nothing beyond it is served.
        run_id: refuses requests for another run.
        schema_hash: refuses a learner that was built for another observation or action.
    """

    def __init__(
        self, address: str, reader: LogReader, committed: Callable[[], int], run_id: str, schema_hash: str
    ) -> None:
        self.progress = LearnerProgress()
        self.rejected = 0
        self.failure: Exception | None = None
        self._reader, self._committed, self._run_id, self._schema_hash = (
            reader,
            committed,
            run_id,
            schema_hash,
        )
        self._stop = threading.Event()
        self._socket = zmq.Context.instance().socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(address)
        self._thread = threading.Thread(target=self._serve, name="log-server", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._stop.set()
        self._thread.join(timeout=2.0)
        self._socket.close()

    def _serve(self) -> None:
        try:
            while not self._stop.is_set():
                if self._socket.poll(50):
                    self._take(*self._socket.recv_multipart())
        except Exception as error:  # whatever it is, for the control loop to raise: nobody hears a thread
            self.failure = error

    def _take(self, identity: bytes, *frames: bytes) -> None:
        try:
            request = unpack(_request, frames[-1])
        except (Malformed, IndexError):
            self.rejected += 1
            return
        self._socket.send_multipart([identity, *self._answer(request)], flags=zmq.NOBLOCK)

    def _answer(self, request: PullRequest) -> list[bytes]:
        reason = self._objection(request)
        if reason is not None:
            self.rejected += 1
            return [msgspec.msgpack.encode(PullReply(PROTOCOL, refused=reason))]
        self.progress = LearnerProgress(
            updates=request.updates,
            training=request.training,
            began_at=request.began_at,
            position=request.after,
            heard_ns=time.monotonic_ns(),
            boot_id=request.boot_id,
            pid=request.pid,
        )
        committed = self._committed()
        records = self._reader.read(request.after, _MAX_RECORDS, committed, _MAX_REPLY_BYTES)
        reply = PullReply(PROTOCOL, sequences=[sequence for sequence, _ in records], committed=committed)
        return [msgspec.msgpack.encode(reply), *(payload for _, payload in records)]

    def _objection(self, request: PullRequest) -> str | None:
        """Why a request is not answered, or None."""
        for name, theirs, ours in (
            ("protocol", request.protocol, PROTOCOL),
            ("run", request.run_id, self._run_id),
            ("schema", request.schema_hash, self._schema_hash),
        ):
            if theirs != ours:
                return (
                    f"this actor has {name} {ours!r}, the learner has {theirs!r}; "
                    "start both from one configuration"
                )
        first, silent_ns = self.progress, time.monotonic_ns() - self.progress.heard_ns
        if first.boot_id and first.boot_id != request.boot_id and silent_ns < _LEARNER_GONE_S * 1e9:
            alive = Path(f"/proc/{first.pid}").exists()
            if alive and first.pid != request.pid:
                return f"learner with pid {first.pid} already trains on this run: stop it first"
        return None


class LogPuller:
    """The learner's side: one request in flight, answers taken when they are there. One thread may use it."""

    def __init__(self, address: str, run_id: str, schema_hash: str, boot_id: str, pid: int) -> None:
        self._address = address
        self._facts = {"run_id": run_id, "schema_hash": schema_hash, "boot_id": boot_id, "pid": pid}
        self._asked_s: float | None = None
        self._idle_until_s = 0.0
        self.committed = self.rejected = 0
        self._socket = self._connected()

    def _connected(self) -> zmq.Socket[bytes]:
        socket = zmq.Context.instance().socket(zmq.DEALER)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(self._address)
        return socket

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def poll(
        self,
        after: int,
        *,
        updates: int,
        training: bool,
        began_at: int,
        wait_s: float = 0.0,
        idle_s: float = 0.005,
        deadline_s: float = 2.0,
    ) -> list[tuple[int, bytes]]:
        """Records that follow `after`, as far as they are here by now; waits up to `wait_s` for them.

        Raises:
            LinkError: when the actor refuses this learner; the message is the actor's.
        """
        now = time.monotonic()
        late = self._asked_s is not None and now - self._asked_s > deadline_s
        if late and not self._socket.poll(0):  # who asks seldom finds an old answer, and takes it
            # The actor was restarted, or never there: a new socket forgets the lost request.
            self._socket.close()
            self._socket = self._connected()
            self._asked_s = None
        if self._asked_s is None:
            if now < self._idle_until_s:
                if wait_s <= 0.0:
                    return []
                time.sleep(min(wait_s, self._idle_until_s - now))
            request = PullRequest(
                protocol=PROTOCOL,
                after=after,
                updates=updates,
                training=training,
                began_at=began_at,
                **self._facts,
            )
            self._socket.send(msgspec.msgpack.encode(request), flags=zmq.NOBLOCK)
            self._asked_s = time.monotonic()
        if not self._socket.poll(int(wait_s * 1000)):
            return []
        head, *payloads = self._socket.recv_multipart()
        self._asked_s = None
        try:
            reply = unpack(_reply, head)
        except Malformed:
            self.rejected += 1
            return []
        if reply.refused is not None:
            raise LinkError(f"The actor refuses this learner: {reply.refused}")
        self.committed = reply.committed
        if not payloads:
            self._idle_until_s = time.monotonic() + idle_s
        return list(zip(reply.sequences, payloads, strict=True))


class WeightPublisher:
    """The learner's side of the weights."""

    def __init__(self, address: str) -> None:
        self._socket = zmq.Context.instance().socket(zmq.PUB)
        self._socket.setsockopt(zmq.SNDHWM, 2)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(address)
        self._frame: bytes | None = None
        self._sent_s = 0.0

    def publish(self, frame: bytes) -> None:
        """Send a new set of weights."""
        self._frame = frame
        self._send()

    def repeat(self) -> None:
        """Send the last set again when a second has passed; call it in the loop."""
        if self._frame is not None and time.monotonic() - self._sent_s > _REPEAT_WEIGHTS_S:
            self._send()

    def _send(self) -> None:
        assert self._frame is not None
        self._sent_s = time.monotonic()
        self._socket.send(self._frame, copy=True)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class WeightSubscriber:
    """The actor's and the evaluator's side: the newest frame, or nothing."""

    def __init__(self, address: str) -> None:
        self._socket = zmq.Context.instance().socket(zmq.SUB)
        self._socket.setsockopt(zmq.CONFLATE, 1)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.connect(address)

    def newest(self, wait_s: float = 0.0) -> bytes | None:
        """The newest frame that has not been returned before, waiting up to `wait_s`."""
        if not self._socket.poll(int(wait_s * 1000)):
            return None
        return self._socket.recv()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
