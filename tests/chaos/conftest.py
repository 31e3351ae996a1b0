"""A small real run whose actor and learner a test starts, kills and stops by itself.

The roles are driven directly, as `handrail actor run=…` and `handrail learner run=…`: the supervisor gives up
after three deaths in a minute, as it should, and these tests kill faster than that. The settings are small in
size only: every process, socket, lock and file is the product's own.
"""

import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

import pytest

from handrail.agent.history import RunHistory
from handrail.intervention.log_format import EpisodeEnd, EpisodeStart, Event, Scan, StepRecord
from handrail.intervention.log_reader import LogReader, segment_paths
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose, runs, telemetry

DEADLINE_S = 120.0
SETTINGS = (
    "agent.hidden=[32,32]",
    "agent.batch_size=32",
    "agent.clone_updates=50",
    "actor.demonstrations=2",
    "learner.training_starts=40",
    "learner.checkpoint_every_s=0.5",
    "log.segment_bytes=65536",
    "evaluation.episodes=1",
    "evaluation.first_step=10000000",
    "goal.successes=1",
    "goal.max_env_steps=10000000",
)


@dataclass
class SmallRun:
    """A run and its processes.

    Attributes:
        directory: where it is.
        collector: takes the reports that a supervisor would.
        committed: the highest log sequence that any actor has reported as on the disk.
        phases: each role's phase, from its newest report since it was last started.
        newest: each role's newest report.
        frames: (sequence, CRC of the payload) of every frame seen in the log so far.
        processes: what runs now, by role.
    """

    directory: RunDirectory
    collector: telemetry.Collector
    committed: int = 0
    phases: dict[str, str] = field(default_factory=dict)
    newest: dict[str, telemetry.Report] = field(default_factory=dict)
    frames: list[tuple[int, int]] = field(default_factory=list)
    processes: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def spawn(self, *words: str, terminal: int | None = None) -> subprocess.Popen[str]:
        """Start `handrail <words> run=…`; what it says is kept for `output`.

        Args:
            words: of the command line.
            terminal: what it reads from, and hears Ctrl-C by; None for neither.
        """
        before = () if terminal is None else ("setsid", "--ctty")
        return subprocess.Popen(
            [*before, *_command(*words), f"run={self.directory.path}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL if terminal is None else terminal,
            text=True,
        )

    def start(self, role: str) -> None:
        """Start a role; the test waits for its reports."""
        self.phases.pop(role, None)
        self.processes[role] = self.spawn(role)

    def kill(self, role: str) -> None:
        """SIGKILL a role, and forget what it still had to say but for what it had committed."""
        process = self.processes.pop(role)
        assert process.poll() is None, f"the {role} had ended by itself: {self.output(process)}"
        process.kill()
        process.communicate()
        self.listen(0.02)

    def listen(self, timeout_s: float) -> None:
        """Take in reports for so long."""
        end = time.monotonic() + timeout_s
        while (left := end - time.monotonic()) > 0:
            for report in self.collector.poll(left):
                if report["kind"] in ("actor", "learner"):
                    self.newest[report["kind"]] = report
                    self.phases[report["kind"]] = report["phase"]
                    self.committed = max(self.committed, report.get("committed", 0))

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Listen until `condition` holds; no process may end meanwhile."""
        end = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end, f"waited {DEADLINE_S} s for {what}; phases {self.phases}"
            for role, process in self.processes.items():
                assert process.poll() is None, f"the {role} ended by itself: {self.output(process)}"
            self.listen(0.02)

    def until_training(self) -> None:
        """Listen until both roles are at the run's main work."""
        wanted = {"actor": "train", "learner": "train"}
        self.until(lambda: self.phases == wanted, "training")

    def check_log(self) -> None:
        """Nothing committed is lost, nothing is there twice, nothing that was there has changed.

        The segments are scanned as bytes, because a `LogReader` would hide a duplicate.
        """
        paths = segment_paths(self.directory.segments)
        frames = [(each.sequence, crc32(each.payload)) for p in paths for each in Scan(p.read_bytes())]
        sequences = [sequence for sequence, _ in frames]
        assert sequences == list(range(1, len(frames) + 1)), "a gap or a duplicate in the log"
        assert len(frames) >= self.committed, "a committed frame is lost"
        assert frames[: len(self.frames)] == self.frames, "a frame that was in the log has changed"
        self.frames = frames

    def history(self, upto: int | None = None) -> RunHistory:
        """What the log adds up to, as far as a sequence or to its end."""
        counted = RunHistory()
        for sequence, record in LogReader(self.directory.segments).records(upto=upto):
            counted.ingest(sequence, record)
        return counted

    def check_episodes(self, *, last_may_be_open: bool = False) -> None:
        """Every episode's steps are numbered from 0 without gap or repetition, and it ends once."""
        steps: Counter[int] = Counter()
        ends: Counter[int] = Counter()
        started: list[int] = []
        for _, record in LogReader(self.directory.segments).records():
            match record:
                case EpisodeStart():
                    started.append(record.episode)
                case StepRecord():
                    assert (record.episode, record.step) == (started[-1], steps[record.episode])
                    steps[record.episode] += 1
                case EpisodeEnd():
                    assert record.steps == steps[record.episode]
                    ends[record.episode] += 1
                case Event() if record.kind == "aborted":
                    ends[record.episode] += 1
        assert started == list(range(len(started)))
        unended = [episode for episode in started if ends[episode] != 1]
        assert unended == [] or (last_may_be_open and unended == started[-1:] and ends[unended[0]] == 0)

    def supervise(self, *overrides: str) -> subprocess.CompletedProcess[str]:
        """Run `handrail train` on the run to its end; it collects the reports itself."""
        self.collector.close()
        words = (f"run={self.directory.path}", "display=plain", "console=off", *overrides)
        command = [*_command("train"), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)

    @staticmethod
    def output(process: subprocess.Popen[str]) -> str:
        """What a process has had to say, once it has ended."""
        return "".join(process.communicate(timeout=DEADLINE_S)).strip()

    def end(self) -> None:
        """Kill whatever still runs."""
        for process in self.processes.values():
            process.kill()
            process.communicate()
        self.processes.clear()
        self.collector.close()
        shutil.rmtree(self.directory.socket_dir(), ignore_errors=True)


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "handrail.launch.cli", *words]


@pytest.fixture
def make_run(tmp_path: Path) -> Iterator[Callable[..., SmallRun]]:
    """Makes fresh runs, with nothing started yet, from settings beside the small ones."""
    made: list[SmallRun] = []

    def make(*more: str) -> SmallRun:
        settings = (*SETTINGS, *more)
        directory = runs.create(f"small-{len(made)}", str(tmp_path), compose.compose(settings), settings)
        made.append(SmallRun(directory, telemetry.Collector(telemetry.address(directory.socket_dir()))))
        return made[-1]

    yield make
    for each in made:
        each.end()


@pytest.fixture
def run(make_run: Callable[..., SmallRun]) -> SmallRun:
    """A fresh run in lockstep, with nothing started yet."""
    return make_run()
