"""A label that is taken back counts no more, for whoever reads the log; what it covered stands again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judged import open_log, write_episode

from handrail.intervention.index import EpisodeIndex
from handrail.intervention.labeller import UNDO
from handrail.intervention.labels import LabelError, append_comment, append_label
from handrail.intervention.log_format import Event
from handrail.intervention.log_reader import LogReader
from handrail.intervention.log_writer import LogWriter
from handrail.intervention.standing import standing

BY = "classifier 0123456789ab"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[tuple[LogWriter, EpisodeIndex]]:
    """An episode that a classifier called a success (0), one out of time (1), one shown to it (2)."""
    segments = tmp_path / "segments"
    with (
        open_log(segments) as writer,
        EpisodeIndex(tmp_path / "index.db", LogReader(segments)) as index,
    ):
        write_episode(writer, 0, [False, True], label=("success", BY))
        write_episode(writer, 1, [False, True])
        write_episode(writer, 2, [False, True], purpose="classify", rewards=[0.0, 1.0])
        index.refresh()
        yield writer, index


def facts(index: EpisodeIndex, episode: int) -> tuple:
    row = index.episode(episode) if index.refresh() else None
    assert row is not None
    return row.outcome, row.label, row.label_step, row.labeller, row.labelled_wall_ns, row.note


@pytest.mark.parametrize("episode", [0, 1, 2])
@pytest.mark.parametrize(("label", "step"), [("exclude", None), ("success", 0), ("failure", None)])
def test_an_episode_is_then_what_it_was_before(
    log: tuple[LogWriter, EpisodeIndex], tmp_path: Path, episode: int, label: str, step: int | None
) -> None:
    writer, index = log
    before = facts(index, episode)
    append_label(writer, index, episode, label, who="Ada", why="a slip", step=step)
    assert facts(index, episode) != before
    event = append_label(writer, index, episode, UNDO, who="Bo")
    assert event is not None and (event.kind, event.who, event.old) == ("undo", "Bo", label)
    assert facts(index, episode) == before
    with EpisodeIndex(tmp_path / "anew.db", LogReader(tmp_path / "segments")) as anew:
        assert facts(anew, episode) == before


def test_one_label_after_the_other_is_taken_back_and_remarks_stay(
    log: tuple[LogWriter, EpisodeIndex],
) -> None:
    writer, index = log
    append_label(writer, index, 1, "success", who="Ada", why="seen", step=0)
    append_comment(writer, index, 1, "the lamp was off", who="Ada")
    append_label(writer, index, 1, "exclude", who="Ada", why="blurred")
    append_label(writer, index, 1, UNDO, who="Ada")
    assert facts(index, 1)[1:4] + facts(index, 1)[5:] == ("success", 0, "Ada", "the lamp was off")
    event = append_label(writer, index, 1, UNDO, who="Ada", why="not seen")
    assert event is not None and (event.old, event.new, event.step) == ("success", None, None)
    assert facts(index, 1) == ("failure", None, None, None, None, "not seen")


@pytest.mark.parametrize("episode", [0, 1])
def test_only_what_a_person_said_is_taken_back(log: tuple[LogWriter, EpisodeIndex], episode: int) -> None:
    writer, index = log
    size = writer.appended
    with pytest.raises(LabelError, match=f"Nobody has labelled episode {episode}, so there is nothing"):
        append_label(writer, index, episode, UNDO, who="Ada")
    assert writer.appended == size


@given(said=st.lists(st.sampled_from(["label", "undo", "comment", "stopped"]), max_size=12))
def test_what_stands_is_what_a_stack_holds(said: list[str]) -> None:
    events = [(at, Event(kind, 0, "Ada", at, None, str(at), "")) for at, kind in enumerate(said)]
    stand = standing(events)
    assert [event.kind for _, event in stand] == ["label"] * len(stand)
    again = [
        (99, Event("label", 0, "Ada", 99, None, "x", "")),
        (100, Event("undo", 0, "Ada", 100, "x", None, "")),
    ]
    assert standing([*events, *again]) == stand
    assert standing([*events, again[1]]) == stand[:-1]
