"""A log of made-up episodes, for a learner to read."""

import numpy as np

from handrail.agent.learner import Learner
from handrail.intervention.log_format import EpisodeEnd, EpisodeStart, Event, StepRecord, encode_record
from handrail.intervention.transition import Source
from handrail.robot_env.spec import STATE_SPEC

PERIOD_NS = 100_000_000


class Log:
    """Feeds a learner the records of made-up episodes, numbered as a log would number them."""

    def __init__(self) -> None:
        self.records: list[tuple[int, bytes]] = []
        self._episode = 0
        self._t_ns = 0
        self._rng = np.random.default_rng(0)

    def episode(self, length: int, *, purpose="train", human=(), success=True, label=None, ended=True) -> int:
        episode, self._episode = self._episode, self._episode + 1
        self._add(EpisodeStart(episode, (0, episode), purpose, self._t_ns, 0, 0))
        state = self._rng.normal(size=(length + 1, STATE_SPEC.size)).astype(np.float32)
        for i in range(length):
            action = self._rng.uniform(-1, 1, 6).astype(np.float32).tobytes()
            last = i == length - 1
            source = Source.HUMAN if purpose == "demo" or i in human else Source.POLICY
            self._add(
                StepRecord(
                    episode=episode,
                    step=i,
                    observation=state[i].tobytes(),
                    action=action,
                    policy_action=action,
                    reward=float(success and last),
                    terminated=success and last,
                    truncated=not success and last,
                    next_observation=state[i + 1].tobytes(),
                    source=int(source),
                    t_ns=self._t_ns,
                    wall_ns=0,
                    weights_version=0,
                    gate_flags=0,
                    score=None,
                    latency_ms=0.0,
                    log_prob=None,
                )
            )
            self._t_ns += PERIOD_NS
        if ended:
            driven = len(human)
            self._add(EpisodeEnd(episode, length, success, None, driven == 0, driven, min(driven, 1), 0.0, 0))
        if label is not None:
            self._add(Event("label", episode, "task", 0, None, label, ""))
        return episode

    def _add(self, record) -> None:
        self.records.append((len(self.records) + 1, encode_record(record)))

    def event(self, episode: int, new: str, *, old: str | None = None, who: str = "reviewer") -> None:
        self._add(Event("label", episode, who, 0, old, new, "looked again"))

    def feed(self, learner: Learner) -> None:
        for sequence, payload in self.records[learner.history.sequence :]:
            learner.ingest(sequence, payload)
