"""What the critics make of whole episodes: one that was demonstrated, and those the policy did alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from handrail.agent.diagnostics_steps import StepReader
from handrail.agent.replay import ReplayMemory
from handrail.agent.sac import SAC

_WAITING = 4
"""So many finished episodes are looked at in one go; of more, the oldest are passed over."""
_KEPT = 20
"""Episodes in the report on overestimation."""


def discounted_returns(rewards: np.ndarray, discount: float) -> np.ndarray:
    """(T,) G_t = Σ_k γᵏ r_{t+k}, to the end of the episode: γᵏ where only the last step is worth 1."""
    returns, beyond = np.empty(len(rewards)), 0.0
    for t in range(len(rewards) - 1, -1, -1):
        beyond = float(rewards[t]) + discount * beyond
        returns[t] = beyond
    return returns


class EpisodeLooks:
    """Values along episodes, by the networks as they are now.

    Args:
        agent: Whose critics.
        memory: Where the episodes are.
        reader: Reads their steps.
        discount: γ.
    """

    def __init__(self, agent: SAC, memory: ReplayMemory, reader: StepReader, discount: float) -> None:
        self._agent, self._memory, self._reader, self._discount = agent, memory, reader, discount
        self._finished: list[int] = []
        self._found: dict[int, dict[str, Any]] = {}  # by episode, in order of looking

    def finished(self, episode: int) -> None:
        """The policy has ended an episode without help; it is to be looked at."""
        self._found.pop(episode, None)
        self._finished = [*(each for each in self._finished if each != episode), episode][-_WAITING:]

    def relabelled(self, episode: int) -> None:
        """What an episode was worth has changed: look at it again, if it was looked at."""
        if episode in self._found:
            self.finished(episode)

    def demonstration(self) -> dict[str, Any] | None:
        """Q(s_t, a_t) along the last demonstrated episode beside its discounted return; None without one.

        This is the value that spreads backwards from the reward: at first Q is near the return at the end
        only, later all along.

        Returns:
            episode, values (Q), discounted (γᵏ, k the steps to the reward), rewards: T numbers each.
        """
        episode = self._memory.last_demonstration()
        if episode is None or len(numbers := self._memory.steps_of(episode)) == 0:
            return None
        rewards = self._memory.rewards(numbers)
        return {
            "episode": episode,
            "values": _short(self._values(numbers)),
            "discounted": _short(discounted_returns(rewards, self._discount)),
            "rewards": _short(rewards),
        }

    def overestimation(self) -> tuple[float, list[dict[str, Any]]] | None:
        """Mean of Q(s_t, a_t) − G_t over the unaided episodes that have finished since; None without any.

        G_t counts nothing beyond the end of an episode that was cut: there the true overestimation may be
        lower.

        Returns:
            The mean over their steps, and the last episodes looked at, each with its own mean.
        """
        gaps: list[np.ndarray] = []
        waiting, self._finished = self._finished, []
        for episode in waiting:
            numbers = self._memory.steps_of(episode)
            if len(numbers) == 0:  # discarded, or gone
                continue
            values = self._values(numbers)
            returns = discounted_returns(self._memory.rewards(numbers), self._discount)
            gaps.append(values - returns)
            self._found[episode] = {
                "episode": episode,
                "steps": len(numbers),
                "overestimation": round(float(gaps[-1].mean()), 4),
                "q": round(float(values.mean()), 4),
                "return": round(float(returns.mean()), 4),
            }
        while len(self._found) > _KEPT:
            del self._found[next(iter(self._found))]
        return (float(np.concatenate(gaps).mean()), list(self._found.values())) if gaps else None

    def _values(self, numbers: np.ndarray) -> np.ndarray:
        return np.concatenate([steps.value(self._agent) for steps in self._reader.read(numbers)])


def _short(values: np.ndarray) -> list[float]:
    return np.asarray(values, np.float64).round(4).tolist()
