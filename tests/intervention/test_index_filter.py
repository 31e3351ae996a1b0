"""Which episodes a filter lets through, each condition alone and together, and what it refuses."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handrail.intervention.episode_filter import LABELS, OUTCOMES, PURPOSES, EpisodeFilter
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.labeller import classifier_name, said_by_machine
from handrail.intervention.log_format import EpisodeEnd, EpisodeStart, Event
from handrail.intervention.log_reader import LogReader
from handrail.intervention.transition import Source
from handrail.robot_env.errors import ConfigError

NS = 1_000_000_000
NOON = time.mktime((2026, 3, 1, 12, 0, 0, 0, 0, -1))  # here, as days are counted
DAY_S = 86_400
BY = classifier_name("0123456789ab")


def day(number: int) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(NOON + number * DAY_S))


@pytest.fixture
def index(samples, tmp_path: Path) -> Iterator[EpisodeIndex]:
    """Eight episodes over three days.

    0 demonstrated by Ada; 1 a success of the task's; 2 the same, vetoed by Ada; 3 out of time, called a
    success at step 1 by Bo; 4 a classifier's success; 5 shown to a classifier; 6 given up; 7 still open.
    """
    segments = tmp_path / "segments"
    with (
        samples.writer(segments) as writer,
        EpisodeIndex(tmp_path / "index.db", LogReader(segments)) as index,
    ):
        purposes = ["demo", "train", "train", "train", "train", "classify", "train", "train"]
        for number, purpose in enumerate(purposes):
            start_ns = int((NOON + number // 3 * DAY_S + number * 60) * NS)
            version = -1 if purpose == "demo" else 10 * number
            writer.append(EpisodeStart(number, (0, number), purpose, 0, start_ns, version))
            human = 3 if number == 0 else 1 if number == 3 else 0
            for step in range(3):
                source = Source.HUMAN if step < human else Source.POLICY
                writer.append(samples.step(number, step, source=source))
            if number == 7:
                break
            success = number in (0, 1, 2, 4)
            cut = {3: "time_limit", 5: "operator", 6: "abandoned"}.get(number)
            operator = "Bo" if number == 3 else ""
            counted = (not human, human, min(human, 1), float(number), start_ns + 30 * NS, None, operator)
            writer.append(EpisodeEnd(number, 3, success, cut, *counted))
        for number, who, old, new, why, step in (
            (0, "Ada", None, "demo", "", None),
            (1, "task", None, "success", "", None),
            (2, "task", None, "success", "", None),
            (2, "Ada", "success", "failure", "one END is out by 100%_", None),
            (3, "Bo", None, "success", "", 1),
            (4, BY, None, "success", "", None),
        ):
            writer.append(Event("label", number, who, 5, old, new, why, step))
        writer.append(Event("comment", 5, "Cy", 6, None, None, "a \\ and 'quotes'"))
        index.refresh()
        yield index


def found(index: EpisodeIndex, **words: object) -> list[int]:
    chosen = EpisodeFilter.of(words)
    rows = [row.episode for row in index.select(chosen)]
    assert index.numbers(chosen) == rows
    return rows


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ({}, [0, 1, 2, 3, 4, 5, 6, 7]),
        ({"outcome": "success"}, [0, 1, 3, 4]),
        ({"outcome": "failure"}, [2]),
        ({"outcome": "shown"}, [5]),
        ({"outcome": "aborted"}, [6]),
        ({"outcome": "open"}, [7]),
        ({"label": "success"}, [1, 3, 4]),
        ({"label": "demo"}, [0]),
        ({"label": "none"}, [5, 6, 7]),
        ({"labeller": "machine"}, [1, 4]),
        ({"labeller": "person"}, [0, 2, 3]),
        ({"labeller": "Ada"}, [0, 2]),
        ({"labeller": BY}, [4]),
        ({"human": "true"}, [0, 3]),
        ({"human": False}, [1, 2, 4, 5, 6, 7]),
        ({"purpose": "classify"}, [5]),
        ({"purpose": "evaluate"}, []),
        ({"weights": "none"}, [0]),
        ({"weights": "10-30"}, [1, 2, 3]),
        ({"weights": "60-"}, [6, 7]),
        ({"weights": "-10"}, [1]),
        ({"weights": "40"}, [4]),
        ({"operator": "Ada"}, [0, 2]),
        ({"operator": "Bo"}, [3]),
        ({"operator": "Cy"}, [5]),
        ({"day": day(0)}, [0, 1, 2]),
        ({"day": f"{day(1)}..{day(2)}"}, [3, 4, 5, 6, 7]),
        ({"text": "end is OUT"}, [2]),
        ({"text": "100%_"}, [2]),
        ({"text": "10_%"}, []),
        ({"text": "\\"}, [5]),
        ({"text": "'"}, [5]),
        ({"episodes": "0,2-3, 6-"}, [0, 2, 3, 6, 7]),
        ({"episodes": "-1"}, [0, 1]),
        ({"last": 2}, [6, 7]),
        ({"last": "2", "outcome": "success"}, [3, 4]),
        ({"outcome": "success", "labeller": "machine", "weights": "0-20"}, [1]),
        ({"operator": "x'; DROP TABLE episodes; --"}, []),
        ({"labeller": "", "text": None, "run": "first"}, [0, 1, 2, 3, 4, 5, 6, 7]),
    ],
    ids=str,
)
def test_a_condition_lets_its_episodes_through(index: EpisodeIndex, words: dict, numbers: list[int]) -> None:
    assert found(index, **words) == numbers


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"outcome": "sucess"}, "choose one of success, failure"),
        ({"label": "good"}, "choose one of success, failure, exclude, demo, none"),
        ({"purpose": "play"}, "choose one of train"),
        ({"human": "perhaps"}, "true or false"),
        ({"last": "0"}, "at least 1"),
        ({"last": "two"}, "whole number"),
        ({"weights": "new"}, "such as 3,7"),
        ({"episodes": "5-3"}, "ends before it begins"),
        ({"episodes": "-"}, "such as 3,7"),
        ({"episodes": ",".join(map(str, range(600)))}, "limit 500"),
        ({"day": "yesterday"}, "2026-03-01"),
        ({"text": "x" * 300}, "longer than 200"),
    ],
)
def test_a_condition_without_a_meaning_is_refused_in_a_line(words: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EpisodeFilter.of(words)


words = st.fixed_dictionaries(
    {},
    optional={
        "outcome": st.sampled_from(OUTCOMES),
        "label": st.sampled_from(LABELS),
        "purpose": st.sampled_from(PURPOSES),
        "human": st.booleans(),
        "labeller": st.text(min_size=1, max_size=9),
        "operator": st.text(min_size=1, max_size=9),
        "text": st.text(min_size=1, max_size=9),
        "weights": st.sampled_from(["3", "3-9", "none"]),
        "episodes": st.sampled_from(["1", "1,2-3"]),
        "day": st.sampled_from(["2026-03-01", "2026-03-01..2026-03-02"]),
        "last": st.integers(1, 10**9),
    },
)


@given(words)
def test_a_filter_is_the_same_after_a_journey_as_words(asked: dict) -> None:
    chosen = EpisodeFilter.of(asked)
    assert EpisodeFilter.of(chosen.words()) == chosen


def test_the_newest_come_first_off_a_page_and_stand_in_order(index: EpisodeIndex) -> None:
    pages = [index.select(limit=3, offset=offset) for offset in (0, 3, 6, 9)]
    assert [[row.episode for row in page] for page in pages] == [[5, 6, 7], [2, 3, 4], [0, 1], []]


def test_facets_say_what_can_be_asked_for(index: EpisodeIndex) -> None:
    facets = index.facets()
    assert facets["outcome"] == [("aborted", 1), ("failure", 1), ("open", 1), ("shown", 1), ("success", 4)]
    assert facets["label"] == [("none", 3), ("demo", 1), ("failure", 1), ("success", 3)]
    assert facets["labeller"] == [("Ada", 2), ("Bo", 1), (BY, 1), ("task", 1)]
    assert facets["operator"] == [("Ada", 2), ("Bo", 1), ("Cy", 1)]
    assert facets["day"] == [(day(0), 3), (day(1), 3), (day(2), 2)]
    for labeller, _ in facets["labeller"]:  # the SQL means what Python means
        machine = found(index, labeller=labeller, label="success")
        assert set(machine) <= set(found(index, labeller="machine")) or not said_by_machine(labeller)


def test_a_row_says_who_labelled_it_when_and_why(index: EpisodeIndex) -> None:
    vetoed, called, shown = (index.episode(number) for number in (2, 3, 5))
    assert vetoed is not None and called is not None and shown is not None
    assert (vetoed.outcome, vetoed.success, vetoed.label, vetoed.labeller) == (
        "failure",
        True,
        "failure",
        "Ada",
    )
    assert (vetoed.note, vetoed.labelled_wall_ns, vetoed.operator) == ("one END is out by 100%_", 5, "Ada")
    assert (called.outcome, called.success, called.label_step, called.operator) == ("success", False, 1, "Bo")
    assert (shown.note, shown.labeller, shown.label) == ("a \\ and 'quotes'", None, None)


def test_what_was_said_since_is_told_by_episode(index: EpisodeIndex) -> None:
    events = [sequence for number in range(8) for sequence, _ in index.events(number)]
    assert index.labelled_since(0) == [0, 1, 2, 3, 4, 5]
    assert index.labelled_since(max(events)) == []
    assert index.labelled_since(max(events) - 1) == [5]
