"""Weights on the wire: what is refused, and that acting with them is what the agent meant."""

import dataclasses

import numpy as np
import pytest
import torch

from handrail.agent.config import AgentConfig
from handrail.agent.networks.gaussian import split_head
from handrail.agent.policy import ActorPolicy
from handrail.agent.sac import SAC
from handrail.agent.weights import WeightsError, decode_weights, encode_weights
from handrail.robot_env.spec import ArraySpec, StateSpec

CONFIG = AgentConfig(hidden=(32, 32))
SPEC = StateSpec(
    (
        ArraySpec("here", (3,), "m", "work", 2.0, "position", 0.1),
        ArraySpec("push", (1,), "N", "tool", 4.0, "force"),
    )
)
SCALE = SPEC.scale
FACTS = {"run_id": "r", "schema_hash": "s", "boot_id": "b", "version": 7, "updates": 70, "online_steps": 35}


def make_agent() -> SAC:
    agent = SAC(CONFIG, SPEC, 2, seed=0)
    agent.freeze_clone()
    assert agent.clone is not None
    with torch.no_grad():
        for index, parameter in enumerate([*agent.clone.parameters(), *agent.target_critic.parameters()]):
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(index)) * 0.5)
    return agent


def test_round_trip():
    tensors = make_agent().acting_weights()
    header, decoded = decode_weights(encode_weights(tensors, **FACTS), run_id="r", schema_hash="s")
    assert (header.version, header.updates, header.online_steps) == (7, 70, 35)
    assert decoded.keys() == tensors.keys()
    assert all(torch.equal(decoded[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("position", [2, 30, 200, -5])
def test_a_flipped_bit_is_refused(position):
    frame = bytearray(encode_weights(make_agent().acting_weights(), **FACTS))
    frame[position] ^= 0x40
    with pytest.raises(WeightsError):
        decode_weights(bytes(frame), run_id="r", schema_hash="s")


@pytest.mark.parametrize("frame", [b"", b"\x01", b"\xff\xff\xff\x7f", b"\x00" * 64, bytes(range(256))])
def test_rubbish_is_refused(frame):
    with pytest.raises(WeightsError):
        decode_weights(frame, run_id="r", schema_hash="s")


def test_another_run_or_layout_is_refused():
    frame = encode_weights({"w": torch.zeros(1)}, **FACTS)
    with pytest.raises(WeightsError, match="run_id 'r' refused, this process has 'other'"):
        decode_weights(frame, run_id="other", schema_hash="s")
    with pytest.raises(WeightsError, match="schema_hash"):
        decode_weights(frame, run_id="r", schema_hash="other")


def test_values_that_are_not_finite_are_refused():
    frame = encode_weights({"w": torch.tensor([1.0, float("nan")])}, **FACTS)
    with pytest.raises(WeightsError, match="w holds values that are not finite"):
        decode_weights(frame, run_id="r", schema_hash="s")


def test_weights_of_another_shape_leave_the_policy_as_it_was():
    policy = ActorPolicy(CONFIG, SPEC, 2, deterministic=True)
    policy.load(make_agent().acting_weights(), 1)
    before = policy.act({"state": np.ones(4, dtype=np.float32)}).action
    other = SAC(dataclasses.replace(CONFIG, hidden=(16, 16)), SPEC, 2, seed=0)
    other.freeze_clone()
    with pytest.raises(WeightsError, match="do not fit"):
        policy.load(other.acting_weights(), 2)
    with pytest.raises(WeightsError, match="lack"):
        policy.load({"actor.weight0": torch.zeros(1)}, 3)
    assert policy.version == 1
    np.testing.assert_array_equal(policy.act({"state": np.ones(4, dtype=np.float32)}).action, before)


def test_the_proposal_with_the_larger_minimum_is_taken():
    agent = make_agent()
    assert agent.clone is not None
    policy = ActorPolicy(CONFIG, SPEC, 2, deterministic=True)
    policy.load(agent.acting_weights(), 1)
    chosen = []
    for index in range(50):
        observation = np.random.default_rng(index).normal(size=4).astype(np.float32) * SCALE
        state = agent.perception(torch.from_numpy(observation)[None], None)
        with torch.no_grad():
            proposals = [
                torch.tanh(split_head(net.reference(state)[0], CONFIG.log_std_bounds)[0])
                for net in (agent.actor, agent.clone)
            ]
            q = [agent.target_critic.reference(torch.cat([state, a], -1)).amin().item() for a in proposals]
        best = int(q[1] > q[0])
        chosen.append(best)
        np.testing.assert_allclose(
            policy.act({"state": observation}).action, proposals[best][0].numpy(), atol=1e-6
        )
    assert 0 < sum(chosen) < 50


def test_exploration_repeats_for_a_seed():
    policy = ActorPolicy(CONFIG, SPEC, 2)
    policy.load(make_agent().acting_weights(), 1)
    observation = np.ones(4, dtype=np.float32)
    courses = []
    for seed in (5, 5, 6):
        policy.seed(seed)
        courses.append(np.stack([policy.act({"state": observation}).action for _ in range(4)]))
    np.testing.assert_array_equal(courses[0], courses[1])
    assert not np.array_equal(courses[0], courses[2])
    assert np.ptp(courses[0], axis=0).min() > 0.0


def test_a_policy_without_a_clone_acts_with_the_actor():
    config = dataclasses.replace(CONFIG, clone_updates=0, second_proposal=False)
    agent = SAC(config, SPEC, 2, seed=0)
    policy = ActorPolicy(config, SPEC, 2, deterministic=True)
    policy.load(agent.acting_weights(), 1)
    state = agent.perception(torch.from_numpy(SCALE.copy())[None], None)
    with torch.no_grad():
        mean, _ = split_head(agent.actor.reference(state)[0], config.log_std_bounds)
    np.testing.assert_allclose(
        policy.act({"state": SCALE.copy()}).action, torch.tanh(mean)[0].numpy(), atol=1e-6
    )
