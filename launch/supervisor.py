"""A run from start to goal: its processes, their reports, the summary, and a clean end.

The supervisor drives nothing and trains nothing. Kill it, and its processes stop by themselves; start it
again with `run=<id>`, and they go on from the log and the last checkpoint.
"""

import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from types import FrameType

from handrail.agent.config import RunConfig
from handrail.agent.history import RunHistory
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import runs, summary, telemetry
from handrail.launch.display import Display, clock
from handrail.launch.errors import ChildFailed
from handrail.launch.processes import MAX_RESTARTS, ProcessGroup, ProcessSpec
from handrail.launch.view import RunView
from handrail.robot_env.errors import HandrailError

_POLL_S = 0.1
_SUMMARY_EVERY_S = 10.0
_LAST_EVALUATION_S = 60.0  # how long the last weights of a spent budget may take to be evaluated
_LAST_REPORT_S = 2.0  # how long a report may be on its way
_ARM_START_S = 60.0  # how long an arm server may take to reach its arm
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

ARM_SERVER = "arm-server"
_FINISHING = ("actor", "evaluator")
"""Those whose work has an end: all steps are taken, the goal is reached."""


class Outcome(Enum):
    """How a session ended."""

    REACHED = "reached"
    SPENT = "spent"
    STOPPED = "stopped"


class Interrupt:
    """Whether a signal has asked for the end. A second one asks for the same, to the last moment."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """The handler."""
        self.number = self.number or number

    @contextmanager
    def installed(self) -> Iterator["Interrupt"]:
        """Handle SIGINT, SIGTERM and SIGHUP until the block ends; main thread only.

        Once one has come they are ignored after the block as well: what is still to be closed there is not to
        be torn, and an interpreter that winds up would die of the next one.
        """
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self) for number in numbers}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler if self.number is None else signal.SIG_IGN)


def process_specs(run: RunDirectory, config: RunConfig, arm_address: str | None = None) -> list[ProcessSpec]:
    """The processes of a run: each `handrail <role>` with its own number of threads.

    Args:
        run: the run's directory.
        config: its configuration.
        arm_address: where an arm server of the run's own is to listen; None when it needs none, or one is
            there already.
    """
    threads = {"learner": config.learner.torch_threads, "actor": 1, "evaluator": 1}
    if config.env.arm.real:
        del threads["evaluator"]  # one arm cannot be trained and evaluated at once
    if arm_address is not None:
        threads = {ARM_SERVER: 1} | threads
    at = () if arm_address is None else (f"arm_address={arm_address}",)
    return [
        ProcessSpec(
            role,
            (sys.executable, "-m", "handrail.launch.cli", role, f"run={run.path}")
            + (at if role in (ARM_SERVER, "actor") else ()),
            run.logs / f"{role}.log",
            dict.fromkeys(_THREAD_VARIABLES, str(count)),
            terminal=role == "actor" and config.actor.device == "keyboard",
            finishes=role in _FINISHING,
            # An actor begins by moving the arm to a start. A real one waits for somebody who has looked.
            max_restarts=0 if role == "actor" and config.env.arm.real else MAX_RESTARTS,
            outlives=role == ARM_SERVER,
        )
        for role, count in threads.items()
    ]


class Supervisor:
    """One session of a run. Used once, from the main thread.

    Args:
        run: the run's directory.
        view: takes the reports; it has the configuration.
        display: shows the view.
        specs: the processes; `process_specs` makes them.

    Attributes:
        result: what the run has come to, and what it took, in words; "" before the end.
    """

    def __init__(
        self, run: RunDirectory, view: RunView, display: Display, specs: Sequence[ProcessSpec]
    ) -> None:
        self._run, self._view, self._display, self._specs = run, view, display, specs
        self._began = time.monotonic()
        self._wall_before_s = summary.wall_s_before(run.summary_file)
        self._summarised = self._began
        self._spent_at: float | None = None
        self._evaluations_then = 0
        self._relay: Callable[[telemetry.Report], None] = lambda _: None
        self.result = ""

    @property
    def wall_s(self) -> float:
        """Time the run has taken, earlier sessions included [s]."""
        return self._wall_before_s + time.monotonic() - self._began

    def supervise(self, interrupt: Interrupt) -> Outcome:
        """Run the processes until the goal, the budget's end or an interrupt; then end all of them.

        The caller holds the run's "supervisor" lock.

        Raises:
            ChildFailed: a process failed for good; the others have been ended.
        """
        runs.keep_config(self._run, self._view.config)
        sockets = self._run.socket_dir()
        collector = telemetry.Collector(telemetry.address(sockets))
        relay = telemetry.Relay(telemetry.relay_address(sockets))
        self._relay = relay
        group = ProcessGroup(self._specs, on_event=self._tell)
        outcome, why = "failed", "of an unexpected error; the terminal has more"
        try:
            started = self._start(collector, group, interrupt)
            ended = self._watch(collector, group, interrupt) if started else Outcome.STOPPED
            outcome, why = ended.value, ""
            return ended
        except HandrailError as error:
            why = " ".join(str(error).split())
            raise
        finally:
            try:
                # Before anything falls silent: whoever looks on is not to take the end for a loss.
                self._say_end(outcome, why, final=False)
                group.stop(optional=False)
                self._take(collector, group, 0.05)
                self._count_log()
                self._say_end(outcome, why, final=True)
                self._summarise()
            finally:
                group.stop()
                collector.close()
                relay.close()

    def _start(self, collector: telemetry.Collector, group: ProcessGroup, interrupt: Interrupt) -> bool:
        """Start everything, the arm server first: the actor needs it. False when interrupted meanwhile.

        What the others do without is there at once: somebody may want to see why the arm server is not.
        """
        first = [spec.role for spec in self._specs if spec.outlives]
        group.start([*first, *(spec.role for spec in self._specs if spec.optional)])
        deadline = time.monotonic() + _ARM_START_S
        while first and not self._view.arm:
            if interrupt.number is not None:
                return False
            if time.monotonic() > deadline:
                raise ChildFailed(
                    f"the {first[0]} has said nothing for {_ARM_START_S:.0f} s; see {self._run.logs}"
                )
            self._take(collector, group, _POLL_S)
            group.poll()
            self._display.update()
        group.start()
        return True

    def _watch(self, collector: telemetry.Collector, group: ProcessGroup, interrupt: Interrupt) -> Outcome:
        while interrupt.number is None:
            group.poll()  # first: of an actor that heard the same Ctrl-C, nobody says that it died
            self._take(collector, group, _POLL_S)
            self._display.update()
            now = time.monotonic()
            if now - self._summarised > _SUMMARY_EVERY_S:
                self._summarised = now
                self._summarise()
            if self._view.reached:
                return Outcome.REACHED
            if self._budget_spent(now, actor_ended=group.ended("actor")):
                return Outcome.SPENT
        return Outcome.STOPPED

    def _take(self, collector: telemetry.Collector, group: ProcessGroup, timeout_s: float) -> None:
        for report in collector.poll(timeout_s):
            kind = str(report["kind"])
            group.heard(str(report.get("role", "evaluator" if kind == "evaluation" else kind)))
            self._view.take(report)
            self._relay(report)

    def _tell(self, event: str) -> None:
        """Something happened to a process: the display and whoever looks on should know."""
        self._display.tell(event)
        self._relay({"kind": "notice", "text": event})

    def _say_end(self, outcome: str, why: str, *, final: bool) -> None:
        """Tell whoever looks on how it ends, and what it has come to as far as that is known."""
        view = self._view
        cost = f"{view.env_steps} steps, {view.robot_minutes:.1f} robot minutes, {clock(self.wall_s)} in all"
        self.result = f"{summary.score(view)} after {cost}"
        self._relay(telemetry.ending(outcome, why, self.result, final=final))

    def _budget_spent(self, now: float, *, actor_ended: bool) -> bool:
        """Whether nothing more can come: the budget is used up, and its last weights have been evaluated."""
        goal = self._view.config.goal
        over_time = goal.max_wall_s is not None and self.wall_s > goal.max_wall_s
        if not (over_time or actor_ended or self._view.env_steps >= goal.max_env_steps):
            return False
        if self._spent_at is None:
            self._spent_at = now
            self._evaluations_then = len(self._view.evaluations)
        another = self._view.evaluations[self._evaluations_then :]
        failed = bool(another) and not another[-1].get("passed")
        waited_s = now - self._spent_at
        patience_s = _LAST_EVALUATION_S if self._view.evaluation_due else _LAST_REPORT_S
        return over_time or failed or waited_s > patience_s

    def _count_log(self) -> None:
        """Replace the last reports' counters by what the log says: a report may be a moment old."""
        history = RunHistory()
        for sequence, record in LogReader(self._run.segments).records():
            history.ingest(sequence, record)
        self._view.actor = self._view.actor | {
            "env_steps": history.online_steps,
            "human_steps": history.human_steps,
            "takeovers": history.takeovers,
            "demonstration_steps": history.demonstration_steps,
            "episode": max(0, history.next_episode - 1),
            "committed": history.sequence,
        }

    def _summarise(self) -> None:
        summary.write(self._run.summary_file, summary.summarise(self._view, self.wall_s))


def view_of(run: RunDirectory, config: RunConfig) -> RunView:
    """A view of a run with what earlier sessions left."""
    return RunView(run.id, config, evaluations=runs.evaluations(run))
