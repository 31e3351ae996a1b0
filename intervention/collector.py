"""Shows a reward classifier what success looks like, and what only nearly does: in simulation by a script.

A classifier is fooled by what resembles success, so that examples of that are worth more than any other
failure: a module pressed in half-way, one that stands on another socket, one that rests on the rim beside
the slot. The script steers the module there by the truth, lets it rest for a moment, trembling, and goes on
to the next one. It holds the success button while the module *was* seated at the look before the step, in
whichever posture: like a hand it presses a step late, which `classifier.margin` leaves out, and lets go a
step late, which stays a success.

A person does the same with a device. A keyboard cannot say how long a key is held, since a terminal reports
presses only: behind `Latched` the success key holds until the episode ends.
"""

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from typing import Literal

import numpy as np

from handrail.intervention.device import Button, Device, Reading
from handrail.robot_env.geometry import Array, pose_relative, quat_inverse, quat_multiply, rotvec_from_quat
from handrail.robot_env.sim.expert import SEATED_TURN, ScriptedExpert
from handrail.robot_env.sim.sizes import OTHER_SOCKETS, SOCKET_DEPTH_M, SOCKET_PITCH_M, TOWER_HEIGHT_M
from handrail.robot_env.sim.truth import RamTruth
from handrail.robot_env.spec import ActionSpec

_HOVER_M = TOWER_HEIGHT_M + 0.003
_STILL_M = 0.0003
_HOLD_DOWN_M = 0.006
_LONGEST_WAY = 100  # steps after which it rests wherever it is
_NEUTRAL = np.zeros(6)


class Posture(StrEnum):
    """What an episode shows."""

    SEATED = "seated"
    HALF = "half inserted"
    ELSEWHERE = "wrong place"
    BESIDE = "beside the slot"


NEAR_MISSES = (Posture.HALF, Posture.ELSEWHERE, Posture.BESIDE)
"""The failures that look most like success."""


class SyntheticCollector:
    """A `Device` and `EpisodeAware` that drives one posture an episode; asked once a step.

    Args:
        watch: gives the true state.
        seated: whether the module is seated now; the success button follows it, a step late.
        action_spec: how actions scale.
        period_s: time between two steps [s].
        target_reference: what the environment adds an action to.
        rest_s: how long a posture is held [s].

    Attributes:
        posture: what the next episode shows; set it between two episodes.
    """

    name = "synthetic collector"

    def __init__(
        self,
        watch: Callable[[], RamTruth],
        seated: Callable[[], bool],
        action_spec: ActionSpec,
        period_s: float,
        target_reference: Literal["commanded", "measured"] = "commanded",
        rest_s: float = 2.0,
    ) -> None:
        self._watch, self._seated = watch, seated
        self._expert = ScriptedExpert(
            action_spec,
            period_s=period_s,
            target_reference=target_reference,
            bias_m=0.0002,
            bias_rad=0.004,
            noise=0.02,
        )
        self._rest_steps = max(1, round(rest_s / period_s))
        self._in_episode = False
        self.posture = Posture.SEATED

    def open(self) -> None:
        """Nothing to acquire."""

    def close(self) -> None:
        """Nothing to release."""

    def episode_started(self, seed: tuple[int, ...]) -> None:
        """Begin an episode; `seed` names its random stream, and so where exactly the posture is."""
        self._rng = np.random.default_rng((*seed, 2))
        self._expert.reset(self._rng)
        self._in_episode = True
        self._steps = self._rested = 0
        self._height_m = np.inf
        self._goal = self._drawn()

    def episode_finished(self, success: bool, unaided: bool) -> None:
        """End the episode."""
        self._in_episode = False

    def read(self, now_ns: int) -> Reading:
        """The deflection that leads to the posture, and the buttons; neutral outside episodes."""
        if not self._in_episode:
            return Reading(_NEUTRAL, now_ns)
        truth = self._watch()
        buttons: set[Button] = {"takeover"}
        if self._seated():
            buttons.add("success")
        if self._rested > self._rest_steps:
            buttons.add("failure")  # in a "classify" episode: the next one
        self._steps += 1
        return Reading(self._action(truth), now_ns, frozenset(buttons))

    def _drawn(self) -> Array:
        """Where the posture is: the tip's place (x, y, z) [m] and yaw [rad] in the socket's frame, (4,)."""
        rng = self._rng
        yaw = rng.uniform(-0.03, 0.03)
        match self.posture:
            case Posture.HALF:
                return np.array([0.0, 0.0, SOCKET_DEPTH_M * rng.uniform(0.12, 0.95), 0.0])
            case Posture.ELSEWHERE:
                along = rng.uniform(-0.003, 0.003)
                return np.array([along, rng.integers(1, OTHER_SOCKETS + 1) * SOCKET_PITCH_M, 0.0, yaw])
            case Posture.BESIDE:
                side = rng.choice([-1.0, 1.0])
                return np.array([rng.uniform(-0.004, 0.004), side * rng.uniform(0.0018, 0.004), 0.0, yaw])
            case Posture.SEATED:
                return np.zeros(4)

    def _action(self, truth: RamTruth) -> Array:
        tip = pose_relative(truth.T_base_socket, truth.T_base_tip)
        still = abs(float(tip[2]) - self._height_m) < _STILL_M
        self._height_m = float(tip[2])
        if self._rested or self._arrived(tip, still):
            self._resting_place = tip[:3] if self._rested == 0 else self._resting_place
            self._rested += 1
            return self._tremble(truth, tip)
        if self.posture in (Posture.SEATED, Posture.HALF):
            return self._expert.act(truth)
        return self._approach(truth, tip)

    def _arrived(self, tip: Array, still: bool) -> bool:
        if self._steps > _LONGEST_WAY:
            return True
        if self.posture is Posture.SEATED:
            return self._seated()
        if self.posture is Posture.HALF:
            return float(tip[2]) <= self._goal[2]
        return still and float(tip[2]) < _HOVER_M

    def _approach(self, truth: RamTruth, tip: Array) -> Array:
        """Over the place at a safe height, then down until something is in the way."""
        aside = self._goal[:2] - tip[:2]
        turn = _square(tip)
        turn[2] += self._goal[3]
        above = float(np.abs(aside).max()) < 0.002 or float(tip[2]) < _HOVER_M - 0.002
        down = -min(0.004, float(tip[2])) if above else np.clip(_HOVER_M - float(tip[2]), -0.01, 0.01)
        return self._expert.steer(truth, np.array([*np.clip(aside, -0.01, 0.01), down]), turn)

    def _tremble(self, truth: RamTruth, tip: Array) -> Array:
        """Rest as a hand does: a light press, never quite still, so that no two images are the same."""
        shift = self._resting_place - tip[:3] + self._rng.normal(0.0, 0.0004, 3)
        turn = self._rng.normal(0.0, 0.001, 3)
        if self.posture is Posture.SEATED:  # held down and square: askew it would spring up a little
            shift -= (*self._resting_place[:2], _HOLD_DOWN_M)
            turn += _square(tip)
        elif self.posture is not Posture.HALF:
            shift[2] -= 0.0015
        return self._expert.steer(truth, shift, turn)


def _square(tip: Array) -> Array:
    """The turn (3,) [rad] that squares a tip (7,) with the slot."""
    return rotvec_from_quat(quat_multiply(SEATED_TURN, quat_inverse(tip[3:])))


class Latched:
    """A device whose success button, once pressed, holds until the episode ends; otherwise the device itself.

    Args:
        device: one that cannot tell how long a button is held.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._holding = self._in_episode = False
        self.name = device.name

    def __str__(self) -> str:
        """The device and its keys; the success key holds."""
        return f"{self._device} (success holds until the episode ends)"

    def open(self) -> None:
        """Acquire the device."""
        self._device.open()

    def close(self) -> None:
        """Release the device."""
        self._device.close()

    def read(self, now_ns: int) -> Reading:
        """The device's reading, the success button held since it was first pressed in this episode."""
        reading = self._device.read(now_ns)
        self._holding = self._in_episode and (self._holding or "success" in reading.buttons)
        return replace(reading, buttons=reading.buttons | {"success"}) if self._holding else reading

    def episode_started(self, seed: tuple[int, ...]) -> None:
        """A new episode: nothing is held."""
        self._in_episode, self._holding = True, False

    def episode_finished(self, success: bool, unaided: bool) -> None:
        """Let go."""
        self._in_episode = self._holding = False
