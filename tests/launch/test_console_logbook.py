"""What the page shows of a run where nobody reports: what its files say, and labels as they change."""

import json
from pathlib import Path

import pytest
from consoled import consoled, make_run

from handrail.agent.history import RunHistory
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.index_query import Pace
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch.bench.long_log import write_long_log
from handrail.launch.console.logbook import Logbook
from handrail.launch.labelling import relabel

EPISODES = 30


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return write_long_log(tmp_path / "long", EPISODES, 6, cameras=1, side=16)


def test_it_counts_as_the_actor_does(run: RunDirectory) -> None:
    history = RunHistory()
    for sequence, record in LogReader(run.segments).records():
        history.ingest(sequence, record)
    entry = Logbook(run).look()
    assert entry.sequence == history.sequence
    assert entry.actor == {
        "env_steps": history.online_steps,
        "episode": history.next_episode - 1,
        "demonstrations": history.demonstrations,
        "demonstration_steps": history.demonstration_steps,
        "human_steps": history.human_steps,
        "takeovers": history.takeovers,
        "intervention_rate": history.human_steps / history.online_steps,
        "unaided": [success and unaided for success, unaided in history.finished],
        "assisted": [success for success, _ in history.finished],
    }
    assert sum(entry.actor["unaided"]) > 0 and history.takeovers > 0
    assert entry.labelled == () and entry.evaluations == ()


def test_the_pace_is_from_start_to_start_of_the_last_training_episodes(run: RunDirectory) -> None:
    pace = Logbook(run).look().pace
    with EpisodeIndex(run.index_file, LogReader(run.segments)) as index:
        rows = index.episodes(purpose="train", status="ended")[-20:]
    cycles = [row.cycle_s for row in rows if row.cycle_s is not None]
    assert pace.cycle_s == pytest.approx(sum(cycles) / len(cycles)) and cycles
    assert pace.human_share == sum(row.human_steps for row in rows) / sum(row.steps for row in rows) > 0


def test_it_tells_of_each_label_once(run: RunDirectory) -> None:
    book = Logbook(run)
    before = book.look()
    assert book.look() == before
    relabel(run, 3, "failure", "Ada", "not seated")
    relabel(run, 1, "exclude", "Ada", "camera blind")
    after = book.look()
    assert after.labelled == (1, 3) and after.actor["env_steps"] == before.actor["env_steps"]
    assert after.actor["demonstrations"] < before.actor["demonstrations"]
    assert book.look().labelled == ()
    run.index_file.unlink()  # a shadow of the log: whoever deletes it means it
    assert book.look() == Logbook(run).look()


def test_success_is_what_the_labels_say_now_for_the_page_and_for_the_actor(run: RunDirectory) -> None:
    book, history, reader = Logbook(run), RunHistory(), LogReader(run.segments)
    before = book.look().actor
    with EpisodeIndex(run.index_file, reader) as index:
        rows = index.episodes(purpose="train", status="ended", success=True, unaided=True)[-3:]
        steps_before = index.steps_since_unaided()[0]
    for row, label in zip(rows, ("exclude", "failure", "failure"), strict=True):
        relabel(run, row.episode, label, "Ada", "not seated")
    for sequence, record in reader.records():
        history.ingest(sequence, record)
    after = book.look().actor
    assert sum(after["unaided"]) == sum(before["unaided"]) - 3
    assert len(after["unaided"]) == len(before["unaided"]) - 1
    assert after["unaided"] == [success and unaided for success, unaided in history.finished]
    assert after["assisted"] == [success for success, _ in history.finished]
    with EpisodeIndex(run.index_file, reader) as index:
        index.refresh()
        assert index.steps_since_unaided()[0] > steps_before
    relabel(run, rows[-1].episode, "undo", "Ada")
    assert sum(book.look().actor["unaided"]) == sum(before["unaided"]) - 2


def test_an_empty_run_says_nothing(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.evaluations_file.write_text(json.dumps({"set": "check", "successes": 1, "episodes": 2}) + '\n{"torn')
    entry = Logbook(run).look()
    assert entry.sequence == 0 and entry.pace == Pace() and entry.actor["env_steps"] == 0
    assert entry.evaluations == ({"set": "check", "successes": 1, "episodes": 2},)


def test_a_finished_run_is_shown_and_its_labels_are_followed(run: RunDirectory) -> None:
    with consoled(run) as site, site.viewer().socket() as page:
        assert page.hear("now")["alive"] is False
        expected = Logbook(run).look()
        shown = page.hear("run", env_steps=expected.actor["env_steps"])
        assert shown["phase"] == "idle" and shown["supervised"] is False
        wins = sum(expected.actor["unaided"][-20:])
        assert shown["success"]["unaided"]["20"]["successes"] == wins
        kinds = zip(expected.actor["unaided"], expected.actor["assisted"], strict=True)
        assert shown["recent"] == [list(each) for each in kinds][-10:] and len(shown["recent"]) == 10
        assert (shown["cycle_s"], shown["human_share"]) == (expected.pace.cycle_s, expected.pace.human_share)
        relabel(run, 5, "failure", "Ada", "not seated")
        assert page.hear("labelled")["episodes"] == [5]
