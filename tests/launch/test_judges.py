"""A classifier as a run has it: found by the configuration, in the loop of the simulated cell, in the log."""

import contextlib
import dataclasses
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from judged import CAMERAS
from trained import make_version, show

from handrail.agent.config import RunConfig
from handrail.agent.evaluator import Evaluator
from handrail.agent.session import Session
from handrail.intervention.console.feed import FeedReader
from handrail.intervention.console.messages import Now, feed_address
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.log_format import EpisodeEnd, Event, StepRecord
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose, doctor, judges, runs
from handrail.launch.checks import Check
from handrail.launch.compose import Composed
from handrail.launch.record import record
from handrail.reward_classifier import artifact
from handrail.reward_classifier.artifact import ClassifierError
from handrail.reward_classifier.stages import StagedJudge
from handrail.reward_classifier.versions import make_current
from handrail.robot_env.arms.config import ArmConfig
from handrail.robot_env.env import RobotEnv
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.judge import RewardConfig
from handrail.robot_env.make import make_env


@pytest.fixture(scope="module")
def lamp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a classifier in use: of a lamp, which the cell has not, so that it never sees success."""
    folder = tmp_path_factory.mktemp("classifiers")
    make_current(folder / "lamp", make_version(folder / "lamp", show(folder / "shown")))
    return folder / "lamp"


def judged_by(*folders: Path, **changes: Any) -> RunConfig:
    """A run in the simulated cell, of one small camera, whose reward is a classifier's."""
    source = "classifier" if folders else "task"
    reward = RewardConfig(source, tuple(str(folder) for folder in folders), **changes)
    config = compose.compose().config
    env = dataclasses.replace(config.env, cameras=CAMERAS, reward=reward)
    return dataclasses.replace(config, env=env, vision=dataclasses.replace(config.vision, cameras=()))


def test_the_configuration_says_who_judges(lamp: Path) -> None:
    assert judges.make_judge(RunConfig().env, 0) is None
    one = judges.make_judge(judged_by(lamp).env, 0)
    both = judges.make_judge(judged_by(lamp, lamp).env, 0)
    assert one is not None and not isinstance(one, StagedJudge)
    assert isinstance(both, StagedJudge)


def test_a_classifier_ends_an_episode_and_its_word_is_in_the_log(lamp: Path, tmp_path: Path) -> None:
    sure = {"consecutive": 1, "guard": False, "false_positive_rate": 1.0}  # sees success at once
    config = judged_by(lamp, **sure)
    run = runs.create(str(tmp_path / "first"), "", Composed(config, {}), ())
    assert record(run, config, 1) == 1
    records = [record for _, record in LogReader(run.segments).records()]
    (step,) = [each for each in records if isinstance(each, StepRecord)]
    (end,) = [each for each in records if isinstance(each, EpisodeEnd)]
    version = artifact.current(lamp)
    assert (step.terminated, step.reward, step.classifier) == (True, 1.0, version)
    assert step.score is not None and step.score < 0.5  # what it truly thought of the injected error
    assert (end.success, end.seated) == (True, False)  # a false positive, which the cell knows
    with EpisodeIndex(run.index_file, LogReader(run.segments)) as index:
        index.refresh()
        (label,) = [event for _, event in index.events(0) if event.kind == "label"]
    assert (label.new, label.who) == ("demo", f"classifier {version}")


def told_by(run: RunDirectory, session: Session) -> Now:
    """What a control loop says of itself to a console."""
    with contextlib.closing(FeedReader(feed_address(run.socket_dir()))) as reader:
        deadline_s = time.monotonic() + 30.0
        while time.monotonic() < deadline_s:
            session.console.tell(reason=f"{time.monotonic()}")
            for message in reader.poll(0.1):
                if isinstance(message, Now):
                    return message
    raise AssertionError("nothing was told")


def test_the_console_is_told_from_which_score_on_a_look_is_a_success(lamp: Path, tmp_path: Path) -> None:
    for name, config in (("task", judged_by()), ("one", judged_by(lamp)), ("stages", judged_by(lamp, lamp))):
        run = runs.create(str(tmp_path / name), "", Composed(config, {}), ())
        judge = judges.make_judge(config.env, 0)
        with Session(run, config, judge) as session:
            told = told_by(run, session).threshold
        assert told == (None if name == "task" else artifact.load(lamp).threshold)


def test_looks_that_are_too_long_for_a_moving_arm_are_told_once_and_stored(
    lamp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sure = {"consecutive": 2, "guard": False, "false_positive_rate": 1.0, "budget_ms": 1e-4}
    config = judged_by(lamp, **sure)
    said: list[str] = []
    for name in ("still", "moving"):
        run = runs.create(str(tmp_path / name), "", Composed(config, {}), ())
        assert record(run, config, 2, announce=said.append) == 2
        assert len(said) == (name == "moving")  # in lockstep no time passes
        monkeypatch.setattr(RobotEnv, "lockstep", False)
    assert "looked for longer than env.reward.budget_ms=0.0001" in said[0] and "\n" not in said[0]


def test_the_actor_drives_by_the_classifiers_word(lamp: Path, tmp_path: Path) -> None:
    config = judged_by(lamp, consecutive=1, guard=False, false_positive_rate=1.0)
    run = runs.create(str(tmp_path / "driven"), "", Composed(config, {}), ())
    command = [sys.executable, "-m", "handrail.launch.cli", "actor", f"run={run.path}"]
    actor = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        labels: list[Event] = []
        deadline_s = time.monotonic() + 60.0
        while not labels and actor.poll() is None:
            assert time.monotonic() < deadline_s, "no label came"
            time.sleep(0.05)
            records = (record for _, record in LogReader(run.segments).records())
            labels = [each for each in records if isinstance(each, Event) and each.kind == "label"]
        actor.send_signal(signal.SIGTERM)
        said = actor.communicate(timeout=20.0)[1]
    finally:
        actor.kill()
        actor.communicate()
    assert actor.returncode == 0, said
    assert labels[0].who == f"classifier {artifact.current(lamp)}"


def test_stages_are_rewarded_one_after_the_other_in_the_cell(lamp: Path) -> None:
    config = judged_by(lamp, lamp, consecutive=1, guard=False, false_positive_rate=1.0)
    env = make_env(config.env, judge=judges.make_judge(config.env, 0))
    env.reset(seed=0)
    _, reward, terminated, _, info = env.step([0.0] * 6)
    assert (reward, terminated, info["success"]) == (0.5, False, False)
    _, reward, terminated, _, info = env.step([0.0] * 6)
    assert (reward, terminated, info["success"]) == (0.5, True, True)
    env.close()


def test_the_cell_judges_evaluations_whoever_gave_the_reward(lamp: Path, tmp_path: Path) -> None:
    config = judged_by(lamp)
    run = runs.create(str(tmp_path / "judged"), "", Composed(config, {}), ())
    evaluator = Evaluator(run, config, threading.Event(), lambda _: None)
    assert evaluator.env.config.reward.source == "task"
    assert evaluator.env.config.cameras == CAMERAS  # the layout that the weights were trained for
    evaluator.env.close()


def test_a_classifier_too_slow_for_a_moving_arm_is_refused(lamp: Path) -> None:
    config = judged_by(lamp, budget_ms=1e-4)
    judges.make_judge(config.env, 0)  # in lockstep no time passes
    moving = dataclasses.replace(config.env, arm=ArmConfig(kind="sim_server"))
    with pytest.raises(ConfigError, match=r"env.reward.budget_ms is 0.0001"):
        judges.make_judge(moving, 0)


def test_a_classifier_that_is_not_there_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(ClassifierError, match="holds no classifier in use") as refused:
        judges.make_judge(judged_by(tmp_path / "nosuch").env, 0)
    assert "\n" not in str(refused.value)


def checks(config: RunConfig, root: Path) -> list[Check]:
    return [check for check in doctor.examine(config, root) if check.name == "classifier"]


def test_the_doctor_looks_at_the_classifier(lamp: Path, tmp_path: Path) -> None:
    assert checks(RunConfig(), tmp_path) == []
    (well,) = checks(judged_by(lamp), tmp_path)
    assert well.verdict == "ok"
    assert f"version {artifact.current(lamp)} through wrist" in well.text
    wide = judged_by(lamp)
    camera = dataclasses.replace(CAMERAS[0], width=64)
    wide = dataclasses.replace(wide, env=dataclasses.replace(wide.env, cameras=(camera,)))
    (ill,) = checks(wide, tmp_path)
    assert ill.verdict == "fail"
    assert "was trained on width 32" in ill.text
