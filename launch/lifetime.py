"""How a process of Handrail's begins and ends: signals, its supervisor's death, its log and its heartbeat.

It ends when it is told to, when its supervisor dies, and in any case within a few seconds of either.
"""

import _thread
import ctypes
import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict

from handrail.launch import telemetry

HEARTBEAT_S = 1.0
STUCK_BEATS = 120
"""For so many heartbeats a loop may say nothing: longer than any waits for an arm, for its cameras, or, on a
busy machine, for one update. Counted, not timed: while the whole machine stands still, none is counted."""
GRACE_S = 4.0
ORPHAN_GRACE_S = 1.5

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_PR_SET_PDEATHSIG = 1


def begin(role: str) -> threading.Event:
    """Prepare this process for its role; call it first, in the main thread.

    Returns:
        Set when the process is to end: by SIGTERM, by Ctrl-C, or because its supervisor has died.
    """
    stop = threading.Event()

    def end(*_: object) -> None:
        # Not here: this thread may be within the event, in `wait` or at an earlier signal, and its lock would
        # be waited for for ever. Nor by `threading`, which has locks of its own.
        _thread.start_new_thread(stop.set, ())
        for number in _SIGNALS:  # it ends now in any case; its interpreter, winding up, would die of another
            signal.signal(number, signal.SIG_IGN)

    for number in _SIGNALS:
        signal.signal(number, end)
    parent = os.environ.get("HANDRAIL_PARENT")
    follow_parent(parent, stop)
    threading.Thread(target=_end_in_time, args=(stop, parent), daemon=True).start()
    _log_as_json_lines(role)
    return stop


@contextmanager
def loading(stop: threading.Event) -> Iterator[None]:
    """While packages load, which may take seconds, a signal ends the process at once; main thread only.

    Nothing is open yet that could be lost, and whoever waits for the end of a run need not wait for torch.

    Args:
        stop: as `begin` returned it; a process that has been told to end already does so here.
    """

    def end(*_: object) -> None:
        die_as_told()
        os._exit(0)

    before = {number: signal.signal(number, end) for number in _SIGNALS}
    if stop.is_set() or signal.SIG_IGN in before.values():  # as `begin` leaves them to who was told
        end()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def follow_parent(parent: str | None, stop: threading.Event) -> None:
    """Have the kernel send SIGTERM when the process that started this one dies.

    Args:
        parent: its process id; None when nobody supervises this process, and nothing is done.
        stop: set when the parent has died before the kernel was asked.
    """
    if parent is None:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):
        stop.set()


def die_as_told() -> None:
    """Under a supervisor, die of SIGTERM; without one, nothing happens.

    For the end of a process that was told to end. Its supervisor may not be who told it, and would take exit
    code 0 for work that is done.
    """
    if "HANDRAIL_PARENT" in os.environ:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)


def beat(
    report: Callable[[telemetry.Report], None], role: str, stop: threading.Event
) -> Callable[[telemetry.Report], None]:
    """Say once a second, from a thread of its own, that `role` lives, for as long as its loop does.

    Until the loop has first reported, it may load and read for as long as it takes. From then on one that
    reports nothing for `STUCK_BEATS` is stuck: where each thread stands is written into the log, and nothing
    more is said, which is for the supervisor to see to.

    Args:
        report: takes reports.
        role: whose.
        stop: ends it.

    Returns:
        What the loop reports by.
    """
    spoken = threading.Event()

    def speak(said: telemetry.Report) -> None:
        spoken.set()
        report(said)

    def go_on() -> None:
        begun, beats = False, 0
        while not stop.wait(HEARTBEAT_S):
            if spoken.is_set():
                spoken.clear()
                begun, beats = True, 0
            beats += begun
            if beats <= STUCK_BEATS:
                report({"kind": "heartbeat", "role": role})
            elif beats == STUCK_BEATS + 1:
                faulthandler.dump_traceback(sys.stderr)
                quiet = f"its loop had said nothing for {STUCK_BEATS * HEARTBEAT_S:.0f} s"
                sys.stderr.write(f"handrail: {quiet}; where each of its threads stood is above\n")

    threading.Thread(target=go_on, name="heartbeat", daemon=True).start()
    return speak


def _end_in_time(stop: threading.Event, parent: str | None) -> None:
    """Once told to stop, the process ends: by itself if it can, without asking if it cannot."""
    stop.wait()
    orphaned = parent is not None and os.getppid() != int(parent)
    time.sleep(ORPHAN_GRACE_S if orphaned else GRACE_S)
    os._exit(1)


def _log_as_json_lines(role: str) -> None:
    def add_role(_: Any, __: str, event: EventDict) -> EventDict:
        return {"role": role, **event}

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            add_role,
            # Where it happened, and nothing of what was in its variables: a token may be.
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
