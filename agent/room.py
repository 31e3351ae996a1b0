"""How many transitions a learner's memory has room for."""

from __future__ import annotations

from handrail.agent.config import LEAST_CAPACITY, RunConfig
from handrail.agent.frames import FramePool
from handrail.agent.replay import ReplayMemory
from handrail.robot_env.errors import ConfigError


def roomy_memory(
    config: RunConfig, state_size: int, action_size: int, frames: FramePool | None
) -> tuple[ReplayMemory, list[str]]:
    """A memory as large as the configuration allows, and what should be said about its size.

    Args:
        config: Of the run.
        state_size: Length of a state.
        action_size: Length of an action.
        frames: Where images go; None for a policy on the state alone.

    Raises:
        ConfigError: there is no room for the least that a memory must hold.
    """
    settings = config.learner
    if frames is None:
        return ReplayMemory(settings.capacity, state_size, action_size), []
    room = settings.frame_mb * 1_000_000 // frames.frame_bytes
    if room < LEAST_CAPACITY:
        raise ConfigError(
            f"learner.frame_mb={settings.frame_mb} has room for {room} steps with the policy's images; "
            f"{LEAST_CAPACITY} are the least, which take {LEAST_CAPACITY * frames.frame_bytes / 1e6:.0f} MB"
        )
    notices = []
    if room < min(settings.capacity, config.goal.max_env_steps):
        notices.append(
            f"learner.frame_mb={settings.frame_mb} has room for {room} steps with images, fewer than "
            f"learner.capacity={settings.capacity} and the steps of the run: the oldest leave first"
        )
    return ReplayMemory(min(settings.capacity, room), state_size, action_size, frames), notices
