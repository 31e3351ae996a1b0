"""What groups of episodes come to: counted by hand, and the same whatever the grouping."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handrail.intervention.episode_filter import EpisodeFilter
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.index_query import GROUPINGS, Pace
from handrail.intervention.log_format import (
    LOG_SCHEMA,
    EpisodeEnd,
    EpisodeStart,
    Event,
    SegmentHeader,
)
from handrail.intervention.log_reader import LogReader
from handrail.intervention.log_writer import LogWriter
from handrail.intervention.proportion import wilson_interval
from handrail.intervention.transition import Source

NS = 1_000_000_000


@pytest.fixture
def index(samples, tmp_path: Path) -> Iterator[EpisodeIndex]:
    """Two sessions of five episodes of four steps, their versions 0, 15, … 135.

    They are a minute apart by the wall's clock, and twelve seconds by the robot's.

    Of each session the first was demonstrated, the second succeeded alone, the third with help, the fourth
    failed and the fifth, a success, was excluded.
    """
    segments = tmp_path / "segments"
    for session in range(2):
        header = SegmentHeader(LOG_SCHEMA, "run", "aaaa", 4, 2, created_wall_ns=1000 + session)
        with LogWriter(segments, header, reserve_bytes=0) as writer:
            for place in range(5):
                number = 5 * session + place
                start_ns = (number * 60 + session * 100_000) * NS
                robot_ns = place * 12 * NS
                purpose = "demo" if place == 0 else "train"
                human = {0: 4, 2: 1}.get(place, 0)
                writer.append(EpisodeStart(number, (0, number), purpose, robot_ns, start_ns, 15 * number))
                for step in range(4):
                    source = Source.HUMAN if step < human else Source.POLICY
                    writer.append(samples.step(number, step, source=source))
                success = place != 3
                end = EpisodeEnd(
                    number,
                    4,
                    success,
                    None,
                    not human,
                    human,
                    int(human > 0),
                    10.0 + number,
                    start_ns + 40 * NS,
                )
                writer.append(end)
                label = "exclude" if place == 4 else "success" if success else "failure"
                writer.append(Event("label", number, ("Ada", "Bo")[session], 5, None, label, ""))
    with EpisodeIndex(tmp_path / "index.db", LogReader(segments)) as index:
        index.refresh()
        yield index


def test_the_figures_of_all_are_those_of_the_training_episodes_that_count(index: EpisodeIndex) -> None:
    (total,) = index.statistics()
    assert (total.group, total.episodes, total.counted) == ("", 10, 6)
    assert (total.unaided, total.assisted, total.takeovers) == (2, 4, 2)
    assert total.human_share == pytest.approx(2 / 24)
    assert (total.cycle_s, total.peak_force_n) == (12.0, 18.0)
    assert total.unaided_bounds == wilson_interval(2, 6)
    assert total.assisted_bounds == wilson_interval(4, 6)


def test_another_purpose_is_counted_when_it_is_asked_for(index: EpisodeIndex) -> None:
    (total,) = index.statistics(None, EpisodeFilter(purpose="demo"))
    assert (total.episodes, total.counted, total.unaided, total.assisted, total.human_share) == (
        2,
        2,
        0,
        2,
        1.0,
    )


def test_nothing_is_nothing(index: EpisodeIndex) -> None:
    (total,) = index.statistics(None, EpisodeFilter(episodes="100-"))
    assert (total.episodes, total.counted, total.human_share, total.cycle_s, total.takeovers) == (
        0,
        0,
        None,
        None,
        0,
    )
    assert total.unaided_bounds == (0.0, 1.0)
    assert index.statistics("day", EpisodeFilter(episodes="100-")) == []


def test_a_cycle_is_robot_time_to_the_next_start_and_none_spans_two_sessions(index: EpisodeIndex) -> None:
    rows = index.select()
    assert [row.cycle_s for row in rows] == [12.0] * 4 + [None] + [12.0] * 4 + [None]
    assert {row.duration_s for row in rows} == {40.0}
    chosen = index.select(EpisodeFilter(episodes="2"))  # the filter does not change who was next
    assert [row.cycle_s for row in chosen] == [12.0]


def test_the_pace_is_that_of_the_last_training_episodes(index: EpisodeIndex) -> None:
    assert index.pace(2) == Pace(cycle_s=12.0, human_share=0.0)  # the failure, and the session's last
    assert index.pace(1) == Pace(cycle_s=None, human_share=0.0)
    assert index.pace(3).human_share == pytest.approx(1 / 12)
    assert index.pace(100) == Pace(cycle_s=12.0, human_share=2 / 32)


def test_neighbours_are_those_that_the_filter_lets_through(index: EpisodeIndex) -> None:
    assert index.neighbours(0) == (None, 1) and index.neighbours(9) == (8, None)
    failures = EpisodeFilter(outcome="failure")  # 3 and 8
    assert index.neighbours(5, failures) == (3, 8)
    assert index.neighbours(3, failures) == (None, 8)
    assert index.neighbours(9, EpisodeFilter(outcome="failure", last=1)) == (8, None)
    assert index.neighbours(8, EpisodeFilter(outcome="failure", last=1)) == (None, None)


def test_operators_and_versions_are_groups_that_the_filter_finds_again(index: EpisodeIndex) -> None:
    operators = index.statistics("operator")
    assert [(group.group, group.counted, group.unaided) for group in operators] == [
        ("Ada", 3, 1),
        ("Bo", 3, 1),
    ]
    versions = index.statistics("version")
    assert [group.group for group in versions][:3] == ["0-19", "20-39", "40-59"]
    for group in versions:
        assert len(index.select(EpisodeFilter(weights=group.group))) == group.episodes
    for group in operators:
        assert len(index.select(EpisodeFilter(operator=group.group))) == group.episodes
    for group in index.statistics("day"):
        assert len(index.select(EpisodeFilter(day=group.group))) == group.episodes


def test_a_few_versions_are_groups_of_their_own(index: EpisodeIndex) -> None:
    assert [group.group for group in index.statistics("version", EpisodeFilter(weights="0"))] == ["0"]


def test_groups_add_up_to_the_whole(index: EpisodeIndex) -> None:
    for by in GROUPINGS:
        (total,) = index.statistics()
        groups = index.statistics(by)
        for name in ("episodes", "counted", "unaided", "assisted", "takeovers"):
            assert sum(getattr(group, name) for group in groups) == getattr(total, name), (by, name)


@given(st.integers(0, 300), st.integers(0, 300))
def test_wilsons_bounds_enclose_the_share(successes: int, others: int) -> None:
    low, high = wilson_interval(successes, successes + others)
    share = successes / max(1, successes + others)
    assert 0.0 <= low <= share <= high <= 1.0


def test_a_relabel_changes_the_figures(samples, index: EpisodeIndex, tmp_path: Path) -> None:
    with samples.writer(tmp_path / "segments") as writer:
        writer.append(Event("label", 3, "Ada", 9, "failure", "success", "it was in"))
    index.refresh()
    (total,) = index.statistics()
    assert (total.unaided, total.assisted) == (3, 5)
