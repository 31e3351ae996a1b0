"""Demonstrations into a run by the real operator in the real cell; then the run reviewed and relabelled."""

import json
from pathlib import Path

import pytest

from handrail.intervention.index import EpisodeIndex
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch.cli import main
from handrail.launch.compose import load


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with three demonstrations."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    assert main(["record", f"run={folder}", "demos=3", "operator.level=expert", "seed=5"]) == 0
    return folder


def review(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, object]]:
    assert main(["review", f"run={folder}", "--json", *words]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_demonstrations_are_ordinary_episodes_chosen_by_label(recorded: Path) -> None:
    run = RunDirectory(recorded)
    with EpisodeIndex(run.index_file, LogReader(run.segments)) as index:
        index.refresh()
        rows = index.episodes(label="demo", status="ended")
    assert len(rows) == 3
    assert all(row.success and row.purpose == "demo" and row.human_steps == row.steps > 0 for row in rows)


def test_more_can_be_added_to_the_same_run(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "second"
    for _ in range(2):
        assert main(["record", f"run={folder}", "demos=1", "seed=5"] if not folder.exists() else
                    ["record", f"run={folder}", "demos=1"]) == 0  # fmt: skip
    capsys.readouterr()
    rows = review(folder, capsys, "outcome=success")
    assert len(rows) == 2
    assert len({json.dumps(row["seed"]) for row in rows}) == 2


def test_filters(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert len(review(recorded, capsys, "outcome=success", "human=true", "purpose=demo")) >= 3
    assert review(recorded, capsys, "human=false") == []
    assert review(recorded, capsys, "purpose=train") == []
    assert len(review(recorded, capsys, "last=2")) == 2
    assert [row["episode"] for row in review(recorded, capsys, "episode=1")] == [1]


def test_relabelling_appends_an_event(
    tmp_path: Path, recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["review", f"run={recorded}", "episode=0", "label=failure", "why=[red]not seated"]
    assert main(words) == 0
    assert main(words) == 0  # a second time changes nothing
    assert "already" in capsys.readouterr().out
    row = review(recorded, capsys, "outcome=failure")[0]
    assert (row["episode"], row["label"], row["success"], row["note"]) == (
        0,
        "failure",
        True,
        "[red]not seated",
    )
    assert main(["review", f"run={recorded}"]) == 0
    assert "[red]not seated" in capsys.readouterr().out
    assert main(["review", f"run={recorded}", "episode=0", "label=success", "step=2"]) == 0
    assert "failure -> success" in capsys.readouterr().out
    assert review(recorded, capsys, "episode=0")[0]["label_step"] == 2
    assert main(["review", f"run={recorded}"]) == 0
    assert "success at 2" in capsys.readouterr().out
    assert main(["review", f"run={recorded}", "episode=0", "label=demo", "why=seated after all"]) == 0


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["episode=99", "label=failure"], 14, "Episode 99"),
        (["label=failure"], 2, "needs the episode"),
        (["why=because"], 2, "goes with label="),
        (["episode=0", "step=2"], 2, "step= goes with label="),
        (["episode=0", "label=success", "step=9999"], 14, "has no step 9999"),
        (["last=0"], 2, "last=0"),
    ],
)
def test_bad_reviews(
    recorded: Path, words: list[str], code: int, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["review", f"run={recorded}", *words]) == code
    assert part in capsys.readouterr().err


def test_a_run_that_is_being_driven_is_not_recorded_into(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with RunDirectory(recorded).lock("actor"):
        assert main(["record", f"run={recorded}", "demos=1"]) == 12
    assert "actor" in capsys.readouterr().err


def test_nobody_can_demonstrate_without_a_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", f"run={tmp_path / 'none'}", "demos=1", "actor.device=none"]) == 2
    assert "demonstrate" in capsys.readouterr().err


def test_a_run_without_a_policy_is_not_evaluated(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", f"run={recorded}"]) == 24
    assert "no policy yet" in capsys.readouterr().err
    assert main(["evaluate", f"run={recorded}", "actor.device=console"]) == 2
    assert "this run's arm is simulated" in capsys.readouterr().err


def test_a_run_that_could_not_begin_is_begun_anew_by_the_same_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What failed was the station, not the experiment; no configuration of it may stay behind."""
    folder, nowhere = tmp_path / "run", tmp_path / "nobody"
    words = ["record", f"run={folder}", "demos=1", "operator.level=expert"]
    served = [*words, "arm=sim_server", f"env.arm.server.address=ipc://{nowhere}"]
    for _ in range(2):
        assert main(served) == 3  # not 2: the same line means the same
        assert "no arm server answers" in capsys.readouterr().err
    assert main([*words, "preset=parity", "seed=4"]) == 0
    config = load(folder / "config.yaml")
    assert (config.env.arm.kind, config.seed, config.agent.n_step) == ("sim", 4, 1)
    assert json.loads((folder / "meta.json").read_text())["choices"]["preset"] == "parity"
    assert main([*words, "seed=5"]) == 2  # now it has a configuration of its own
    assert "this run has its configuration already" in capsys.readouterr().err
    assert main(["record", f"run={tmp_path / 'other'}", *served[2:]]) == 3
    with RunDirectory(tmp_path / "other").lock("actor"):  # somebody is about to begin it
        assert main(["record", f"run={tmp_path / 'other'}", *words[2:], "seed=4"]) == 12
