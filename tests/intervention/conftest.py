"""Small, recognisable records for the log's tests."""

from pathlib import Path

import numpy as np
import pytest

from handrail.intervention.log_format import LOG_SCHEMA, SegmentHeader, StepRecord, step_record
from handrail.intervention.log_writer import LogWriter
from handrail.intervention.transition import Source, Transition

STATE, ACTION = 4, 2


class Samples:
    """Makes headers, transitions and writers whose contents are easy to tell apart."""

    def header(self, schema_hash: str = "aaaa", schema: int = LOG_SCHEMA) -> SegmentHeader:
        return SegmentHeader(schema, "test-run", schema_hash, STATE, ACTION, 0)

    def transition(self, episode: int = 0, step: int = 0, **changes: object) -> Transition:
        value = float(episode * 1000 + step)
        fields: dict = {
            "episode": episode,
            "step": step,
            "observation": np.full(STATE, value, np.float32),
            "action": np.full(ACTION, value / 2, np.float32),
            "policy_action": np.zeros(ACTION, np.float32),
            "reward": 0.0,
            "terminated": False,
            "truncated": False,
            "next_observation": np.full(STATE, value + 1, np.float32),
            "source": Source.POLICY,
            "t_ns": step,
            "wall_ns": step,
            "weights_version": 1,
        }
        return Transition(**{**fields, **changes})

    def step(self, episode: int = 0, number: int = 0, **changes: object) -> StepRecord:
        return step_record(self.transition(episode, number, **changes))

    def writer(self, directory: Path, **options: object) -> LogWriter:
        defaults: dict = {"reserve_bytes": 0}
        return LogWriter(directory, self.header(), **{**defaults, **options})


@pytest.fixture(scope="session")
def samples() -> Samples:
    return Samples()
