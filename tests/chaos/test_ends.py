"""Every way in which a run's processes end or meet, but for the kills of `test_kill.py`."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from handrail.agent.checkpoint import newest_checkpoint
from handrail.intervention.locks import RunLocked
from handrail.launch import compose
from handrail.launch.display import Display
from handrail.launch.errors import GoalNotReached
from handrail.launch.supervisor import Interrupt, Outcome, Supervisor, process_specs, view_of

DEADLINE_S = 120.0
ORPHANS_S = 30.0
ROLES = ("learner", "actor")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_killed_supervisor_leaves_no_child_and_the_run_goes_on(run):
    supervisor = train(run)
    children = wait_for_training(run, supervisor)
    assert set(children.values()) == {"actor", "learner", "evaluator"}
    supervisor.kill()
    supervisor.communicate()
    wait_until(lambda: not any(map(alive, children)), ORPHANS_S, "the orphans to end")
    run.check_log()
    target = run.history().online_steps + 50
    again = run.supervise(f"goal.max_env_steps={target}")
    assert again.returncode == GoalNotReached.exit_code, again.stderr
    run.check_log()
    run.check_episodes()
    assert run.history().online_steps == target


def test_sigterm_ends_a_run_cleanly_and_nothing_is_lost(run):
    supervisor = train(run)
    children = wait_for_training(run, supervisor)
    supervisor.send_signal(signal.SIGTERM)
    out, err = supervisor.communicate(timeout=DEADLINE_S)
    assert supervisor.returncode == 0, err
    assert "Nothing is lost" in out
    assert not any(map(alive, children))
    run.check_log()
    run.check_episodes()
    counted = run.history()
    summary = json.loads(run.directory.summary_file.read_text())
    assert (summary["env_steps"], summary["committed"]) == (counted.online_steps, counted.sequence)
    checkpoint, refused = newest_checkpoint(run.directory.checkpoints)
    assert checkpoint is not None and not refused
    assert run.history(upto=checkpoint.state["position"]).online_steps == checkpoint.state["online_steps"]


def test_a_role_that_somebody_ends_is_started_again_and_the_run_goes_on(run):
    """`kill`, or a machine that runs out of memory: the role ends in order, as nobody has asked it to."""
    supervisor = train(run)
    wait_for_training(run, supervisor)
    for role in ROLES:
        before = child_of(supervisor, role)
        assert before is not None
        os.kill(before, signal.SIGTERM)
        wait_until(
            lambda role=role, before=before: child_of(supervisor, role) not in (None, before),
            DEADLINE_S,
            f"another {role}",
        )
        target = run.history().online_steps + 50
        wait_until(lambda target=target: run.history().online_steps >= target, DEADLINE_S, "steps to go on")
    supervisor.send_signal(signal.SIGTERM)
    out, err = supervisor.communicate(timeout=DEADLINE_S)
    assert supervisor.returncode == 0, err
    for role in ROLES:
        assert f"the {role} died (killed by SIGTERM); restart 1 of 3" in " ".join(out.split())
    run.check_log()
    run.check_episodes()


def test_a_learner_whose_loop_is_stuck_is_started_again_although_its_process_is_well(run):
    """With a heartbeat that loses patience after two seconds."""
    told: list[str] = []
    marker = run.directory.path / "stuck"
    stuck = f"""
import pathlib, sys, threading
from handrail.agent.learner import Learner
from handrail.launch import cli, lifetime

lifetime.HEARTBEAT_S, lifetime.STUCK_BEATS = 0.05, 40
marker, update = pathlib.Path({str(marker)!r}), Learner.update

def update_until_stuck(learner):
    if learner.updates >= 20 and not marker.exists():
        marker.touch()
        threading.Event().wait()
    return update(learner)

Learner.update = update_until_stuck
sys.exit(cli.main(sys.argv[1:]))
"""
    config = compose.load(run.directory.config_file)
    specs = [
        replace(each, command=(sys.executable, "-c", stuck, *each.command[3:]))
        if each.role == "learner"
        else each
        for each in process_specs(run.directory, config)
    ]
    interrupt, view = Interrupt(), view_of(run.directory, config)

    class Watching(Display):
        def tell(self, event: str) -> None:
            told.append(event)

        def update(self, *, force: bool = False) -> None:
            updates = view.learner.get("updates", 0)
            if time.monotonic() > end or (
                len(told) > 1 and view.learner["phase"] == "train" and updates > 40
            ):
                interrupt(signal.SIGTERM, None)

    end = time.monotonic() + DEADLINE_S
    run.collector.close()
    display = Watching(view, Console(quiet=True), "plain")
    assert Supervisor(run.directory, view, display, specs).supervise(interrupt) is Outcome.STOPPED
    assert told == [
        "learner has been silent for 15 s: killed",
        "the learner died (killed by SIGKILL); restart 1 of 3",
    ]
    log = (run.directory.logs / "learner.log").read_text()
    assert "in update_until_stuck" in log and "handrail: its loop had said nothing for 2 s" in log
    run.check_log()


def test_a_second_process_in_a_role_is_refused_and_told_of_the_first(run):
    run.start("learner")
    run.start("actor")
    run.until_training()
    for role in ("learner", "actor"):
        second = run.spawn(role)
        said = run.output(second)
        assert second.returncode == RunLocked.exit_code
        holder = re.search(rf"{role} of .* is already held by process (\d+), since", said)
        assert holder is not None, said
        assert int(holder[1]) == run.processes[role].pid
    steps = run.newest["actor"]["env_steps"]
    run.until(lambda: run.newest["actor"]["env_steps"] > steps, "the first actor to go on")
    run.check_log()


def test_either_side_outlives_a_restart_of_the_other(run):
    run.start("learner")
    run.start("actor")
    run.until_training()
    for role in ("actor", "learner"):
        run.kill(role)
        run.start(role)
        run.until_training()  # and nobody ended meanwhile
        seen = run.newest["learner"]["env_steps_seen"]
        run.until(lambda seen=seen: run.newest["learner"]["env_steps_seen"] > seen, "new steps to arrive")
    for role in ("actor", "learner"):
        process = run.processes.pop(role)
        process.terminate()
        run.output(process)
        assert process.returncode == 0
    run.check_log()
    run.check_episodes()


def test_a_learner_that_waits_for_its_actor_keeps_its_checkpoint(run):
    """It has yet to read the log again; a checkpoint of that state would hold a position before the data."""
    run.start("learner")
    run.start("actor")
    run.until_training()
    run.until(lambda: position(run) > 0, "a checkpoint of the training")
    for role in ("actor", "learner"):
        run.kill(role)
    before = position(run)
    run.start("learner")
    run.until(lambda: "learner" in run.phases, "the learner")
    run.listen(2.0)  # several times `learner.checkpoint_every_s`
    run.kill("learner")
    assert position(run) == before


def position(run) -> int:
    """How far in the log the newest checkpoint of the training is; 0 while there is none."""
    checkpoint, refused = newest_checkpoint(run.directory.checkpoints)
    assert not refused
    if checkpoint is None or checkpoint.state["began_at"] is None:
        return 0
    return checkpoint.state["position"]


def train(run) -> subprocess.Popen[str]:
    """The run under a real supervisor, which takes the reports from now on."""
    run.collector.close()
    run.processes["supervisor"] = run.spawn("train", "display=plain", "console=off")
    return run.processes["supervisor"]


def wait_for_training(run, supervisor: subprocess.Popen[str]) -> dict[int, str]:
    """Wait until the actor has taken a hundred steps; the supervisor's children, by process id."""

    def training() -> bool:
        assert supervisor.poll() is None, run.output(supervisor)
        return run.history().online_steps >= 100

    wait_until(training, DEADLINE_S, "training")
    return children_of(supervisor.pid)


def wait_until(condition: Callable[[], bool], deadline_s: float, what: str) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"waited {deadline_s} s for {what}"
        time.sleep(0.05)


def child_of(supervisor: subprocess.Popen[str], role: str) -> int | None:
    """The process id of a role; None while it does not run."""
    return next((pid for pid, each in children_of(supervisor.pid).items() if each == role), None)


def children_of(pid: int) -> dict[int, str]:
    """The roles that a process has started, by process id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            words = (folder / "cmdline").read_bytes().decode().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid and "handrail.launch.cli" in words:
            found[int(folder.name)] = words[words.index("handrail.launch.cli") + 1]
    return found


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
