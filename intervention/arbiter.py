"""Who drives: a pure state machine over readings.

                 deflected for n fresh samples, or the deadman held
        POLICY ──────────────────────────────────────────────────────▶ HUMAN
          ▲  ▲ ◀─────────────────────────────────────────────────────┘   │
          │  └── at rest for release_s, or the deadman let go             │
          │                                                               │ stale, disconnected, not finite,
          └──────────────────── HOLD ◀────────────────────────────────────┘ stop (from POLICY too), pause
             fresh and at rest

A reading that cannot be trusted never moves the arm: the arm holds (a zero action), and goes on only after
the device has been seen, fresh and at rest. That covers a cable pulled while deflected, a stuck axis, a
frozen driver.
"""

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from handrail.intervention.config import ArbiterConfig
from handrail.intervention.device import Button, Reading
from handrail.intervention.transition import Source
from handrail.robot_env.clock import NS_PER_S
from handrail.robot_env.errors import ActionError

_PAUSING: frozenset[Button] = frozenset({"stop", "hold"})


class Driver(Enum):
    """Who has the wheel."""

    POLICY = "policy"
    HUMAN = "human"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class ArbiterState:
    """What the arbiter remembers between two steps.

    Attributes:
        driver: Who had the wheel.
        deflected_samples: Fresh readings in a row above the take-over threshold.
        counted_t_ns: The newest reading counted there; the same reading twice is not two.
        rest_since_ns: Since when the driving human's hand has been off; None while it is on.
        deadman: Whether the human drives by a held button, and loses the wheel by letting go of it.
        pause_held: Whether the pause button was down.
        paused: Whether the operator paused the policy.
    """

    driver: Driver = Driver.POLICY
    deflected_samples: int = 0
    counted_t_ns: int = -1
    rest_since_ns: int | None = None
    deadman: bool = False
    pause_held: bool = False
    paused: bool = False

    def next_episode(self) -> "ArbiterState":
        """The state to begin an episode with: a hold outlives the episode, a take-over does not."""
        driver = Driver.HOLD if self.driver is Driver.HOLD else Driver.POLICY
        return ArbiterState(driver=driver, pause_held=self.pause_held, paused=self.paused)


@dataclass(frozen=True, slots=True, eq=False)
class Decision:
    """What to execute.

    Attributes:
        action: (A,) float64 in [-1, 1].
        source: Who is answerable for it; SCRIPT for a hold.
        holding: Whether nobody drives and the arm stands still.
    """

    action: np.ndarray
    source: Source
    holding: bool


def arbitrate(
    state: ArbiterState,
    reading: Reading,
    human_action: np.ndarray,
    policy_action: np.ndarray,
    now_ns: int,
    config: ArbiterConfig,
) -> tuple[ArbiterState, Decision]:
    """Decide one step.

    Args:
        state: What the previous call returned.
        reading: The device's newest reading.
        human_action: What the reading asks for, (A,) in the policy's frame (see `mapping`).
        policy_action: What the policy asks for, (A,).
        now_ns: The loop's time, on the readings' clock [ns].
        config: Thresholds.

    Raises:
        ActionError: the policy's action is not finite, whoever drives: a broken policy is not waited out.
    """
    if not np.isfinite(policy_action).all():
        raise ActionError(
            f"policy action {np.asarray(policy_action).tolist()} is not finite; nothing was commanded. "
            "Check the weights that were loaded last."
        )
    state = _pressed(state, reading)
    age_ns = now_ns - reading.t_ns
    # A driver's thread may stamp a reading just after the loop looked at its clock: that is not a stale one.
    fresh = abs(age_ns) <= config.stale_s * NS_PER_S
    stop = "stop" in reading.buttons
    usable = fresh and reading.connected and not stop and bool(np.isfinite(reading.twist).all())
    state = _next(state, reading, now_ns, config) if usable else _holding(state)
    if state.driver is Driver.HUMAN:
        return state, Decision(np.clip(human_action, -1.0, 1.0), Source.HUMAN, False)
    if state.driver is Driver.HOLD or state.paused:
        return state, Decision(np.zeros_like(policy_action), Source.SCRIPT, True)
    return state, Decision(policy_action, Source.POLICY, False)


def _pressed(state: ArbiterState, reading: Reading) -> ArbiterState:
    """Toggle the pause when its button goes down; a stop pauses, whatever else is pressed."""
    held = "pause" in reading.buttons
    paused = state.paused != (held and not state.pause_held)
    paused = (paused and "resume" not in reading.buttons) or bool(reading.buttons & _PAUSING)
    return replace(state, pause_held=held, paused=paused)


def _holding(state: ArbiterState) -> ArbiterState:
    return replace(state, driver=Driver.HOLD, deflected_samples=0, rest_since_ns=None, deadman=False)


def _driving(state: ArbiterState, driver: Driver, deadman: bool = False) -> ArbiterState:
    return replace(state, driver=driver, deflected_samples=0, rest_since_ns=None, deadman=deadman)


def _next(state: ArbiterState, reading: Reading, now_ns: int, config: ArbiterConfig) -> ArbiterState:
    """The transition on a reading that can be trusted."""
    deflection = reading.deflection
    at_rest = deflection < config.release
    deadman = "takeover" in reading.buttons
    match state.driver:
        case Driver.HOLD:
            return _driving(state, Driver.POLICY) if at_rest and not deadman else state
        case Driver.POLICY:
            return _driving(state, Driver.HUMAN, True) if deadman else _counted(state, reading, config)
        case Driver.HUMAN if deadman:
            return replace(state, rest_since_ns=None, deadman=True)
        case Driver.HUMAN if state.deadman:
            # Let go of the deadman: the wheel goes back at once, but never to a device that is still
            # deflected.
            return _driving(state, Driver.POLICY) if at_rest else _holding(state)
        case _:
            return _resting(state, at_rest, now_ns, config)


def _counted(state: ArbiterState, reading: Reading, config: ArbiterConfig) -> ArbiterState:
    """The policy drives: count deflected readings towards a take-over."""
    if reading.t_ns == state.counted_t_ns:
        return state
    count = state.deflected_samples + 1 if reading.deflection > config.takeover else 0
    if count >= config.takeover_samples:
        return _driving(state, Driver.HUMAN)
    return replace(state, deflected_samples=count, counted_t_ns=reading.t_ns)


def _resting(state: ArbiterState, at_rest: bool, now_ns: int, config: ArbiterConfig) -> ArbiterState:
    """The human drives by deflection: time how long the hand has been off."""
    if not at_rest:
        return replace(state, rest_since_ns=None)
    since_ns = now_ns if state.rest_since_ns is None else state.rest_since_ns
    if now_ns - since_ns >= config.release_s * NS_PER_S:
        return _driving(state, Driver.POLICY)
    return replace(state, rest_since_ns=since_ns)
