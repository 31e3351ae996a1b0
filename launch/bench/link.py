"""The two wires between learner and actor: how fast the log is pulled, how soon new weights are in use.

The actor's side runs in a process of its own, with the product's log, server and policy, over real sockets
and files.
"""

import dataclasses
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from handrail.agent.config import RunConfig
from handrail.intervention.log_format import LOG_SCHEMA, SegmentHeader, step_record
from handrail.intervention.log_reader import LogReader
from handrail.intervention.log_writer import LogWriter
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import compose
from handrail.launch.bench.experience import filled_learner, transitions
from handrail.launch.bench.figures import Figure, percentiles
from handrail.launch.bench.side import Lines, other_side, say, until_left
from handrail.launch.errors import BenchSilent
from handrail.launch.options import Option, Options

OPTIONS = (
    Option("records", int, "steps in the log that is pulled", 20_000),
    Option("requests", int, "requests to time that find nothing new", 300),
    Option("weights", int, "sets of weights to publish", 100),
)
_DEADLINE_S = 60.0
_BETWEEN_WEIGHTS_S = 0.02


def measure(options: Options, config: RunConfig) -> Iterator[Figure]:
    """Pull a whole log, then ask for more in vain; publish weights and see when the actor has them."""
    from handrail.agent.link import LogPuller, WeightPublisher, log_address, weights_address

    with tempfile.TemporaryDirectory(prefix="handrail-bench-") as folder:
        run = RunDirectory(Path(folder) / "link").create(compose.dump(config), {})
        learner = filled_learner(run, config, 1000)
        sockets = run.socket_dir()
        puller = LogPuller(log_address(sockets), run.id, learner.schema_hash, learner.boot_id, os.getpid())
        publisher = WeightPublisher(weights_address(sockets))
        try:
            with other_side(actor_side, str(run.path), str(options["records"])) as side:
                said = side.lines
                said.next("serving")
                yield from _pull(puller, options["records"], options["requests"])
                frame = learner.weights_frame()
                yield Figure("weights_size", len(frame), "bytes")
                yield from _publish(learner, publisher, said, options["weights"])
        finally:
            puller.close()
            publisher.close()


def _pull(puller: Any, records: int, requests: int) -> Iterator[Figure]:
    """Records per second of a long log, and the time of a request that finds nothing new."""
    idle = {"updates": 0, "training": False, "began_at": 0}
    after = pulled = 0
    began = time.perf_counter()
    deadline = began + _DEADLINE_S
    while pulled < records:
        found = puller.poll(after, **idle, wait_s=1.0)
        pulled += len(found)
        after = found[-1][0] if found else after
        if time.perf_counter() > deadline:
            raise BenchSilent(f"{pulled} of {records} records came within {_DEADLINE_S:.0f} s; try fewer")
    yield Figure("pull_records_per_s", pulled / (time.perf_counter() - began), "records/s")
    request_ms = []
    for _ in range(requests):
        began = time.perf_counter()
        puller.poll(after, **idle, wait_s=1.0, idle_s=0.0)
        request_ms.append((time.perf_counter() - began) * 1e3)
    yield from percentiles("request", request_ms, "ms")


def _publish(learner: Any, publisher: Any, said: Lines, count: int) -> Iterator[Figure]:
    """From the moment of publishing until the frame is there, and until the policy acts by it."""
    publisher.publish(learner.weights_frame())
    while not said.waiting():  # a subscriber that is still connecting misses what is published
        time.sleep(_BETWEEN_WEIGHTS_S)
        publisher.repeat()
    said.next("weights")
    received_ms, in_use_ms = [], []
    for _ in range(count):
        frame = learner.weights_frame()
        time.sleep(_BETWEEN_WEIGHTS_S)  # as the learner does: not one straight after another
        published_ns = time.monotonic_ns()
        publisher.publish(frame)
        received_ns, in_use_ns = map(int, said.next("weights"))
        received_ms.append((received_ns - published_ns) / 1e6)
        in_use_ms.append((in_use_ns - published_ns) / 1e6)
    yield from percentiles("weights_received", received_ms, "ms")
    yield from percentiles("weights_in_use", in_use_ms, "ms")


def actor_side(path: str, records: str) -> None:
    """Serve a log and take weights until stdin ends; runs in a process of its own."""
    from handrail.agent.evaluator import Evaluator
    from handrail.agent.link import LogServer, WeightSubscriber, log_address, weights_address

    run = RunDirectory(path)
    config = compose.load(run.config_file)
    stop = until_left()
    evaluator = Evaluator(run, config, stop, lambda _: None)  # it takes weights as the actor does
    env = evaluator.env
    header = SegmentHeader(
        LOG_SCHEMA, run.id, env.schema_hash, env.state_spec.size, env.action_spec.size, time.time_ns()
    )
    sockets = run.socket_dir()
    with LogWriter(run.segments, header, **dataclasses.asdict(config.log)) as writer:
        for transition in transitions(int(records), env.state_spec):
            last = writer.append(step_record(transition))
        writer.wait_committed(last, _DEADLINE_S)
        reader = LogReader(run.segments)
        server = LogServer(log_address(sockets), reader, lambda: writer.committed, run.id, env.schema_hash)
        weights = WeightSubscriber(weights_address(sockets))
        say("serving")
        while not stop.is_set():
            frame = weights.newest(wait_s=0.05)
            if frame is not None:
                received_ns = time.monotonic_ns()
                evaluator.load(frame)
                say(f"weights {received_ns} {time.monotonic_ns()}")
        server.close()
        weights.close()
        env.close()
