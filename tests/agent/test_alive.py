"""A loop that works for long says that it lives: its reports are its heartbeat (`launch/lifetime.py`)."""

import dataclasses
import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from logged import Log

from handrail.agent import actor, evaluator, learner
from handrail.agent.config import ActorConfig, AgentConfig, EvaluationConfig, GoalConfig, RunConfig
from handrail.agent.session import Session
from handrail.intervention.run_directory import RunDirectory

CONFIG = RunConfig(
    agent=AgentConfig(hidden=(16, 16), batch_size=16, clone_updates=5),
    actor=ActorConfig(demonstrations=1),
    evaluation=EvaluationConfig(episodes=2),
    goal=GoalConfig(successes=2),
)
Report = dict[str, Any]


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "run").create("", {})


@pytest.fixture
def a_second_a_look(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Makes a second pass each time that a module looks at the clock."""

    def begin(module: Any) -> None:
        passed = map(float, itertools.count())
        clock = SimpleNamespace(monotonic=lambda: next(passed), time_ns=time.time_ns)
        monkeypatch.setattr(module, "time", clock)

    return begin


def cloned(run: RunDirectory, report: Callable[[Report], None]) -> learner.Learner:
    """A learner that has cloned one demonstration."""
    it, log = learner.Learner(run, CONFIG), Log()
    log.episode(20, purpose="demo", label="demo")
    log.feed(it)
    it.clone(threading.Event(), report)
    return it


def test_cloning_does_after_each_update_that_takes_long(
    run: RunDirectory, a_second_a_look: Callable[[Any], None]
) -> None:
    said: list[Report] = []
    a_second_a_look(learner)
    cloned(run, said.append)
    assert [each["clone_progress"] for each in said] == [0.0, 0.2, 0.4, 0.6, 0.8]


def test_an_evaluation_does_at_each_step(run: RunDirectory, a_second_a_look: Callable[[Any], None]) -> None:
    said: list[Report] = []
    frame = cloned(run, said.append).weights_frame()
    said.clear()
    task = dataclasses.replace(CONFIG.env.task, max_steps=20)
    config = dataclasses.replace(CONFIG, env=dataclasses.replace(CONFIG.env, task=task))
    it = evaluator.Evaluator(run, config, threading.Event(), said.append)
    a_second_a_look(evaluator)
    assert not it.check(frame)
    it.env.close()
    alive = {"kind": "heartbeat", "role": "evaluator"}
    assert said[0] == alive and sum(each == alive for each in said) >= 10
    assert said[-1]["kind"] == "evaluation"


def test_the_control_loop_does_whenever_it_is_asked_whether_to_go_on(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which a reset and a countdown ask at each tick, however long they take."""
    said: list[Report] = []
    monkeypatch.setattr(actor, "_REPORT_EVERY_S", 0.0)

    def drive(policy: object, purpose: str, *, wanted: Callable[[], bool], **how: object) -> None:
        assert wanted() and wanted() and [each["phase"] for each in said] == [purpose, purpose]
        said.clear()

    with Session(run, CONFIG) as session:
        monkeypatch.setattr(session, "drive", drive)
        it = actor.Actor(run, session, threading.Event(), said.append)
        try:
            it.demonstrate()
            it.train()
        finally:
            it.close()
