"""Settings of the learner, the actor's pacing, evaluation and the goal of a run.

The defaults are the `default` preset (docs/algorithms.md names the source of each value);
`launch/conf/preset/parity.yaml` turns every departure from HIL-SERL off.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from handrail.intervention.config import (
    ArbiterConfig,
    DeviceConfig,
    LogConfig,
    MappingConfig,
    OperatorConfig,
)
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import ConfigError
from handrail.vision.config import VisionConfig

HAND_DEVICES = ("keyboard", "spacemouse", "gamepad", "console")
"""The values of `actor.device` behind which there is a person."""
LEAST_CAPACITY = 1000
"""Transitions that a memory must have room for."""


def _require(holds: bool, name: str, value: object, limit: str) -> None:
    if not holds:
        raise ConfigError(
            f"{name} is {value!r}: it must be {limit}; correct it in the configuration or on the command line"
        )


@dataclass(frozen=True)
class AgentConfig:
    """What one update computes (docs/algorithms.md)."""

    hidden: tuple[int, ...] = (256, 256)
    fine_features: bool = True  # positions and rotations also at the scale of the clearances
    discount: float = 0.97
    tau: float = 0.005  # Polyak rate of the target critics
    average_tau: float = 0.02  # Polyak rate of the actor that acts, an actor update; 1: the actor itself
    batch_size: int = 256
    symmetric: bool = True  # half replay, half demo; false only where no human takes part at all
    critics: int = 2
    critic_subset: int | None = None  # REDQ: minimum over this many random target critics; None: over all
    utd: int = 2  # critic updates per environment step (samples-per-insert limiter)
    cta_ratio: int = 2  # critic updates per actor update
    critic_lr: float = 3e-4
    actor_lr: float = 3e-4
    temperature_lr: float = 3e-4
    gradient_clip: float | None = None  # on the global norm
    temperature: float = 0.01  # initial
    temperature_max: float | None = 0.05
    target_entropy: float | None = -6.0  # −dim(A); None: −dim(A)/2
    backup_entropy: bool = False  # the entropy term in the target, inside γ and the mask
    log_std_bounds: tuple[float, float] = (-5.0, 1.0)
    n_step: int = 3  # cut at termination, truncation and every change of driver
    target_clip: tuple[float, float] | None = (-0.2, 1.0)  # reachable range of the return
    clone_updates: int = 2000  # behaviour cloning of the demonstrations before the first policy step; 0: none
    clone_log_std_floor: float = -2.3  # σ ≈ 0.1: the clone must still explore
    second_proposal: bool = (
        True  # the frozen clone proposes too, the target critics choose (IBRL, 2311.02198)
    )
    critic_only_updates: int = 0  # updates before the actor moves
    imitation_weight: float = 10.0  # λ of the imitation term; 0: none
    imitation_gate: bool = False  # only where Q(s, a_human) > Q(s, μ(s))
    imitation_floor: float = 0.1  # share of λ that remains at 100 % unaided success

    def __post_init__(self) -> None:
        _require(0.0 < self.discount < 1.0, "agent.discount", self.discount, "between 0 and 1")
        for name in ("tau", "average_tau"):
            _require(0.0 < getattr(self, name) <= 1.0, f"agent.{name}", getattr(self, name), "in (0, 1]")
        _require(
            self.batch_size >= 2 and self.batch_size % 2 == 0,
            "agent.batch_size",
            self.batch_size,
            "even and at least 2",
        )
        _require(self.critics >= 1, "agent.critics", self.critics, "at least 1")
        subset = self.critic_subset
        _require(
            subset is None or 1 <= subset <= self.critics,
            "agent.critic_subset",
            subset,
            f"1 to {self.critics} or null",
        )
        for name in ("utd", "cta_ratio", "n_step"):
            _require(getattr(self, name) >= 1, f"agent.{name}", getattr(self, name), "at least 1")
        for name in ("critic_lr", "actor_lr", "temperature_lr", "temperature"):
            _require(getattr(self, name) > 0.0, f"agent.{name}", getattr(self, name), "positive")
        _require(
            all(width >= 1 for width in self.hidden), "agent.hidden", self.hidden, "widths of at least 1"
        )
        for name in ("clone_updates", "critic_only_updates", "imitation_weight"):
            _require(getattr(self, name) >= 0, f"agent.{name}", getattr(self, name), "0 or more")
        floor = self.imitation_floor
        _require(0.0 <= floor <= 1.0, "agent.imitation_floor", floor, "between 0 and 1")
        for name in ("gradient_clip", "temperature_max"):
            value = getattr(self, name)
            _require(value is None or value > 0.0, f"agent.{name}", value, "positive or null")
        low, high = self.log_std_bounds
        _require(low < high, "agent.log_std_bounds", self.log_std_bounds, "two increasing numbers")
        clip = self.target_clip
        _require(
            clip is None or (clip[0] <= 0.0 and clip[1] >= 1.0),
            "agent.target_clip",
            clip,
            "a range that holds 0 and 1, the returns of failure and of success, or null",
        )
        _require(
            not self.second_proposal or self.clone_updates > 0,
            "agent.second_proposal",
            True,
            "false when agent.clone_updates is 0 (there is no clone to propose)",
        )


@dataclass(frozen=True)
class LearnerConfig:
    """How the learner process runs."""

    capacity: int = 200_000  # transitions in memory; the oldest leave first
    frame_mb: int = 6000  # with cameras: memory for their images, which then bounds the transitions [MB]
    training_starts: int = 100  # environment steps before the first update
    publish_every: int = 50  # updates between two sets of weights
    metrics_every: int = 100  # updates between two reports
    checkpoint_every_s: float = 15.0
    checkpoints_kept: int = 3
    torch_threads: int = 1
    slack_steps: int = 50  # samples-per-insert limiter: how far the actor may run ahead [environment steps]

    def __post_init__(self) -> None:
        for name in (
            "capacity",
            "frame_mb",
            "training_starts",
            "publish_every",
            "metrics_every",
            "checkpoints_kept",
            "slack_steps",
        ):
            _require(getattr(self, name) >= 1, f"learner.{name}", getattr(self, name), "at least 1")
        every_s = self.checkpoint_every_s
        _require(every_s > 0.0, "learner.checkpoint_every_s", every_s, "positive")
        least = f"at least {LEAST_CAPACITY}"
        _require(self.capacity >= LEAST_CAPACITY, "learner.capacity", self.capacity, least)
        _require(self.torch_threads >= 1, "learner.torch_threads", self.torch_threads, "at least 1")


@dataclass(frozen=True)
class DiagnosticsConfig:
    """What the learner finds out about itself, and how often (`agent/diagnostics.py`)."""

    every_updates: int = 100  # 0: none
    batch: int = 256  # samples that are looked at, at most agent.batch_size
    effective_td: float = 0.1  # a sample with a larger |TD error| counts as effective: the critics err on it
    ceiling_margin: float = 0.05  # a Q this much above the highest return there is, is impossible
    cem: bool = False  # also search for better actions than the actor's: takes several times as long

    def __post_init__(self) -> None:
        every = self.every_updates
        _require(every >= 0, "diagnostics.every_updates", every, "0 or more")
        _require(self.batch >= 2, "diagnostics.batch", self.batch, "at least 2")
        for name in ("effective_td", "ceiling_margin"):
            _require(getattr(self, name) > 0.0, f"diagnostics.{name}", getattr(self, name), "positive")


@dataclass(frozen=True)
class ActorConfig:
    """How the actor process runs."""

    demonstrations: int = 20  # successful ones, recorded before the first policy step
    device: Literal["synthetic", "keyboard", "spacemouse", "gamepad", "console", "none"] = "synthetic"
    greedy_share: float = 0.5  # of training episodes: act by the means, as an evaluation does
    countdown_s: float = 0.0  # announced on the console before the arm moves to a new start; not in lockstep

    def __post_init__(self) -> None:
        _require(self.demonstrations >= 0, "actor.demonstrations", self.demonstrations, "0 or more")
        wait_s = self.countdown_s
        _require(0.0 <= wait_s <= 60.0, "actor.countdown_s", wait_s, "between 0 and 60 seconds")
        _require(0.0 <= self.greedy_share <= 1.0, "actor.greedy_share", self.greedy_share, "between 0 and 1")


@dataclass(frozen=True)
class EvaluationConfig:
    """Frozen, unaided evaluation on fixed full-range starts."""

    episodes: int = 100
    every_steps: int = 500  # environment steps between two checks
    first_step: int = 500
    early_stop: bool = True  # end a check as soon as the goal is out of its reach

    def __post_init__(self) -> None:
        _require(self.episodes >= 1, "evaluation.episodes", self.episodes, "at least 1")
        _require(self.first_step >= 0, "evaluation.first_step", self.first_step, "0 or more")
        _require(self.every_steps >= 1, "evaluation.every_steps", self.every_steps, "at least 1")


@dataclass(frozen=True)
class GoalConfig:
    """When a run ends."""

    successes: int = 95  # of evaluation.episodes
    hold: int = 1  # consecutive checks that must pass
    max_env_steps: int = 20_000
    max_wall_s: float | None = None

    def __post_init__(self) -> None:
        _require(self.successes >= 1, "goal.successes", self.successes, "at least 1")
        _require(self.hold >= 1, "goal.hold", self.hold, "at least 1")
        _require(self.max_env_steps >= 1, "goal.max_env_steps", self.max_env_steps, "at least 1")
        wall = self.max_wall_s
        _require(wall is None or wall > 0.0, "goal.max_wall_s", wall, "positive or null")


@dataclass(frozen=True)
class RunConfig:
    """Everything a run needs; resolved into `runs/<id>/config.yaml`."""

    seed: int = 0
    env: EnvConfig = field(default_factory=EnvConfig)
    arbiter: ArbiterConfig = field(default_factory=ArbiterConfig)
    device: DeviceConfig = field(default_factory=DeviceConfig)
    mapping: MappingConfig = field(default_factory=MappingConfig)
    operator: OperatorConfig = field(default_factory=OperatorConfig)
    log: LogConfig = field(default_factory=LogConfig)
    agent: AgentConfig = field(default_factory=AgentConfig)
    vision: VisionConfig = field(default_factory=VisionConfig)
    learner: LearnerConfig = field(default_factory=LearnerConfig)
    diagnostics: DiagnosticsConfig = field(default_factory=DiagnosticsConfig)
    actor: ActorConfig = field(default_factory=ActorConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    goal: GoalConfig = field(default_factory=GoalConfig)

    def __post_init__(self) -> None:
        _require(self.seed >= 0, "seed", self.seed, "0 or more")
        _require(
            self.goal.successes <= self.evaluation.episodes,
            "goal.successes",
            self.goal.successes,
            f"at most evaluation.episodes ({self.evaluation.episodes})",
        )
        # Each of these would wait for ever, for something that cannot come.
        demonstrations, device = self.actor.demonstrations, self.actor.device
        helped = device in HAND_DEVICES or (device == "synthetic" and self.operator.level != "none")
        _require(
            demonstrations > 0 or self.agent.clone_updates == 0,
            "actor.demonstrations",
            demonstrations,
            "at least 1 while agent.clone_updates is above 0 (there is nothing to clone)",
        )
        _require(
            demonstrations == 0 or helped,
            "actor.demonstrations",
            demonstrations,
            "0 while nobody can demonstrate (actor.device is none, or operator.level is 'none')",
        )
        _require(
            demonstrations > 0 or helped or not self.agent.symmetric,
            "agent.symmetric",
            True,
            "false while no human takes part (no demonstrations, and nobody to intervene)",
        )
