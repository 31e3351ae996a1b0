"""Reports from a run's processes to its supervisor: plain dicts over a local socket, never waited for.

A report is news, not truth (the truth is the episode log), so a full queue drops reports and counts them,
and a process that reports to nobody does not notice.
"""

import threading
from pathlib import Path
from typing import Any

import msgspec
import zmq

from handrail.robot_env.unpacking import Malformed, unpack

Report = dict[str, Any]

_QUEUE = 1000
_LARGEST = 1 << 16
_LAST_MS = 200
_reports = msgspec.msgpack.Decoder(dict[str, Any])


def address(socket_dir: Path) -> str:
    """Where a run's reports go."""
    return f"ipc://{socket_dir / 'telemetry'}"


def relay_address(socket_dir: Path) -> str:
    """Where a run's supervisor tells again what has been reported to it, for whoever looks on."""
    return f"ipc://{socket_dir / 'reports'}"


def ending(outcome: str, why: str, result: str, *, final: bool) -> Report:
    """What a supervisor says before it ends the processes, and again once it has.

    Args:
        outcome: "reached", "spent", "stopped" or "failed".
        why: it failed; "" otherwise.
        result: of the policy, and what it took.
        final: whether nothing can move the arm any more.
    """
    return {"kind": "end", "outcome": outcome, "why": why, "result": result, "final": final}


class Reporter:
    """The sending end, in each process; any thread may call it.

    Args:
        where: the collector's address; it need not be there yet, or any more.

    Attributes:
        dropped: reports dropped because the queue was full.
    """

    def __init__(self, where: str) -> None:
        self.dropped = 0
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUSH)
        self._socket.setsockopt(zmq.SNDHWM, _QUEUE)
        # At the end, what was reported last (an evaluation, a counter) may still leave: briefly.
        self._socket.setsockopt(zmq.LINGER, _LAST_MS)
        self._socket.connect(where)
        self._lock = threading.Lock()  # a ZMQ socket belongs to one thread at a time
        self._encoder = msgspec.msgpack.Encoder(enc_hook=_scalar)

    def __call__(self, report: Report) -> None:
        """Send a report, or drop it; returns at once."""
        with self._lock:
            if self._socket.closed:
                return
            try:
                self._socket.send(self._encoder.encode(report), zmq.NOBLOCK)
            except zmq.Again:
                self.dropped += 1

    def close(self) -> None:
        """Let the last reports leave (0.2 s at most) and close."""
        with self._lock:
            self._socket.close()
        self._context.term()


class Collector:
    """The receiving end, in the supervisor; for one thread.

    Args:
        where: the address to listen on.

    Attributes:
        malformed: frames that were no reports; counted and survived.
    """

    def __init__(self, where: str) -> None:
        self.malformed = 0
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PULL)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, _QUEUE)
        self._socket.setsockopt(zmq.MAXMSGSIZE, _LARGEST)
        self._socket.bind(where)

    def poll(self, timeout_s: float) -> list[Report]:
        """Every report that is there; waits up to `timeout_s` for the first."""
        reports: list[Report] = []
        if not self._socket.poll(int(timeout_s * 1000)):
            return reports
        # Bounded, so that a flood cannot keep the supervisor from its other duties.
        for _ in range(_QUEUE):
            try:
                frame = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                break
            report = decode(frame)
            if report is None:
                self.malformed += 1
            else:
                reports.append(report)
        return reports

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()
        self._context.term()


class Relay:
    """Tells every report again, to whoever subscribes; for one thread. Nothing here waits.

    Args:
        where: the address to bind.
    """

    def __init__(self, where: str) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.setsockopt(zmq.SNDHWM, _QUEUE)
        self._socket.setsockopt(zmq.LINGER, _LAST_MS)
        self._socket.bind(where)
        self._encoder = msgspec.msgpack.Encoder()

    def __call__(self, report: Report) -> None:
        """Tell it to whoever is there; who is slow loses it."""
        self._socket.send(self._encoder.encode(report), zmq.NOBLOCK)

    def close(self) -> None:
        """Tell no more."""
        self._socket.close()
        self._context.term()


def decode(frame: bytes) -> Report | None:
    """One report as it travels; None for what is none."""
    try:
        report = unpack(_reports, frame)
    except Malformed:
        return None
    return report if isinstance(report.get("kind"), str) else None


def _scalar(value: Any) -> Any:
    """NumPy and torch scalars by their Python values."""
    if hasattr(value, "item"):
        return value.item()
    raise NotImplementedError(f"a report holds plain values, not {type(value).__name__}")
