import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from handrail.intervention.locks import RunLocked
from handrail.intervention.run_directory import RUN_SCHEMA, RunDirectory, RunError, write_durably


def test_a_new_run_describes_itself_and_opens_again(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "first").create("seed: 3\n", {"seed": 3})
    assert run.open().meta() == {"seed": 3, "schema": RUN_SCHEMA, "run_id": "first"}
    assert run.config_file.read_text() == "seed: 3\n"
    for folder in (run.segments, run.checkpoints, run.policy, run.tensorboard, run.logs):
        assert folder.is_dir() and folder.parent == run.path


def test_a_run_is_not_made_twice(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "first").create("a: 1", {})
    with pytest.raises(RunError, match="already holds a run"):
        run.create("b: 1", {})
    assert run.config_file.read_text() == "a: 1"


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no meta\.json"):
        RunDirectory(tmp_path).open()
    (tmp_path / "meta.json").write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        RunDirectory(tmp_path).open()


def test_another_schema_is_refused_naming_both_and_untouched(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "old").create("", {})
    meta = run.path / "meta.json"
    meta.write_text(json.dumps({"schema": 99}))
    with pytest.raises(RunError, match=f"schema 99, this version uses {RUN_SCHEMA}"):
        run.open()
    assert json.loads(meta.read_text()) == {"schema": 99}


def test_the_second_holder_of_a_role_is_told_of_the_first(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run").create("", {})
    with (
        run.lock("learner"),
        run.lock("actor"),
        pytest.raises(
            RunLocked, match=rf"learner of .*run is already held by process {os.getpid()}, since 2\d"
        ),
    ):
        run.lock("learner")
    run.lock("learner").release()


def test_a_killed_holder_leaves_no_lock_behind(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run").create("", {})
    code = (
        "import sys; from handrail.intervention.run_directory import RunDirectory\n"
        f"lock = RunDirectory({str(run.path)!r}).lock('learner'); sys.stdout.write('x'); sys.stdout.flush()\n"
        "import signal; signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.read(1) == b"x"
        with pytest.raises(RunLocked, match=f"process {process.pid}"):
            run.lock("learner")
        process.send_signal(signal.SIGKILL)
        process.wait()
        run.lock("learner").release()


def test_the_socket_folder_is_private_short_and_the_same_for_every_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # pytest's own folder may be too deep for a socket
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        _check_socket_folder(tmp_path)


def _check_socket_folder(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    folder = RunDirectory(deep).socket_dir()
    assert folder == RunDirectory(str(deep)).socket_dir() != RunDirectory(tmp_path).socket_dir()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    with pytest.raises(RunError, match="not a private folder"):
        RunDirectory(deep).socket_dir()


def test_a_socket_folder_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    with pytest.raises(RunError, match="too long"):
        RunDirectory(tmp_path).socket_dir()


def test_a_small_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "summary.json"
    for text in ("old", "new"):
        write_durably(file, text)
        assert file.read_text() == text
    assert list(tmp_path.iterdir()) == [file]
