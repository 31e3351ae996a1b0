"""The samples-per-insert limiter (Reverb's `SampleToInsertRatio`): it keeps the update-to-data ratio.

    updates allowed = utd · (steps − steps at the start of training)

The learner never runs ahead of that; in lockstep simulation the actor runs ahead of the learner by no more
than a slack, so that 60 times real time does not dilute the ratio. On a real arm only the learner waits.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SamplesPerInsertLimiter:
    """Decides who may go on; it holds settings only, no counters.

    Attributes:
        utd: critic updates per environment step.
        slack_steps: how far the actor may run ahead of the learner [environment steps].
    """

    utd: int
    slack_steps: int

    def allowed_updates(self, online_steps: int) -> int:
        """Critic updates that `online_steps` policy-phase steps pay for."""
        return self.utd * online_steps

    def may_update(self, updates: int, online_steps: int) -> bool:
        """Whether the learner may do one more critic update."""
        return updates < self.allowed_updates(online_steps)

    def may_collect(self, updates: int, online_steps: int) -> bool:
        """Whether the actor may take one more step (lockstep only)."""
        return self.allowed_updates(online_steps) - updates < self.utd * self.slack_steps
