"""`handrail export`: what is taken, what is refused, and that what goes wrong leaves nothing."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from exported import Told, cameras, make_run

from handrail.intervention.run_directory import RunDirectory
from handrail.launch.cli import main

FORMATS = ("csv", "mp4", "lerobot")
EPISODES = [
    Told(),
    Told(success=False, truncated_by="time_limit"),
    Told(labels=(("exclude", "Ada", "", None),)),
    Told(end="aborted"),
    Told(purpose="classify"),
    Told(success=False, truncated_by="stop"),
    Told(steps=0, end="aborted"),
    Told(),
    Told(end="open"),
    Told(purpose="evaluate"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return make_run(tmp_path_factory.mktemp("runs") / "first", EPISODES, cameras((32, 32)))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def summary(run: RunDirectory, capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    assert main(["export", "csv", f"run={run.path}", "per=episode", "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def taken(run: RunDirectory, capsys: pytest.CaptureFixture[str], *words: str) -> list[int]:
    assert main(["export", "csv", f"run={run.path}", "per=episode", "to=-", *words]) == 0
    return [int(line.partition(",")[0]) for line in capsys.readouterr().out.splitlines()[1:]]


def test_the_summary_says_what_was_left_out(
    run: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = summary(run, capsys)
    assert told.pop("seconds") >= 0.0 and told.pop("bytes") == (tmp_path / "first.csv").stat().st_size
    assert told == {
        "format": "csv",
        "run": "first",
        "to": "first.csv",
        "episodes": 3,
        "steps": 12,
        "left_out": {
            "excluded": 1,
            "aborted": 2,
            "shown to a classifier": 1,
            "without a step": 1,
            "still running": 1,
            "of an evaluation": 1,
        },
    }
    assert main(["export", "csv", f"run={run.path}", "to=again.csv"]) == 0
    line = capsys.readouterr().out
    assert line.startswith("3 episodes, 12 steps -> again.csv (0.0 MB in ") and line.count("\n") == 1
    assert (
        "left out: 1 excluded, 2 aborted, 1 shown to a classifier, 1 without a step, 1 still running, "
        "1 of an evaluation" in line
    )


@pytest.mark.parametrize(
    ("words", "episodes"),
    [
        ((), [0, 1, 7]),
        (("--all",), [0, 1, 2, 3, 4, 5, 7, 9]),
        (("last=2",), [1, 7]),
        (("outcome=failure",), [1]),
        (("outcome=aborted",), [3, 5]),
        (("labelled=exclude",), [2]),
        (("purpose=classify",), [4]),
        (("outcome=shown",), [4]),
        (("purpose=evaluate",), [9]),
        (("episodes=0-3,7",), [0, 1, 7]),
        (("episodes=2-", "--all", "last=3"), [5, 7, 9]),
    ],
)
def test_what_teaches_nothing_is_taken_only_when_it_is_asked_for(
    run: RunDirectory, words: tuple[str, ...], episodes: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert taken(run, capsys, *words) == episodes


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ((), 2, "export what? Name one of csv, mp4, lerobot"),
        (("cvs",), 2, "did you mean 'csv'?"),
        (("csv", "mp4"), 2, "export csv mp4? Name one of"),
        (("mp4", "per=step"), 2, "per= goes with csv"),
        (("csv", "end_s=3"), 2, "end_s= goes with mp4"),
        (("mp4", "instruction=x"), 2, "instruction= goes with lerobot"),
        (("mp4", "to=-"), 2, "only csv can go to stdout"),
        (("csv", "episodes=6"), 26, "no episode to export of those with episodes=6: the run has 0 to 9"),
        (("lerobot", "operator=Zoe"), 26, "no episode to export of those with operator=Zoe"),
        (("csv", "to=taken"), 2, "to=taken: is there already"),
        (("csv", "to=taken/file/x.csv"), 26, "taken/file/x.csv cannot be written: "),
    ],
)
def test_what_cannot_be_exported_is_refused_in_a_line(
    run: RunDirectory, words: tuple[str, ...], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("taken").mkdir()
    Path("taken/file").touch()
    assert main(["export", *words, f"run={run.path}"]) == code
    shown = capsys.readouterr().err
    assert told in shown and shown.count("\n") == 1
    assert [str(path) for path in Path().rglob("*")] == ["taken", "taken/file"]


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_there_already_stays_as_it_is(
    run: RunDirectory, form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "mine"
    target.write_text("precious")
    assert main(["export", form, f"run={run.path}", f"to={target}"]) == 2
    assert target.read_text() == "precious" and list(tmp_path.iterdir()) == [target]
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(("form", "package"), [("lerobot", "pyarrow"), ("lerobot", "av"), ("mp4", "av")])
def test_a_missing_package_is_named_with_its_extra(
    run: RunDirectory,
    form: str,
    package: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["export", form, f"run={run.path}", f"to={tmp_path / 'deep/out'}"]) == 7
    assert "pip install 'handrail[export]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def started(run: RunDirectory, form: str, target: Path, *words: str, **settings) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "handrail.launch.cli", "export", form, f"run={run.path}", f"to={target}"]
    return subprocess.Popen(
        [*command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings
    )


@pytest.mark.parametrize("form", FORMATS)
def test_a_full_disk_is_one_line_and_leaves_nothing(
    run: RunDirectory, form: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Told by the kernel's limit on a file's size; a disk without room fails at the same calls."""
    pytest.importorskip("av")
    pytest.importorskip("pyarrow")
    big = make_run(tmp_path / "big", [Told(steps=120)] * 4, cameras((64, 64)))
    assert main(["export", "csv", f"run={big.path}", "per=episode", "to=-"]) == 0  # makes its index
    command = 'ulimit -f 48; exec "$@"'
    words = [sys.executable, "-m", "handrail.launch.cli", "export", form, f"run={big.path}", "to=deep/out"]
    result = subprocess.run(
        ["bash", "-c", command, "bash", *words], capture_output=True, text=True, check=False, timeout=90
    )
    assert result.returncode == 26, result.stderr
    assert result.stderr == (
        "handrail: deep/out cannot be written: File too large; make room, or choose another place\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["big"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("form", ["mp4", "lerobot"])
def test_a_cancelled_export_leaves_nothing(form: str, number: signal.Signals, tmp_path: Path) -> None:
    pytest.importorskip("av")
    pytest.importorskip("pyarrow")
    long = make_run(tmp_path / "long", [Told(steps=2) for _ in range(200)], cameras((32, 32)))
    process = started(long, form, tmp_path / "deep" / "out", "progress=lines")
    with process:
        assert process.stderr is not None
        while json.loads(process.stderr.readline())["done"] == 0:
            pass
        assert [path.name for path in (tmp_path / "deep").iterdir()] == [f".out.{process.pid}.part"]
        process.send_signal(number)
        shown = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert shown.splitlines()[-1] == "handrail: interrupted"
    assert [path.name for path in tmp_path.iterdir()] == ["long"]


def test_progress_is_told_in_lines(run: RunDirectory, tmp_path: Path) -> None:
    with started(run, "csv", tmp_path / "x.csv", "progress=lines", "--json") as process:
        told, shown = process.communicate(timeout=60)
    lines = [json.loads(line) for line in shown.splitlines()]
    assert lines[0] == {"done": 0, "of": 12} and lines[-1] == {"done": 12, "of": 12}
    assert json.loads(told)["steps"] == 12


def test_a_bar_is_drawn_for_a_person(run: RunDirectory, tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    try:
        command = [
            sys.executable,
            "-m",
            "handrail.launch.cli",
            "export",
            "csv",
            f"run={run.path}",
            "to=x.csv",
        ]
        done = subprocess.run(
            command, stderr=follower, stdout=subprocess.PIPE, check=True, timeout=60,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        )  # fmt: skip
        shown = os.read(leader, 1 << 16).decode()
    finally:
        os.close(leader)
        os.close(follower)
    assert "12/12" in shown and "steps" in shown
    assert done.stdout.startswith(b"3 episodes, 12 steps -> x.csv")


def test_a_damaged_episode_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path / "hurt", [Told(steps=9), Told(), Told()], cameras((32, 32)))
    assert main(["export", "csv", f"run={run.path}", "to=-"]) == 0
    (segment,) = run.segments.glob("*.seg")
    data = bytearray(segment.read_bytes())
    second = data.index(b"start", data.index(b"start") + 1)
    for offset in range(second + 8000, second + 8010):
        data[offset] ^= 0xFF
    segment.write_bytes(data)
    assert main(["export", "mp4", f"run={run.path}", "to=x.mp4"]) == 10
    assert "episode 1" in capsys.readouterr().err and not Path("x.mp4").exists()
    assert main(["export", "mp4", f"run={run.path}", "to=x.mp4", "episodes=0,2"]) == 0
