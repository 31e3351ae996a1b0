from pathlib import Path

import numpy as np
import pytest
from judged import open_log, picture, write_episode

from handrail.intervention.index import EpisodeIndex
from handrail.intervention.labels import append_label
from handrail.intervention.log_format import LogError
from handrail.intervention.log_reader import LogReader
from handrail.reward_classifier.inbox import Inbox, InboxEntry, entries, images, news
from handrail.reward_classifier.stored import images_after, stored_episodes

V1 = "0123456789ab"
BY = f"classifier {V1}"


class Desk:
    """A log in which a classifier has judged, and a person reviews."""

    def __init__(self, folder: Path):
        self.reader = LogReader(folder)
        self.writer = open_log(folder)
        self.index = EpisodeIndex(folder / "index.db", LogReader(folder))
        self.kept = Inbox("first", self.reader)

    def judged(self, episode: int, scores: list[float], *, success: bool, who: str = BY) -> None:
        label = ("success", who) if success else None
        lit = [score > 0.5 for score in scores]
        write_episode(self.writer, episode, lit, scores=scores, classifier=V1, label=label)

    def says(self, episode: int, label: str, step: int | None = None) -> None:
        append_label(self.writer, self.index, episode, label, who="Ada", why="looked", step=step)

    def inbox(self) -> list[InboxEntry]:
        """The disagreements: by the whole log, and as a console that keeps them has them."""
        self.index.refresh()
        found = entries({"first": self.reader})
        assert self.kept.entries(self.index) == Inbox("first", self.reader).entries(self.index) == found
        return found

    def close(self) -> None:
        self.index.close()
        self.writer.close()


@pytest.fixture
def desk(tmp_path: Path):
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def test_a_vetoed_success_is_shown_with_its_frame(desk: Desk) -> None:
    desk.judged(0, [0.1, 0.2, 0.95, 0.97], success=True)
    assert desk.inbox() == []  # nobody has disagreed
    desk.says(0, "failure")
    (entry,) = desk.inbox()
    assert (entry.run, entry.episode, entry.step, entry.kind) == ("first", 0, 3, "vetoed")
    assert (entry.score, entry.classifier) == (0.97, V1)
    assert (entry.label, entry.who, entry.why) == ("failure", "Ada", "looked")
    found = images(desk.reader, entry)
    assert list(found) == ["wrist"]
    assert np.array_equal(found["wrist"], picture(True, 4))


def test_news_is_what_was_said_since_an_episode_was_learned_from_whatever_the_clock_says(desk: Desk) -> None:
    for episode in range(2):
        desk.judged(episode, [0.1, 0.9], success=True)
        desk.says(episode, "failure")
    first, second = desk.inbox()
    learned = {"first": {0: first.sequence}}
    assert news([first, second], learned) == [second]
    assert news([first, second], {"second": learned["first"]}) == [first, second]
    desk.says(0, "success")
    desk.says(0, "failure")  # thought again, twice
    assert [entry.episode for entry in news(desk.inbox(), learned)] == [0, 1]


def test_a_missed_success_is_shown_at_the_step_that_the_person_named(desk: Desk) -> None:
    desk.judged(0, [0.1, 0.4, 0.3, 0.2], success=False)
    desk.says(0, "success", step=1)
    desk.judged(1, [0.1, 0.3], success=False, who="")
    desk.says(1, "demo")
    first, second = desk.inbox()
    assert (first.episode, first.step, first.kind, first.score) == (0, 1, "missed", 0.4)
    assert (second.episode, second.step, second.kind, second.label) == (1, 1, "missed", "demo")


@pytest.mark.parametrize("score", [0.7, 0.99])
def test_a_success_that_the_threshold_the_streak_or_the_guard_kept_back_is_missed(
    desk: Desk, score: float
) -> None:
    desk.judged(0, [score] * 6, success=False)
    desk.says(0, "demo")
    (entry,) = desk.inbox()
    assert (entry.kind, entry.step, entry.score) == ("missed", 5, score)


def test_the_operators_no_at_the_moment_of_a_false_success_is_a_veto(desk: Desk) -> None:
    desk.judged(0, [0.1, 0.96], success=False)
    desk.says(0, "failure")
    (entry,) = desk.inbox()
    assert (entry.kind, entry.step) == ("vetoed", 1)


def test_agreement_and_what_nobody_judged_is_not_shown(desk: Desk) -> None:
    desk.judged(0, [0.1, 0.9], success=True)
    desk.says(0, "success")  # confirmed
    desk.says(0, "demo")  # and once more
    desk.judged(1, [0.1, 0.2], success=False)
    desk.says(1, "failure")
    desk.judged(2, [0.1, 0.9], success=True)
    desk.says(2, "exclude")
    desk.judged(3, [0.1, 0.9], success=True)
    desk.says(3, "failure")
    desk.says(3, "success")  # a person thought again
    write_episode(desk.writer, 4, [False, True], label=("success", "Ada"))  # no classifier ran
    desk.judged(5, [0.1, 0.9], success=True)
    desk.says(5, "success", step=0)  # a look earlier than the classifier's
    assert [(entry.episode, entry.kind) for entry in desk.inbox()] == [(5, "missed")]


def test_only_the_episode_in_question_is_read(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collection that was killed has no end, and whole runs follow it in the log."""
    for episode in range(3):
        desk.judged(episode, [0.1, 0.9], success=True)
    write_episode(desk.writer, 3, [False, True] * 40, purpose="classify", ended=False)
    for episode in range(4, 60):
        write_episode(desk.writer, episode, [False, True])
    desk.says(2, "failure")
    (entry,) = desk.inbox()
    killed = stored_episodes(desk.reader)[3]
    read: list[int] = []

    def watched(after: int, limit: int = 1000) -> list[tuple[int, bytes]]:
        frames = LogReader.read(desk.reader, after, limit)
        read.append(len(frames))
        return frames

    monkeypatch.setattr(desk.reader, "read", watched)
    assert list(images(desk.reader, entry)) == ["wrist"]
    assert sum(read) <= 64
    read.clear()
    assert len(list(images_after(desk.reader, killed.after, 3))) == 80
    assert sum(read) <= 3 * 64  # 162 records, of some 500


def test_frames_of_another_log_are_refused(desk: Desk, tmp_path: Path) -> None:
    desk.judged(0, [0.1, 0.9], success=True)
    desk.says(0, "failure")
    (entry,) = desk.inbox()
    with pytest.raises(LogError, match="step 1 of episode 0 is not in the log of run first"):
        images(LogReader(tmp_path / "elsewhere"), entry)


def test_an_inbox_that_is_kept_reads_the_episodes_in_question_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.judged(0, [0.1, 0.9], success=True)
    desk.says(0, "success")  # confirmed
    for episode in range(1, 40):
        desk.judged(episode, [0.1, 0.9], success=True)  # nobody says a thing
    desk.judged(40, [0.1, 0.9], success=True)
    desk.says(40, "failure")
    desk.index.refresh()
    read: list[int] = []

    def watched(after: int, limit: int, upto: int) -> list[tuple[int, bytes]]:
        frames = LogReader.read(desk.reader, after, limit, upto)
        read.append(len(frames))
        return frames

    monkeypatch.setattr(desk.reader, "read", watched)
    assert [entry.episode for entry in desk.kept.entries(desk.index)] == [40]
    assert 0 < sum(read) < 10  # of some 250
    read.clear()
    assert [entry.episode for entry in desk.kept.entries(desk.index)] == [40] and not read
    desk.says(40, "success")
    desk.index.refresh()
    assert desk.kept.entries(desk.index) == []
