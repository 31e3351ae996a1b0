"""Where a transition comes from, through everything that can be said of its episode."""

import numpy as np
import pytest
from logged import Log

from handrail.agent.config import ActorConfig, AgentConfig, LearnerConfig, RunConfig
from handrail.agent.learner import Learner
from handrail.agent.origins import ORIGINS, Origin
from handrail.intervention.run_directory import RunDirectory

CONFIG = RunConfig(
    agent=AgentConfig(hidden=(16, 16), batch_size=16, clone_updates=5),
    learner=LearnerConfig(capacity=1000),
    actor=ActorConfig(demonstrations=2),
)
STEPS = 4


def origins_after(tmp_path, *labels: str, **episode) -> str:
    """One letter a step: Demo, Intervention, online Success, online Failure."""
    log, learner = Log(), Learner(RunDirectory(tmp_path / "run").create("", {}), CONFIG)
    log.episode(3)
    number = log.episode(STEPS, **episode)
    log.episode(3, success=False)
    for label in labels:
        log.event(number, label)
    log.feed(learner)
    found = learner.memory.origins(np.arange(3 + STEPS + 3))
    letters = "".join("DISF"[origin] for origin in found)
    assert letters[:3] == "SSS" and letters[-3:] == "FFF"  # neighbours stay what they are
    return letters[3:-3]


@pytest.mark.parametrize(
    ("episode", "labels", "expected"),
    [
        ({"success": False}, (), "FFFF"),
        ({"success": False, "ended": False}, (), "FFFF"),
        ({}, (), "SSSS"),
        ({"human": (1, 2)}, (), "SIIS"),
        ({"human": (1, 2), "success": False}, (), "FIIF"),
        ({"human": (3,)}, (), "SSSI"),
        ({}, ("failure",), "FFFF"),
        ({"success": False}, ("success",), "SSSS"),
        ({"success": False, "human": (0,)}, ("success",), "ISSS"),
        ({}, ("failure", "success"), "SSSS"),
        ({"human": (1,)}, ("demo",), "DDDD"),
        ({"human": (1,)}, ("demo", "failure"), "FIFF"),
        ({"purpose": "demo"}, ("demo",), "DDDD"),
        ({"purpose": "demo"}, ("success",), "DDDD"),
        ({"purpose": "demo"}, ("demo", "failure"), "FFFF"),
    ],
)
def test_the_last_label_and_who_drove_decide(tmp_path, episode, labels, expected):
    assert origins_after(tmp_path, *labels, **episode) == expected


def test_the_names_are_the_numbers():
    assert ORIGINS == ("demo", "intervention", "online_success", "online_failure")
    assert [ORIGINS[origin] for origin in Origin] == list(ORIGINS)


def test_what_has_left_the_memory_is_asked_of_nobody(tmp_path):
    log, learner = Log(), Learner(RunDirectory(tmp_path / "run").create("", {}), CONFIG)
    demonstrated = log.episode(20, purpose="demo", label="demo")
    log.feed(learner)
    memory = learner.memory
    assert memory.last_demonstration() == demonstrated
    assert memory.steps_of(demonstrated).tolist() == list(range(20))
    partly = log.episode(990)
    log.feed(learner)
    assert memory.steps_of(demonstrated).tolist() == list(range(10, 20))
    log.episode(20)
    log.feed(learner)
    assert memory.last_demonstration() is None
    assert len(memory.steps_of(demonstrated)) == 0
    assert memory.steps_of(partly).tolist() == list(range(30, 1010))
    assert set(memory.origins(np.arange(memory.oldest, memory.added)).tolist()) == {Origin.ONLINE_SUCCESS}
