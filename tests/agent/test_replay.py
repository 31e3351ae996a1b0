"""The memory: what is paired with what, what is cut where, who is drawn."""

import numpy as np
import pytest

from handrail.agent.replay import ReplayMemory
from handrail.agent.sampling import Sampler, SamplingError
from handrail.agent.views import View
from handrail.intervention.transition import Source, Transition

GAMMA = 0.9


def observation(episode: int, step: int) -> np.ndarray:
    return np.array([episode, step], dtype=np.float32)


def step(
    episode, number, *, source=Source.POLICY, reward=0.0, terminated=False, truncated=False
) -> Transition:
    action = np.array([number / 100.0], dtype=np.float32)
    return Transition(
        episode=episode,
        step=number,
        observation=observation(episode, number),
        action=action,
        policy_action=action,
        reward=reward,
        terminated=terminated,
        truncated=truncated,
        next_observation=observation(episode, number + 1),
        source=source,
        t_ns=0,
        wall_ns=0,
        weights_version=0,
    )


def episode(number, length, *, human=(), success=True) -> list[Transition]:
    last = length - 1
    return [
        step(
            number,
            i,
            source=Source.HUMAN if i in human else Source.POLICY,
            reward=float(success and i == last),
            terminated=success and i == last,
            truncated=not success and i == last,
        )
        for i in range(length)
    ]


def memory_of(*episodes, capacity=100) -> ReplayMemory:
    memory = ReplayMemory(capacity, 2, 1)
    for transitions in episodes:
        for transition in transitions:
            memory.add(transition)
    return memory


def gather(memory, n_step=1, count=None):
    return memory.gather(np.arange(memory.added if count is None else count), GAMMA, n_step)


def test_every_transition_keeps_its_own_frames():
    memory = memory_of(episode(0, 4), episode(1, 3, success=False), episode(2, 5))
    columns = gather(memory)
    expected = [(e, s) for e, n in ((0, 4), (1, 3), (2, 5)) for s in range(n)]
    assert columns["observation"].tolist() == [[e, s] for e, s in expected]
    assert columns["next_observation"].tolist() == [[e, s + 1] for e, s in expected]


def test_intervention_segments_never_mix_frames():
    """HIL-SERL's and LeRobot's defect: a short human segment completed with the next segment's frame."""
    memory = memory_of(episode(0, 12, human=(2, 3, 7)), episode(1, 6, human=(0, 5)))
    columns = memory.gather(memory.demo.draw(np.random.default_rng(0), 500), GAMMA, 1)
    assert (columns["human"] == 1.0).all()
    same_episode = columns["observation"][:, 0] == columns["next_observation"][:, 0]
    next_step = columns["observation"][:, 1] + 1 == columns["next_observation"][:, 1]
    assert same_episode.all() and next_step.all()
    assert {tuple(o) for o in columns["observation"].tolist()} == {(0, 2), (0, 3), (0, 7), (1, 0), (1, 5)}


def test_a_gap_in_an_episode_is_never_bridged():
    memory = memory_of([step(0, 0), step(0, 1), step(0, 5), step(0, 6)])
    columns = gather(memory, n_step=3)
    assert columns["next_observation"][:, 1].tolist() == [2, 2, 7, 7]
    assert columns["discount"].tolist() == pytest.approx([0.81, 0.9, 0.81, 0.9])


def test_termination_has_no_bootstrap_and_truncation_has():
    memory = memory_of(episode(0, 2), episode(1, 2, success=False))
    columns = gather(memory)
    assert columns["discount"].tolist() == pytest.approx([GAMMA, 0.0, GAMMA, GAMMA])
    assert columns["reward"].tolist() == [0.0, 1.0, 0.0, 0.0]


def test_n_step_returns_are_cut_at_the_end_of_an_episode():
    memory = memory_of(episode(0, 4), episode(1, 2, success=False))
    columns = gather(memory, n_step=3)
    assert columns["reward"].tolist() == pytest.approx([0.0, 0.81, 0.9, 1.0, 0.0, 0.0])
    assert columns["discount"].tolist() == pytest.approx([0.729, 0.0, 0.0, 0.0, 0.81, 0.9])
    assert columns["next_observation"].tolist() == [[0, 3], [0, 4], [0, 4], [0, 4], [1, 2], [1, 2]]


def test_n_step_returns_are_cut_where_the_driver_changes():
    memory = memory_of(episode(0, 6, human=(2, 3)))
    columns = gather(memory, n_step=3)
    assert columns["next_observation"][:, 1].tolist() == [2, 2, 4, 4, 6, 6]
    assert columns["discount"].tolist() == pytest.approx([0.81, 0.9, 0.81, 0.9, 0.0, 0.0])


def test_half_of_a_batch_is_replay_and_half_demo():
    memory = memory_of(episode(0, 30), episode(1, 10, human=range(10)))
    sampler = Sampler(memory, 64, GAMMA, 1, np.random.default_rng(0))
    for _ in range(20):
        batch = sampler.symmetric()
        assert len(batch) == 64
        assert batch.human[32:].sum() == 32.0
        assert set(batch.observation[32:, 0].tolist()) == {1.0}
        assert 0.0 in batch.observation[:32, 0]


def test_replay_draws_every_transition_alike():
    memory = memory_of(episode(0, 30), episode(1, 10, human=range(10)))
    drawn = memory.replay.draw(np.random.default_rng(0), 40_000)
    counts = np.bincount(drawn, minlength=40)
    assert counts.min() > 800 and counts.max() < 1200  # 1000 each, six standard deviations


def test_an_empty_half_is_an_error_and_never_filled_from_the_other():
    memory = memory_of(episode(0, 5))
    with pytest.raises(SamplingError, match="demo buffer is empty"):
        Sampler(memory, 8, GAMMA, 1, np.random.default_rng(0)).symmetric()


def test_the_ring_forgets_the_oldest_in_every_view():
    memory = memory_of(*(episode(i, 10, human=(0, 1)) for i in range(8)), capacity=25)
    assert len(memory.replay) == 25
    assert len(memory.demo) == 4
    drawn = memory.replay.draw(np.random.default_rng(0), 2000)
    assert drawn.min() >= 55
    columns = memory.gather(drawn, GAMMA, 3)
    assert (columns["observation"][:, 0] == drawn // 10).all()
    assert (columns["observation"][:, 1] == drawn % 10).all()
    assert (columns["next_observation"][:, 0] == drawn // 10).all()


def test_a_relabel_reaches_returns_at_once():
    memory = memory_of(episode(0, 3), episode(1, 3, success=False))
    memory.label(0, "failure")
    memory.label(1, "success")
    columns = gather(memory, n_step=3)
    assert columns["reward"].tolist() == pytest.approx([0.0, 0.0, 0.0, 0.81, 0.9, 1.0])
    assert columns["discount"].tolist() == pytest.approx([0.729, 0.81, 0.9, 0.0, 0.0, 0.0])


def test_an_excluded_episode_is_never_drawn_again():
    memory = memory_of(*(episode(i, 10, human=(3,)) for i in range(6)), capacity=35)
    memory.label(4, "exclude")
    drawn = np.concatenate(
        [memory.replay.draw(np.random.default_rng(0), 500), memory.demo.draw(np.random.default_rng(0), 50)]
    )
    assert 4 not in memory.gather(drawn, GAMMA, 1)["observation"][:, 0]
    assert len(memory.replay) == 25


def test_a_view_grows_and_shrinks():
    view = View()
    for number in range(5000):
        view.add(number)
    view.forget_before(4000)
    assert len(view) == 1000
    for number in range(5000, 9000):
        view.add(number)
    drawn = view.draw(np.random.default_rng(0), 20_000)
    assert drawn.min() == 4000 and drawn.max() == 8999
