"""The command as a person meets it: words in, one clear line and a documented exit code out."""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from handrail.launch.cli import main
from handrail.launch.commands import COMMANDS
from handrail.launch.compose import compose
from handrail.launch.errors import EXIT_CODES
from handrail.launch.options import split

ROOT = Path(__file__).resolve().parents[2]
VISIBLE = [name for name, command in COMMANDS.items() if not command.hidden]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_help_names_every_command_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in VISIBLE)
    assert "evaluator" not in shown
    assert all(f"{code:>3}  {meaning}" in shown for code, meaning in EXIT_CODES.items())


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert COMMANDS[name].example in shown
    assert all(option.help in shown for option in COMMANDS[name].options)


@pytest.mark.parametrize("name", [name for name in COMMANDS if COMMANDS[name].configured])
def test_every_example_composes_as_printed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A station and a task of one's own are there, as the hardware pages say; nothing else is."""
    for group, text in (
        ("station/my_franka", "defaults: [sim_panda]\nenv: {arm: {kind: franka}}"),
        ("task/my_ram", "env: {task: {seated_pose: [0.5, 0, 0.06, 1, 0, 0, 0]}}"),
    ):
        file = tmp_path / f"{group}.yaml"
        file.parent.mkdir()
        file.write_text(f"# @package _global_\n{text}\n")
    before, _, words = COMMANDS[name].example.partition(f"handrail {name}")
    if before:
        assert before == "HANDRAIL_CONF=~/handrail-conf "
        monkeypatch.setenv("HANDRAIL_CONF", str(tmp_path))
    _, rest = split(words.split(), COMMANDS[name].options)
    if name in ("arm", "bench", "classify", "export", "weights"):
        rest = [word for word in rest[1:] if not word.startswith("steps=")]
    config = compose(rest).config
    if name in ("arm-server", "serl-rest", "regrasp"):
        assert config.env.arm.served


def test_help_of_bench_lists_the_benchmarks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "handrail bench sim" in shown and "handrail bench log" in shown and "steps=<int>" in shown


@pytest.mark.parametrize(
    ("words", "code", "parts"),
    [
        (["tain"], 2, ["'tain'", "did you mean 'train'"]),
        (["train", "env.hzz=20"], 2, ["'env.hzz'", "did you mean 'env.hz'"]),
        (["train", "env.hz=fast"], 2, ["env.hz is 'fast'"]),
        (["train", "preset=partiy"], 2, ["did you mean 'parity'"]),
        (["train", "env.limits.force_limit_n=0"], 2, ["force_limit_n is 0.0"]),
        (["train", "env.limits.workspace_high_m=[-1,-1,-1]"], 2, ["workspace"]),
        (["train", "display=loud"], 2, ["display=loud", "auto, live, plain"]),
        (["record", "demos=0"], 2, ["demos=0"]),
        (["record", "demos=many"], 2, ["demos=many", "whole number"]),
        (["review"], 2, ["which run?"]),
        (["review", "run=nowhere"], 20, ["no run 'nowhere'"]),
        (["review", "run=nowhere", "lsat=3"], 2, ["'lsat'", "did you mean 'last'"]),
        (["evaluate", "run=nowhere"], 20, ["no run 'nowhere'"]),
        (["evaluate", "run=nowhere", "actor.device=console"], 20, ["no run 'nowhere'"]),
        (["evaluate", "run=nowhere", "episdes=5"], 2, ["'episdes'", "did you mean 'episodes'"]),
        (["learner", "run=nowhere"], 20, ["no run 'nowhere'"]),
        (["bench"], 2, ["there are: arm, classifier, console, learner, "]),
        (["arm"], 2, ["state, stop, recover, open, close, tare or keys"]),
        (["arm", "sate"], 2, ["'sate'", "did you mean 'state'"]),
        (["arm", "state", "station=sim_panda"], 2, ["inside the actor", "arm=sim_server"]),
        (["arm", "recover", "arm=sim_server"], 2, ["by=<your name>"]),
        (["arm", "state", "run=nowhere"], 20, ["no run 'nowhere'"]),
        (
            ["arm", "state", "arm=sim_server", "env.arm.server.address=tcp://10.0.0.1:9"],
            2,
            ["loopback", "keys"],
        ),
        (["classify"], 2, ["collect, train, check, inbox or accept"]),
        (["classify", "colect"], 2, ["'colect'", "did you mean 'collect'"]),
        (["classify", "collect", "positives=0"], 2, ["positives=0"]),
        (["regrasp"], 2, ["inside the actor"]),
        (["regrasp", "arm=sim_server"], 2, ["env.regrasp.grasp_pose"]),
        (["arm-server"], 2, ["inside the actor", "arm=sim_server"]),
        (["arm-server", "arm=franca"], 2, ["did you mean 'franka'"]),
        (["arm-server", "station=franka_cell"], 2, ["env.arm.franka.host", "HANDRAIL_CONF"]),
        (["arm-server", "run=nowhere"], 20, ["no run 'nowhere'"]),
        (["arm-server", "arm=ur", "env.hz=20"], 2, ["env.arm.ur.host"]),
        (["arm-server", "arm=serl_http"], 2, ["env.arm.serl_http.url"]),
        (["bench", "smi"], 2, ["did you mean 'sim'"]),
        (["bench", "sim", "stepz=3"], 2, ["'stepz'"]),
    ],
)
def test_bad_words_end_in_one_line_and_leave_nothing(
    words: list[str], code: int, parts: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(words) == code
    complaint = capsys.readouterr().err
    assert complaint.startswith("handrail: ") and complaint.count("\n") == 1
    assert "Traceback" not in complaint
    for part in parts:
        assert part in complaint
    assert list(tmp_path.iterdir()) == []


def test_debugging_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDRAIL_DEBUG", "1")
    with pytest.raises(Exception, match="no command"):
        main(["tain"])


def test_markup_in_a_message_is_shown_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "a[bold]=1"]) == 2
    assert "a[bold]" in capsys.readouterr().err


def test_the_installed_command_ends_with_the_code() -> None:
    """In a process of its own, as a shell sees it."""
    result = subprocess.run(
        [sys.executable, "-m", "handrail.launch.cli", "train", "seed=x"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "handrail: seed is 'x': it must be a whole number\n"


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m handrail.launch.cli --help | true; echo ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.strip() == "0" and result.stderr == ""


def test_bench_prints_the_one_form(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "log", "steps=200", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"append_steps_per_s", "append_p99", "read_steps_per_s"} <= {line["name"] for line in lines}
    for line in lines:
        assert list(line) == ["bench", "name", "value", "unit", "matmul_gflops"]
        assert line["bench"] == "log" and line["value"] > 0.0 and line["matmul_gflops"] > 0.0


def test_bench_sim_measures_steps(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "sim", "steps=20", "cameras=false", "--json"]) == 0
    figures = {line["name"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert figures["env_steps_per_s"]["unit"] == "steps/s" and figures["env_steps_per_s"]["value"] > 0.0


def test_doctor_has_a_line_for_each_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    checks = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    machine = ["python", "torch", "cores", "real time", "nice", "rendering", "disk", "matmul"]
    arm = ["arm", "kinematics", "joints", "static force", "gripper", "place"]
    assert list(checks) == [*machine, "cameras", "device", *arm, "workspace", "link"]
    assert checks["python"]["verdict"] == "ok" and checks["link"]["verdict"] in ("ok", "note")
    assert {each["verdict"] for each in checks.values()} <= {"ok", "note", "skip"}


def test_doctor_fails_on_a_run_it_cannot_read(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    broken = tmp_path / "runs" / "broken"
    broken.mkdir(parents=True)
    (broken / "meta.json").write_text('{"schema": 99}')
    assert main(["doctor"]) == 23
    captured = capsys.readouterr()
    assert "fail  run broken" in captured.out and "99" in captured.out
    assert "1 of 19 checks failed: run broken" in captured.err


def test_doctor_tells_of_damage_in_a_log_and_of_what_is_still_read(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["record", "run=hurt", f"runs={tmp_path}", "demos=1", "log.reserve_bytes=0"]) == 0
    segment = next((tmp_path / "hurt" / "segments").glob("*.seg"))
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0x41
    segment.write_bytes(data)
    capsys.readouterr()
    assert main(["doctor", f"runs={tmp_path}", "--json"]) == 0
    (check,) = [each for each in json.loads(capsys.readouterr().out) if each["name"] == "run hurt"]
    assert check["verdict"] == "note"
    assert "damaged bytes in the log (first in 00000001.seg" in check["text"]
    assert "whole records are read" in check["text"]


def test_doctor_wants_a_terminal_for_the_keyboard() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "handrail.launch.cli", "doctor", "actor.device=keyboard"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 23 and "needs a terminal" in result.stdout


def exit_codes_in_the_tree() -> Iterator[tuple[str, int]]:
    """(class, code) of every error class that sets one."""
    for package in ("robot_env", "intervention", "vision", "reward_classifier", "agent", "launch"):
        for path in (ROOT / package).rglob("*.py"):
            classes = [
                node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)
            ]
            for each in classes:
                for line in each.body:
                    text = ast.unparse(line)
                    if text.startswith("exit_code"):
                        yield each.name, int(text.rpartition("=")[2])


def test_every_exit_code_is_documented() -> None:
    found = dict(exit_codes_in_the_tree())
    assert found["ConfigError"] == 2 and len(found) > 10
    assert {code for code in found.values()} <= set(EXIT_CODES)


def test_the_table_of_exit_codes_in_the_docs_is_this_one() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert {int(code): meaning for code, meaning in rows} == EXIT_CODES
