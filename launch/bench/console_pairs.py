"""Whether people who look on disturb the control loop: a run in real time, watched and not, in turns.

The simulated arm behind its server, actor, learner and console are the product's. Three viewers take the live
state and every picture over the sockets that a browser uses, from one process; their browsers are elsewhere,
as they would be. What the machine does by itself drifts, so each round measures both, one after the other,
and what counts is the difference.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import msgspec
import zmq

from handrail.intervention.run_directory import RunDirectory
from handrail.launch.bench.console_side import Served, look_on, served
from handrail.launch.bench.figures import Figure
from handrail.launch.bench.side import other_side
from handrail.launch.errors import BenchSilent
from handrail.launch.telemetry import relay_address

VIEWERS = 3
_STRETCH_S = 15.0
_SETTLE_S = 2.0
_TRAINING_S = 180.0
_SILENT_S = 30.0
_WORDS = (
    "arm=sim_server",
    "env.hz=20",
    "actor.demonstrations=2",
    "agent.clone_updates=200",
    "env.task.max_steps=1000",
    "evaluation.first_step=10000000",
    "goal.max_env_steps=10000000",
)


class Reports:
    """The actor's reports, as the supervisor passes them on."""

    def __init__(self, run: RunDirectory) -> None:
        self._socket = zmq.Context.instance().socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        self._socket.connect(relay_address(run.socket_dir()))

    def wait(self, wanted: Callable[[dict[str, Any]], bool], what: str, patience_s: float) -> dict[str, Any]:
        """The next report of the actor that is `wanted`.

        Raises:
            BenchSilent: none came.
        """
        deadline_s = time.monotonic() + patience_s
        while (left_s := deadline_s - time.monotonic()) > 0.0:
            if not self._socket.poll(int(1000 * left_s) + 1):
                break
            report = msgspec.msgpack.decode(self._socket.recv())
            if report.get("kind") == "actor" and wanted(report):
                return report
        raise BenchSilent(f"{what}: not within {patience_s:.0f} s")

    def next(self) -> dict[str, Any]:
        """One that was sent from now on."""
        while self._socket.poll(0):
            self._socket.recv()
        return self.wait(lambda report: True, "the actor reported nothing", _SILENT_S)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def overruns(folder: Path, rounds: int) -> Iterator[Figure]:
    """Overruns in a thousand steps, with nobody and with `VIEWERS`, and the difference with its spread.

    Args:
        folder: for the run.
        rounds: how often each is measured.
    """
    words = ("train", f"runs={folder}", "run=pairs", "console=127.0.0.1:0", "display=plain", *_WORDS)
    with served(folder / "pairs.out", *words) as session:
        reports = Reports(RunDirectory(folder / "pairs"))
        try:
            reports.wait(_driving, "no policy drove", _TRAINING_S)
            pairs = [_pair(session, reports, watched_first=bool(number % 2)) for number in range(rounds)]
        finally:
            reports.close()
    alone, watched = zip(*pairs, strict=True)
    differences = [with_them - without for without, with_them in pairs]
    yield Figure("overruns_nobody", mean(alone), "of 1000 steps")
    yield Figure("overruns_three_viewers", mean(watched), "of 1000 steps")
    yield Figure("overruns_difference", mean(differences), "of 1000 steps")
    if rounds > 1:
        yield Figure("overruns_difference_error", stdev(differences) / rounds**0.5, "of 1000 steps")


def _driving(report: dict[str, Any]) -> bool:
    return report.get("phase") == "train" and report.get("driver") in ("policy", "human")


def _pair(session: Served, reports: Reports, watched_first: bool) -> tuple[float, float]:
    """Overruns in a thousand steps: with nobody, with viewers."""
    found = {watched: _stretch(session, reports, watched) for watched in (watched_first, not watched_first)}
    return found[False], found[True]


def _stretch(session: Served, reports: Reports, watched: bool) -> float:
    if not watched:
        return _counted(reports)
    with other_side(look_on, session.address, session.tokens["viewer"], str(VIEWERS)) as viewers:
        viewers.lines.next("looking")
        found = _counted(reports)
        if viewers.process.poll() is not None:
            raise BenchSilent("those who looked on went away; see what they said above")
        return found


def _counted(reports: Reports) -> float:
    time.sleep(_SETTLE_S)
    before = reports.next()
    time.sleep(_STRETCH_S)
    after = reports.next()
    steps = after["env_steps"] - before["env_steps"]
    if steps < 1:
        raise BenchSilent(
            f"the control loop took no step within {_STRETCH_S:.0f} s; it was {after['driver']}"
        )
    return 1000.0 * (after["overruns"] - before["overruns"]) / steps
