"""What the control thread pays for the episode log, how far the disk is behind, how fast it is read back."""

import itertools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from handrail.agent.config import RunConfig
from handrail.intervention.log_format import LOG_SCHEMA, SegmentHeader, StepRecord, step_record
from handrail.intervention.log_reader import LogReader
from handrail.intervention.log_writer import LogWriter
from handrail.intervention.transition import Source, Transition
from handrail.launch.bench.figures import Figure, percentiles
from handrail.launch.options import Option, Options
from handrail.robot_env.spec import STATE_SPEC, ActionSpec, schema_hash

OPTIONS = (
    Option("steps", int, "steps to append", 20_000),
    Option("folder", str, "where to put the log: the disk that is measured", "."),
)
_COMMIT_TIMEOUT_S = 60.0


def measure(options: Options, config: RunConfig) -> Iterator[Figure]:
    """Append state steps as the rollout does, one write each, with the disk's writer thread beside."""
    steps = max(1, options["steps"])
    action_spec = ActionSpec(*config.env.action_scale)
    header = SegmentHeader(
        schema=LOG_SCHEMA,
        run_id="bench",
        schema_hash=schema_hash(STATE_SPEC, action_spec),
        state_size=STATE_SPEC.size,
        action_size=action_spec.size,
        created_wall_ns=time.time_ns(),
    )
    with tempfile.TemporaryDirectory(dir=options["folder"], prefix=".bench-log-") as folder:
        segments = Path(folder)
        transitions = [_transition(index, action_spec.size) for index in range(100)]
        with LogWriter(
            segments,
            header,
            segment_bytes=config.log.segment_bytes,
            reserve_bytes=config.log.reserve_bytes,
            sync_interval_s=config.log.sync_interval_s,
        ) as writer:
            append_ms = []
            began = time.perf_counter()
            for transition in itertools.islice(itertools.cycle(transitions), steps):
                before = time.perf_counter()
                sequence = writer.append(step_record(transition))
                append_ms.append((time.perf_counter() - before) * 1e3)
            appended = time.perf_counter()
            writer.wait_committed(sequence, _COMMIT_TIMEOUT_S)
            committed = time.perf_counter()
        yield Figure("append_steps_per_s", steps / (appended - began), "steps/s")
        yield from percentiles("append", append_ms, "ms")
        yield Figure("commit_behind", (committed - appended) * 1e3, "ms")
        yield Figure(
            "bytes_per_step", sum(each.stat().st_size for each in segments.glob("*.seg")) / steps, "bytes"
        )
        began = time.perf_counter()
        read = sum(isinstance(record, StepRecord) for _, record in LogReader(segments).records())
        yield Figure("read_steps_per_s", read / (time.perf_counter() - began), "steps/s")


def _transition(index: int, action_size: int) -> Transition:
    rng = np.random.default_rng(index)
    observation, following = rng.standard_normal((2, STATE_SPEC.size)).astype(np.float32)
    action = rng.uniform(-1.0, 1.0, action_size).astype(np.float32)
    return Transition(
        episode=0,
        step=index,
        observation=observation,
        action=action,
        policy_action=action,
        reward=0.0,
        terminated=False,
        truncated=False,
        next_observation=following,
        source=Source.POLICY,
        t_ns=index,
        wall_ns=time.time_ns(),
        weights_version=1,
        log_prob=-1.0,
    )
