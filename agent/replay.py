"""The replay memory: one frame pool, one transition table, and views of them.

A transition names its observations by frame id. Consecutive steps of an episode share a frame (the next
observation of one is the observation of the other), and no other pairing can arise: a step that does not
continue the one before it brings its own frames. So an intervention segment can never be completed with
another segment's frame.

The replay buffer and the demo buffer are two *views*, index sets over the same table: every transition is in
replay, those that a human drove (demonstrations and interventions) are in demo as well.

Everything is a preallocated ring. Memory is touched as it fills; the oldest transitions leave first, from
every view.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from handrail.intervention.transition import Source, Transition


class View:
    """A growing set of transitions, by absolute number, in order of arrival."""

    def __init__(self) -> None:
        self._numbers = np.empty(1024, dtype=np.int64)
        self._head = 0
        self._tail = 0

    def __len__(self) -> int:
        return self._tail - self._head

    def add(self, number: int) -> None:
        """Append a transition's absolute number."""
        if self._tail == len(self._numbers):
            live = self._numbers[self._head : self._tail]
            grown = np.empty(max(1024, 2 * len(live)), dtype=np.int64)
            grown[: len(live)] = live
            self._numbers, self._head, self._tail = grown, 0, len(live)
        self._numbers[self._tail] = number
        self._tail += 1

    def forget_before(self, number: int) -> None:
        """Drop what the table no longer holds."""
        while self._head < self._tail and self._numbers[self._head] < number:
            self._head += 1

    def discard(self, numbers: np.ndarray) -> None:
        """Take transitions out (an excluded episode)."""
        live = self._numbers[self._head : self._tail]
        kept = live[~np.isin(live, numbers)]
        self._numbers[: len(kept)], self._head, self._tail = kept, 0, len(kept)

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """(count,) absolute numbers, uniform with replacement. The view must not be empty."""
        return self._numbers[self._head + rng.integers(0, len(self), count)]


class ReplayMemory:
    """Frame pool and transition table. One thread may use it (the learner's).

    Args:
        capacity: transitions kept.
        observation_size: D.
        action_size: A.
    """

    def __init__(self, capacity: int, observation_size: int, action_size: int) -> None:
        self.capacity = capacity
        self.added = 0
        # A transition brings two frames at most, so the frames of the last `capacity` transitions always fit.
        self._frame_count = 2 * capacity + 2
        self._frames_added = 0
        self._frames = np.empty((self._frame_count, observation_size), dtype=np.float32)
        self._observation = np.empty(capacity, dtype=np.int64)
        self._next_observation = np.empty(capacity, dtype=np.int64)
        self._action = np.empty((capacity, action_size), dtype=np.float32)
        self._reward = np.empty(capacity, dtype=np.float32)
        self._terminated = np.empty(capacity, dtype=bool)
        self._human = np.empty(capacity, dtype=np.float32)
        self._episode = np.empty(capacity, dtype=np.int64)
        self._successor = np.empty(
            capacity, dtype=np.int64
        )  # absolute number of the next step by the same driver, or −1
        self._last: Transition | None = None
        self.replay = View()
        self.demo = View()

    def add(self, transition: Transition) -> int:
        """Store one step; returns its absolute number."""
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
            self._next_observation[previous] if continues else self._add_frame(transition.observation)
        )
        self._next_observation[slot] = self._add_frame(transition.next_observation)
        self._action[slot] = transition.action
        self._reward[slot] = transition.reward
        self._terminated[slot] = transition.terminated
        self._human[slot] = transition.source == Source.HUMAN
        self._episode[slot] = transition.episode
        self._successor[slot] = -1
        if continues and last is not None and last.source == transition.source:
            self._successor[previous] = number
        self._last = transition
        self.added += 1
        self.replay.add(number)
        if transition.source == Source.HUMAN:
            self.demo.add(number)
        oldest = self.added - self.capacity
        if oldest > 0:
            self.replay.forget_before(oldest)
            self.demo.forget_before(oldest)
        return number

    def _add_frame(self, observation: np.ndarray) -> int:
        slot = self._frames_added % self._frame_count
        self._frames[slot] = observation
        self._frames_added += 1
        return slot

    def relabel(self, episode: int, *, success: bool) -> None:
        """Give the last step of an episode the reward of a corrected verdict.

        Only success is a terminal state of the task: an episode that a false positive had ended bootstraps
        again.
        """
        slots = self._slots_of(episode)
        if len(slots):
            self._reward[slots[-1]] = float(success)
            self._terminated[slots[-1]] = success

    def exclude(self, episode: int, views: Sequence[View] | None = None) -> None:
        """Take an episode out of `views`, both by default; its frames stay until they are overwritten."""
        slots = self._slots_of(episode)
        first = max(0, self.added - self.capacity)
        numbers = first + (slots - first) % self.capacity
        for view in (self.replay, self.demo) if views is None else views:
            view.discard(numbers)

    def _slots_of(self, episode: int) -> np.ndarray:
        """Slots of an episode's steps, in order of arrival."""
        first = max(0, self.added - self.capacity)
        order = np.arange(first, self.added) % self.capacity
        return order[self._episode[order] == episode]

    def gather(self, numbers: np.ndarray, discount: float, n_step: int) -> dict[str, np.ndarray]:
        """Columns of a batch: n-step returns are formed here, so that a relabelled reward counts at once.

        Returns:
            observation, action, reward = Σ_{k<K} γᵏ r_k, discount = γᴷ (0 after termination),
            next_observation after K steps, and human. K ≤ n_step: the sum is cut at termination, truncation,
            a change of driver, and the end of what has arrived.
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
        return {
            "observation": self._frames[self._observation[slots]],
            "action": self._action[slots],
            "reward": reward,
            "discount": factor,
            "next_observation": self._frames[self._next_observation[last]],
            "human": self._human[slots],
        }
