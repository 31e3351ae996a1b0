"""SIGTERM, and Ctrl-C twice, while a served arm is driven: in every phase it holds, and nothing is lost.

A run is ended in one phase and taken up again for the next, as an operator would. The suite ends the commands
by turns, one way or the other; each in both ways in every phase:

    HANDRAIL_CHAOS_ENDS=all python -m pytest tests/chaos/test_ends_served.py
"""

import json
import os
import random
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from handrail.intervention.console.client import DeskClient
from handrail.intervention.console.feed import FeedReader
from handrail.intervention.console.messages import Now, feed_address
from handrail.intervention.log_format import StepRecord
from handrail.intervention.log_reader import LogReader
from handrail.launch import arm_link, compose
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import ArmError
from handrail.robot_env.remote.operator import ArmOperator
from handrail.robot_env.remote.supervisor import JOINTS

PATIENCE_S = 60.0
LIMIT_S = 5.0
SIGTERM, CTRL_C = "SIGTERM", "Ctrl-C twice"
EVERY = os.environ.get("HANDRAIL_CHAOS_ENDS") == "all"
SERVED = (
    "arm=sim_server",
    "env.arm.server.watchdog_s=2",  # the machine stalls, and a HOLD in time is to be the stop's
    "env.arm.server.reading_age_s=2",
    "env.hz=20",
    "actor.countdown_s=0.5",
    "actor.demonstrations=1",
    "operator.level=expert",
    "agent.clone_updates=300",
    "env.arm.joint_home=[0,-0.19,0,-2.51,0,2.32,1.085]",
    "env.arm.joint_home_every=1",
    "env.arm.joint_speed=0.03",  # seven seconds
)
DELAYS = random.Random(0)

pytestmark = [pytest.mark.realtime, pytest.mark.slow, pytest.mark.timeout(300)]


class Driven:
    """A command that drives a served arm, as a console and `handrail arm state` see it.

    Args:
        run: whose arm it drives.
        arm: where its server is.
        process: the command.
    """

    def __init__(self, run, arm: EnvConfig, process: subprocess.Popen[str]) -> None:
        self.run, self.arm, self.process = run, arm, process
        self._sockets = run.directory.socket_dir()
        self._feed = FeedReader(feed_address(self._sockets), topics=["live"])
        self.now: Now | None = None

    def close(self) -> None:
        """Let go of it."""
        self._feed.close()
        self.process.kill()
        self.process.communicate()

    def until(self, holds: Callable[[Now], bool], what: str) -> None:
        """Wait until its control loop says that something holds."""
        end_s = time.monotonic() + PATIENCE_S
        while True:
            for each in self._feed.poll(0.1):
                if isinstance(each, Now):
                    self.now = each
                    if holds(each):
                        return
            assert self.process.poll() is None, self.run.output(self.process)
            assert time.monotonic() < end_s, f"waited {PATIENCE_S} s for {what}; it says {self.now}"

    def stepping(self, purpose: str) -> None:
        """Wait until an episode is under way."""
        self.until(
            lambda now: now.running and now.purpose == purpose and now.step > 3, f"a {purpose} episode"
        )

    def ask(self, verb) -> None:
        """Ask for something at the console, which makes somebody there."""
        with DeskClient(self._sockets) as desk:
            assert desk.ask(verb, "ada", timeout_s=10.0).status == "done"

    # The phases: each gets there
    # -----------------------------------------------------------------------------------------------

    def episode(self, purpose: str) -> None:
        """In the middle of an episode."""
        self.stepping(purpose)

    def reset(self, purpose: str) -> None:
        """On the way to a start."""
        self.until(lambda now: now.driver == "reset" and now.purpose == purpose, "a reset")
        with ArmOperator(self.arm) as watch:
            assert watch.feed.wait(lambda state: state.mode == "run", PATIENCE_S)

    def countdown(self, purpose: str) -> None:
        """Just before the arm moves to a start."""
        self.until(lambda now: now.driver == "countdown" and now.purpose == purpose, "a countdown")

    def paused(self, purpose: str) -> None:
        """In an episode that an operator has paused."""
        self.stepping(purpose)
        self.ask("pause")
        self.until(lambda now: now.paused and now.running, "the pause")

    def held(self, purpose: str) -> None:
        """Between two episodes, after a stop at the arm, until somebody resumes."""
        self.stepping(purpose)
        self.ask("pause")
        with ArmOperator(self.arm) as operator:
            assert operator.stop()
        self.until(lambda now: now.driver == "held", "the hold")

    def joints(self, purpose: str) -> None:
        """In the motion of the joints on the way to a later start."""
        self.stepping(purpose)
        with ArmOperator(self.arm) as watch:
            assert watch.feed.wait(lambda state: state.job == JOINTS, PATIENCE_S)

    def waiting(self, _: str) -> None:
        """For the learner's first weights."""
        self.until(lambda now: now.driver == "waiting" and "weights" in now.reason, "waiting")


@contextmanager
def driven(run, arm: EnvConfig, *words: str, terminal: int | None = None) -> Iterator[Driven]:
    """`handrail <words>` on the run, killed in the end."""
    command = Driven(run, arm, run.spawn(*words, terminal=terminal))
    try:
        yield command
    finally:
        command.close()


def ways(number: int) -> tuple[str, ...]:
    """How to end phase so-and-so."""
    return (SIGTERM, CTRL_C) if EVERY else ((SIGTERM, CTRL_C)[number % 2],)


def ask(process: subprocess.Popen[str], how: str) -> None:
    """Ask a command to end."""
    if how == SIGTERM:
        process.terminate()
        return
    process.send_signal(signal.SIGINT)
    time.sleep(DELAYS.uniform(0.0, 0.5))
    process.send_signal(signal.SIGINT)


def end(command: Driven, name: str, how: str, figure, ask=ask) -> str:
    """Have a command end, and hold it to what it owes; returns what it has printed."""
    process = command.process
    with ArmOperator(command.arm) as watch:
        watch.state()
        before = watch.newest
        assert before is not None
        asked_s = time.monotonic()
        ask(process, how)
        out, err = process.communicate(timeout=PATIENCE_S)
        took_s = time.monotonic() - asked_s
        held = watch.newest
    said = f"{out}\n{err}"
    assert process.returncode == 0 and "Traceback" not in said and "ignored" not in err, said
    figure(f"`handrail {name}` of a served arm, {how}: signal to exit 0", took_s, "s", LIMIT_S)
    assert took_s <= LIMIT_S
    assert held is not None and (held.mode, held.fault, held.job) == ("hold", "", ""), held
    assert held.counters.watchdog == before.counters.watchdog, "it did not stop the arm: the watchdog did"
    if before.mode == "run":
        figure("served arm in RUN: signal to HOLD", held.mode_ns / 1e9 - asked_s, "s", LIMIT_S)
    return out


def check_log(command: Driven) -> None:
    """All that was there is there still, and so is every step that was told of; every episode has an end."""
    run, now = command.run, command.now
    run.check_log()
    run.check_episodes()
    records = [record for _, record in LogReader(run.directory.segments).records()]
    assert now is not None
    if now.running:
        steps = [each for each in records if isinstance(each, StepRecord) and each.episode == now.episode]
        assert len(steps) >= now.step


def check_training(command: Driven) -> None:
    """The log, the summary and the processes of a run that was asked to stop."""
    check_log(command)
    directory, counted = command.run.directory, command.run.history()
    summary = json.loads(directory.summary_file.read_text())
    assert (summary["env_steps"], summary["committed"]) == (counted.online_steps, counted.sequence)
    with pytest.raises(ArmError):  # the run's own arm server has gone with it
        ArmOperator(command.arm)


def test_recording_ends_in_every_phase(make_run, tmp_path, figure):
    run = make_run(*SERVED, f"env.arm.server.address=ipc://{tmp_path}/arm")
    run.collector.close()
    arm = compose.load(run.directory.config_file).env
    server = run.processes["arm-server"] = run.spawn("arm-server")
    while not arm_link.answers(arm):
        assert server.poll() is None, run.output(server)
    phases = (Driven.episode, Driven.reset, Driven.countdown, Driven.joints, Driven.paused, Driven.held)
    for number, phase in enumerate(phases):
        for how in ways(number):
            with driven(run, arm, "record", "demos=100") as record:
                phase(record, "demo")
                assert "demonstrations in" in end(record, "record", how, figure)
                check_log(record)


def behind_its_own(make_run, *more: str):
    """A run with an arm server of its own, and where that is."""
    run = make_run(*SERVED, f"env.arm.name=t{os.getpid()}", *more)
    run.collector.close()
    arm = compose.load(run.directory.config_file).env
    return run, arm_link.at(arm, arm_link.run_address(run.directory))


TRAIN = ("train", "display=plain", "console=off")
PHASES = [
    (Driven.episode, "demo"),
    (Driven.waiting, "demo"),
    (Driven.held, "train"),
    (Driven.episode, "train"),
]
REST = [(each, "train") for each in (Driven.reset, Driven.countdown, Driven.joints, Driven.paused)]


def test_training_ends_in_every_phase(make_run, figure):
    run, arm = behind_its_own(make_run)
    for number, (phase, purpose) in enumerate(PHASES + REST if EVERY else PHASES):
        for how in ways(number + 1):
            with driven(run, arm, *TRAIN) as train:
                phase(train, purpose)
                assert "Nothing is lost" in end(train, "train", how, figure)
                check_training(train)


def test_ctrl_c_at_a_terminal_reaches_the_actor_too_and_the_terminal_is_given_back(make_run, figure):
    """An actor that reads the keyboard hears it beside the supervisor, and both of them twice."""
    run, arm = behind_its_own(make_run, "device=keyboard")
    keyboard, terminal = os.openpty()
    before = termios.tcgetattr(terminal)

    def typed(process: subprocess.Popen[str], how: str) -> None:
        for _ in range(2):
            os.write(keyboard, b"\x03")

    try:
        with driven(run, arm, *TRAIN, terminal=terminal) as train:
            train.episode("demo")
            assert termios.tcgetattr(terminal) != before
            said = end(train, "train", "Ctrl-C twice at its terminal", figure, typed)
            assert "Nothing is lost" in said and "died" not in said
            check_training(train)
            assert termios.tcgetattr(terminal) == before
    finally:
        os.close(keyboard)
        os.close(terminal)
