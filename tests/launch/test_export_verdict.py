"""What a label makes of an episode's rewards and ends is what the replay memory makes of them."""

from dataclasses import replace

import numpy as np
import pytest
from exported import Told, make_run
from hypothesis import given
from hypothesis import strategies as st

from handrail.agent.replay import ReplayMemory
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.index_query import EpisodeRow
from handrail.intervention.labeller import Label
from handrail.intervention.log_reader import LogReader
from handrail.intervention.transition import Source, Transition
from handrail.launch.export.verdict import as_recorded, counted_steps, judge


@pytest.fixture(scope="module")
def row(tmp_path_factory: pytest.TempPathFactory) -> EpisodeRow:
    run = make_run(tmp_path_factory.mktemp("runs") / "first", [Told()])
    with EpisodeIndex(run.index_file, LogReader(run.segments)) as index:
        index.refresh()
        found = index.episode(0)
    assert found is not None
    return found


def remembered(rewards: list[float], ended: bool, label: Label | None, step: int | None):
    """(rewards, ends) of the steps that the replay view has."""
    memory = ReplayMemory(64, 2, 1)
    memory.begin(0, "train")
    last = len(rewards) - 1
    for number, reward in enumerate(rewards):
        memory.add(
            Transition(
                episode=0,
                step=number,
                observation=np.zeros(2, np.float32),
                action=np.zeros(1, np.float32),
                policy_action=np.zeros(1, np.float32),
                reward=reward,
                terminated=ended and number == last,
                truncated=not ended and number == last,
                next_observation=np.zeros(2, np.float32),
                source=Source.POLICY,
                t_ns=0,
                wall_ns=0,
                weights_version=0,
            )
        )
    if label is not None:
        memory.label(0, label, step)
    kept = min(step, last) + 1 if step is not None and label in (Label.SUCCESS, Label.DEMO) else last + 1
    columns = memory.gather(np.arange(kept), 0.9, 1)
    return columns["reward"], columns["discount"] == 0.0


@given(
    rewards=st.lists(st.sampled_from([0.0, 0.25, -0.05, 1.0]), min_size=1, max_size=8),
    ended=st.booleans(),
    label=st.sampled_from([None, Label.SUCCESS, Label.DEMO, Label.FAILURE]),
    step=st.none() | st.integers(0, 7),
)
def test_the_learner_and_the_dataset_agree(
    row: EpisodeRow, rewards: list[float], ended: bool, label: Label | None, step: int | None
) -> None:
    if label not in (Label.SUCCESS, Label.DEMO):
        step = None
    said = replace(row, steps=len(rewards), label=label, label_step=step)
    count = counted_steps(said)
    ends = np.zeros(len(rewards), bool)
    ends[-1] = ended
    verdict = judge(said, np.array(rewards)[:count], ends[:count], ~ends[:count] & False)
    reward, terminated = remembered(rewards, ended, label, step)
    assert verdict.reward == pytest.approx(reward) and verdict.reward.dtype == np.float64
    assert verdict.terminated.tolist() == terminated.tolist()
    assert verdict.truncated.tolist() == [False] * (count - 1) + [not terminated[-1]]


@given(
    rewards=st.lists(st.sampled_from([0.0, 0.25, -0.05, 1.0]), min_size=1, max_size=8),
    success=st.booleans(),
    label=st.sampled_from([None, *Label]),
    step=st.none() | st.integers(0, 7),
)
def test_what_is_told_by_the_row_alone_is_so(
    row: EpisodeRow, rewards: list[float], success: bool, label: Label | None, step: int | None
) -> None:
    rewards[-1] = 1.0 if success else min(rewards[-1], 0.0)  # a success pays, and nothing else ends in pay
    said = replace(row, steps=len(rewards), success=success, label=label, label_step=step)
    count = counted_steps(said)
    ends = np.zeros(len(rewards), bool)
    ends[-1] = success
    verdict = judge(said, np.array(rewards)[:count], ends[:count], ~ends[:count] & False)
    if as_recorded(said):
        assert verdict.reward.tolist() == rewards
