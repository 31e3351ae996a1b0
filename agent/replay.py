"""The replay memory: a pool of frames, one transition table, and views of it.

A transition names its observations by number. Consecutive steps of an episode share one (the next observation
of one is the observation of the other), and no other pairing can arise: a step that does not continue the one
before it brings its own. So an intervention segment can never be completed with another segment's frame.

The replay buffer and the demo buffer are two *views*, index sets over the same table. Which steps of an
episode are in them, and what its steps are worth, follows from what was recorded, what the episode was
recorded for, and the last label that was put on it; earlier labels leave no trace:

    label     replay           demo                           reward and end
    none      all (demo: no)   a human's (demo: none)         as recorded
    success   up to the step   a human's, up to the step      as recorded, at the step what is left of 1;
                                                              it is terminal
    demo      up to the step   somebody's, up to the step     the same
    failure   all              a human's (demo: none)         nothing gained, nothing terminal
    exclude   none             none

"(demo: …)" is for episodes that were recorded as demonstrations: those without a label have failed, or are
still being recorded.

Everything is a preallocated ring. Memory is touched as it fills; the oldest transitions leave first, from
every view.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from handrail.agent.frames import FramePool
from handrail.agent.origins import origin_of
from handrail.agent.views import View
from handrail.intervention.labeller import Label
from handrail.intervention.log_format import FrameRecord
from handrail.intervention.transition import Source, Transition

_STORED = ("train", "demo")
_UNNAMED = 64  # frames that may be here beyond those that a full table can name


@dataclass(slots=True)
class _Episode:
    """Where an episode's steps are: absolute numbers [first, stop); and what is said of it."""

    purpose: str
    first: int
    stop: int
    label: Label | None = None


class ReplayMemory:
    """Frame pool and transition table.

    One thread at a time may use it. Whoever draws batches in another thread than the one that adds holds
    `lock` meanwhile, as the methods that change anything do.

    Args:
        capacity: transitions kept.
        observation_size: D.
        action_size: A.
        frames: where images go; None for a policy on the state alone.

    Attributes:
        added: transitions that ever came; the next one's absolute number.
        left_out: steps that were not taken because an image of theirs was not in the log.
        replay: what a policy learns from.
        demo: the part of it to imitate.
    """

    def __init__(
        self, capacity: int, observation_size: int, action_size: int, frames: FramePool | None = None
    ) -> None:
        self.capacity = capacity
        self.frames = frames
        self.added = self.left_out = 0
        self.lock = threading.RLock()
        # A transition brings two states at most, so the states of the last `capacity` transitions always fit.
        self._state_count = 2 * capacity + 2
        self._states_added = 0
        self._oldest = 0  # absolute number of the oldest transition that is still here
        self._states = np.empty((self._state_count, observation_size), dtype=np.float32)
        self._frame = np.empty(
            0 if frames is None else self._state_count, dtype=np.int64
        )  # a state's frame number
        self._observation = np.empty(capacity, dtype=np.int64)
        self._next_observation = np.empty(capacity, dtype=np.int64)
        self._action = np.empty((capacity, action_size), dtype=np.float32)
        self._reward = np.empty(capacity, dtype=np.float32)
        self._terminated = np.empty(capacity, dtype=bool)
        self._recorded_reward = np.empty(capacity, dtype=np.float32)
        self._recorded_terminated = np.empty(capacity, dtype=bool)
        self._human = np.empty(capacity, dtype=np.float32)
        self._driven = np.empty(capacity, dtype=bool)  # by a policy or a human: somebody chose the action
        self._origin = np.empty(capacity, dtype=np.int8)  # an `Origin`
        self._step = np.empty(capacity, dtype=np.int64)
        # Absolute number of the next step by the same driver, or −1.
        self._successor = np.empty(capacity, dtype=np.int64)
        self._episodes: dict[int, _Episode] = {}  # oldest first
        self._begun: tuple[int, str] | None = None
        self._last: Transition | None = None
        self.replay = View()
        self.demo = View()

    @property
    def table_bytes(self) -> int:
        """Memory set aside for transitions and their states, without images."""
        return sum(array.nbytes for array in vars(self).values() if isinstance(array, np.ndarray))

    @property
    def oldest(self) -> int:
        """Absolute number of the oldest transition that is still here."""
        return self._oldest

    def begin(self, episode: int, purpose: str) -> None:
        """An episode begins; steps of one that is neither "train" nor "demo" are not for a policy.

        An episode that was never begun is one for training.
        """
        self._begun = (episode, purpose)

    def add_image(self, record: FrameRecord) -> None:
        """Take an image, before the first step that refers to it.

        Raises:
            CameraError: it has another size than the policy's cameras.
        """
        if self.frames is not None and self._purpose_of(record.frame_id >> 32) in _STORED:
            with self.lock:
                self.frames.put(record)
                self._bound(self.frames)

    def _bound(self, frames: FramePool) -> None:
        """Frames that no step can name, because an image is missing, push out what is older."""
        surplus = frames.held - (self.capacity + len(self._episodes) + _UNNAMED)
        if surplus <= 0:
            return
        least, oldest = frames.oldest + surplus, self._oldest
        while oldest < self.added and self._frame[self._observation[oldest % self.capacity]] < least:
            oldest += 1
        self._forget_before(oldest)
        frames.forget_before(least)

    def add(
        self,
        transition: Transition,
        frames: Mapping[str, int] | None = None,
        next_frames: Mapping[str, int] | None = None,
    ) -> int | None:
        """Store one step.

        Args:
            transition: The step; its own images are not looked at.
            frames: The log's ids of its images, by camera.
            next_frames: The same after the step.

        Returns:
            Its absolute number; None if it was left out (not for a policy, or an image is missing).
        """
        purpose = self._purpose_of(transition.episode)
        if purpose not in _STORED:
            return None
        before: int | None = -1
        after: int | None = -1
        if self.frames is not None:
            before, after = self.frames.number(frames or {}), self.frames.number(next_frames or {})
        if before is None or after is None:
            self.left_out += 1
            return None
        with self.lock:
            return self._store(transition, purpose, before, after)

    def _purpose_of(self, episode: int) -> str:
        return self._begun[1] if self._begun is not None and self._begun[0] == episode else "train"

    def _store(self, transition: Transition, purpose: str, before: int, after: int) -> int:
        number, slot = self.added, self.added % self.capacity
        last = self._last
        continues = (
            last is not None
            and (last.episode, last.step + 1) == (transition.episode, transition.step)
            and not (last.terminated or last.truncated)
            and np.array_equal(last.next_observation, transition.observation)
        )
        previous = (number - 1) % self.capacity
        self._observation[slot] = (
            self._next_observation[previous] if continues else self._add_state(transition.observation, before)
        )
        self._next_observation[slot] = self._add_state(transition.next_observation, after)
        self._action[slot] = transition.action
        self._reward[slot] = self._recorded_reward[slot] = transition.reward
        self._terminated[slot] = self._recorded_terminated[slot] = transition.terminated
        human = transition.source == Source.HUMAN
        self._human[slot] = human
        self._driven[slot] = transition.source != Source.SCRIPT
        self._step[slot] = transition.step
        self._successor[slot] = -1
        if continues and last is not None and last.source == transition.source:
            self._successor[previous] = number
        self._last = transition
        self.added += 1
        entry = self._episodes.get(transition.episode)
        if entry is None:
            entry = self._episodes[transition.episode] = _Episode(purpose, number, number + 1)
        entry.stop = number + 1
        # One that ends well makes all that came before it part of a success.
        self._sort(entry, self._slots(entry) if transition.terminated else np.array([slot]))
        if purpose == "train":
            self.replay.add(number)
            if human:
                self.demo.add(number)
        if self.added > self.capacity:
            self._forget_before(self.added - self.capacity)
        return number

    def _add_state(self, observation: np.ndarray, frame: int) -> int:
        slot = self._states_added % self._state_count
        self._states[slot] = observation
        if self.frames is not None:
            self._frame[slot] = frame
        self._states_added += 1
        return slot

    def _forget_before(self, oldest: int) -> None:
        """Drop the transitions before this one, and what only they needed."""
        if oldest <= self._oldest:
            return
        self._oldest = oldest
        self.replay.forget_before(oldest)
        self.demo.forget_before(oldest)
        for number in [*itertools.takewhile(lambda n: self._episodes[n].stop <= oldest, self._episodes)]:
            del self._episodes[number]
        if self.frames is not None and oldest < self.added:
            self.frames.forget_before(int(self._frame[self._observation[oldest % self.capacity]]))

    def label(self, episode: int, label: str | None, step: int | None = None) -> None:
        """Put a label on an episode; it counts instead of every earlier one.

        Args:
            episode: The episode's number. One whose steps are not here is passed over.
            label: One of `Label`; None where the only one was taken back.
            step: When success was, for "success" and "demo"; None, or a step behind the last, for the last.
        """
        entry = self._episodes.get(episode)
        if entry is None:
            return
        with self.lock:
            entry.label = None if label is None else Label(label)
            slots = self._slots(entry)
            numbers = np.arange(entry.stop - len(slots), entry.stop)
            self._reward[slots] = self._recorded_reward[slots]
            self._terminated[slots] = self._recorded_terminated[slots]
            kept = self._judge(entry, slots, step)
            self._sort(entry, slots)
            self.replay.assign(entry.first, entry.stop, numbers[kept])
            self.demo.assign(entry.first, entry.stop, numbers[kept & self._exemplary(entry, slots)])

    def _judge(self, entry: _Episode, slots: np.ndarray, step: int | None) -> np.ndarray:
        """Give an episode's steps the rewards of its label; returns which of them are in the replay view."""
        if entry.label is Label.EXCLUDE:
            return np.zeros(len(slots), dtype=bool)
        if entry.label is None:
            return np.full(len(slots), entry.purpose != "demo")
        if entry.label is Label.FAILURE:
            self._reward[slots] = np.minimum(self._reward[slots], 0.0)
            self._terminated[slots] = False
            return np.ones(len(slots), dtype=bool)
        last = len(slots) - 1
        if step is not None:
            last = int(np.searchsorted(self._step[slots], step, "right")) - 1
        if last < 0:  # success was at a step that has left already: all of these came after it
            return np.zeros(len(slots), dtype=bool)
        end = slots[last]
        # The last stage of a staged reward may be worth another number than 1.
        if not (self._terminated[end] and self._reward[end] > 0.0):
            earned = np.maximum(self._reward[slots[:last]], 0.0).sum()  # by the stages before
            self._reward[end], self._terminated[end] = 1.0 - earned, True
        return np.arange(len(slots)) <= last

    def _exemplary(self, entry: _Episode, slots: np.ndarray) -> np.ndarray:
        """Which of an episode's steps are to be imitated, if they are kept at all."""
        if entry.label is Label.DEMO:
            return self._driven[slots]
        if entry.label is Label.FAILURE and entry.purpose == "demo":
            return np.zeros(len(slots), dtype=bool)
        return self._human[slots] > 0.0

    def _slots(self, entry: _Episode) -> np.ndarray:
        """Where an episode's steps are, those that are still here."""
        return np.arange(max(entry.first, self._oldest), entry.stop) % self.capacity

    def _sort(self, entry: _Episode, slots: np.ndarray) -> None:
        """Say where steps of an episode come from."""
        succeeded = bool(self._terminated[slots].any())
        self._origin[slots] = origin_of(entry.purpose, entry.label, self._human[slots] > 0.0, succeeded)

    def origins(self, numbers: np.ndarray) -> np.ndarray:
        """Where each of (N,) transitions comes from, as an `Origin`, (N,) int8."""
        return self._origin[numbers % self.capacity]

    def rewards(self, numbers: np.ndarray) -> np.ndarray:
        """Each one's own reward by the episode's last label, (N,) float32."""
        return self._reward[numbers % self.capacity]

    def steps_of(self, episode: int) -> np.ndarray:
        """Numbers, ascending, of an episode's steps that are in the replay view; none of one not here."""
        entry = self._episodes.get(episode)
        return self.replay.between(entry.first, entry.stop) if entry else np.empty(0, dtype=np.int64)

    def last_demonstration(self) -> int | None:
        """The newest episode that is a demonstration to learn from; None without any."""
        for episode, entry in reversed(self._episodes.items()):
            recorded = entry.purpose == "demo" and entry.label is Label.SUCCESS
            if recorded or entry.label is Label.DEMO:
                return episode
        return None

    def gather(self, numbers: np.ndarray, discount: float, n_step: int) -> dict[str, np.ndarray]:
        """Columns of a batch: n-step returns are formed here, so that a relabelled reward counts at once.

        Returns:
            observation, action, reward = Σ_{k<K} γᵏ r_k, discount = γᴷ (0 after termination),
            next_observation after K steps, and human; with cameras also frames and next_frames, the frame
            numbers of both observations. K ≤ n_step: the sum is cut at termination, truncation, a change of
            driver, and the end of what has arrived.
        """
        slots = numbers % self.capacity
        reward = self._reward[slots].copy()
        factor = np.full(len(slots), discount, dtype=np.float32)
        last = slots
        for _ in range(n_step - 1):
            successor = self._successor[last]
            going = (successor >= 0) & ~self._terminated[last]
            if not going.any():
                break
            following = successor[going] % self.capacity
            last = last.copy()
            last[going] = following
            reward[going] += factor[going] * self._reward[following]
            factor[going] *= discount
        factor[self._terminated[last]] = 0.0
        before, after = self._observation[slots], self._next_observation[last]
        columns = {
            "observation": self._states[before],
            "action": self._action[slots],
            "reward": reward,
            "discount": factor,
            "next_observation": self._states[after],
            "human": self._human[slots],
        }
        if self.frames is not None:
            columns |= {"frames": self._frame[before], "next_frames": self._frame[after]}
        return columns
