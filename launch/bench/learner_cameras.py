"""What cameras cost beside the updates: memory, the control thread's append, the disk, and a restart.

Images are random numbers: their content costs nothing, for the log stores them as they are.
"""

import dataclasses
import math
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from handrail.agent.config import RunConfig
from handrail.intervention.log_format import (
    LOG_SCHEMA,
    FrameRecord,
    SegmentHeader,
    StepRecord,
    transition_from,
)
from handrail.intervention.log_reader import LogReader
from handrail.intervention.log_writer import LogWriter
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose
from handrail.launch.bench.experience import ACTION_SIZE, appends, new_learner
from handrail.launch.bench.figures import Figure, percentiles
from handrail.launch.bench.side import other_side, say, until_left
from handrail.launch.errors import BenchSilent
from handrail.robot_env.spec import state_spec

_ADDED = 2000
_COMPLETED_S = 5.0
_SAID_EVERY = 500  # steps
_DEADLINE_S = 60.0
_SECONDS_AN_HOUR = 3600


def time_memory(run: RunDirectory, config: RunConfig) -> dict[str, Any]:
    """Durations of adding a step with its images to the memory, and what it takes there."""
    learner = new_learner(run, config)
    memory, frames = learner.memory, learner.pixels.frames
    add_ms = []
    for records in appends(_ADDED, config):
        images = [record for record in records if isinstance(record, FrameRecord)]
        steps = [record for record in records if isinstance(record, StepRecord)]
        began = time.perf_counter()
        for image in images:
            memory.add_image(image)
        for step in steps:
            memory.add(transition_from(step), step.frames, step.next_frames)
        add_ms.append((time.perf_counter() - began) * 1e3)
    images_bytes = frames.added * frames.frame_bytes
    found = {"add_ms": add_ms, "bytes": images_bytes / memory.added + memory.table_bytes / memory.capacity}
    if config.vision.frozen:
        cache = learner.pixels.source
        began = time.perf_counter()
        cache.complete(_COMPLETED_S)
        found |= {
            "frame_bytes": cache.row_bytes,
            "cached_frames": cache.rows,
            "completed_per_s": cache.computed / (time.perf_counter() - began),
        }
    return found


def memory_figures(found: dict[str, Any]) -> Iterator[Figure]:
    """What `time_memory` found."""
    yield from percentiles("memory_add", found["add_ms"], "ms")
    yield Figure("memory_transition", found["bytes"], "bytes")
    if "frame_bytes" in found:
        yield Figure("cache_frame", found["frame_bytes"], "bytes")
        yield Figure("cache_most", found["frame_bytes"] * found["cached_frames"] / 1e6, "MB")
        yield Figure("cache_most_frames", found["cached_frames"], "frames")
        yield Figure("trunk_images_per_s", found["completed_per_s"], "images/s")


def measure_log(config: RunConfig, steps: int) -> Iterator[Figure]:
    """Write a log as the control thread does; then a learner that starts anew reads it over the wire."""
    with tempfile.TemporaryDirectory(prefix="handrail-bench-") as folder:
        run = RunDirectory(Path(folder) / "cameras").create(compose.dump(config), {})
        learner = new_learner(run, config)
        with other_side(log_side, str(run.path), str(steps), learner.schema_hash) as side:
            for _ in range(0, steps, _SAID_EVERY):
                side.lines.next("wrote")
            append_ms = [float(each) for each in side.lines.next("serving")]
            for name, value in zip(("p50", "p99", "max"), append_ms, strict=True):
                yield Figure(f"append_{name}", value, "ms")
            size = sum(path.stat().st_size for path in run.segments.glob("*.seg"))
            yield Figure("log_step", size / steps, "bytes")
            yield Figure("log_hour", size / steps * config.env.hz * _SECONDS_AN_HOUR / 1e9, "GB")
            yield from _reload(run, learner, steps)


def _reload(run: RunDirectory, learner: Any, steps: int) -> Iterator[Figure]:
    """Seconds until the log is in memory, between whose pulls maps are made as a learner does that waits.

    And those until every map that fits is there: only then are updates as fast as they were.
    """
    from handrail.agent.feature_cache import FeatureCache
    from handrail.agent.link import LogPuller, log_address

    sockets = run.socket_dir()
    puller = LogPuller(log_address(sockets), run.id, learner.schema_hash, learner.boot_id, os.getpid())
    learner.pixels.listen(sockets)
    began = heard = time.perf_counter()
    try:
        while learner.memory.added < steps:
            after = learner.history.sequence
            found = puller.poll(after, updates=0, training=False, began_at=0, wait_s=1.0)
            for sequence, payload in found:
                learner.ingest(sequence, payload)
            learner.pixels.take(complete=True)
            now = time.perf_counter()
            heard = now if found else heard
            if now - heard > _DEADLINE_S:
                raise BenchSilent(f"{learner.memory.added} of {steps} steps came, then none for a minute")
        yield Figure("reload", time.perf_counter() - began, "s")
        if isinstance(learner.pixels.source, FeatureCache):
            began = time.perf_counter()
            learner.pixels.source.complete(math.inf)
            yield Figure("refill", time.perf_counter() - began, "s")
    finally:
        puller.close()
        learner.close()


def log_side(path: str, steps: str, schema_hash: str) -> None:
    """Write a log with images, then serve it until stdin ends; runs in a process of its own."""
    from handrail.agent.link import LogServer, log_address

    run = RunDirectory(path)
    config = compose.load(run.config_file)
    stop = until_left()
    sizes = state_spec(config.env).size, ACTION_SIZE
    header = SegmentHeader(LOG_SCHEMA, run.id, schema_hash, *sizes, time.time_ns())
    with LogWriter(run.segments, header, **dataclasses.asdict(config.log)) as writer:
        append_ms, last = [], 0
        for number, records in enumerate(appends(int(steps), config)):
            began = time.perf_counter()
            last = writer.append(*records)
            append_ms.append((time.perf_counter() - began) * 1e3)
            if number % _SAID_EVERY == 0:
                # So that the disk is not far behind: at 10 steps a second it never is.
                writer.wait_committed(last, _DEADLINE_S)
                say("wrote")
        writer.wait_committed(last, _DEADLINE_S)
        reader, address = LogReader(run.segments), log_address(run.socket_dir())
        server = LogServer(address, reader, lambda: writer.committed, run.id, schema_hash)
        say("serving " + " ".join(str(figure.value) for figure in percentiles("append", append_ms, "ms")))
        stop.wait()
        server.close()
