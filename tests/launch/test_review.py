"""What `handrail review` says that episodes came to, of a log in which a classifier and a person spoke."""

import json
import re
from pathlib import Path

import pytest
from judged import open_log, write_episode

from handrail.intervention.episode_filter import LABELS, OUTCOMES, PURPOSES, EpisodeFilter
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.index_query import GROUPINGS
from handrail.intervention.labels import append_label
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch.choice import chosen
from handrail.launch.cli import main
from handrail.launch.commands import CHOICE, COMMANDS
from handrail.launch.options import split

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


def rows(run: RunDirectory, capsys: pytest.CaptureFixture[str], *words: str) -> list[dict]:
    assert main(["review", f"run={run.path}", "--json", *words]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_outcome_and_its_count_follow_the_labels(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["review", f"run={run.path}"]) == 0
    *shown, total = capsys.readouterr().out.strip().splitlines()[1:]
    found = [re.search(r"(success|failure|shown)", row) for row in shown]
    assert [each and each[0] for each in found] == [
        "success",
        "failure",
        "success",
        "success",
        "shown",
        "shown",
    ]
    assert total == "6 episodes, 3 successes; unaided 3 of 4 counted: 75% (30% to 95%)"


@pytest.mark.parametrize(
    ("words", "episodes"),
    [
        (["outcome=success"], [0, 2, 3]),
        (["outcome=failure"], [1]),
        (["outcome=shown"], [4, 5]),
        (["labelled=none"], [4]),
        (["labeller=Ada", "purpose=train"], [1, 2, 3]),
        (["labeller=machine"], [0]),
        (["episodes=1-3", "last=2"], [2, 3]),
        (["episode=4"], [4]),
        (["human=true"], []),
    ],
)
def test_episodes_are_chosen(
    run: RunDirectory, capsys: pytest.CaptureFixture[str], words: list[str], episodes: list[int]
) -> None:
    assert [row["episode"] for row in rows(run, capsys, *words)] == episodes


def test_a_row_of_json_has_what_the_table_has_and_more(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["review", f"run={run.path}", "episode=1", "label=failure", "why=<b>askew</b>"]) == 0
    assert main(["review", f"run={run.path}", "episode=1", "comment=[red]look[/]"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "episode 1: noted"
    (row,) = rows(run, capsys, "episode=1")
    assert (row["outcome"], row["label"], row["labeller"], row["note"]) == (
        "failure",
        "failure",
        "Ada",
        "[red]look[/]",
    )
    assert main(["review", f"run={run.path}", "text=[red]"]) == 0  # a remark is text, whatever it looks like
    assert "[red]look[/]" in capsys.readouterr().out


@pytest.mark.parametrize("by", GROUPINGS)
def test_statistics_are_a_table_or_json_with_bounds(
    run: RunDirectory, capsys: pytest.CaptureFixture[str], by: str
) -> None:
    groups = rows(run, capsys, f"by={by}")
    assert sum(group["episodes"] for group in groups) == 6
    assert sum(group["unaided"] for group in groups) == 3
    for group in groups:
        low, high = group["unaided_bounds"]
        assert low <= group["unaided"] / max(1, group["counted"]) <= high
    assert main(["review", f"run={run.path}", f"by={by}"]) == 0
    table = capsys.readouterr().out
    assert re.search(r"all +6 +4 +75% \(30% to 95%\) +75% \(30% to 95%\)", table)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["label=failure"], "needs the episode"),
        (["comment=hm"], "needs the episode"),
        (["why=hm"], "goes with label="),
        (["episode=1", "comment=hm", "why=because"], "go with label="),
        (["episode=1", "episodes=2"], "give one of them"),
        (["day=yesterday"], "a day is meant"),
        (["by=moon"], "choose one of day, version, operator"),
    ],
)
def test_what_does_not_go_together_is_refused(
    run: RunDirectory, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["review", f"run={run.path}", *words]) == 2
    assert message in capsys.readouterr().err


def test_the_options_are_the_filters_conditions_and_know_its_words() -> None:
    kinds = {option.name: option.kind for option in CHOICE}
    names = ["label" if name == "labelled" else name for name in kinds]
    assert names == list(EpisodeFilter.__dataclass_fields__)
    assert (kinds["outcome"], kinds["labelled"], kinds["purpose"]) == (OUTCOMES, LABELS, PURPOSES)
    for command in ("review", "export"):
        options, rest = split(["labelled=none", "human=false", "last=3"], COMMANDS[command].options)
        assert rest == []
        assert chosen(options) == EpisodeFilter(label="none", human=False, last=3)


def test_a_classifiers_success_is_confirmed_once(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    for said in ("episode 0: success -> success, now said by ", "episode 0 is labelled success already"):
        assert main(["review", f"run={run.path}", "episode=0", "label=success"]) == 0
        assert capsys.readouterr().out.startswith(said)
