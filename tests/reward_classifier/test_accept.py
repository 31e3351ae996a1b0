"""A new version in use: what it says of stored episodes becomes their label, except over a person's word."""

import shutil
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from dictated import dictated
from judged import ENV, open_log, write_episode

from handrail.intervention.index import EpisodeIndex
from handrail.intervention.labels import LabelError, append_label
from handrail.intervention.locks import RunLocked
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.reward_classifier import artifact, verdicts
from handrail.reward_classifier.accept import Accepted, StoredRun, accept
from handrail.reward_classifier.artifact import ClassifierError
from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.judge import RewardConfig

V0 = "classifier 000000000000"
FALSE_SUCCESS = [False] * 6  # what an earlier classifier took for a success
TRUE_SUCCESS = [False] * 4 + [True] * 4
UP_IN_THE_AIR = [0.05] * 8


@pytest.fixture
def folder(lamp: Path, tmp_path: Path) -> Path:
    """A copy of the classifier's folder in which nothing is in use."""
    shutil.copytree(lamp, tmp_path / "lamp")
    (tmp_path / "lamp" / "current").unlink()
    return tmp_path / "lamp"


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "run").create("", {})


def label(run: RunDirectory, episode: int, new: str) -> None:
    """A person's word."""
    with (
        open_log(run.segments) as writer,
        EpisodeIndex(run.index_file, LogReader(run.segments)) as index,
    ):
        append_label(writer, index, episode, new, who="Ada")


def current(run: RunDirectory, episode: int) -> tuple[str | None, str, int | None]:
    """(label, who said so, at which step), as the index has it."""
    with EpisodeIndex(run.index_file, LogReader(run.segments)) as index:
        index.refresh()
        events = [event for _, event in index.events(episode) if event.kind == "label"]
    return (events[-1].new, events[-1].who, events[-1].step) if events else (None, "", None)


def put_in_use(folder: Path, *runs: RunDirectory, env: EnvConfig = ENV) -> Accepted:
    (version,) = artifact.versions(folder)
    return accept(folder, version, [StoredRun(run, env) for run in runs])


def test_verdicts_become_labels_with_their_step(folder: Path, run: RunDirectory) -> None:
    judged = {"scores": [0.5] * 8, "classifier": "000000000000"}
    with open_log(run.segments) as writer:
        write_episode(writer, 0, FALSE_SUCCESS, scores=[0.9] * 6, classifier="0" * 12, label=("success", V0))
        write_episode(writer, 1, TRUE_SUCCESS, **judged)  # missed
        write_episode(writer, 2, TRUE_SUCCESS, **judged, purpose="demo", label=("demo", V0))
        write_episode(writer, 3, [False] * 8, **judged)
        write_episode(writer, 4, TRUE_SUCCESS, **judged, heights_m=UP_IN_THE_AIR)
        write_episode(
            writer, 5, TRUE_SUCCESS[:6], scores=[0.9] * 6, classifier="0" * 12, label=("success", V0)
        )
    accepted = put_in_use(folder, run)
    who = f"classifier {accepted.version}"
    assert accepted.version == artifact.current(folder)
    assert accepted.previous is None
    assert current(run, 0) == ("failure", who, None)
    assert current(run, 1) == ("success", who, 5)  # the second of two looks in a row
    assert current(run, 2) == ("demo", who, 5)  # one seen earlier than it was
    assert current(run, 3) == (None, "", None)
    assert current(run, 4) == (None, "", None)  # the guard holds for stored episodes too
    assert current(run, 5) == ("success", V0, None)  # at its last step, as it was
    (relabelled,) = accepted.runs
    assert (relabelled.run, relabelled.judged) == ("run", 6)
    assert (relabelled.to_success, relabelled.to_failure) == ((1, 2), (0,))
    assert (relabelled.persons, relabelled.unreadable) == (0, ())


def test_accepting_again_changes_nothing(folder: Path, run: RunDirectory) -> None:
    with open_log(run.segments) as writer:
        write_episode(writer, 0, FALSE_SUCCESS, classifier="0" * 12, label=("success", V0))
    put_in_use(folder, run)
    before = list(LogReader(run.segments).frames())
    again = put_in_use(folder, run)
    assert again.previous == again.version
    assert again.runs[0].to_failure == ()
    assert list(LogReader(run.segments).frames()) == before


def test_a_persons_word_and_the_cells_knowledge_stand(folder: Path, run: RunDirectory) -> None:
    with open_log(run.segments) as writer:
        write_episode(writer, 0, FALSE_SUCCESS, classifier="0" * 12, label=("success", V0))
        write_episode(writer, 1, FALSE_SUCCESS, classifier="0" * 12, label=("success", "keyboard"))
        write_episode(writer, 2, FALSE_SUCCESS, label=("success", "task"))
        write_episode(writer, 3, TRUE_SUCCESS)  # no classifier looked: nobody asked for its verdict
    label(run, 0, "demo")
    accepted = put_in_use(folder, run)
    assert [current(run, each)[:2] for each in range(4)] == [
        ("demo", "Ada"),
        ("success", "keyboard"),
        ("success", "task"),
        (None, ""),
    ]
    assert (accepted.runs[0].judged, accepted.runs[0].persons) == (0, 2)


def test_a_success_that_a_person_confirmed_stands(folder: Path, run: RunDirectory) -> None:
    with open_log(run.segments) as writer:
        write_episode(writer, 0, FALSE_SUCCESS, classifier="0" * 12, label=("success", V0))
    label(run, 0, "success")
    accepted = put_in_use(folder, run)
    assert current(run, 0) == ("success", "Ada", None)
    assert (accepted.runs[0].judged, accepted.runs[0].persons) == (0, 1)


def test_verdicts_reach_a_run_that_is_driven_through_its_control_loop(
    folder: Path, run: RunDirectory
) -> None:
    with open_log(run.segments) as writer:
        write_episode(writer, 0, FALSE_SUCCESS, classifier="0" * 12, label=("success", V0))
        write_episode(writer, 1, TRUE_SUCCESS, classifier="0" * 12)
    with dictated(run, running=2) as writer:
        first = put_in_use(folder, run)
        assert [current(run, episode)[0::2] for episode in (0, 1)] == [("failure", None), ("success", 5)]
        assert (first.runs[0].to_success, first.runs[0].to_failure) == ((1,), (0,))
        assert artifact.current(folder) == first.version
        # Judged by the version before, which the control loop goes on with.
        write_episode(writer, 2, FALSE_SUCCESS, classifier="0" * 12, label=("success", V0))
    with dictated(run):
        assert put_in_use(folder, run).runs[0].to_failure == (2,)
        assert current(run, 2)[:2] == ("failure", f"classifier {first.version}")


@pytest.mark.parametrize("driven", [False, True])
def test_what_a_person_says_meanwhile_stands(folder: Path, run: RunDirectory, driven: bool) -> None:
    with open_log(run.segments) as writer:
        for episode in range(2):
            write_episode(writer, episode, FALSE_SUCCESS, classifier="0" * 12, label=("success", V0))
    (version,) = artifact.versions(folder)

    def confirm(done: int, total: int) -> None:
        if done == total:
            label(run, 0, "success")
            held.enter_context(dictated(run) if driven else nullcontext())

    with ExitStack() as held:
        (relabelled,) = accept(folder, version, [StoredRun(run, ENV)], confirm).runs
    assert current(run, 0)[:2] == ("success", "Ada")
    assert (relabelled.to_failure, relabelled.persons) == ((1,), 1)


def test_a_log_that_somebody_holds_and_takes_no_labels_for_is_waited_for(
    folder: Path, run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts, "_ANSWER_S", 0.5)
    with open_log(run.segments) as writer:
        write_episode(writer, 0, FALSE_SUCCESS, classifier="0" * 12, label=("success", V0))
        with pytest.raises(RunLocked, match="log writer"):
            put_in_use(folder, run)
    assert artifact.current(folder) is None
    put_in_use(folder, run)
    assert current(run, 0)[0] == "failure"


def test_a_control_loop_that_takes_not_all_of_them_is_told(folder: Path, run: RunDirectory) -> None:
    with open_log(run.segments) as writer:
        for episode in range(2):
            write_episode(writer, episode, FALSE_SUCCESS, classifier="0" * 12, label=("success", V0))
    with dictated(run, running=1), pytest.raises(LabelError, match=r"taken 1 of 2 verdicts .*still running"):
        put_in_use(folder, run)
    assert artifact.current(folder) is None
    with dictated(run):
        assert put_in_use(folder, run).runs[0].to_failure == (1,)


def test_a_version_that_is_not_there_or_does_not_fit_is_refused(folder: Path, run: RunDirectory) -> None:
    with pytest.raises(
        ClassifierError, match=f"has no version 'nosuch'; it has {artifact.versions(folder)[0]}"
    ):
        accept(folder, "nosuch", [])
    other = EnvConfig(cameras=(CameraConfig("wrist", width=64, height=32),))
    with pytest.raises(ConfigError, match=r"was trained on width 32 of camera 'wrist', env.cameras has 64"):
        put_in_use(folder, run, env=other)
    assert artifact.current(folder) is None


def test_an_episode_whose_pictures_are_damaged_is_left_as_it_is(folder: Path, run: RunDirectory) -> None:
    with open_log(run.segments) as writer:
        write_episode(writer, 0, FALSE_SUCCESS, classifier="0" * 12, label=("success", V0))
        begins = (run.segments / "00000001.seg").stat().st_size
        write_episode(writer, 1, FALSE_SUCCESS, classifier="0" * 12, label=("success", V0))
    segment = run.segments / "00000001.seg"
    data = bytearray(segment.read_bytes())
    data[begins + 5000] ^= 0xFF  # inside a picture of the second episode
    segment.write_bytes(data)
    (relabelled,) = put_in_use(folder, run).runs
    assert (relabelled.to_failure, relabelled.unreadable) == ((0,), (1,))
    assert current(run, 1)[:2] == ("success", V0)


def test_the_rules_of_the_run_are_kept(folder: Path, run: RunDirectory) -> None:
    """A run that asked for more looks in a row, or for no guard, is judged again as it was judged."""
    with open_log(run.segments) as writer:
        write_episode(writer, 0, TRUE_SUCCESS, classifier="0" * 12)
        write_episode(writer, 1, TRUE_SUCCESS, classifier="0" * 12, heights_m=UP_IN_THE_AIR)
    reward = RewardConfig("classifier", ("lamp",), consecutive=4, guard=False)
    put_in_use(folder, run, env=replace(ENV, reward=reward))
    assert [current(run, episode)[0::2] for episode in (0, 1)] == [("success", 7), ("success", 7)]


def test_progress_counts_the_episodes_looked_at(folder: Path, run: RunDirectory) -> None:
    with open_log(run.segments) as writer:
        for episode in range(3):
            write_episode(writer, episode, FALSE_SUCCESS, classifier="0" * 12)
    told = []
    (version,) = artifact.versions(folder)
    accept(folder, version, [StoredRun(run, ENV)], lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_the_new_verdicts_are_those_that_the_loop_would_give(
    inverted: Path, run: RunDirectory, tmp_path: Path
) -> None:
    """Another version turns every label around: its own judgement counts, not the scores in the log."""
    with open_log(run.segments) as writer:
        write_episode(writer, 0, [True] * 5, classifier="0" * 12, label=("success", V0))
        write_episode(writer, 1, [False] * 5, classifier="0" * 12)
    shutil.copytree(inverted.parent, tmp_path / "inverted")
    put_in_use(tmp_path / "inverted", run)
    assert current(run, 0)[0] == "failure"
    assert current(run, 1)[0::2] == ("success", 1)
