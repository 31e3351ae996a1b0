"""A run's actor, learner or evaluator as a process of its own (`handrail actor run=…`).

It ends when it is told to, when its supervisor dies, and in any case within a few seconds of either.
"""

import ctypes
import importlib
import os
import signal
import sys
import threading
import time
from typing import Any

import structlog
from structlog.typing import EventDict

from handrail.agent.config import RunConfig
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose, runs, telemetry
from handrail.launch.options import Options
from handrail.robot_env.errors import HandrailError

HEARTBEAT_S = 1.0
GRACE_S = 4.0
ORPHAN_GRACE_S = 1.5
NICE = {"actor": 0, "learner": 19, "evaluator": 19}

_PR_SET_PDEATHSIG = 1


def main(options: Options, overrides: list[str]) -> int:
    """Run one role of a run until it is told to stop; `overrides` is empty: the run has its own."""
    role = options["command"]
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    parent = os.environ.get("HANDRAIL_PARENT")
    follow_parent(parent, stop)
    threading.Thread(target=_end_in_time, args=(stop, parent), daemon=True).start()
    os.nice(NICE[role])
    _log_as_json_lines(role)
    run = runs.find(options["run"], options["runs"])
    config = compose.load(run.config_file)
    report = telemetry.Reporter(telemetry.address(run.socket_dir()))
    beat = threading.Thread(target=_beat, args=(report, role, stop), daemon=True)
    beat.start()
    try:
        _run(role, run, config, stop, report)
    except HandrailError:
        raise
    except Exception:
        # The supervisor shows the last line; whoever looks into the log wants all of it.
        structlog.get_logger().exception("unexpected error")
        raise
    finally:
        stop.set()
        report.close()
    return 0


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


def _run(
    role: str, run: RunDirectory, config: RunConfig, stop: threading.Event, report: telemetry.Reporter
) -> None:
    # Imported here: the learner's torch is no business of the actor's start, and the reverse.
    module = importlib.import_module(f"handrail.agent.{role}")
    getattr(module, f"run_{role}")(run, config, stop, report)


def _beat(report: telemetry.Reporter, role: str, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_S):
        report({"kind": "heartbeat", "role": role})


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
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
