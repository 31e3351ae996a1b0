"""`handrail evaluate` as its operator meets it: a process of its own, a real UR client, an emulated robot."""

import dataclasses
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from benches.served import RunningServer
from benches.ur import ur_config
from emulators.ur import UREmulator

from handrail.agent.config import ActorConfig, AgentConfig, RunConfig
from handrail.agent.history import EVALUATION
from handrail.agent.learner import Learner
from handrail.intervention.index import EpisodeIndex, EpisodeRow
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose, runs
from handrail.launch.cli import main
from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.arms.ur.driver import URDriver
from handrail.robot_env.config import CameraConfig, EnvConfig, RewardConfig
from handrail.robot_env.remote.operator import ArmOperator
from handrail.vision.config import VisionConfig

pytestmark = pytest.mark.realtime
DEADLINE_S = 60.0


def make_run(folder: Path, env: EnvConfig) -> RunDirectory:
    """A run on a real arm, with a policy that knows nothing; at the console there is a person."""
    env = dataclasses.replace(
        env, reward=RewardConfig("operator"), task=dataclasses.replace(env.task, max_steps=4)
    )
    config = RunConfig(
        env=env,
        agent=AgentConfig(hidden=(16, 16), clone_updates=0, second_proposal=False, symmetric=False),
        actor=ActorConfig(device="console", demonstrations=0, countdown_s=0.0),
    )
    config = dataclasses.replace(config, log=dataclasses.replace(config.log, reserve_bytes=0))
    run = RunDirectory(folder).create(compose.dump(config), {})
    learner = Learner(run, config)
    learner.save()
    learner.close()
    return run


@pytest.fixture
def station(tmp_path: Path) -> Iterator[tuple[RunningServer, RunDirectory]]:
    pytest.importorskip("rtde_control")
    with UREmulator() as emulator:
        config = ur_config(emulator)
        running = RunningServer(URDriver(config.arm.ur), config)
        try:
            yield running, make_run(tmp_path / "run", running.config)
        finally:
            running.close()


def evaluate(run: RunDirectory, *words: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "handrail.launch.cli", "evaluate", f"run={run.path}", "--json", *words]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def rows(run: RunDirectory) -> list[EpisodeRow]:
    with EpisodeIndex(run.index_file, LogReader(run.segments)) as index:
        index.refresh()
        return index.episodes()


@pytest.mark.timeout(180)
def test_a_real_arm_is_evaluated_into_its_runs_log(station, capsys: pytest.CaptureFixture[str]) -> None:
    running, run = station
    with evaluate(run, "episodes=2") as process:
        out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, err
    result = json.loads(out)
    assert (result["successes"], result["episodes"], result["asked"], result["aided"]) == (0, 2, 2, 0)
    assert {(row.purpose, row.truncated_by, row.steps) for row in rows(run)} == {
        (EVALUATION, "time_limit", 4)
    }
    (kept,) = runs.evaluations(run)
    assert (kept["successes"], kept["episodes"], kept["set"], kept["passed"]) == (0, 2, "final", False)
    with ArmOperator(running.config) as operator:
        assert operator.state().mode is ArmMode.HOLD
    capsys.readouterr()
    assert main(["review", f"run={run.path}", "purpose=evaluate", "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2

    with evaluate(run, "episodes=50") as process:  # again, and stopped in the middle
        end_s = time.monotonic() + DEADLINE_S
        while len(rows(run)) < 4 or rows(run)[-1].status != "open":
            assert process.poll() is None and time.monotonic() < end_s
        process.send_signal(signal.SIGINT)
        asked_s = time.monotonic()
        out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, err
    assert time.monotonic() - asked_s < 5.0
    result = json.loads(out)
    ended = [row for row in rows(run)[2:] if row.outcome == "failure"]
    assert (result["episodes"], result["asked"]) == (len(ended), 50) and ended
    assert {row.status for row in rows(run)} == {"ended"}
    assert runs.evaluations(run)[-1]["stopped_early"]
    with ArmOperator(running.config) as operator:
        assert operator.state().mode is ArmMode.HOLD
    with run.lock("actor"):  # as while it trains
        capsys.readouterr()
        assert main(["evaluate", f"run={run.path}"]) == 12
        assert "actor" in capsys.readouterr().err


@pytest.mark.timeout(180)
def test_other_hardware_serves_one_evaluation_and_the_run_keeps_its_own(station) -> None:
    """The run's device is nobody's, and its arm server is said to be where none is."""
    running, run = station
    config = compose.load(run.config_file)
    elsewhere = dataclasses.replace(config.env.arm.server, address=f"ipc://{run.path}/nowhere")
    arm = dataclasses.replace(config.env.arm, server=elsewhere)
    config = dataclasses.replace(
        config,
        env=dataclasses.replace(config.env, arm=arm),
        actor=dataclasses.replace(config.actor, device="none"),
    )
    runs.keep_config(run, config)
    address = running.config.arm.server.address
    words = ("episodes=1", "actor.device=console", f"env.arm.server.address={address}")
    with evaluate(run, *words) as process:
        out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, err
    assert json.loads(out)["episodes"] == 1
    assert compose.load(run.config_file) == config


def test_what_is_no_hardware_is_refused_in_a_line(tmp_path: Path, capsys) -> None:
    run = make_run(tmp_path / "run", EnvConfig(arm=dataclasses.replace(EnvConfig().arm, kind="ur")))
    for word in ("agent.n_step=1", "goal.successes=3", "env.arm.ur.host=10.0.0.2"):
        assert main(["evaluate", f"run={run.path}", word]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1 and f"{word}: this run has its configuration already" in said
        assert "actor.device" in said and "env.camera_devices.<n>.serial" in said


@pytest.mark.parametrize("reward", ["operator", "classifier"])
def test_an_arm_with_nobody_beside_it_is_refused_in_a_line(tmp_path: Path, capsys, reward) -> None:
    run = make_run(tmp_path / "run", EnvConfig(arm=dataclasses.replace(EnvConfig().arm, kind="ur")))
    config = compose.load(run.config_file)
    nobody = dataclasses.replace(config, actor=dataclasses.replace(config.actor, device="none"))
    if reward == "classifier":
        judged = RewardConfig(reward, ("classifiers/ram",))
        env = dataclasses.replace(config.env, reward=judged, cameras=(CameraConfig(),))
        nobody = dataclasses.replace(nobody, env=env, vision=VisionConfig(cameras=()))
    runs.keep_config(run, nobody)
    assert main(["evaluate", f"run={run.path}"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "a real arm is evaluated with a person beside it" in said
