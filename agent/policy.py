"""The acting side of the agent: networks without optimisers, and a choice between two proposals."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from handrail.agent.config import AgentConfig
from handrail.agent.networks.features import StateFeatures
from handrail.agent.networks.gaussian import split_head, squash
from handrail.agent.networks.mlp import EnsembleMLP
from handrail.agent.networks.perception import Perception
from handrail.agent.sight import Sight
from handrail.agent.weights import WeightsError
from handrail.intervention.policy import PolicyStep
from handrail.robot_env.spec import StateSpec


class ActorPolicy:
    """Acts with the newest weights: the actor proposes, its frozen clone proposes, the target critics choose.

    The rule is IBRL's (2311.02198, eq. 3): of the two actions, the one whose smallest target Q value is
    larger. Without a clone the actor's action is taken. Actor and clone are evaluated together, as an
    ensemble of two; with cameras each reads what its own encoder sees.

    Args:
        config: see `AgentConfig`.
        state_spec: what the state of an observation is.
        action_size: A.
        deterministic: act by the means (evaluation) instead of sampling.
        sight: what it sees with; None for a policy on the state alone.

    Attributes:
        maps: feature maps (C, S) of the last observation by camera, where a frozen trunk made any.
    """

    def __init__(
        self,
        config: AgentConfig,
        state_spec: StateSpec,
        action_size: int,
        *,
        deterministic: bool = False,
        sight: Sight | None = None,
    ) -> None:
        self.config = config
        self.deterministic = deterministic
        self.version = -1
        self.maps: dict[str, Tensor] = {}
        self._sight = sight
        self._features = StateFeatures(state_spec, fine=config.fine_features)
        self._action_size = action_size
        self._proposers: EnsembleMLP | None = None
        self._perceptions: list[Perception] = []
        self._critic: EnsembleMLP | None = None
        self._generator = torch.Generator()

    @property
    def ready(self) -> bool:
        """Whether weights have been loaded."""
        return self._proposers is not None

    def seed(self, seed: int) -> None:
        """Restart the exploration noise, once an episode: so a resumed run repeats it."""
        self._generator.manual_seed(seed)

    def load(self, tensors: dict[str, Tensor], version: int) -> None:
        """Swap in a set of acting weights (`SAC.acting_weights`), all or nothing.

        Raises:
            WeightsError: when names or shapes differ from what the configuration builds.
        """
        hidden = self.config.hidden
        parts = ["actor", "clone"] if any(name.startswith("clone.") for name in tensors) else ["actor"]
        perceptions = ["perception", "clone_perception"][: len(parts)]
        sight = self._sight
        # Built empty: nothing of their initial values is used, so none are drawn.
        with torch.device("meta"):
            seeing = [
                Perception(self._features, sight and sight.pixels, sight and sight.config)
                for _ in perceptions
            ]
            size = seeing[0].size
            proposers = EnsembleMLP(len(parts), size, 2 * self._action_size, hidden)
            critic = EnsembleMLP(self.config.critics, size + self._action_size, 1, hidden)
        try:
            stacked = {
                name: torch.cat([_named(tensors, f"{part}.{name}") for part in parts])
                for name in proposers.state_dict()
            }
            proposers.load_state_dict(stacked, assign=True)
            for part, perception in zip(perceptions, seeing, strict=True):
                _load(perception, tensors, part)
            if len(parts) == 2:
                _load(critic, tensors, "critic")
        except RuntimeError as error:
            raise WeightsError(f"weights version {version} do not fit this configuration: {error}") from error
        self._proposers = proposers.requires_grad_(False)
        self._perceptions = [perception.requires_grad_(False) for perception in seeing]
        self._critic = critic.requires_grad_(False) if len(parts) == 2 else None
        self.version = version

    @torch.inference_mode()
    def act(self, observation: Mapping[str, np.ndarray]) -> PolicyStep:
        """The action for one observation: "state" (D,) float32, every camera (H, W, 3) uint8.

        Weights must be loaded.
        """
        assert self._proposers is not None, "act() before load()"
        seen = self._see(observation)  # (proposers, 1, size), or (1, 1, size) where all see the same
        mean, log_std = split_head(
            self._proposers(seen if len(seen) > 1 else seen[0]).squeeze(1), self.config.log_std_bounds
        )  # (proposers, A)
        if self.deterministic:
            actions, log_probs = torch.tanh(mean), None
        else:
            actions, log_probs = squash(mean, log_std, torch.randn(mean.shape, generator=self._generator))
        chosen, value = 0, None
        if self._critic is not None:
            judged = torch.cat([seen[0].expand(len(actions), -1), actions], -1)
            q = self._critic(judged).squeeze(-1).amin(0).tolist()
            chosen = int(q[1] > q[0])
            value = q[chosen]
        log_prob = float(log_probs[0]) if log_probs is not None and chosen == 0 else None
        return PolicyStep(actions[chosen].numpy(), self.version, log_prob, value)

    def _see(self, observation: Mapping[str, np.ndarray]) -> Tensor:
        state = torch.from_numpy(observation["state"]).unsqueeze(0)
        if self._sight is None:
            return self._perceptions[0](state, None).unsqueeze(0)
        pixels, self.maps = self._sight.look(observation)
        return torch.stack([perception(state, pixels) for perception in self._perceptions])


def _load(network: nn.Module, tensors: dict[str, Tensor], part: str) -> None:
    named = {name: _named(tensors, f"{part}.{name}") for name in network.state_dict()}
    network.load_state_dict(named, assign=True)


def _named(tensors: dict[str, Tensor], name: str) -> Tensor:
    try:
        return tensors[name]
    except KeyError:
        raise WeightsError(f"weights lack {name}: learner and actor run different configurations") from None
