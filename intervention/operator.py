"""A synthetic operator: a person's part in the loop, played through the same interface as a SpaceMouse.

    trigger (what looks wrong)  ×  skill (how well it drives)  ×  restraint (how rarely it steps in)

It watches the true state of the simulated cell, notices trouble a reaction time after it shows, helps in a
short burst, and lets go once the trouble is over. The more often the policy succeeds unaided, the less it
helps. It holds the device's deadman while it drives, so a burst begins and ends exactly when it decides.

Every random draw comes from a stream keyed by (seed, episode, step) and is made whether it is used or not, so
two learning methods with the same seed meet the same operator. As a demonstrator (`always=True`) it drives
every episode from the first step to the last.
"""

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Literal

import numpy as np

from handrail.intervention.config import MappingConfig, OperatorConfig
from handrail.intervention.device import Button, Reading
from handrail.intervention.skill import SKILLS, Hand
from handrail.intervention.triggers import Trigger, TriggerMonitor, View, view_of
from handrail.robot_env.clock import NS_PER_S
from handrail.robot_env.config import LimitsConfig
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.sim.truth import RamTruth
from handrail.robot_env.spec import ActionSpec

SYNTHETIC_MAPPING = MappingConfig(dead_zone=0.0, smoothing_s=0.0)
"""The synthetic operator thinks in actions: nothing of a hand's sloppiness is to be filtered out."""

_DEADMAN: frozenset[Button] = frozenset({"takeover"})
_NEUTRAL = np.zeros(6)


class _Phase(Enum):
    WATCHING = "watching"
    REACTING = "reacting"
    DRIVING = "driving"
    RESTING = "resting"


class SyntheticOperator:
    """A `Device` and `EpisodeAware`; asked once a step.

    Args:
        config: Level and thresholds.
        watch: Gives the true state; called once a step.
        action_spec: How actions scale.
        period_s: Time between two steps [s].
        limits: The workspace whose edge it minds.
        target_reference: What the environment adds an action to.
        always: Demonstrate: drive every episode from its first step to its last.

    Attributes:
        interventions: Why it took over, in this episode.

    Raises:
        ConfigError: a demonstrator of level "none".
    """

    name = "synthetic operator"

    def __init__(
        self,
        config: OperatorConfig,
        watch: Callable[[], RamTruth],
        action_spec: ActionSpec,
        period_s: float,
        limits: LimitsConfig | None = None,
        target_reference: Literal["commanded", "measured"] = "commanded",
        always: bool = False,
    ) -> None:
        if always and config.level == "none":
            raise ConfigError("operator.level is 'none', which cannot demonstrate; choose 'good' or 'expert'")
        self._config = config
        self._watch = watch
        self._always = always
        self._period_s = period_s
        self._monitor = TriggerMonitor(config, limits or LimitsConfig())
        self._skill = None if config.level == "none" else SKILLS[config.level]
        self._hand = self._skill and Hand(self._skill, action_spec, period_s, target_reference)
        self._unaided: deque[bool] = deque(maxlen=config.taper_episodes)
        self._spent_ns = 0
        self._in_episode = False
        self.interventions: list[Trigger] = []

    def open(self) -> None:
        """Nothing to acquire."""

    def close(self) -> None:
        """Nothing to release."""

    @property
    def restraint(self) -> float:
        """Share of triggers it leaves to the policy: the unaided success rate of recent episodes."""
        return sum(self._unaided) / len(self._unaided) if self._unaided else 0.0

    def episode_started(self, seed: tuple[int, ...]) -> None:
        """Begin an episode; `seed` names the random stream, together with the step's number."""
        self._seed = seed
        self._step = 0
        self._in_episode = True
        self._phase = _Phase.WATCHING
        self._until_ns = 0
        self._monitor.reset()
        self.interventions = []
        if self._hand is not None:
            self._hand.reset()

    def episode_finished(self, success: bool, unaided: bool) -> None:
        """End the episode and remember whether the policy needed help."""
        self._in_episode = False
        self._unaided.append(success and unaided)

    def read(self, now_ns: int) -> Reading:
        """Watch, decide, and return the deflection; neutral outside episodes."""
        if self._hand is None or not self._in_episode:
            return Reading(_NEUTRAL, now_ns)
        rng = np.random.default_rng((*self._seed, self._step))
        uniforms, normals = rng.random(3), rng.standard_normal(7)
        truth = self._watch()
        self._hand.watch(truth, now_ns, normals[:6])
        delay_s = self._hand.reaction_s(normals[6])
        if self._always:
            if self._step == 0:
                self._hand.take(rng, delay_s)
            driving = True
        else:
            driving = self._decide(view_of(truth, now_ns), delay_s, uniforms, rng)
        self._step += 1
        if not driving:
            return Reading(_NEUTRAL, now_ns)
        return Reading(self._hand.drive(), now_ns, _DEADMAN)

    def _decide(self, view: View, delay_s: float, uniforms: np.ndarray, rng: np.random.Generator) -> bool:
        """Move through watching, reacting, driving and resting; return whether the hand is on the device."""
        if self._phase is _Phase.WATCHING:
            self._look(view, delay_s, uniforms)
        if self._phase is _Phase.REACTING and view.t_ns >= self._until_ns:
            self._take_over(view, delay_s, uniforms[2], rng)
        elif self._phase is _Phase.DRIVING and self._is_finished(view):
            self._rest(view)
        elif self._phase is _Phase.RESTING and view.t_ns >= self._until_ns:
            self._phase = _Phase.WATCHING
            self._monitor.reset()
        if self._phase is not _Phase.DRIVING:
            return False
        self._spent_ns += round(self._period_s * NS_PER_S)
        return True

    def _look(self, view: View, delay_s: float, uniforms: np.ndarray) -> None:
        """Notice trouble, or imagine it; then react, or leave it to the policy."""
        assert self._skill is not None
        trigger = self._monitor.see(view)
        if trigger is None and uniforms[1] < self._skill.false_alarm_per_s * self._period_s:
            trigger = Trigger.FALSE_ALARM
        if trigger is None:
            return
        if self._is_spent() or uniforms[0] >= (1.0 - self._skill.miss) * (1.0 - self.restraint):
            self._rest(view)
            return
        self._trigger = trigger
        self._phase = _Phase.REACTING
        self._until_ns = view.t_ns + round(delay_s * NS_PER_S)

    def _take_over(self, view: View, delay_s: float, uniform: float, rng: np.random.Generator) -> None:
        assert self._hand is not None
        config = self._config
        self._phase = _Phase.DRIVING
        self._start = view
        patience_s = config.min_drive_s + uniform * (config.max_drive_s - config.min_drive_s)
        self._until_ns = view.t_ns + round(max(patience_s, 0.6 * config.max_drive_s) * NS_PER_S)
        self._hand.take(rng, delay_s)
        self.interventions.append(self._trigger)

    def _is_finished(self, view: View) -> bool:
        """The trouble is over, patience has run out, or the budget has; never before `min_drive_s`."""
        if view.t_ns - self._start.t_ns < self._config.min_drive_s * NS_PER_S:
            return False
        over = self._monitor.is_over(self._trigger, self._start, view)
        return over or view.t_ns >= self._until_ns or self._is_spent()

    def _rest(self, view: View) -> None:
        self._phase = _Phase.RESTING
        self._until_ns = view.t_ns + round(self._config.pause_s * NS_PER_S)

    def _is_spent(self) -> bool:
        return self._config.level == "budgeted" and self._spent_ns >= self._config.budget_s * NS_PER_S
