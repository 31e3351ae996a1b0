"""A run as its operator meets it: `handrail train` in simulation, its console, and what it says of itself.

A browser test asserts by the run's own words (its feed, its reports, its log), never by the page alone.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import zmq
from console_page import Person

from handrail.intervention.console.feed import FeedReader
from handrail.intervention.console.messages import Ended, Now, Step, Steps, feed_address
from handrail.intervention.index import EpisodeIndex, EpisodeRow
from handrail.intervention.log_format import Event
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch.bench.console_side import Served
from handrail.launch.processes import last_line
from handrail.launch.telemetry import relay_address

PATIENCE_S = 60.0
"""How long anything may take on a machine that others share [s]."""
SMALL = (
    "actor.demonstrations=2",
    "agent.clone_updates=50",
    "agent.hidden=[32,32]",
    "agent.batch_size=32",
    "learner.training_starts=10",
    "learner.metrics_every=20",
    "operator.level=budgeted",  # demonstrates, and then leaves the policy alone:
    "operator.budget_s=0",
    "env.task.max_steps=300",
    "evaluation.first_step=10000000",
    "goal.max_env_steps=1000000",
)
"""Ready for its operator within seconds, endless, with episodes of half a minute in real time."""
_ADDRESS = re.compile(r"(https?://[^\s/]+)/\S*token=([\w.~%-]+)")


class Witness:
    """Hears what a run says of itself: its feed and its reports; a thread of its own.

    Attributes:
        steps: of every episode, by number.
        ended: episodes that have ended, by number.
        learner, actor: the newest report of each, all of its keys so far.
    """

    def __init__(self, run: RunDirectory) -> None:
        self.now: Now | None = None
        self.steps: dict[int, list[Step]] = {}
        self.ended: dict[int, Ended] = {}
        self.learner: dict[str, Any] = {}
        self.actor: dict[str, Any] = {}
        self._changed = threading.Condition()
        self._stop = threading.Event()
        sockets = run.socket_dir()
        self._feed = FeedReader(feed_address(sockets))
        self._reports = zmq.Context.instance().socket(zmq.SUB)
        self._reports.setsockopt(zmq.LINGER, 0)
        self._reports.setsockopt(zmq.SUBSCRIBE, b"")
        self._reports.connect(relay_address(sockets))
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def wait(self, holds: Callable[["Witness"], object], what: str, timeout_s: float = PATIENCE_S) -> None:
        """Wait until something holds of what was heard."""
        assert self.saw(holds, timeout_s), f"waited {timeout_s:.0f} s for {what}; the run says {self.now}"

    def saw(self, holds: Callable[["Witness"], object], timeout_s: float) -> bool:
        """Whether something comes to hold of what was heard within a time."""
        with self._changed:
            return bool(self._changed.wait_for(lambda: holds(self), timeout_s))

    def until(self, holds: Callable[[Now], object], what: str, timeout_s: float = PATIENCE_S) -> Now:
        """Wait until something holds of the control loop's state, and return that state."""
        found: list[Now] = []

        def check(witness: "Witness") -> bool:
            found[:] = [witness.now] if witness.now is not None else []
            return bool(found) and bool(holds(found[0]))

        self.wait(check, what, timeout_s)
        return found[0]

    def close(self) -> None:
        """End the thread and close the sockets."""
        self._stop.set()
        self._thread.join(10.0)
        self._feed.close()
        self._reports.close()

    def _listen(self) -> None:
        poller = zmq.Poller()
        poller.register(self._feed.socket, zmq.POLLIN)
        poller.register(self._reports, zmq.POLLIN)
        while not self._stop.is_set():
            ready = dict(poller.poll(50))
            with self._changed:
                if self._feed.socket in ready:
                    for message in self._feed.poll(0.0):
                        self._take(message)
                if self._reports in ready:
                    report = msgspec.msgpack.decode(self._reports.recv())
                    kept = {"learner": self.learner, "actor": self.actor}.get(report.get("kind"), {})
                    kept.update(report)
                self._changed.notify_all()

    def _take(self, message: object) -> None:
        match message:
            case Now():
                self.now = message
            case Steps():
                self.steps.setdefault(message.episode, []).extend(message.steps)
            case Ended():
                self.ended[message.episode] = message


class ConsoleRun:
    """`handrail train` with a console, until `close`.

    Args:
        folder: for the run and what its processes print.
        words: of the command line.
        run_id: the run's name.
        small: whether `SMALL` goes before them.

    Attributes:
        address: of the console, such as "http://127.0.0.1:40123".
        tokens: role to token.
    """

    def __init__(self, folder: Path, *words: str, run_id: str = "live", small: bool = True) -> None:
        self.folder = folder
        self._printed = folder / "train.out"
        command = ("train", f"runs={folder}", f"run={run_id}", "console=127.0.0.1:0", "display=plain")
        with self._printed.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "handrail.launch.cli", *command, *(SMALL if small else ()), *words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, "COLUMNS": "200"},
            )
        self.run = RunDirectory(folder / run_id)
        try:
            self.address, self.tokens = self._printed_address()
            self.heard = Witness(self.run)
        except BaseException:
            self._end()
            raise

    def printed(self) -> str:
        """All that the command has printed."""
        return self._printed.read_text(errors="replace")

    def _printed_address(self) -> tuple[str, dict[str, str]]:
        deadline_s = time.monotonic() + PATIENCE_S
        while len(found := _ADDRESS.findall(self.printed())) < 2:
            running = self.process.poll() is None and time.monotonic() < deadline_s
            assert running, f"no console's address in what `handrail train` printed:\n{self.printed()}"
            time.sleep(0.05)
        (address, operator), (_, viewer) = found[:2]
        return address, {"operator": operator, "viewer": viewer}

    def pid(self, role: str) -> int:
        """The process of a role ("console", "actor", …) of this run."""
        for path in Path("/proc").glob("[0-9]*"):
            try:
                words = (path / "cmdline").read_bytes().decode().split("\0")
            except (OSError, UnicodeDecodeError):
                continue
            if role in words and f"run={self.run.path}" in words:
                return int(path.name)
        raise AssertionError(f"no process {role!r} of {self.run.path}")

    def episodes(self) -> list[EpisodeRow]:
        """Every episode in the log."""
        with EpisodeIndex(self.run.index_file, LogReader(self.run.segments)) as index:
            index.refresh()
            return index.episodes()

    def episode(self, number: int) -> EpisodeRow:
        """One episode in the log."""
        return next(row for row in self.episodes() if row.episode == number)

    def events(self, number: int) -> list[Event]:
        """What was said about an episode, oldest first."""
        with EpisodeIndex(self.run.index_file, LogReader(self.run.segments)) as index:
            index.refresh()
            return [event for _, event in index.events(number)]

    def verdicts(self, number: int) -> list[Event]:
        """Those of them that say what the episode was."""
        return [event for event in self.events(number) if event.kind not in ("stopped", "paused", "resumed")]

    def wait_for_event(self, episode: int, **wanted: object) -> Event:
        """Wait until the log holds an event about an episode with these fields."""
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            said = self.events(episode)
            for event in said:
                if all(getattr(event, name) == value for name, value in wanted.items()):
                    return event
            assert time.monotonic() < deadline_s, f"no event {wanted} of episode {episode} among {said}"
            time.sleep(0.1)

    def wait_for_training(self) -> None:
        """Wait until a policy drives."""

        def driven(heard: Witness) -> bool:
            return heard.now is not None and heard.now.purpose == "train" and heard.now.running

        deadline_s = time.monotonic() + PATIENCE_S
        while not self.heard.saw(driven, 0.5):
            going_on = self.process.poll() is None and time.monotonic() < deadline_s
            assert going_on, (
                f"no policy drives; `handrail train` has printed:\n{self.printed()}\n{self.logs()}"
            )

    def logs(self) -> str:
        """The last that every process of the run has said."""
        return "\n".join(f"{path.name}: {last_line(path)}" for path in sorted(self.run.logs.glob("*.log")))

    def close(self) -> None:
        """Ctrl-C, as the operator would, and wait for the end."""
        self.heard.close()
        self._end()

    def _end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(30.0)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


def fresh(live: ConsoleRun, person: Person) -> Now:
    """Slow the simulation down to real time, and wait for an episode that has its time before it."""
    if person.act("drive").get_attribute("aria-pressed") != "true":
        person.drive()
    now = live.heard.until(lambda now: now.running and now.real_time, "an episode in real time")
    if now.step > now.most_steps // 2:
        person.ask_raw("reset", episode=now.episode)
    return live.heard.until(
        lambda now: now.running and now.real_time and 0 < now.step <= now.most_steps // 2, "a young episode"
    )


@dataclass(frozen=True)
class Kept:
    """A run whose control loop has ended, and its console."""

    run: RunDirectory
    console: Served
