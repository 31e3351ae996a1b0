"""What the learner finds out about itself, every hundred updates or so.

A human's rewarded episodes are few and weigh heavily: under a sparse reward almost only they move the critics
at first. Whether that is so, and whether it is still so, is measured here, by where samples come from
(`origins`). It only looks. It draws from random generators of its own and moves no parameter, so training
with it and without it gives the same weights, bit by bit. A figure that cannot be had is left out, and one
that fails is told once and never stops training.

Scalars, by name (`<origin>` is one of `ORIGINS`):

    rows/<origin>                samples in the batch, which is drawn as training's are
    share/<origin>               part of the critics' gradient (`diagnostics_gradient`)
    gradient_norm/, cosine/      its length, and its cosine with the whole
    effective_samples            share of samples with |TD error| above `diagnostics.effective_td`
    effective/<origin>           each origin's part of them
    td_median/, td_p95/<origin>  |TD error| of the critics' mean
    q_mean/<origin>, q_gap       Q(s, a); demo − online
    reward_density/<origin>      share of samples with a reward
    above_ceiling                share of Q values that are impossibly high
    value_gap                    mean max(0, γᵏ − Q) along the last demonstrated episode: γᵏ is what the way
                                 shown is worth; a quicker policy's value is rightly above it
    overestimation               mean Q(s_t, a_t) − G_t of unaided episodes that have finished since
    entropy, target_entropy, temperature, sigma/<axis>, saturation
    actor_human_distance         ‖a_human − a‖ on human steps that have come since, before training on them;
                                 a is what the acting policy does there without noise
    clone_share                  share of those steps in which a is the frozen clone's
    cem_gap                      Q(CEM) − Q(μ), μ the actor's mean, with `diagnostics.cem`

Snapshots: `histogram` of Q by origin, `value` along the last demonstrated episode, `overestimation` by
episode.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from handrail.agent.batch import Batch
from handrail.agent.config import RunConfig
from handrail.agent.diagnostics_actor import FreshTakeovers, actor_scalars
from handrail.agent.diagnostics_batch import JudgedBatch, batch_scalars, q_histogram
from handrail.agent.diagnostics_cem import cem_gap
from handrail.agent.diagnostics_episodes import EpisodeLooks
from handrail.agent.diagnostics_gradient import gradient_shares
from handrail.agent.diagnostics_steps import StepReader
from handrail.agent.history import TRAINING
from handrail.agent.image_source import PixelSource
from handrail.agent.networks.gaussian import split_head
from handrail.agent.replay import ReplayMemory
from handrail.agent.sac import SAC
from handrail.agent.sampling import Sampler
from handrail.intervention.log_format import (
    LABELLING,
    NO_RESULT,
    EpisodeEnd,
    EpisodeStart,
    Event,
    Record,
    StepRecord,
)
from handrail.intervention.transition import Source

_STREAM = 2  # of the run's seed; 1 is training's
_CEM_ROWS = 16
_DIGITS = 5


@dataclass
class Findings:
    """Of one look."""

    scalars: dict[str, float] = field(default_factory=dict)
    snapshots: dict[str, dict[str, Any]] = field(default_factory=dict)


class Diagnostics:
    """Looks at an agent and its memory. The learner's thread calls it.

    Args:
        agent: What is trained.
        memory: What it is trained on.
        config: The run's.
        pixels: What becomes of the memory's frames; None without cameras.

    Attributes:
        notices: What a person should know; whoever tells it takes it away.
    """

    def __init__(
        self, agent: SAC, memory: ReplayMemory, config: RunConfig, pixels: PixelSource | None = None
    ) -> None:
        self.notices: list[str] = []
        self._agent, self._memory, self._config = agent, memory, config
        self._settings = config.diagnostics
        self._rows = min(self._settings.batch, config.agent.batch_size)
        self._rng = np.random.default_rng([config.seed, _STREAM])
        self._generator = torch.Generator().manual_seed(int(self._rng.integers(2**63)))
        discount = config.agent.discount
        self._sampler = Sampler(memory, self._rows, discount, config.agent.n_step, self._rng, pixels)
        reader = StepReader(memory, pixels, self._rng, config.agent.batch_size)
        self._takeovers = FreshTakeovers(agent, memory, reader)
        self._episodes = EpisodeLooks(agent, memory, reader, discount)
        self._purpose: str = TRAINING
        self._failed: set[str] = set()
        self._news: dict[str, float] = {}

    @property
    def enabled(self) -> bool:
        """Whether there are any at all."""
        return self._settings.every_updates > 0

    def take(self, record: Record, number: int | None, *, fresh: bool) -> None:
        """Note a record of the log that has gone into the memory.

        Args:
            record: The record.
            number: Its number there, of a step that was stored.
            fresh: Whether no update can have learned from it yet.
        """
        match record:
            case EpisodeStart():
                self._purpose = record.purpose
            case StepRecord() if number is not None and self._purpose == TRAINING:
                if fresh and self.enabled and record.source == Source.HUMAN:
                    self._takeovers.add(number)
            case EpisodeEnd() if self._purpose == TRAINING:
                if record.unaided and record.truncated_by not in NO_RESULT:
                    self._episodes.finished(record.episode)
            case Event() if record.kind in LABELLING:
                self._episodes.relabelled(record.episode)

    def before_update(self) -> None:
        """Look at what the next update may learn from for the first time."""
        self._guarded("actor_human_distance", self._takeovers.look)

    def after_update(self, updates: int) -> Findings | None:
        """Look at everything, when it is time to: after so many updates in all. None when it is not."""
        if not self.enabled or updates % self._settings.every_updates != 0:
            return None
        found = Findings()
        with torch.no_grad():
            self._guarded("batch", lambda: self._look_at_batch(found))
            self._guarded("demonstration", lambda: self._look_at_demonstration(found))
            self._guarded("overestimation", lambda: self._look_at_episodes(found))
        found.scalars |= self._takeovers.scalars()
        found.scalars = self._finite(found.scalars)
        self._news |= {name: round(value, _DIGITS) for name, value in found.scalars.items()}
        return found

    def news(self) -> dict[str, float]:
        """The newest scalars since this was asked last, rounded, for a report."""
        news, self._news = self._news, {}
        return news

    def _look_at_batch(self, found: Findings) -> None:
        drawn = self._draw()
        if drawn is None:
            return
        batch, origins, rewards = drawn
        agent, settings = self._agent, self._settings
        target, _ = agent.target(batch, self._generator)
        observation = agent.perception(batch.observation, batch.pixels)
        q, features = agent.critic.with_features(torch.cat([observation, batch.action], -1))
        q = q.squeeze(-1)
        judged = JudgedBatch(q.numpy(), target.numpy(), rewards, origins)
        found.scalars |= batch_scalars(
            judged, effective_td=settings.effective_td, ceiling_margin=settings.ceiling_margin
        )
        found.scalars |= gradient_shares(q - target, features, origins)
        found.snapshots["histogram"] = q_histogram(judged)
        found.scalars |= actor_scalars(agent, batch, self._generator)
        if settings.cem:
            self._guarded("cem_gap", lambda: self._search(found, batch, observation))

    def _draw(self) -> tuple[Batch, np.ndarray, np.ndarray] | None:
        """A batch as training's are, with each row's origin and own reward; None while there is nothing.

        Where training needs demonstrations and there are none left, all of it comes from replay.
        """
        memory = self._memory
        with memory.lock:
            if len(memory.replay) == 0:
                return None
            if self._config.agent.symmetric and len(memory.demo) > 0:
                half = self._rows // 2
                parts = [memory.replay.draw(self._rng, half), memory.demo.draw(self._rng, half)]
                numbers = np.concatenate(parts)
            else:
                numbers = memory.replay.draw(self._rng, self._rows)
            return self._sampler.gather(numbers), memory.origins(numbers), memory.rewards(numbers)

    def _search(self, found: Findings, batch: Batch, observation: torch.Tensor) -> None:
        agent = self._agent
        few = slice(0, None, max(1, len(batch) // _CEM_ROWS))
        pixels = None if batch.pixels is None else batch.pixels[few]
        sees = agent.perception if agent.perception.encoder is None else agent.target_perception
        mean, _ = split_head(
            agent.actor(sees(batch.observation[few], pixels))[0], agent.config.log_std_bounds
        )
        found.scalars["cem_gap"] = cem_gap(agent.critic, observation[few], torch.tanh(mean), self._generator)

    def _look_at_demonstration(self, found: Findings) -> None:
        value = self._episodes.demonstration()
        if value is None:
            return
        missing = np.subtract(value["discounted"], value["values"])
        found.scalars["value_gap"] = float(np.maximum(missing, 0.0).mean())
        if np.isfinite(missing).all():
            found.snapshots["value"] = value

    def _look_at_episodes(self, found: Findings) -> None:
        looked = self._episodes.overestimation()
        if looked is None:
            return
        found.scalars["overestimation"], episodes = looked
        if math.isfinite(looked[0]):
            found.snapshots["overestimation"] = {"episodes": episodes}

    def _finite(self, scalars: dict[str, float]) -> dict[str, float]:
        strange = [name for name, value in scalars.items() if not math.isfinite(value)]
        if strange:
            more = f" and {len(strange) - 1} more are" if strange[1:] else " is"
            self._tell("finite", f"diagnostics: {strange[0]}{more} no finite numbers: they are left out")
        return {name: value for name, value in scalars.items() if name not in strange}

    def _guarded(self, part: str, look: Callable[[], None]) -> None:
        try:
            look()
        except Exception as error:
            self._tell(part, f"diagnostics of {part} fail ({error!r}): training goes on without them")

    def _tell(self, part: str, notice: str) -> None:
        if part not in self._failed:
            self._failed.add(part)
            self.notices.append(notice)
