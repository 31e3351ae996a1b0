"""The acting side of the agent: networks without optimisers, and a choice between two proposals."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from handrail.agent.config import AgentConfig
from handrail.agent.networks.features import StateFeatures
from handrail.agent.networks.gaussian import split_head, squash
from handrail.agent.networks.mlp import EnsembleMLP
from handrail.agent.weights import WeightsError
from handrail.intervention.policy import PolicyStep
from handrail.robot_env.spec import StateSpec


class ActorPolicy:
    """Acts with the newest weights: the actor proposes, its frozen clone proposes, the target critics choose.

    The rule is IBRL's (2311.02198, eq. 3): of the two actions, the one whose smallest target Q value is
    larger. Without a clone the actor's action is taken. Actor and clone are evaluated together, as an
    ensemble of two.

    Args:
        config: see `AgentConfig`.
        state_spec: what an observation is.
        action_size: A.
        deterministic: act by the means (evaluation) instead of sampling.
    """

    def __init__(
        self,
        config: AgentConfig,
        state_spec: StateSpec,
        action_size: int,
        *,
        deterministic: bool = False,
    ) -> None:
        self.config = config
        self.deterministic = deterministic
        self.version = -1
        self._features = StateFeatures(state_spec, fine=config.fine_features)
        self._action_size = action_size
        self._proposers: EnsembleMLP | None = None
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
        size, hidden = self._features.size, self.config.hidden
        parts = ["actor", "clone"] if any(name.startswith("clone.") for name in tensors) else ["actor"]
        # Built empty: nothing of their initial values is used, so none are drawn.
        with torch.device("meta"):
            proposers = EnsembleMLP(len(parts), size, 2 * self._action_size, hidden)
            critic = EnsembleMLP(self.config.critics, size + self._action_size, 1, hidden)
        try:
            stacked = {
                name: torch.cat([_named(tensors, f"{part}.{name}") for part in parts])
                for name in proposers.state_dict()
            }
            proposers.load_state_dict(stacked, assign=True)
            if len(parts) == 2:
                critic.load_state_dict(
                    {n: _named(tensors, f"critic.{n}") for n in critic.state_dict()}, assign=True
                )
        except RuntimeError as error:
            raise WeightsError(f"weights version {version} do not fit this configuration: {error}") from error
        self._proposers = proposers.requires_grad_(False)
        self._critic = critic.requires_grad_(False) if len(parts) == 2 else None
        self.version = version

    @torch.inference_mode()
    def act(self, observation: np.ndarray) -> PolicyStep:
        """The action for one observation (D,) float32; weights must be loaded."""
        assert self._proposers is not None, "act() before load()"
        state = self._features(torch.from_numpy(observation).unsqueeze(0))
        mean, log_std = split_head(
            self._proposers(state).squeeze(1), self.config.log_std_bounds
        )  # (proposers, A)
        if self.deterministic:
            actions, log_probs = torch.tanh(mean), None
        else:
            actions, log_probs = squash(mean, log_std, torch.randn(mean.shape, generator=self._generator))
        chosen = 0
        if self._critic is not None:
            q = self._critic(torch.cat([state.expand(len(actions), -1), actions], -1)).squeeze(-1).amin(0)
            chosen = int(q[1] > q[0])
        log_prob = float(log_probs[0]) if log_probs is not None and chosen == 0 else None
        return PolicyStep(action=actions[chosen].numpy(), weights_version=self.version, log_prob=log_prob)


def _named(tensors: dict[str, Tensor], name: str) -> Tensor:
    try:
        return tensors[name]
    except KeyError:
        raise WeightsError(f"weights lack {name}: learner and actor run different configurations") from None
