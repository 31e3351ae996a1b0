"""The policy that an evaluation looks at: by the means, with weights that stay as they are."""

from __future__ import annotations

from handrail.agent.config import RunConfig
from handrail.agent.policy import ActorPolicy
from handrail.agent.sight import sight_of
from handrail.agent.weights import WeightsHeader, decode_weights
from handrail.intervention.run_directory import RunDirectory
from handrail.robot_env.env import RobotEnv


class FrozenPolicy(ActorPolicy):
    """A run's policy without noise.

    Args:
        run: the run's directory.
        config: its configuration.
        env: what it is to drive.
    """

    def __init__(self, run: RunDirectory, config: RunConfig, env: RobotEnv) -> None:
        super().__init__(
            config.agent,
            env.state_spec,
            env.action_spec.size,
            deterministic=True,
            sight=sight_of(run.path, config),
        )
        self._of = {"run_id": run.id, "schema_hash": env.schema_hash}

    def take(self, frame: bytes) -> WeightsHeader:
        """Act by a published set of weights from now on.

        Raises:
            WeightsError: they are damaged, not this run's, or do not fit.
        """
        header, tensors = decode_weights(frame, **self._of)
        self.load(tensors, header.version)
        return header
