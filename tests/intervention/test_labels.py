from collections.abc import Iterator
from pathlib import Path

import pytest

from handrail.intervention.index import EpisodeIndex
from handrail.intervention.labeller import TASK, Label, classifier_name, said_by_machine
from handrail.intervention.labels import (
    LabelError,
    append_comment,
    append_label,
    mark_aborted,
    review_writer,
)
from handrail.intervention.locks import RunLocked
from handrail.intervention.log_format import EpisodeEnd, EpisodeStart, Event, LogError
from handrail.intervention.log_reader import LogReader
from handrail.intervention.log_writer import LogWriter


class Log:
    """A log with an index beside it."""

    def __init__(self, samples, folder: Path) -> None:
        self.samples, self.segments = samples, folder / "segments"
        self.writer: LogWriter = samples.writer(self.segments)
        self.reader = LogReader(self.segments)
        self.index = EpisodeIndex(folder / "index.db", LogReader(self.segments))

    def episode(
        self, number: int, *, end: bool = True, label: str | None = None, purpose: str = "train"
    ) -> None:
        self.writer.append(EpisodeStart(number, (number,), purpose, 0, 0, 0))
        for n in range(3):
            self.writer.append(self.samples.step(number, n))
        if end:
            self.writer.append(EpisodeEnd(number, 3, True, None, True, 0, 0, 0.0, 0))
        if label:
            self.writer.append(Event("label", number, "task", 0, None, label, ""))

    def label(self, number: int) -> str | None:
        (row,) = (row for row in self.index.episodes() if row.episode == number)
        return row.label


@pytest.fixture
def log(samples, tmp_path: Path) -> Iterator[Log]:
    log = Log(samples, tmp_path)
    yield log
    log.index.close()
    log.writer.close()


def test_a_relabel_is_an_appended_event_with_who_when_old_new_and_why(log: Log) -> None:
    log.episode(0, label="success")
    size = log.writer.appended
    event = append_label(log.writer, log.index, 0, "failure", who="ana", why="the latch is open")
    assert event is not None
    assert log.writer.appended == size + 1
    assert (event.kind, event.episode, event.who, event.old, event.new, event.why) == (
        *("label", 0, "ana", "success", "failure", "the latch is open"),
    )
    assert event.wall_ns > 0
    log.index.refresh()
    assert log.label(0) == "failure"


def test_a_double_click_appends_once_and_an_undo_appends_again(log: Log) -> None:
    log.episode(0)
    assert append_label(log.writer, log.index, 0, "exclude", who="ana") is not None
    assert append_label(log.writer, log.index, 0, "exclude", who="ana") is None
    undone = append_label(log.writer, log.index, 0, "success", who="ana")
    assert undone is not None and undone.old == "exclude"
    log.index.refresh()
    assert [e.new for _, e in log.index.events(0)] == ["exclude", "success"]


def test_a_success_may_be_said_to_have_been_at_a_step(log: Log) -> None:
    log.episode(0, label="failure")
    event = append_label(log.writer, log.index, 0, "success", who="ana", step=1)
    assert event is not None and event.step == 1
    for step in (1, None):  # the same again, or only that it was a success: nothing new
        assert append_label(log.writer, log.index, 0, "success", who="ana", step=step) is None
    moved = append_label(log.writer, log.index, 0, "success", who="ana", step=2)
    assert moved is not None and (moved.old, moved.new, moved.step) == ("success", "success", 2)
    log.index.refresh()
    row = log.index.episode(0)
    assert row is not None and row.label_step == 2


@pytest.mark.parametrize("machine", [TASK, classifier_name("0123456789ab")])
def test_a_person_who_confirms_a_machines_label_is_recorded_once_and_its_step_stays(
    log: Log, machine: str
) -> None:
    log.episode(0)
    assert append_label(log.writer, log.index, 0, "success", who=machine, step=1) is not None
    append_comment(log.writer, log.index, 0, "close", who="ana")
    assert append_label(log.writer, log.index, 0, "success", who=machine) is None
    confirmed = append_label(log.writer, log.index, 0, "success", who="ana")
    assert confirmed is not None
    assert (confirmed.old, confirmed.new, confirmed.who, confirmed.step) == ("success", "success", "ana", 1)
    for who in ("ana", "bo", machine):
        assert append_label(log.writer, log.index, 0, "success", who=who) is None


@pytest.mark.parametrize(
    ("label", "step", "message"),
    [
        ("success", 3, "Episode 0 has no step 3; it has 3, counted from 0"),
        ("demo", -1, "Episode 0 has no step -1"),
        ("failure", 1, "Label 'failure' takes no step; only a success happens at one"),
    ],
)
def test_a_step_that_cannot_be_is_refused(log: Log, label: str, step: int, message: str) -> None:
    log.episode(0)
    appended = log.writer.appended
    with pytest.raises(LabelError, match=message):
        append_label(log.writer, log.index, 0, label, who="ana", step=step)
    assert log.writer.appended == appended


def test_a_machines_word_is_told_from_a_persons() -> None:
    assert said_by_machine(TASK) and said_by_machine(classifier_name("0123456789ab"))
    assert not said_by_machine("ana") and not said_by_machine("scripted device")
    assert classifier_name("") == ""


def test_a_comment_leaves_the_label(log: Log) -> None:
    log.episode(0, label="success")
    append_comment(log.writer, log.index, 0, "<b>slow</b>", who="ana")
    log.index.refresh()
    assert log.label(0) == "success"
    assert log.index.events(0)[-1][1].why == "<b>slow</b>"


def test_what_does_not_exist_is_refused_and_what_does_is_listed(log: Log) -> None:
    log.episode(0)
    log.episode(1)
    with pytest.raises(
        LabelError, match="'good' is not a label; choose one of success, failure, exclude, demo"
    ):
        append_label(log.writer, log.index, 0, "good", who="ana")
    for act in (
        lambda: append_label(log.writer, log.index, 7, Label.DEMO, who="ana"),
        lambda: append_comment(log.writer, log.index, 7, "?", who="ana"),
    ):
        with pytest.raises(LabelError, match="Episode 7 is not in the log, which holds 0 to 1"):
            act()


def test_an_episode_of_an_evaluation_is_no_demonstration(log: Log) -> None:
    log.episode(0, purpose="evaluate", label="success")
    with pytest.raises(LabelError, match="Episode 0 is of an evaluation, which nothing learns from"):
        append_label(log.writer, log.index, 0, "demo", who="ana")
    assert append_label(log.writer, log.index, 0, "failure", who="ana") is not None


def test_only_an_episode_without_an_end_is_marked_aborted_and_only_once(log: Log) -> None:
    for number in range(3):
        log.episode(number, end=number != 1)
    assert mark_aborted(log.writer, log.reader) == [1]
    assert mark_aborted(log.writer, log.reader) == []
    log.index.refresh()
    assert [row.status for row in log.index.episodes()] == ["ended", "aborted", "ended"]
    ((_, event),) = log.index.events(1)
    assert event.who == "recovery" and "after 3 stored steps" in event.why


def test_demonstrations_are_the_ended_episodes_labelled_demo_now(log: Log) -> None:
    for number in range(4):
        log.episode(number, label="demo", end=number != 3)
    append_label(log.writer, log.index, 1, "exclude", who="ana", why="hesitant")
    log.index.refresh()
    assert [row.episode for row in log.index.episodes(label="demo", status="ended")] == [0, 2]


def test_a_review_writes_only_while_the_actor_does_not(log: Log) -> None:
    log.episode(0)
    with pytest.raises(RunLocked, match="log writer"):
        review_writer(log.segments)
    log.writer.close()
    with review_writer(log.segments) as writer:
        append_label(writer, log.index, 0, "failure", who="review")
    log.index.refresh()
    assert log.label(0) == "failure"


def test_there_is_nothing_to_review_in_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="no readable log"):
        review_writer(tmp_path)
