"""What `handrail review` says that episodes came to, of a log in which a classifier and a person spoke."""

from pathlib import Path

import pytest
from judged import open_log, write_episode

from handrail.intervention.index import EpisodeIndex
from handrail.intervention.labels import append_label
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch.cli import main

BY = "classifier 0123456789ab"


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """Six episodes: a success that stands, a vetoed one, two that a person called one, two shown ones."""
    run = RunDirectory(tmp_path / "run").create("", {})
    with (
        open_log(run.segments) as writer,
        EpisodeIndex(run.index_file, LogReader(run.segments)) as index,
    ):
        for episode in (0, 1):
            write_episode(writer, episode, [False, True], label=("success", BY))
        for episode in (2, 3):  # out of time
            write_episode(writer, episode, [False, True])
        for episode in (4, 5):
            write_episode(writer, episode, [False, True], purpose="classify", rewards=[0.0, 1.0])
        for episode, label in ((1, "failure"), (2, "demo"), (3, "success"), (5, "exclude")):
            append_label(writer, index, episode, label, who="Ada")
    return run


def test_the_outcome_and_its_count_follow_the_labels(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["review", f"run={run.path}"]) == 0
    *rows, total = capsys.readouterr().out.strip().splitlines()[1:]
    outcomes = [next(word for word in row.split() if word in ("success", "failure", "shown")) for row in rows]
    assert outcomes == ["success", "failure", "success", "success", "shown", "shown"]
    assert total.strip() == "6 episodes, 3 successes"


@pytest.mark.parametrize(("outcome", "count"), [("success", 3), ("failure", 1), ("shown", 2)])
def test_episodes_are_chosen_by_the_outcome_that_is_shown(
    run: RunDirectory, outcome: str, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["review", f"run={run.path}", f"outcome={outcome}", "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == count


def test_a_classifiers_success_is_confirmed_once(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    for said in ("episode 0: success -> success, now said by ", "episode 0 is labelled success already"):
        assert main(["review", f"run={run.path}", "episode=0", "label=success"]) == 0
        assert capsys.readouterr().out.startswith(said)
