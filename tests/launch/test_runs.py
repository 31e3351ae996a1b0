"""Runs by name, and what a new one says about itself."""

import json
from pathlib import Path

import pytest

from handrail.agent.config import RunConfig
from handrail.intervention.run_directory import RunError
from handrail.launch import compose, runs, schema
from handrail.launch.changeable import CHANGEABLE
from handrail.launch.commands import COMMANDS
from handrail.launch.errors import RunMissing
from handrail.launch.options import split
from handrail.launch.train import prepare
from handrail.robot_env.errors import ConfigError


def options(words: list[str]) -> dict[str, object]:
    return split(words, COMMANDS["train"].options)[0]


def test_a_new_run_describes_itself(tmp_path: Path) -> None:
    words = ["seed=3", "preset=parity"]
    run, config = prepare(options([f"runs={tmp_path}"]), words)
    assert run.path.parent == tmp_path and run.id.endswith("-s3")
    assert config.seed == 3 and compose.load(run.config_file) == config
    meta = json.loads((run.path / "meta.json").read_text())
    assert meta["seed"] == 3 and meta["choices"]["preset"] == "parity" and meta["overrides"] == words
    assert {"schema", "python", "created", "git_commit"} <= set(meta)
    assert all(meta["versions"][package] for package in ("torch", "mujoco", "numpy"))
    assert meta["host"]["cpu"] and meta["host"]["cores"]
    assert runs.existing(str(tmp_path)) == [run.id]


def test_a_run_is_taken_up_with_its_own_configuration(tmp_path: Path) -> None:
    words = [f"runs={tmp_path}", "run=first"]
    run, made = prepare(options(words), ["seed=3", "agent.n_step=1"])
    _, again = prepare(options(words), [])
    assert again == made
    (run.checkpoints / "1.safetensors").touch()  # something has happened in it
    with pytest.raises(ConfigError, match=r"agent\.n_step=3: this run has its configuration already"):
        prepare(options(words), ["agent.n_step=3"])
    _, longer = prepare(options(words), ["goal.max_env_steps=30000"])
    assert longer.goal.max_env_steps == 30_000
    assert prepare(options(words), [])[1] == made  # it may be somebody else's run at this moment
    runs.keep_config(run, longer)
    assert prepare(options(words), [])[1] == longer


def test_what_may_change_exists() -> None:
    for key in CHANGEABLE:
        assert schema.annotation(RunConfig, key.replace("<n>", "0")) is not None, key


def test_cameras_that_changed_places_are_given_their_serials_and_keep_them(tmp_path: Path) -> None:
    words = [f"runs={tmp_path}", "run=first"]
    devices = "env.camera_devices=[{name: left, serial: '036'}, {name: right, serial: '94'}]"
    run, made = prepare(options(words), [devices])
    (run.checkpoints / "1.safetensors").touch()  # something has happened in it
    _, exchanged = prepare(
        options(words), ["env.camera_devices.0.serial=94", "env.camera_devices.1.serial=036"]
    )
    assert [device.serial for device in exchanged.env.camera_devices] == ["94", "036"]
    runs.keep_config(run, exchanged)
    _, again = prepare(options(words), ["env.camera_devices.1.serial='00'"])
    assert [device.serial for device in again.env.camera_devices] == ["94", "00"]
    assert made.env.cameras == again.env.cameras
    with pytest.raises(ConfigError, match=r"camera_devices has no number 2 \(there are: 0 left, 1 right\)"):
        prepare(options(words), ["env.camera_devices.2.serial=5"])
    for word in ("env.camera_devices.0.width=320", "env.camera_devices=[]"):
        with pytest.raises(ConfigError, match=r"only .*env\.camera_devices\.<n>\.serial.* may change"):
            prepare(options(words), [word])


def test_a_run_can_be_given_by_path(tmp_path: Path) -> None:
    run, _ = prepare(options([f"run={tmp_path}/deep/first"]), [])
    assert runs.find(f"{tmp_path}/deep/first", "elsewhere").path == run.path


def test_a_missing_run_is_refused_with_the_nearest(tmp_path: Path) -> None:
    prepare(options([f"runs={tmp_path}", "run=first"]), [])
    with pytest.raises(RunMissing, match=r"no run 'frist' .*did you mean 'first'"):
        runs.find("frist", str(tmp_path))
    with pytest.raises(ConfigError, match="run=first"):
        runs.find(None, str(tmp_path))


def test_a_run_of_another_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    run, _ = prepare(options([f"runs={tmp_path}", "run=first"]), [])
    meta = run.path / "meta.json"
    meta.write_text(meta.read_text().replace('"schema": 1', '"schema": 99'))
    before = {each: each.read_bytes() for each in run.path.rglob("*") if each.is_file()}
    with pytest.raises(RunError, match="99"):
        prepare(options([f"runs={tmp_path}", "run=first"]), [])
    assert {each: each.read_bytes() for each in run.path.rglob("*") if each.is_file()} == before


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ConfigError, match="not a name"):
        runs.path_of(name, "runs")
