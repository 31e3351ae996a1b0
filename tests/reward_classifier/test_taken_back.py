"""What a person has taken back teaches no classifier, and is no disagreement with one."""

from pathlib import Path

import pytest
from judged import open_log, write_episode

from handrail.intervention.index import EpisodeIndex
from handrail.intervention.labeller import UNDO
from handrail.intervention.labels import append_label
from handrail.intervention.log_reader import LogReader
from handrail.launch.advice_facts import _disagree
from handrail.launch.classify.tally import Tally
from handrail.reward_classifier.inbox import Inbox
from handrail.reward_classifier.stored import stored_episodes

VERSION = "0123456789ab"
BY = f"classifier {VERSION}"


@pytest.fixture
def segments(tmp_path: Path) -> Path:
    """A success of a classifier's (0), and one that it was shown (1)."""
    segments = tmp_path / "segments"
    with open_log(segments) as writer:
        scores = [0.1, 0.9]
        write_episode(writer, 0, [False, True], scores=scores, classifier=VERSION, label=("success", BY))
        write_episode(writer, 1, [False, True], purpose="classify", rewards=[0.0, 1.0])
    return segments


def test_a_veto_that_was_taken_back_was_never_there(segments: Path, tmp_path: Path) -> None:
    reader = LogReader(segments)
    with open_log(segments) as writer, EpisodeIndex(tmp_path / "index.db", LogReader(segments)) as index:
        inbox = Inbox("run", reader)
        append_label(writer, index, 0, "failure", who="Ada", why="not seated")
        index.refresh()
        assert [entry.kind for entry in inbox.entries(index)] == ["vetoed"]
        assert _disagree(index, 0)
        append_label(writer, index, 0, UNDO, who="Ada")
        index.refresh()
        assert inbox.entries(index) == [] and Inbox("run", reader).entries(index) == []
        assert not _disagree(index, 0)
        (stored, _) = stored_episodes(reader)
        assert [(event.who, event.new) for event in stored.labels] == [(BY, "success")]
        assert stored.word is None and len(stored.labelled_at) == 1


def test_without_any_label_left_there_is_nothing_to_disagree_about(segments: Path, tmp_path: Path) -> None:
    with open_log(segments) as writer, EpisodeIndex(tmp_path / "index.db", LogReader(segments)) as index:
        write_episode(writer, 2, [False, True], scores=[0.1, 0.9], classifier=VERSION)
        append_label(writer, index, 2, "success", who="Ada")
        append_label(writer, index, 2, UNDO, who="Ada")
        index.refresh()
        assert index.judged_by_both() != []  # a person has spoken of it
        assert Inbox("run", LogReader(segments)).entries(index) == [] and not _disagree(index, 2)


def test_an_example_that_was_left_out_by_mistake_counts_again(segments: Path, tmp_path: Path) -> None:
    def counted() -> int:
        tally = Tally()
        tally.read(LogReader(segments))
        return tally.positives

    with open_log(segments) as writer, EpisodeIndex(tmp_path / "index.db", LogReader(segments)) as index:
        assert counted() == 1
        append_label(writer, index, 1, "exclude", who="Ada")
        assert counted() == 0
        append_label(writer, index, 1, UNDO, who="Ada")
        assert counted() == 1
