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
        (["outcome=success", "label=exclude"], "needs a reason"),
        (["outcome=success", "label=exclude", "why=x", "step=1"], "step= is not for many"),
        (["outcome=success", "label=exclude", "why=x", "comment=y"], "comment= is not for many"),
        (["outcome=success", "--yes"], "--yes goes with label= and a filter"),
        (["episode=1", "label=failure", "--yes"], "one that is named is relabelled without"),
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


def test_a_filter_relabels_many_once_it_is_confirmed(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    many = ["review", f"run={run.path}", "labeller=machine", "label=exclude", "why=a bad night"]
    before = rows(run, capsys)
    assert main(many) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[-1] == "Nothing is changed yet: these 1 would be labelled exclude; --yes does it."
    assert rows(run, capsys) == before
    assert main([*many, "--yes"]) == 0
    assert capsys.readouterr().out == "1 episode labelled exclude\n"
    assert [row["note"] for row in rows(run, capsys, "labelled=exclude")] == ["a bad night", ""]
    undo = [f"run={run.path}", "episodes=0,4", "label=undo", "why=not that night", "--yes", "--json"]
    assert main(["review", *undo]) == 14  # of one there is nothing to take back
    said = json.loads(capsys.readouterr().out)
    assert (said["changed"], said["same"], list(said["refused"])) == ([0], [], ["4"])
    (row,) = rows(run, capsys, "episode=0")
    assert (row["label"], row["labeller"], row["note"]) == ("success", BY, "not that night")


def test_somebodys_words_do_not_act_on_the_terminal(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "x\x1b[2J\x1b[H\x1b[32m20 of 20\x1b]0;owned\x07\r\n9 success"
    assert main(["review", f"run={run.path}", "episode=3", f"comment={evil}"]) == 0
    with open_log(run.segments) as writer, EpisodeIndex(run.index_file, LogReader(run.segments)) as index:
        append_label(writer, index, 2, "failure", who="Eve\x1b[7m", why=evil)
    for words in ([], ["by=operator"], ["episode=2"], ["--json"]):
        assert main(["review", f"run={run.path}", *words]) == 0
        shown = capsys.readouterr().out
        assert set(shown) & {"\x1b", "\x07", "\r", "\x9b"} == set(), words
    assert main(["review", f"run={run.path}"]) == 0
    assert r"\x1b[2J" in capsys.readouterr().out, "and it can be seen that there was something"


def test_a_narrow_terminal_shows_fewer_columns_and_all_of_each(
    run: RunDirectory, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("COLUMNS", "80"), ("TERM", "dumb"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["review", f"run={run.path}", "episodes=0-3"]) == 0
    head, *shown, left_out = capsys.readouterr().out.splitlines()
    assert head.split()[:2] == ["episode", "steps"] and {"outcome", "label", "note"} <= set(head.split())
    assert "…" not in "".join([head, *shown]) and all(len(line) <= 80 for line in [head, *shown])
    assert BY in shown[0] and left_out
    assert main(["review", f"run={run.path}", "by=day"]) == 0
    head, *shown = capsys.readouterr().out.splitlines()
    assert "75% (30% to 95%)" in "".join(shown) and all(len(line) <= 80 for line in [head, *shown[:-2]])
