"""Soft actor-critic in the RLPD arrangement: the whole update on one page.

SAC (1812.05905) on batches that are half replay and half demonstrations (RLPD, 2302.02948), as HIL-SERL
(2410.21845) runs it, with these additions, each a switch of `AgentConfig`: a cloned start, the frozen clone
as a second proposal that the critics may prefer (IBRL, 2311.02198), imitation of the human, n-step targets,
and targets clipped to the reachable range. RLPD is SAC plus configuration, so there is one class.

With cameras, `Perception` encodes an observation. The critics' loss trains it; its slow average, beside the
target critics, is what the actor reads, in training and when it acts: an input that does not jump.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from handrail.agent.batch import Batch
from handrail.agent.config import AgentConfig
from handrail.agent.networks.features import StateFeatures
from handrail.agent.networks.gaussian import negative_log_likelihood, split_head, squash
from handrail.agent.networks.mlp import EnsembleMLP
from handrail.agent.networks.perception import Perception
from handrail.agent.sight import Sight
from handrail.robot_env.spec import StateSpec


class SAC:
    """Networks, optimisers and the update. One thread may call it.

    Args:
        config: see `AgentConfig`.
        state_spec: what an observation is.
        action_size: A.
        seed: of the initial weights and of every draw during training.
        sight: what the policy sees with; None without cameras.
    """

    def __init__(
        self,
        config: AgentConfig,
        state_spec: StateSpec,
        action_size: int,
        seed: int,
        sight: Sight | None = None,
    ) -> None:
        self.config = config
        self.action_size = action_size
        self.generator = torch.Generator().manual_seed(seed)
        features = StateFeatures(state_spec, fine=config.fine_features)
        self.perception = Perception(features, sight and sight.pixels, sight and sight.config, self.generator)
        if self.perception.trunk is not None and sight is not None:
            self.perception.trunk.load_state_dict(sight.trunk.tensors)
        size = self.perception.size
        build = {"hidden": config.hidden, "generator": self.generator}
        self.actor = EnsembleMLP(1, size, 2 * action_size, small_output=True, **build)
        self.critic = EnsembleMLP(config.critics, size + action_size, 1, **build)
        self.target_critic = copy.deepcopy(self.critic).requires_grad_(False)
        self.average = copy.deepcopy(self.actor).requires_grad_(False)
        self.target_perception = copy.deepcopy(self.perception).requires_grad_(False)
        self.clone: EnsembleMLP | None = None
        self.clone_perception: Perception | None = None
        self.log_temperature = nn.Parameter(torch.tensor(math.log(config.temperature)))
        self.target_entropy = -action_size / 2 if config.target_entropy is None else config.target_entropy
        self.imitation_weight = config.imitation_weight
        self.actor_optimizer = torch.optim.Adam(self.actor.parameters(), config.actor_lr, fused=True)
        seeing_critic = [*self.critic.parameters(), *self.perception.parameters()]
        self.critic_optimizer = torch.optim.Adam(seeing_critic, config.critic_lr, fused=True)
        self._clone_optimizer: torch.optim.Adam | None = None
        self.temperature_optimizer = torch.optim.Adam([self.log_temperature], config.temperature_lr)

    def update(self, batch: Batch, *, with_actor: bool) -> dict[str, Tensor]:
        """One critic step, and with `with_actor` one actor and one temperature step.

        A critic-only update leaves the actor, the temperature and their optimisers' state exactly as they
        were. Metrics stay tensors: reading them is the caller's choice.
        """
        metrics, observation, q_data = self._update_critic(batch)
        if with_actor:
            metrics |= self._update_actor(batch, observation, q_data)
        return metrics

    def _update_critic(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """L = mean over critics and batch of (Q_i(s, a) − y)²; with it learns what encodes s."""
        target, clipped = self.target(batch)
        observation = self.perception(batch.observation, batch.pixels, self.generator)
        q = self.critic(torch.cat([observation, batch.action], -1)).squeeze(-1)  # (E, B)
        loss = (q - target).square().mean()
        self.critic_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._clip(self.critic, self.perception)
        self.critic_optimizer.step()
        self._follow(self.target_critic, self.critic, self.config.tau)
        self._follow(self.target_perception, self.perception, self.config.tau)
        q = q.detach()
        metrics = {"critic_loss": loss.detach(), "q_mean": q.mean(), "target_clipped": clipped}
        return metrics, observation.detach(), q

    @torch.no_grad()
    def target(self, batch: Batch, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """The TD target (B,), and the fraction of it that was clipped.

        `y = r + discount · ( min_{i∈M} Q̄_i(s′, ã′) − [backup_entropy] α log π(ã′|s′) )`. The entropy stands
        inside the discount, which is γᵏ, or 0 after termination. M is all critics or a random subset (REDQ,
        2101.05982, eq. 1). With a second proposal the larger of the two minima is taken (IBRL, 2311.02198,
        eq. 2).

        Args:
            batch: Of which.
            generator: Source of the draws, for whoever only looks; None for the agent's own.
        """
        config = self.config
        generator = self.generator if generator is None else generator
        observation = self.target_perception(batch.next_observation, batch.next_pixels)
        action, log_prob = self._sample(self.actor, observation, generator)
        proposals = [action]
        if self.clone is not None and self.clone_perception is not None and config.second_proposal:
            seen = observation
            if self.clone_perception.encoder is not None:
                seen = self.clone_perception(batch.next_observation, batch.next_pixels)
            clone_mean, _ = self._head(self.clone, seen)
            proposals.append(torch.tanh(clone_mean))
        subset = None
        if config.critic_subset is not None and config.critic_subset < config.critics:
            subset = torch.randperm(config.critics, generator=generator)[: config.critic_subset].tolist()
        stacked = torch.cat([torch.cat([observation, proposal], -1) for proposal in proposals])
        value = self.target_critic(stacked, subset=subset).squeeze(-1).amin(0)  # (proposals × B,)
        value = value.view(len(proposals), -1)
        best = value.amax(0)
        if config.backup_entropy:
            chose_actor = value[0] >= best
            best = best - chose_actor * self.log_temperature.exp() * log_prob
        target = batch.reward + batch.discount * best
        if config.target_clip is None:
            return target, torch.zeros(())
        bounded = target.clamp(*config.target_clip)
        return bounded, (bounded != target).float().mean()

    def _update_actor(self, batch: Batch, observation: Tensor, q_data: Tensor) -> dict[str, Tensor]:
        """L = E[α log π(ã|s) − mean_i Q_i(s, ã)] + imitation; then α by dual descent on α (H − H_target)."""
        mean, log_std = self._head(self.actor, self._seen_by_actor(batch, observation))
        action, log_prob = squash(mean, log_std, self._noise(mean, self.generator))
        q = self.critic(torch.cat([observation, action], -1), frozen=True).squeeze(-1)
        temperature = self.log_temperature.detach().exp()
        loss = (temperature * log_prob - q.mean(0)).mean()
        metrics = {"actor_loss": loss.detach(), "entropy": -log_prob.detach().mean()}
        if self.imitation_weight > 0.0:
            imitation, gate = self._imitation(batch, observation, torch.tanh(mean), q_data)
            loss = loss + self.imitation_weight * imitation
            metrics |= {"imitation_loss": imitation.detach(), "imitation_gate": gate}
        self.actor_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._clip(self.actor)
        self.actor_optimizer.step()
        self._follow(self.average, self.actor, self.config.average_tau)

        entropy_gap = -log_prob.detach().mean() - self.target_entropy
        self.temperature_optimizer.zero_grad(set_to_none=True)
        (self.log_temperature.exp() * entropy_gap).backward()
        self.temperature_optimizer.step()
        if self.config.temperature_max is not None:
            with torch.no_grad():
                self.log_temperature.clamp_(max=math.log(self.config.temperature_max))
        return metrics | {"temperature": self.log_temperature.detach().exp()}

    def _imitation(
        self, batch: Batch, observation: Tensor, policy_mean: Tensor, q_data: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`1[human] · 1[Q(s, a_h) > Q(s, μ(s))] · ‖a_h − μ(s)‖²`, and the share of human rows that pass."""
        gate = batch.human
        if self.config.imitation_gate:
            with torch.no_grad():
                q_policy = self.critic(torch.cat([observation, policy_mean], -1)).squeeze(-1).mean(0)
            gate = gate * (q_data.mean(0) > q_policy)
        loss = (gate * (policy_mean - batch.action).square().sum(-1)).mean()
        return loss, gate.sum() / batch.human.sum().clamp(min=1.0)

    def update_clone(self, batch: Batch) -> Tensor:
        """One behaviour-cloning step of the actor on human actions; returns the loss."""
        if self._clone_optimizer is None:
            parameters = [*self.actor.parameters(), *self.perception.parameters()]
            self._clone_optimizer = torch.optim.Adam(parameters, self.config.actor_lr, fused=True)
        seen = self.perception(batch.observation, batch.pixels, self.generator)
        mean, log_std = self._head(self.actor, seen)
        log_std = log_std.clamp(min=self.config.clone_log_std_floor)
        loss = negative_log_likelihood(mean, log_std, batch.action).mean()
        self._clone_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._clone_optimizer.step()
        return loss.detach()

    def freeze_clone(self) -> None:
        """Keep the actor and what it sees with as the frozen second proposal; training starts from both."""
        self.clone = copy.deepcopy(self.actor).requires_grad_(False)
        self.clone_perception = copy.deepcopy(self.perception).requires_grad_(False)
        self.average = copy.deepcopy(self.clone)
        self.target_perception = copy.deepcopy(self.clone_perception)
        self._clone_optimizer = None
        self.critic.zero_grad(set_to_none=True)
        self.perception.zero_grad(set_to_none=True)

    @torch.no_grad()
    def _seen_by_actor(self, batch: Batch, observation: Tensor) -> Tensor:
        """What the actor reads of s: the averaged encoder's view, or plain features without an encoder."""
        if self.perception.encoder is None:
            return observation
        return self.target_perception(batch.observation, batch.pixels)

    @staticmethod
    @torch.no_grad()
    def _follow(average: nn.Module, network: nn.Module, rate: float) -> None:
        """Polyak averaging: average ← average + rate · (network − average)."""
        parameters: list[Tensor] = list(network.parameters())
        if parameters:
            averages: list[Tensor] = list(average.parameters())
            torch._foreach_lerp_(averages, parameters, rate)  # pyright: ignore[reportPrivateImportUsage]

    @staticmethod
    def _noise(like: Tensor, generator: torch.Generator) -> Tensor:
        return torch.randn(like.shape, generator=generator)

    def _head(self, network: EnsembleMLP, observation: Tensor) -> tuple[Tensor, Tensor]:
        return split_head(network(observation)[0], self.config.log_std_bounds)

    def _sample(
        self, network: EnsembleMLP, observation: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        mean, log_std = self._head(network, observation)
        return squash(mean, log_std, self._noise(mean, generator))

    def _clip(self, *networks: nn.Module) -> None:
        if self.config.gradient_clip is not None:
            parameters = [p for network in networks for p in network.parameters()]
            nn.utils.clip_grad_norm_(parameters, self.config.gradient_clip)

    def acting_weights(self) -> dict[str, Tensor]:
        """What the actor process needs: the averaged actor, its clone, and the critics that choose.

        With cameras also what each of them sees with.
        """
        parts: dict[str, nn.Module] = {"actor": self.average, "perception": self.target_perception}
        if self.clone is not None and self.clone_perception is not None and self.config.second_proposal:
            parts |= {
                "clone": self.clone,
                "clone_perception": self.clone_perception,
                "critic": self.target_critic,
            }
        return _named(parts)

    def weights(self) -> dict[str, Tensor]:
        """Every network by dotted name, for a checkpoint."""
        return _named(self._networks()) | {"log_temperature": self.log_temperature.detach()}

    def load_weights(self, named: dict[str, Tensor]) -> None:
        """The inverse of `weights`; shapes must match."""
        if any(name.startswith("clone.") for name in named):
            self.clone = copy.deepcopy(self.actor).requires_grad_(False)
            self.clone_perception = copy.deepcopy(self.perception).requires_grad_(False)
        for part, network in self._networks().items():
            names = {name: f"{part}.{name}" for name in network.state_dict()}
            network.load_state_dict({name: named[full] for name, full in names.items()})
        with torch.no_grad():
            self.log_temperature.copy_(named["log_temperature"])

    def _networks(self) -> dict[str, nn.Module]:
        networks: dict[str, nn.Module] = {
            "actor": self.actor,
            "average": self.average,
            "critic": self.critic,
            "target_critic": self.target_critic,
            "perception": self.perception,
            "target_perception": self.target_perception,
        }
        if self.clone is not None and self.clone_perception is not None:
            networks |= {"clone": self.clone, "clone_perception": self.clone_perception}
        return networks

    def optimizers(self) -> dict[str, torch.optim.Adam]:
        """The optimisers by name, for a checkpoint."""
        return {
            "actor": self.actor_optimizer,
            "critic": self.critic_optimizer,
            "temperature": self.temperature_optimizer,
        }


def _named(parts: dict[str, nn.Module]) -> dict[str, Tensor]:
    """Every tensor of some networks, by dotted name."""
    return {
        f"{part}.{name}": value
        for part, network in parts.items()
        for name, value in network.state_dict().items()
    }
