"""Collecting examples for a reward classifier: by the script, at a keyboard, in a process that is killed."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from handrail.agent.config import RunConfig
from handrail.agent.history import RunHistory
from handrail.intervention.collector import Latched, Posture
from handrail.intervention.device import Reading
from handrail.intervention.keyboard import Keyboard
from handrail.intervention.log_format import EpisodeEnd, EpisodeStart, Event, StepRecord
from handrail.intervention.log_reader import LogReader, iter_transitions
from handrail.intervention.run_directory import RunDirectory
from handrail.launch.classify.collect import collect
from handrail.launch.classify.tally import FEWEST_EPISODES, PROMPTS, Tally, Wanted
from handrail.launch.cli import main
from handrail.launch.compose import load
from handrail.launch.train import prepare
from handrail.reward_classifier.config import ClassifierConfig
from handrail.reward_classifier.dataset import NEGATIVE, POSITIVE, Recording, gather

SMALL = ["env.cameras=[{name: wrist, width: 32, height: 32}]", "log.reserve_bytes=0"]
"""One small camera: what is shown is as good as with two large ones, and rendered in no time."""


NOBODY = [
    "actor.device=none",
    "actor.demonstrations=0",
    "agent.clone_updates=0",
    "agent.second_proposal=false",
    "agent.symmetric=false",
]


def new_run(folder: Path, *words: str) -> tuple[RunDirectory, RunConfig]:
    return prepare({"run": str(folder), "runs": "runs"}, [*SMALL, *words])


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunDirectory, list[str]]:
    """A collection by the script, and what was announced meanwhile."""
    run, config = new_run(tmp_path_factory.mktemp("runs") / "shown")
    said: list[str] = []
    collect(run, config, Wanted(40, 120), announce=said.append)
    return run, said


def tally_of(run: RunDirectory) -> Tally:
    tally = Tally()
    tally.read(LogReader(run.segments))
    return tally


def test_success_and_every_near_miss_are_shown(shown: tuple[RunDirectory, list[str]]) -> None:
    run, said = shown
    tally = tally_of(run)
    assert tally.positives >= 40 and tally.negatives >= 120 and tally.episodes >= FEWEST_EPISODES
    for posture in Posture:  # explained once, and then only named
        assert sum(PROMPTS[posture] in line for line in said) == 1
        assert sum(posture.upper() in line for line in said) >= 2 - (posture is Posture.BESIDE)


def test_the_button_follows_the_truth_and_ends_nothing(shown: tuple[RunDirectory, list[str]]) -> None:
    run, _ = shown
    steps = [transition for _, transition in iter_transitions(LogReader(run.segments))]
    held = [step for step in steps if step.reward == 1.0]
    assert not any(step.terminated for step in steps)
    assert {step.reward for step in steps} == {0.0, 1.0}
    assert all(step.next_images["wrist"].shape == (32, 32, 3) for step in steps)
    # `seated` is the cell's own word after the step, once it has lasted; the button that of the step before.
    wrong = [step for step in held if not step.seated]
    assert len(held) >= 40 and len(wrong) <= 0.2 * len(held)


def test_the_episodes_are_nobody_s_training(shown: tuple[RunDirectory, list[str]]) -> None:
    run, _ = shown
    records = list(LogReader(run.segments).records())
    assert {record.purpose for _, record in records if isinstance(record, EpisodeStart)} == {"classify"}
    assert not any(isinstance(record, Event) for _, record in records)
    ends = [record for _, record in records if isinstance(record, EpisodeEnd)]
    assert all(end.truncated_by == "operator" and not end.success for end in ends)
    history = RunHistory()
    for sequence, record in records:
        history.ingest(sequence, record)
    assert history.next_episode == len(ends)
    assert (history.online_steps, history.demonstration_steps, history.robot_ns) == (0, 0, 0)
    assert not history.finished


def test_the_run_keeps_its_own_reward_and_length(shown: tuple[RunDirectory, list[str]]) -> None:
    """Collecting changes both for itself only: the run may train later."""
    config = load(shown[0].config_file)
    assert config.env.reward.source == "task" and config.env.task.max_steps == 100


def test_who_shows_examples_is_not_who_drives_the_run(shown: tuple[RunDirectory, list[str]]) -> None:
    run, _ = shown
    there, before = tally_of(run), load(run.config_file)
    assert before.actor.device == "synthetic"
    from_the_page = replace(before, actor=replace(before.actor, device="console", countdown_s=7.0))
    collect(run, from_the_page, Wanted(there.positives, there.negatives))  # there is enough: nothing moves
    after = load(run.config_file)
    assert (after.actor.device, after.actor.countdown_s) == ("synthetic", 7.0)


def test_more_is_added_to_what_is_there(shown: tuple[RunDirectory, list[str]]) -> None:
    run, _ = shown
    before = tally_of(run)
    config = load(run.config_file)
    again = collect(run, config, Wanted(before.positives, before.negatives))
    assert again.episodes == before.episodes  # there is enough: nothing moves
    more = collect(run, config, Wanted(before.positives + 1, 1))
    assert more.episodes == before.episodes + 1 and more.positives > before.positives


def test_a_killed_collection_has_lost_nothing_and_goes_on(tmp_path: Path) -> None:
    words = ["classify", "collect", f"run={tmp_path / 'run'}", *SMALL]
    run = RunDirectory(tmp_path / "run")
    process = subprocess.Popen(
        [sys.executable, "-m", "handrail.launch.cli", *words], stdout=subprocess.DEVNULL
    )
    try:
        deadline_s = time.monotonic() + 60.0
        while tally_of(run).positives < 10:
            assert process.poll() is None and time.monotonic() < deadline_s
            time.sleep(0.05)
        seen = tally_of(run)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    left = tally_of(run)
    assert left.positives >= seen.positives and left.negatives >= seen.negatives

    assert main([*words[:3], f"positives={left.positives + 1}", f"negatives={left.negatives + 1}"]) == 0
    went_on = tally_of(run)
    config = load(run.config_file)
    frames = gather([Recording("run", LogReader(run.segments), config.env)], ClassifierConfig())
    assert frames.count(POSITIVE) == went_on.positives  # of the episode that was cut short, too
    assert 0.5 * went_on.negatives < frames.count(NEGATIVE) < went_on.negatives  # beside a press: left out
    assert went_on.positives > left.positives and went_on.episodes >= FEWEST_EPISODES
    numbers = [r.episode for _, r in LogReader(run.segments).records() if isinstance(r, EpisodeStart)]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        ([], 2, "env.cameras is empty"),
        (["positives=0", *SMALL], 2, "positives=0"),
        ([*SMALL, *NOBODY], 2, "can show nothing"),
    ],
)
def test_refusals(
    words: list[str], code: int, part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["classify", "collect", f"run={tmp_path / 'run'}", *words]) == code
    error = capsys.readouterr().err
    assert part in error and error.count("\n") == 1


def test_a_run_that_is_being_driven_is_not_collected_into(
    shown: tuple[RunDirectory, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    with shown[0].lock("actor"):
        assert main(["classify", "collect", f"run={shown[0].path}"]) == 12
    assert "actor" in capsys.readouterr().err


class Typed:
    """Keys typed into a terminal that is none."""

    def __init__(self) -> None:
        self.keys = ""

    def open(self) -> None: ...

    def close(self) -> None: ...

    def pressed(self) -> str:
        keys, self.keys = self.keys, ""
        return keys


def test_a_keyboard_s_success_key_holds_until_the_episode_ends() -> None:
    """A terminal tells of presses only: a gap before the key repeats must not become a failure."""
    typed = Typed()
    device = Latched(Keyboard(typed))
    device.open()

    def read() -> Reading:
        return device.read(time.monotonic_ns())

    typed.keys = "y"
    assert "success" in read().buttons and "success" not in read().buttons  # between episodes: a press
    device.episode_started((0,))
    assert not read().buttons
    typed.keys = "yw"
    reading = read()
    assert reading.buttons == {"success"} and reading.twist[0] > 0.0
    assert read().buttons == {"success"}
    typed.keys = "n"
    assert read().buttons == {"success", "failure"}
    device.episode_finished(False, False)
    assert not read().buttons
    device.close()


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """(the person's end, the program's end) of a terminal."""
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def test_a_person_at_a_keyboard_discards_an_episode(tmp_path: Path, terminal: tuple[int, int]) -> None:
    """In a process of its own, at a terminal: y, then x; nothing of that episode counts."""
    ours, theirs = terminal
    words = ["classify", "collect", f"run={tmp_path / 'run'}", *SMALL, "device=keyboard", "env.hz=20"]
    process = subprocess.Popen(
        [sys.executable, "-m", "handrail.launch.cli", *words], stdin=theirs, stdout=subprocess.PIPE, text=True
    )
    run = RunDirectory(tmp_path / "run")

    def until(there: str, key: bytes = b"") -> None:
        deadline_s = time.monotonic() + 60.0
        while not any(there in repr(record) for _, record in LogReader(run.segments).records()):
            assert process.poll() is None and time.monotonic() < deadline_s, f"{there} did not come"
            if key:
                os.write(ours, key)
            time.sleep(0.2)

    try:
        until("StepRecord")
        until("reward=1.0", b"y")
        until("EpisodeEnd", b"x")
        until("StepRecord(episode=1")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert "1. SEATED" in out and "keyboard" in out
    records = [record for _, record in LogReader(run.segments).records()]
    labels = [(r.episode, r.new, r.who) for r in records if isinstance(r, Event)]
    assert (0, "exclude", "keyboard") in labels
    assert tally_of(run).positives == 0
    assert np.any([isinstance(r, StepRecord) and r.episode == 0 and r.reward == 1.0 for r in records])
