"""Golden tests of the update: each formula against numbers worked out by hand or by plain PyTorch."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from handrail.agent.batch import Batch
from handrail.agent.config import AgentConfig
from handrail.agent.networks.gaussian import split_head, squash
from handrail.agent.sac import SAC
from handrail.robot_env.spec import ArraySpec, StateSpec

SIZE, ACTIONS, ROWS = 5, 3, 16
SPEC = StateSpec((ArraySpec("state", (SIZE,), "m", "work", 2.0, "a state"),))
PARITY = AgentConfig(
    hidden=(32, 32),
    n_step=1,
    clone_updates=0,
    second_proposal=False,
    imitation_weight=0.0,
    target_clip=None,
    temperature=0.5,
    temperature_max=None,
)


def make_agent(**changes) -> SAC:
    agent = SAC(dataclasses.replace(PARITY, **changes), SPEC, ACTIONS, seed=3)
    agent.generator.manual_seed(11)
    return agent


def make_batch(seed: int = 0, human: float = 0.0) -> Batch:
    g = torch.Generator().manual_seed(seed)
    return Batch(
        observation=torch.randn(ROWS, SIZE, generator=g),
        action=torch.rand(ROWS, ACTIONS, generator=g) * 1.8 - 0.9,
        reward=torch.rand(ROWS, generator=g),
        discount=torch.where(torch.arange(ROWS) % 4 == 0, 0.0, 0.97),
        next_observation=torch.randn(ROWS, SIZE, generator=g),
        human=torch.full((ROWS,), human),
    )


def next_value(agent: SAC, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """min_i Q̄_i(s′, ã′) and log π(ã′|s′), with the same noise as the agent will draw."""
    state = agent.generator.get_state()
    with torch.no_grad():
        observation = batch.next_observation / 2.0
        mean, log_std = split_head(agent.actor.reference(observation)[0], agent.config.log_std_bounds)
        noise = torch.randn(mean.shape, generator=agent.generator)
        action, log_prob = squash(mean, log_std, noise)
        q = agent.target_critic.reference(torch.cat([observation, action], -1)).squeeze(-1).amin(0)
    agent.generator.set_state(state)
    return q, log_prob


def test_target_bootstraps_unless_terminated():
    agent, batch = make_agent(), make_batch()
    value, _ = next_value(agent, batch)
    target, clipped = agent.target(batch)
    ended = batch.discount == 0.0
    torch.testing.assert_close(target[ended], batch.reward[ended])
    torch.testing.assert_close(target[~ended], (batch.reward + 0.97 * value)[~ended])
    assert clipped == 0.0


def test_entropy_stands_inside_discount_and_mask():
    agent, batch = make_agent(backup_entropy=True), make_batch()
    value, log_prob = next_value(agent, batch)
    target, _ = agent.target(batch)
    torch.testing.assert_close(target, batch.reward + batch.discount * (value - 0.5 * log_prob))
    ended = batch.discount == 0.0
    torch.testing.assert_close(target[ended], batch.reward[ended])  # no entropy beyond the end


def test_target_is_clipped_and_the_fraction_reported():
    agent, batch = make_agent(target_clip=(-0.2, 1.0)), make_batch()
    batch = dataclasses.replace(batch, reward=batch.reward * 4.0 - 2.0)
    free, _ = make_agent().target(batch)
    target, fraction = agent.target(batch)
    torch.testing.assert_close(target, free.clamp(-0.2, 1.0))
    assert float(fraction) == pytest.approx(((free < -0.2) | (free > 1.0)).float().mean().item())
    assert 0.0 < float(fraction) < 1.0


def test_subset_takes_the_minimum_over_the_drawn_critics_only():
    agent, batch = make_agent(critics=6, critic_subset=2), make_batch()
    state = agent.generator.get_state()
    with torch.no_grad():
        observation = batch.next_observation / 2.0
        mean, log_std = split_head(agent.actor.reference(observation)[0], agent.config.log_std_bounds)
        action, _ = squash(mean, log_std, torch.randn(mean.shape, generator=agent.generator))
        drawn = torch.randperm(6, generator=agent.generator)[:2]
        q = agent.target_critic.reference(torch.cat([observation, action], -1)).squeeze(-1)
    agent.generator.set_state(state)
    target, _ = agent.target(batch)
    torch.testing.assert_close(target, batch.reward + batch.discount * q[drawn].amin(0))


def test_second_proposal_raises_the_target_where_the_clone_is_better():
    agent, batch = make_agent(clone_updates=1, second_proposal=True), make_batch()
    agent.freeze_clone()
    assert agent.clone is not None
    with torch.no_grad():
        for parameter in agent.clone.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(5)) * 0.5)
    alone, _ = next_value(agent, batch)
    with torch.no_grad():
        observation = batch.next_observation / 2.0
        mean, _ = split_head(agent.clone.reference(observation)[0], agent.config.log_std_bounds)
        clone = (
            agent.target_critic.reference(torch.cat([observation, torch.tanh(mean)], -1)).squeeze(-1).amin(0)
        )
    target, _ = agent.target(batch)
    torch.testing.assert_close(target, batch.reward + batch.discount * torch.maximum(alone, clone))
    assert (clone > alone).any() and (clone < alone).any()


def snapshot(agent: SAC) -> dict[str, torch.Tensor]:
    tensors = {f"actor.{n}": p for n, p in agent.actor.state_dict().items()} | {
        "temperature": agent.log_temperature
    }
    for name in ("actor", "temperature"):
        for index, state in agent.optimizers()[name].state_dict()["state"].items():
            tensors |= {f"{name}.{index}.{key}": value for key, value in state.items()}
    return {name: value.detach().clone() for name, value in tensors.items()}


def test_critic_only_updates_leave_actor_and_temperature_untouched():
    agent = make_agent()
    agent.update(make_batch(), with_actor=True)  # so that Adam has moments to coast on
    before, critic = snapshot(agent), copy.deepcopy(agent.critic.state_dict())
    for seed in range(5):
        agent.update(make_batch(seed), with_actor=False)
    after = snapshot(agent)
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert torch.equal(value, after[name]), name
    assert not torch.equal(critic["weight0"], agent.critic.state_dict()["weight0"])


def test_temperature_moves_towards_the_target_entropy():
    agent = make_agent()
    agent.target_entropy = 100.0  # far above: α must rise
    before = float(agent.log_temperature.detach())
    agent.update(make_batch(), with_actor=True)
    assert float(agent.log_temperature.detach()) > before
    agent.target_entropy = -100.0
    high = float(agent.log_temperature.detach())
    for _ in range(5):
        agent.update(make_batch(), with_actor=True)
    assert float(agent.log_temperature.detach()) < high


def test_temperature_is_clamped():
    agent = make_agent(temperature_max=0.5)
    agent.target_entropy = 100.0
    for _ in range(5):
        agent.update(make_batch(), with_actor=True)
    assert float(agent.log_temperature.detach().exp()) == pytest.approx(0.5)


def test_target_critic_follows_by_polyak_average():
    agent = make_agent(tau=0.25)
    before = copy.deepcopy(agent.target_critic.state_dict())
    agent.update(make_batch(), with_actor=False)
    for name, value in agent.target_critic.state_dict().items():
        expected = before[name] + 0.25 * (agent.critic.state_dict()[name] - before[name])
        torch.testing.assert_close(value, expected)


def test_imitation_counts_gated_human_rows_only():
    agent = make_agent(imitation_weight=1.0, imitation_gate=True)
    batch = make_batch()
    human = dataclasses.replace(batch, human=(torch.arange(ROWS) < 8).float())
    mean = torch.zeros(ROWS, ACTIONS)
    state = batch.observation / 2.0
    with torch.no_grad():
        q_data = agent.critic.reference(torch.cat([state, batch.action], -1)).squeeze(-1)
        q_mean = agent.critic.reference(torch.cat([state, mean], -1)).squeeze(-1).mean(0)
    gate = human.human * (q_data.mean(0) > q_mean)
    loss, share = agent._imitation(human, state, mean, q_data)
    torch.testing.assert_close(loss, (gate * batch.action.square().sum(-1)).sum() / ROWS)
    assert float(share) == pytest.approx(float(gate.sum() / 8))
    assert 0.0 < float(share) < 1.0
    none, _ = agent._imitation(make_batch(human=0.0), state, mean, q_data)
    assert float(none) == 0.0


def test_log_probability_agrees_with_the_change_of_variables():
    mean, log_std = (
        torch.tensor([[0.3, -1.0]], dtype=torch.float64),
        torch.tensor([[-0.5, 0.2]], dtype=torch.float64),
    )
    noise = torch.tensor([[0.7, -1.3]], dtype=torch.float64)
    action, log_prob = squash(mean, log_std, noise)
    base = torch.distributions.Normal(mean, log_std.exp())
    squashed = torch.distributions.TransformedDistribution(base, torch.distributions.TanhTransform())
    torch.testing.assert_close(log_prob, squashed.log_prob(action).sum(-1))
    _, extreme = squash(torch.full((1, 2), 40.0), torch.zeros(1, 2), torch.zeros(1, 2))
    assert torch.isfinite(extreme).all()


def test_cloning_reproduces_the_demonstrated_action():
    agent = make_agent(clone_updates=1)
    g = torch.Generator().manual_seed(1)
    observation = torch.randn(256, SIZE, generator=g)
    action = torch.tanh(observation[:, :ACTIONS] * 0.5) * 0.9
    column = torch.zeros(256)
    batch = Batch(observation, action, column, column, observation, torch.ones(256))
    first = float(agent.update_clone(batch))
    for _ in range(300):
        last = float(agent.update_clone(batch))
    mean, _ = split_head(agent.actor.reference(observation / 2.0)[0], agent.config.log_std_bounds)
    assert last < first
    assert np.sqrt((torch.tanh(mean) - action).square().mean().item()) < 0.1
