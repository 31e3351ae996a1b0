"""The last label on an episode decides alone what its steps are worth and who learns from them."""

import itertools

import numpy as np
import pytest
from pictures import CAMERAS, SIDE, episode_records, feed

from handrail.agent.frames import FramePool
from handrail.agent.replay import ReplayMemory
from handrail.intervention.labeller import Label
from handrail.intervention.transition import Source, Transition

GAMMA = 0.9
LABELS = [
    (Label.SUCCESS, None),
    (Label.SUCCESS, 2),
    (Label.FAILURE, None),
    (Label.EXCLUDE, None),
    (Label.DEMO, None),
]


def step(
    episode, number, *, source=Source.POLICY, reward=0.0, terminated=False, truncated=False
) -> Transition:
    return Transition(
        episode=episode,
        step=number,
        observation=np.array([episode, number], np.float32),
        action=np.zeros(1, np.float32),
        policy_action=np.zeros(1, np.float32),
        reward=reward,
        terminated=terminated,
        truncated=truncated,
        next_observation=np.array([episode, number + 1], np.float32),
        source=source,
        t_ns=0,
        wall_ns=0,
        weights_version=0,
    )


def drive(memory, episode, length=6, *, purpose="train", human=(), nobody=(), rewards=None, success=True):
    memory.begin(episode, purpose)
    for number in range(length):
        last = number == length - 1
        source = Source.HUMAN if purpose == "demo" or number in human else Source.POLICY
        reward = float(success and last) if rewards is None else rewards[number]
        memory.add(
            step(
                episode,
                number,
                source=Source.SCRIPT if number in nobody else source,
                reward=reward,
                terminated=success and last,
                truncated=not success and last,
            )
        )


def memory() -> ReplayMemory:
    return ReplayMemory(100, 2, 1)


def held(view) -> list[int]:
    """Everything in a view, by drawing until nothing new comes."""
    return [] if len(view) == 0 else sorted(set(view.draw(np.random.default_rng(0), 2000).tolist()))


def state_of(memory) -> tuple:
    columns = memory.gather(np.arange(memory.added), GAMMA, 1)
    return held(memory.replay), held(memory.demo), columns["reward"].tolist(), columns["discount"].tolist()


def test_success_at_a_step_ends_the_episode_there():
    found = memory()
    drive(found, 0, success=False, human=(0, 4))
    found.label(0, "success", 3)
    assert held(found.replay) == [0, 1, 2, 3]
    assert held(found.demo) == [0]
    columns = found.gather(np.arange(4), GAMMA, 6)  # the returns see the new end too
    assert columns["reward"].tolist() == pytest.approx([0.0, 0.81, 0.9, 1.0])
    assert columns["discount"].tolist() == pytest.approx([0.9, 0.0, 0.0, 0.0])
    found.label(0, "success")
    assert held(found.replay) == [0, 1, 2, 3, 4, 5]
    assert state_of(found)[2] == [0.0] * 5 + [1.0]


def test_failure_takes_every_gain_and_the_end_back_and_leaves_costs():
    found = memory()
    drive(found, 0, rewards=[0.0, 0.5, -0.02, 0.0, 0.0, 1.0])
    found.label(0, "failure")
    replay, _, reward, discount = state_of(found)
    assert replay == [0, 1, 2, 3, 4, 5]
    assert reward == pytest.approx([0.0, 0.0, -0.02, 0.0, 0.0, 0.0])
    assert discount == pytest.approx([GAMMA] * 6)


def test_rewards_of_stages_survive_a_success():
    found = memory()
    drive(found, 0, rewards=[0.0, 0.25, 0.0, 0.25, 0.0, 0.5])
    before = state_of(found)
    found.label(0, "failure")
    found.label(0, "success")
    assert state_of(found) == before
    found.label(0, "success", 4)
    assert state_of(found)[2][:5] == [0.0, 0.25, 0.0, 0.25, 0.5]  # the whole is worth 1, however it ends
    found.label(0, "success", 3)  # said of the step that reached a stage
    assert state_of(found)[2][:4] == [0.0, 0.25, 0.0, 0.75]


def test_a_staged_episode_that_ran_out_of_time_is_worth_one_in_all_once_it_is_called_a_success():
    found = memory()
    drive(found, 0, rewards=[0.0, 0.5, 0.0, -0.02, 0.0, 0.0], success=False)
    found.label(0, "success")
    assert state_of(found)[2] == pytest.approx([0.0, 0.5, 0.0, -0.02, 0.0, 0.5])  # a cost is not paid back


def test_an_excluded_episode_comes_back_as_a_demonstration_of_all_that_somebody_drove():
    found = memory()
    drive(found, 0, 3)
    drive(found, 1, human=(2,), nobody=(0,))
    drive(found, 2, 3, human=(1,))
    found.label(1, "exclude")
    assert (held(found.replay), held(found.demo)) == ([0, 1, 2, 9, 10, 11], [10])
    found.label(1, "demo")
    assert held(found.replay) == list(range(12))
    assert held(found.demo) == [4, 5, 6, 7, 8, 10]
    found.label(1, "success")
    assert held(found.demo) == [5, 10]


def test_a_demonstration_is_in_no_view_before_its_label():
    found = memory()
    drive(found, 0, 4, purpose="demo", nobody=(0,))
    drive(found, 1, 4, purpose="demo", success=False)
    assert (len(found.replay), len(found.demo)) == (0, 0)
    found.label(0, "demo")
    assert (held(found.replay), held(found.demo)) == ([0, 1, 2, 3], [1, 2, 3])
    found.label(0, "failure")  # a failed attempt is experience, and nothing to imitate
    assert (held(found.replay), held(found.demo)) == ([0, 1, 2, 3], [])


@pytest.mark.parametrize("purpose", ["train", "demo"])
def test_no_earlier_label_leaves_a_trace(purpose):
    """Every pair and triple of labels ends where its last one alone would."""

    def labelled(*labels) -> tuple:
        found = memory()
        drive(found, 0, 3, human=(0,))
        drive(found, 1, human=(1, 4), nobody=(2,), purpose=purpose, rewards=[0.0, 0.3, 0.0, -0.1, 0.0, 1.0])
        drive(found, 2, 3, human=(0,))
        for label, at in labels:
            found.label(1, label, at)
        return state_of(found)

    alone = {last: labelled(last) for last in LABELS}
    # Of a demonstration that a human drove throughout, success and demo make the same.
    assert len({str(state) for state in alone.values()}) == len(LABELS) - (purpose == "demo")
    for length in (2, 3):
        for labels in itertools.product(LABELS, repeat=length):
            assert labelled(*labels) == alone[labels[-1]], labels


def test_a_label_on_what_has_partly_left_judges_what_is_here():
    found = ReplayMemory(10, 2, 1)
    drive(found, 0, 8, success=False)
    drive(found, 1, 6)  # the first four steps of episode 0 are gone
    found.label(0, "success", 2)  # all that is here came after its success
    assert held(found.replay) == list(range(8, 14))
    found.label(0, "success", 5)
    assert held(found.replay) == [4, 5, *range(8, 14)]
    found.label(0, "exclude")
    drive(found, 2, 10)
    found.label(0, "success")  # of an episode that is gone altogether
    assert held(found.replay) == list(range(14, 24))


def test_labels_reach_the_pictures_of_a_batch():
    found = ReplayMemory(100, 2, 1, FramePool(CAMERAS, (SIDE, SIDE)))
    feed(found, itertools.chain(episode_records(0, 5), episode_records(1, 5)))
    found.label(0, "success", 1)
    columns = found.gather(np.array(held(found.replay)), GAMMA, 3)
    assert columns["observation"].tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [1, 2], [1, 3], [1, 4]]
    assert columns["frames"].tolist() == [0, 1, 6, 7, 8, 9, 10]
    assert columns["next_frames"].tolist() == [2, 2, 9, 10, 11, 11, 11]
