import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from handrail.intervention.index import EpisodeIndex, Totals
from handrail.intervention.log_format import EpisodeEnd, EpisodeStart, Event, LogError
from handrail.intervention.log_reader import LogReader
from handrail.intervention.log_writer import LogWriter
from handrail.intervention.transition import Source


def episode(
    samples, writer: LogWriter, number: int, *, purpose: str = "train", human: int = 0, end: bool = True
) -> None:
    writer.append(EpisodeStart(number, (7, number), purpose, 0, 100 + number, 4))
    for n in range(3):
        source = Source.HUMAN if n < human else Source.POLICY
        writer.append(samples.step(number, n, source=source, reward=float(n == 2)))
    if end:
        writer.append(EpisodeEnd(number, 3, human == 0, None, human == 0, human, int(human > 0), 9.5, 200))


@pytest.fixture
def log(samples, tmp_path: Path) -> Iterator[tuple[LogWriter, EpisodeIndex]]:
    segments = tmp_path / "segments"
    with (
        samples.writer(segments) as writer,
        EpisodeIndex(tmp_path / "index.db", LogReader(segments)) as index,
    ):
        yield writer, index


def test_an_episode_is_entered_step_by_step(samples, log) -> None:
    writer, index = log
    episode(samples, writer, 0, human=2, end=False)
    index.refresh()
    row = index.episode(0)
    assert (row.status, row.steps, row.human_steps, row.success, row.label) == ("open", 3, 2, None, None)
    assert (row.seed, row.purpose, row.weights_version, row.reward) == ((7, 0), "train", 4, 1.0)
    writer.append(EpisodeEnd(0, 3, False, "time_limit", False, 2, 1, 9.5, 200))
    assert index.refresh() == writer.appended
    row = index.episode(0)
    assert (row.status, row.success, row.truncated_by, row.takeovers) == ("ended", False, "time_limit", 1)
    assert (row.first_sequence, row.last_sequence) == (2, 6)


def test_refreshing_again_changes_nothing_and_another_index_comes_to_the_same(
    samples, log, tmp_path: Path
) -> None:
    writer, index = log
    for number in range(5):
        episode(samples, writer, number, purpose="demo" if number < 2 else "train", human=number % 2)
    writer.append(Event("label", 1, "ana", 1, None, "demo", "clean"))
    index.refresh()
    before = index.episodes(), index.totals(), index.events(1)
    index.refresh()
    assert (index.episodes(), index.totals(), index.events(1)) == before
    with EpisodeIndex(tmp_path / "anew.db", LogReader(tmp_path / "segments")) as anew:
        assert anew.refresh() == writer.appended
        assert (anew.episodes(), anew.totals(), anew.events(1)) == before
    assert before[1] == Totals(
        next_episode=5, episodes=5, train_steps=9, demo_steps=6, human_steps=1, takeovers=1
    )


def test_episodes_are_filtered(samples, log) -> None:
    writer, index = log
    for number in range(6):
        episode(samples, writer, number, human=number % 2, purpose="demo" if number == 0 else "train")
    writer.append(Event("label", 2, "ana", 1, None, "exclude", ""))
    index.refresh()

    def found(**conditions: object) -> list[int]:
        return [row.episode for row in index.episodes(**conditions)]

    assert found(success=True) == [0, 2, 4] == found(unaided=True)
    assert found(purpose="train", success=False, since=2) == [3, 5]
    assert found(label="exclude") == [2]
    assert found(label="x'; DROP TABLE episodes; --") == []
    assert found(status="open") == []


def test_the_last_label_counts_and_the_history_stays(samples, log) -> None:
    writer, index = log
    episode(samples, writer, 0)
    events = [
        Event("label", 0, who, 1, None, new, "") for who, new in (("task", "success"), ("ana", "failure"))
    ]
    writer.append(*events, Event("comment", 0, "ana", 2, None, None, "slipped"))
    index.refresh()
    assert index.episode(0).label == "failure"
    assert [e for _, e in index.events(0)][:2] == events


def test_two_indexes_of_one_file_take_turns(samples, log, tmp_path: Path) -> None:
    writer, index = log
    with EpisodeIndex(tmp_path / "index.db", LogReader(tmp_path / "segments")) as other:
        for number in range(6):
            episode(samples, writer, number)
            (index if number % 2 else other).refresh()
        assert index.refresh() == other.refresh() == writer.appended
        assert index.totals() == other.totals()
        assert index.totals().train_steps == 18


def test_scores_truth_and_the_step_of_a_success_are_entered(samples, log) -> None:
    writer, index = log
    writer.append(EpisodeStart(0, (7, 0), "train", 0, 100, 4))
    for number, score in enumerate((0.25, 0.75, None, 0.5)):
        writer.append(samples.step(0, number, score=score, classifier="abc"))
    index.refresh()
    row = index.episode(0)
    assert (row.score, row.classifier, row.seated, row.label_step) == (0.75, "abc", None, None)
    writer.append(EpisodeEnd(0, 4, False, "time_limit", True, 0, 0, 9.5, 200, seated=True))
    event = Event("label", 0, "ana", 1, None, "success", "it was in", step=1)
    writer.append(event)
    index.refresh()
    row = index.episode(0)
    assert (row.success, row.seated, row.label, row.label_step) == (False, True, "success", 1)
    assert [said for _, said in index.events(0)] == [event]
    writer.append(Event("label", 0, "ana", 2, "success", "failure", "it was not"))
    index.refresh()
    assert index.episode(0).label_step is None


@pytest.mark.parametrize("damage", ["noise", "schema"])
def test_an_index_that_cannot_be_used_is_made_anew(samples, log, tmp_path: Path, damage: str) -> None:
    writer, index = log
    episode(samples, writer, 0)
    index.refresh()
    index.close()
    if damage == "noise":
        (tmp_path / "index.db").write_bytes(b"not a database at all" * 100)
    else:
        with sqlite3.connect(tmp_path / "index.db") as database:
            database.execute("PRAGMA user_version = 77")
        database.close()
    with EpisodeIndex(tmp_path / "index.db", LogReader(tmp_path / "segments")) as anew:
        anew.refresh()
        assert anew.totals().train_steps == 3


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_log_that_lost_its_tail_is_read_anew(samples, tmp_path: Path, goes_on: bool) -> None:
    """As after a power cut: what was written since is another log under the same sequence numbers."""
    segments, path = tmp_path / "segments", tmp_path / "index.db"
    with samples.writer(segments) as writer:
        episode(samples, writer, 0)
        kept = writer.appended
        writer.wait_committed(kept, 10.0)
        (segment,) = segments.glob("*.seg")
        size = segment.stat().st_size
        episode(samples, writer, 1, human=3)
        writer.append(Event("label", 0, "ana", 1, None, "failure", "lost too"))
    with EpisodeIndex(path, LogReader(segments)) as index:
        assert index.refresh() > kept and len(index.episodes()) == 2 and len(index.events(0)) == 1
    with segment.open("r+b") as file:
        file.truncate(size)
    if goes_on:
        with samples.writer(segments) as writer:
            for number in (1, 2, 3):
                episode(samples, writer, number)
    with EpisodeIndex(path, LogReader(segments)) as index:
        index.refresh()
        assert [row.human_steps for row in index.episodes()] == ([0] * 4 if goes_on else [0])
        assert [row.label for row in index.episodes()] == [None] * (4 if goes_on else 1)
        assert index.events(0) == []


def test_a_place_that_cannot_hold_an_index_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="cannot be opened"):
        EpisodeIndex(tmp_path / "missing" / "index.db", LogReader(tmp_path))
