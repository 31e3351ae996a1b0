"""What a reviewer says reaches the log: at rest by our own hand, in a driven run through the control loop."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from judged import open_log, write_episode

from handrail.intervention.console.desk import Desk
from handrail.intervention.console.messages import Command, desk_address
from handrail.intervention.console.secretary import Secretary
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.labels import LabelError
from handrail.intervention.locks import RunLocked
from handrail.intervention.log_format import Event, LogError
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch.labelling import LONGEST_TEXT, Relabelled, comment, relabel, relabel_each


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """Two episodes: a success of the task's and one out of time."""
    run = RunDirectory(tmp_path / "run").create("", {})
    with open_log(run.segments) as writer:
        write_episode(writer, 0, [False, True], label=("success", "task"))
        write_episode(writer, 1, [False, True])
    return run


def events(run: RunDirectory, episode: int) -> list[Event]:
    with EpisodeIndex(run.index_file, LogReader(run.segments)) as index:
        index.refresh()
        return [event for _, event in index.events(episode)]


@contextmanager
def driven(run: RunDirectory) -> Iterator[list[Command]]:
    """The run's log and desk, as a control loop has them; gives what it was asked for."""
    asked: list[Command] = []
    with open_log(run.segments) as writer:
        secretary = Secretary(run, writer)

        def obey(command: Command):
            asked.append(command)
            return secretary.write(command, running=lambda: None)

        desk = Desk(
            desk_address(run.socket_dir()), obey, lambda _: None, lambda _: None, closing=secretary.close
        )
        try:
            yield asked
        finally:
            desk.close()


def test_a_label_of_a_run_at_rest_is_in_the_log_when_it_is_said(run: RunDirectory) -> None:
    assert relabel(run, 0, "failure", "Ada", "one end is out") == "episode 0: success -> failure"
    (first, second) = events(run, 0)
    assert (first.who, second.who) == ("task", "Ada")
    assert (second.old, second.new, second.why) == ("success", "failure", "one end is out")
    assert relabel(run, 0, "failure", "Ada") == "episode 0 is labelled failure already"
    assert relabel(run, 1, "success", "Ada", step=0) == "episode 1: no label -> success"
    assert events(run, 1)[-1].step == 0


def test_a_machines_label_is_confirmed_in_words(run: RunDirectory) -> None:
    assert relabel(run, 0, "success", "Ada") == "episode 0: success -> success, now said by Ada"


def test_a_label_of_a_driven_run_goes_through_its_control_loop_and_takes_effect_once(
    run: RunDirectory,
) -> None:
    with driven(run) as asked:
        for _ in range(2):  # sent again, because the answer was lost
            assert relabel(run, 0, "failure", "Ada", "askew", id="x1") == "episode 0 is labelled failure"
            assert comment(run, 0, " look again ", "Bo", id="x2") == "episode 0: noted"
        assert [(each.verb, each.who, each.id) for each in asked] == [
            ("label", "Ada", "x1"),
            ("comment", "Bo", "x2"),
        ]
    said = [(event.kind, event.who, event.new, event.why) for event in events(run, 0)]
    assert said[1:] == [("label", "Ada", "failure", "askew"), ("comment", "Bo", None, "look again")]


def test_labels_from_two_sides_at_once_are_all_in_the_log(run: RunDirectory) -> None:
    names = [f"reviewer {number}" for number in range(4)]
    with driven(run):
        threads = [threading.Thread(target=comment, args=(run, 1, name, name)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(event.who for event in events(run, 1)) == names


@pytest.mark.parametrize("place", ["at rest", "driven"])
def test_what_cannot_be_said_is_refused_in_a_line_either_way(run: RunDirectory, place: str) -> None:
    def refuse() -> None:
        with pytest.raises(LabelError, match="Episode 7 is not in the log, which holds 0 to 1"):
            relabel(run, 7, "failure", "Ada")
        with pytest.raises(LabelError, match="has no step 9"):
            relabel(run, 1, "success", "Ada", step=9)
        with pytest.raises(LabelError, match="'good' is not a label"):
            relabel(run, 1, "good", "Ada")
        with pytest.raises(LabelError, match="is empty"):
            comment(run, 1, "  ", "Ada")
        with pytest.raises(LabelError, match=f"limit {LONGEST_TEXT}"):
            comment(run, 1, "x" * (LONGEST_TEXT + 1), "Ada")

    if place == "at rest":
        refuse()
    else:
        with driven(run):
            refuse()
    assert events(run, 1) == []


def test_a_log_that_somebody_holds_who_takes_no_labels_says_so(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("handrail.launch.labelling._ANSWER_S", 0.2)
    with open_log(run.segments), pytest.raises(RunLocked, match="log writer"):
        relabel(run, 0, "failure", "Ada")
    assert len(events(run, 0)) == 1


def test_a_run_without_a_log_is_refused(tmp_path: Path) -> None:
    empty = RunDirectory(tmp_path / "empty").create("", {})
    with pytest.raises(LogError, match="no readable log"):
        comment(empty, 0, "hello", "Ada")


@pytest.mark.parametrize(
    "who",
    ["task", "Task", "classifier 0123456789ab", "classifier", "person", "machine", "none", "rollout",
     "recovery", "", "  "],
)  # fmt: skip
def test_a_person_goes_by_no_machines_name(run: RunDirectory, who: str) -> None:
    for say in (lambda: relabel(run, 0, "failure", who), lambda: comment(run, 0, "odd", who)):
        with pytest.raises(LabelError, match="nobody's name, or a machine's in the log; give your own"):
            say()
    assert len(events(run, 0)) == 1


@pytest.mark.parametrize("place", ["at rest", "driven"])
def test_many_get_one_label_and_reason_and_one_that_cannot_keeps_none_from_it(
    run: RunDirectory, place: str
) -> None:
    relabel(run, 0, "exclude", "Ada", "dark")

    def say() -> None:
        said = relabel_each(run, [0, 1, 7, 1], "exclude", "Ada", "the lamp was off", id="x1")
        assert (said.changed, said.same, set(said.refused)) == ((1,), (0,), {7})
        assert "Episode 7 is not in the log" in said.refused[7]
        assert said.told("exclude").startswith("1 episode labelled exclude; 1 had that label; 1 refused, ")
        undone = relabel_each(run, said.changed, "undo", "Ada", "the wrong night")
        assert undone == Relabelled((1,), (), {}) and undone.told("undo") == "1 label taken back"

    if place == "at rest":
        say()
    else:
        with driven(run):
            say()
    assert [event.new for event in events(run, 0)] == ["success", "exclude"]
    told = [(event.kind, event.who, event.old, event.new, event.why) for event in events(run, 1)]
    assert told == [
        ("label", "Ada", None, "exclude", "the lamp was off"),
        ("undo", "Ada", "exclude", None, "the wrong night"),
    ]


@pytest.mark.parametrize("place", ["at rest", "driven"])
def test_hundreds_are_labelled_while_nobody_waits_for_the_disk_for_each(tmp_path: Path, place: str) -> None:
    run = RunDirectory(tmp_path / "long").create("", {})
    with open_log(run.segments) as writer:
        for episode in range(250):
            write_episode(writer, episode, [False])
    numbers = tuple(range(250))
    if place == "at rest":
        said = relabel_each(run, numbers, "exclude", "Ada", "a bad night")
    else:
        with driven(run) as asked:
            said = relabel_each(run, numbers, "exclude", "Ada", "a bad night", id="night")
            again = relabel_each(run, numbers, "exclude", "Ada", "a bad night", id="night")
            assert again == Relabelled((), numbers, {}) and len(asked) == 250
    assert said == Relabelled(numbers, (), {})
    with EpisodeIndex(run.index_file, LogReader(run.segments)) as index:
        index.refresh()
        assert {row.label for row in index.episodes()} == {"exclude"}


def test_many_are_not_relabelled_without_a_reason_or_under_a_machines_name(run: RunDirectory) -> None:
    for words, message in (
        (("exclude", "Ada", " "), "2 episodes to be relabelled without a reason; say why"),
        (("good", "Ada", "so"), "'good' is not a label"),
        (("exclude", "task", "so"), "nobody's name, or a machine's"),
    ):
        with pytest.raises(LabelError, match=message):
            relabel_each(run, [0, 1], *words)
    assert len(events(run, 0)) == 1 and events(run, 1) == []


def test_a_silent_control_loop_is_told_of_once(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handrail.launch.labelling._ANSWER_S", 0.2)
    with open_log(run.segments), pytest.raises(RunLocked, match="log writer"):
        relabel_each(run, [0, 1], "failure", "Ada", "askew")


@pytest.mark.parametrize("place", ["at rest", "driven"])
def test_a_label_is_taken_back_in_words(run: RunDirectory, place: str) -> None:
    relabel(run, 0, "failure", "Ada")
    if place == "at rest":
        said = "episode 0: failure is taken back, success stands again"
        assert relabel(run, 0, "undo", "Ada") == said
    else:
        with driven(run):
            assert relabel(run, 0, "undo", "Ada") == "episode 0: its label is taken back"
    with pytest.raises(LabelError, match="Nobody has labelled episode 0"):
        relabel(run, 0, "undo", "Ada")
