"""Learning from cameras: who trains the encoder, who only reads it, and what the policy sees."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from handrail.agent.batch import Batch
from handrail.agent.config import AgentConfig
from handrail.agent.networks.perception import PixelSpec
from handrail.agent.policy import ActorPolicy
from handrail.agent.sac import SAC
from handrail.agent.sight import Sight
from handrail.robot_env.spec import ArraySpec, StateSpec
from handrail.vision.config import VisionConfig
from handrail.vision.trunk import Trunk, build

SIZE, ACTIONS, ROWS, SIDE = 5, 3, 16, 64
CAMERAS = ("wrist", "side")
SPEC = StateSpec((ArraySpec("state", (SIZE,), "m", "work", 2.0, "a state"),))
VISION = VisionConfig(trunk="cnn", bottleneck=16, proprioception=8, spatial_features=4)
SMALL = AgentConfig(hidden=(32, 32), imitation_gate=True)


@pytest.fixture(scope="module")
def trunk() -> Trunk:
    return Trunk("cnn", build("cnn", 5).state_dict(), torch.float32)


def sight_of(trunk: Trunk, *, frozen: bool = True, **changes) -> Sight:
    config = dataclasses.replace(VISION, **changes)
    shape = (trunk.channels, trunk.map_size(SIDE, SIDE))
    return Sight(config, PixelSpec(CAMERAS, (SIDE, SIDE), shape, None if frozen else "cnn"), trunk)


def make_batch(sight: Sight, seed: int = 0) -> Batch:
    g = torch.Generator().manual_seed(seed)

    def pixels() -> torch.Tensor:
        if sight.frozen:
            return torch.randn(ROWS, 2, *sight.pixels.map_shape, generator=g).half()
        return torch.randint(0, 256, (ROWS, 2, SIDE, SIDE, 3), generator=g, dtype=torch.uint8)

    return Batch(
        observation=torch.randn(ROWS, SIZE, generator=g),
        action=torch.rand(ROWS, ACTIONS, generator=g) * 1.8 - 0.9,
        reward=torch.rand(ROWS, generator=g),
        discount=torch.full((ROWS,), 0.97),
        next_observation=torch.randn(ROWS, SIZE, generator=g),
        human=(torch.rand(ROWS, generator=g) > 0.5).float(),
        pixels=pixels(),
        next_pixels=pixels(),
    )


def parts(agent: SAC) -> dict[str, torch.Tensor]:
    """Every part of the encoder by name: each camera's kernel, weight and norm, and the state's branch."""
    return {name: p.detach().clone() for name, p in agent.perception.named_parameters()}


def test_the_encoder_has_a_part_for_each_camera_and_one_for_the_state(trunk: Trunk) -> None:
    names = set(parts(SAC(SMALL, SPEC, ACTIONS, 0, sight_of(trunk))))
    each = {f"encoder.{kind}.{camera}" for kind in ("kernels", "weights", "affine") for camera in (0, 1)}
    assert names == each | {"encoder.state_weight", "encoder.state_affine"}


@pytest.mark.parametrize("frozen", [True, False])
def test_only_the_critics_optimiser_holds_and_moves_the_encoder(trunk: Trunk, frozen: bool) -> None:
    sight = sight_of(trunk, frozen=frozen)
    agent = SAC(SMALL, SPEC, ACTIONS, 0, sight)
    own = {id(p) for p in agent.perception.parameters()}
    held = {
        name: {id(p) for group in optimizer.param_groups for p in group["params"]}
        for name, optimizer in agent.optimizers().items()
    }
    assert own <= held["critic"]
    assert not own & (held["actor"] | held["temperature"])
    before, batch = parts(agent), make_batch(sight)
    agent.update(batch, with_actor=False)
    still = [name for name, value in parts(agent).items() if torch.equal(value, before[name])]
    assert not still, f"a critic update leaves {still} as they were"


@pytest.mark.parametrize("frozen", [True, False])
def test_the_actors_loss_reaches_no_part_of_any_encoder(trunk: Trunk, frozen: bool) -> None:
    sight = sight_of(trunk, frozen=frozen)
    agent = SAC(SMALL, SPEC, ACTIONS, 0, sight)
    batch = make_batch(sight)
    _, observation, q = agent._update_critic(batch)
    for optimizer in agent.optimizers().values():
        optimizer.zero_grad(set_to_none=True)
    before = parts(agent)
    agent._update_actor(batch, observation, q)
    for network in (agent.perception, agent.target_perception):
        assert [name for name, p in network.named_parameters() if p.grad is not None] == []
    assert all(p.grad is not None for p in agent.actor.parameters())
    assert all(torch.equal(value, before[name]) for name, value in parts(agent).items())


def test_the_target_encoder_follows_by_polyak_averaging(trunk: Trunk) -> None:
    sight = sight_of(trunk)
    agent = SAC(SMALL, SPEC, ACTIONS, 0, sight)
    old = {name: p.clone() for name, p in agent.target_perception.named_parameters()}
    agent.update(make_batch(sight), with_actor=False)
    new = dict(agent.perception.named_parameters())
    for name, value in agent.target_perception.named_parameters():
        torch.testing.assert_close(value, torch.lerp(old[name], new[name].detach(), SMALL.tau))


def test_cloning_trains_what_it_sees_with_and_freezing_keeps_it(trunk: Trunk) -> None:
    sight = sight_of(trunk)
    agent = SAC(SMALL, SPEC, ACTIONS, 0, sight)
    batch, before = make_batch(sight), parts(agent)
    first = float(agent.update_clone(batch))
    for _ in range(30):
        last = float(agent.update_clone(batch))
    assert last < first
    agent.freeze_clone()
    cloned = parts(agent)
    assert all(not torch.equal(cloned[name], value) for name, value in before.items())
    for number in range(5):
        agent.update(make_batch(sight, number), with_actor=True)
    assert agent.clone_perception is not None
    kept = dict(agent.clone_perception.named_parameters())
    assert all(torch.equal(kept[name], value) for name, value in cloned.items())


def test_dropout_is_for_the_critics_update_alone(trunk: Trunk) -> None:
    sight = sight_of(trunk, dropout=0.5)
    agent = SAC(SMALL, SPEC, ACTIONS, 0, sight)
    batch = make_batch(sight)
    seen = agent.perception(batch.observation, batch.pixels)
    assert torch.equal(seen, agent.perception(batch.observation, batch.pixels))
    dropped = agent.perception(batch.observation, batch.pixels, agent.generator)
    again = agent.perception(batch.observation, batch.pixels, agent.generator)
    assert not torch.equal(dropped, seen)
    assert not torch.equal(dropped, again)


@pytest.mark.parametrize("frozen", [True, False])
def test_the_policy_acts_as_the_learner_computes(trunk: Trunk, frozen: bool) -> None:
    sight = sight_of(trunk, frozen=frozen)
    agent = SAC(SMALL, SPEC, ACTIONS, 0, sight)
    agent.freeze_clone()
    for number in range(3):
        agent.update(make_batch(sight, number), with_actor=True)
    policy = ActorPolicy(SMALL, SPEC, ACTIONS, deterministic=True, sight=sight)
    policy.load({name: tensor.clone() for name, tensor in agent.acting_weights().items()}, 1)
    rng = np.random.default_rng(0)
    observation: dict[str, np.ndarray] = {
        name: rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) for name in CAMERAS
    }
    observation["state"] = rng.standard_normal(SIZE).astype(np.float32)
    acted = policy.act(observation)
    pixels, maps = sight.look(observation)
    assert set(policy.maps) == (set(CAMERAS) if frozen else set())
    assert all(torch.equal(policy.maps[name], maps[name]) for name in policy.maps)
    state = torch.from_numpy(observation["state"])[None]
    with torch.no_grad():
        seen = agent.target_perception(state, pixels)
        actor = torch.tanh(agent._head(agent.average, seen)[0])
        assert agent.clone is not None and agent.clone_perception is not None
        clone = torch.tanh(agent._head(agent.clone, agent.clone_perception(state, pixels))[0])
        q = [agent.target_critic(torch.cat([seen, a], -1)).amin() for a in (actor, clone)]
    expected = clone if q[1] > q[0] else actor
    np.testing.assert_allclose(acted.action, expected[0].numpy(), atol=1e-5)


def test_a_checkpoint_brings_the_encoders_back(trunk: Trunk) -> None:
    sight = sight_of(trunk)
    agent = SAC(SMALL, SPEC, ACTIONS, 0, sight)
    agent.freeze_clone()
    agent.update(make_batch(sight), with_actor=True)
    other = SAC(SMALL, SPEC, ACTIONS, 9, sight)
    other.load_weights(copy.deepcopy(agent.weights()))
    assert {name: t.tolist() for name, t in other.weights().items()} == {
        name: t.tolist() for name, t in agent.weights().items()
    }
