from dataclasses import dataclass, field

import numpy as np
import pytest

from handrail.reward_classifier.stages import StagedJudge
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.judge import Situation, Verdict

HERE = Situation(np.zeros(6), np.zeros(3), 0.0, 1)
NOTHING: dict[str, np.ndarray] = {}


@dataclass
class Told:
    """A stage that is done when the test says so."""

    version: str
    done: bool = False
    threshold: float | None = None
    episodes: int = field(default=0, init=False)
    looks: int = field(default=0, init=False)

    def begin(self, images):
        self.episodes += 1

    def judge(self, images, situation):
        self.looks += 1
        return Verdict(self.done, float(self.done), 0.9 if self.done else 0.1, self.version)


def test_each_stage_is_rewarded_once_and_the_last_ends_the_episode() -> None:
    gripped, inserted = Told("a", threshold=0.7), Told("b", done=True, threshold=0.9)
    judge = StagedJudge([gripped, inserted])
    judge.begin(NOTHING)
    assert judge.threshold == 0.7
    first = judge.judge(NOTHING, HERE)
    assert (first.success, first.reward, first.version) == (False, 0.0, "a")
    assert inserted.looks == 0  # not looked for before the first is done
    gripped.done, inserted.done = True, False
    second = judge.judge(NOTHING, HERE)
    assert (second.success, second.reward, second.score, second.version) == (False, 0.5, 0.9, "a")
    assert judge.threshold == 0.9  # of the stage that is looked for from now on
    third = judge.judge(NOTHING, HERE)
    assert (third.success, third.reward, third.version) == (False, 0.0, "b")
    assert gripped.looks == 2  # rewarded, and not asked again
    inserted.done = True
    last = judge.judge(NOTHING, HERE)
    assert (last.success, last.reward, last.version) == (True, 0.5, "b")


def test_every_episode_begins_with_the_first_stage() -> None:
    stages = [Told("a", done=True), Told("b", done=True)]
    judge = StagedJudge(stages)
    for episode in (1, 2):
        judge.begin(NOTHING)
        assert judge.stage == 0
        rewards = [judge.judge(NOTHING, HERE).reward for _ in stages]
        assert sum(rewards) == 1.0
        assert [stage.episodes for stage in stages] == [episode, episode]


def test_no_stages_are_refused() -> None:
    with pytest.raises(ConfigError, match="has none"):
        StagedJudge([])
