"""Tables: every number as it was recorded, and no cell that a spreadsheet would run."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from exported import BEGAN_NS, HUMAN, POLICY, SCRIPT, Told, make_run

from handrail.intervention.run_directory import RunDirectory
from handrail.launch.cli import main
from handrail.launch.export.table import plain

HOSTILE = "=HYPERLINK(evil)"
EPISODES = [
    Told(steps=3, sources=(POLICY, HUMAN, SCRIPT), classifier="-0123456789ab"),
    Told(
        success=False,
        truncated_by="time_limit",
        labels=(("failure", "task", "", None), ("success", "@Ada", HOSTILE, 2)),
        remarks=('tilted,\n"badly"', "twice"),
    ),
    Told(labels=(("exclude", "Ada", "", None),)),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return make_run(tmp_path_factory.mktemp("runs") / "first", EPISODES)


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def exported(run: RunDirectory, file: Path, *words: str) -> list[dict[str, str]]:
    assert main(["export", "csv", f"run={run.path}", f"to={file}", *words]) == 0
    with file.open(encoding="utf-8", newline="") as opened:
        return read(opened.read())


def test_a_row_is_a_step_and_every_value_exact(run: RunDirectory, tmp_path: Path) -> None:
    rows = exported(run, tmp_path / "steps.csv")
    steps = [step for told in EPISODES[:2] for step in told.transitions]
    assert len(rows) == len(steps) == 7
    for row, step in zip(rows, steps, strict=True):
        assert (int(row["episode"]), int(row["step"])) == (step.episode, step.step)
        assert (int(row["time [ns]"]), int(row["wall clock [ns since 1970]"])) == (step.t_ns, step.wall_ns)
        assert row["driver"] == step.source.name.lower()
        assert float(row["reward_recorded"]) == step.reward
        assert (row["terminated_recorded"], row["truncated_recorded"]) == tuple(
            str(each).lower() for each in (step.terminated, step.truncated)
        )
        assert (float(row["score"]) if row["score"] else None) == step.score
        assert (float(row["log probability"]) if row["log probability"] else None) == step.log_prob
        assert float(row["latency [ms]"]) == step.latency_ms
        assert (int(row["weights version"]), int(row["gate flags"])) == (7, step.gate_flags)
        cells = list(row.values())
        numbers = np.asarray([float(cell) for cell in cells[-31:]], np.float32)
        assert np.array_equal(numbers, [*step.observation, *step.action, *step.policy_action])
    assert rows[0]["classifier"] == "'-0123456789ab" and rows[0]["seated"] == ""
    assert [row["label"] for row in rows] == [""] * 3 + ["success"] * 4


def test_rewards_and_ends_are_those_of_the_label_beside_those_recorded(
    run: RunDirectory, tmp_path: Path
) -> None:
    rows = exported(run, tmp_path / "steps.csv", "episodes=1")
    judged = [tuple(row[name] for name in ("reward", "terminated", "truncated")) for row in rows]
    going = ("0.0", "false", "false")
    assert judged == [going, going, ("1.0", "true", "false"), ("", "", "")]  # success was at step 2
    assert [row["reward_recorded"] for row in rows] == ["0.0"] * 4
    first, second, third = exported(run, tmp_path / "episodes.csv", "per=episode", "--all")
    sums = [(row["reward"], row["reward_recorded"]) for row in (first, second, third)]
    assert sums == [("1.0", "1.0"), ("1.0", "0.0"), ("1.0", "1.0")]


def test_the_header_names_the_units(run: RunDirectory, tmp_path: Path) -> None:
    header = list(exported(run, tmp_path / "steps.csv")[0])
    assert header[-31:-27] == [
        "tcp_position_x [m]",
        "tcp_position_y [m]",
        "tcp_position_z [m]",
        "tcp_rotation_x [rad]",
    ]
    assert header[-19:-12] == [
        "force_x [N]",
        "force_y [N]",
        "force_z [N]",
        "torque_x [Nm]",
        "torque_y [Nm]",
        "torque_z [Nm]",
        "gripper_width [m]",
    ]
    assert header[-12] == "action_dx [0.01 m]" and header[-1] == "policy_action_rz [0.06 rad]"
    assert len(set(header)) == len(header)


def test_a_row_is_an_episode_with_what_was_said_of_it(run: RunDirectory, tmp_path: Path) -> None:
    rows = exported(run, tmp_path / "episodes.csv", "per=episode", "--all")
    assert [row["episode"] for row in rows] == ["0", "1", "2"]
    first, second, third = rows
    assert first | {"outcome": "success", "label": "", "steps": "3", "human steps": "1"} == first
    assert (first["takeovers"], first["unaided"], first["cut by"]) == ("1", "false", "")
    assert second | {"outcome": "success", "label": "success", "label step": "2"} == second
    assert second["labelled by"] == "'@Ada" and second["why"] == "'" + HOSTILE
    assert second["remarks"] == 'Ada: tilted,\n"badly"; Ada: twice'
    assert second["cut by"] == "time_limit" and float(second["peak force [N]"]) == 12.5
    assert third["label"] == "exclude"
    assert int(first["began [ns since 1970]"]) == BEGAN_NS and float(first["duration [s]"]) == 0.3
    assert first["seed"] == "3 0"


def test_the_table_goes_to_stdout_alone(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "csv", f"run={run.path}", "to=-", "episodes=1"]) == 0
    shown = capsys.readouterr()
    assert [row["step"] for row in read(shown.out)] == ["0", "1", "2", "3"] and shown.err == ""


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx", "\n=x"])
def test_words_that_begin_as_a_formula_are_made_plain(text: str) -> None:
    assert plain(text) == "'" + text


@pytest.mark.parametrize("text", ["", "a=1", "1-2", "Ada"])
def test_other_words_stay_as_they_are(text: str) -> None:
    assert plain(text) == text
