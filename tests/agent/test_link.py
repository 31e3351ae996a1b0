"""Actor and learner over real sockets and a real log on disk."""

import os
import time

import msgspec
import numpy as np
import pytest
import torch
import zmq

from handrail.agent.link import (
    LinkError,
    LogPuller,
    LogServer,
    WeightPublisher,
    WeightSubscriber,
    log_address,
    weights_address,
)
from handrail.agent.weights import decode_weights, encode_weights
from handrail.intervention.log_format import LOG_SCHEMA, SegmentHeader, StepRecord, decode_record
from handrail.intervention.log_reader import LogReader
from handrail.intervention.log_writer import LogWriter

DEADLINE_S = 20.0
FACTS = {"run_id": "run", "schema_hash": "layout"}
IDLE = {"updates": 0, "training": False, "began_at": 0}


def step(number: int) -> StepRecord:
    vector = np.full(3, number, dtype=np.float32).tobytes()
    action = np.zeros(2, dtype=np.float32).tobytes()
    return StepRecord(
        0, number, vector, action, action, 0.0, False, False, vector, 0, number, 0, 0, 0, None, 0.0, None
    )


@pytest.fixture
def writer(tmp_path):
    header = SegmentHeader(LOG_SCHEMA, "run", "layout", 3, 2, 0)
    writer = LogWriter(tmp_path / "segments", header, reserve_bytes=0)
    yield writer
    writer.close()


def serve(tmp_path, writer) -> LogServer:
    reader = LogReader(tmp_path / "segments")
    return LogServer(log_address(tmp_path), reader, lambda: writer.committed, "run", "layout")


def puller(tmp_path, boot_id="boot", **changes) -> LogPuller:
    facts = {**FACTS, "boot_id": boot_id, "pid": os.getpid(), **changes}
    return LogPuller(log_address(tmp_path), **facts)


def pull_all(pull: LogPuller, after: int, upto: int) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    end = time.monotonic() + DEADLINE_S
    while (found[-1][0] if found else after) < upto:
        assert time.monotonic() < end, f"{len(found)} records arrived"
        found += pull.poll(found[-1][0] if found else after, **IDLE, wait_s=0.05)
    return found


def numbers(found) -> list[int]:
    return [r.step for _, payload in found if isinstance(r := decode_record(payload), StepRecord)]


def test_every_record_arrives_once_and_in_order_while_the_log_grows(tmp_path, writer):
    server, pull = serve(tmp_path, writer), puller(tmp_path)
    try:
        found: list[tuple[int, bytes]] = []
        for start in range(0, 3000, 500):
            last = writer.append(*(step(i) for i in range(start, start + 500)))
            found += pull_all(pull, found[-1][0] if found else 0, last)
        assert numbers(found) == list(range(3000))
        assert [sequence for sequence, _ in found] == list(range(1, len(found) + 1))
    finally:
        pull.close()
        server.close()


def test_only_what_is_committed_is_served(tmp_path, writer):
    last = writer.append(step(0), step(1), step(2))
    writer.wait_committed(last, timeout_s=DEADLINE_S)
    reader = LogReader(tmp_path / "segments")
    server = LogServer(log_address(tmp_path), reader, lambda: last - 1, "run", "layout")
    pull = puller(tmp_path)
    try:
        assert numbers(pull_all(pull, 0, last - 1)) == [0, 1]
        for _ in range(20):
            assert pull.poll(last - 1, **IDLE, wait_s=0.02) == []
    finally:
        pull.close()
        server.close()


def test_after_either_side_restarts_nothing_is_lost_and_nothing_comes_twice(tmp_path, writer):
    server, pull = serve(tmp_path, writer), puller(tmp_path)
    found = pull_all(pull, 0, writer.append(*(step(i) for i in range(100))))
    server.close()
    last = writer.append(*(step(i) for i in range(100, 200)))
    pull.poll(found[-1][0], **IDLE)  # asked while nobody answers
    server = serve(tmp_path, writer)
    try:
        found += pull_all(pull, found[-1][0], last)
        pull.close()
        pull = puller(tmp_path, boot_id="second")  # same process, new boot: its predecessor is gone
        last = writer.append(*(step(i) for i in range(200, 300)))
        found += pull_all(pull, found[-1][0], last)
        assert numbers(found) == list(range(300))
    finally:
        pull.close()
        server.close()


def test_an_answer_counts_however_late_it_is_looked_for(tmp_path, writer):
    """A learner in the middle of a long update asks seldom; each answer was there long before."""
    writer.wait_committed(writer.append(step(0)), DEADLINE_S)
    server, pull = serve(tmp_path, writer), puller(tmp_path)
    found: list[tuple[int, bytes]] = []
    end = time.monotonic() + DEADLINE_S
    while not found and time.monotonic() < end:
        found = pull.poll(0, **IDLE, wait_s=0.0, deadline_s=0.0)  # every answer comes after the deadline
        time.sleep(0.2)
    assert numbers(found) == [0]
    pull.close()
    server.close()


def test_a_second_learner_is_refused_and_told_of_the_first(tmp_path, writer):
    server = serve(tmp_path, writer)
    first = LogPuller(log_address(tmp_path), **FACTS, boot_id="one", pid=os.getpid())
    second = LogPuller(log_address(tmp_path), **FACTS, boot_id="two", pid=os.getpid() + 1)
    try:
        pull_all(first, 0, writer.append(step(0)))
        with pytest.raises(LinkError, match=f"pid {os.getpid()} already trains"):
            pull_all(second, 0, writer.appended)
    finally:
        first.close()
        second.close()
        server.close()


def test_an_answer_that_is_none_is_counted_and_asked_for_again(tmp_path, writer):
    pull = puller(tmp_path)
    server = zmq.Context.instance().socket(zmq.ROUTER)
    server.bind(log_address(tmp_path))
    try:
        pull.poll(0, **IDLE)
        identity, _ = server.recv_multipart()
        server.send_multipart([identity, b"\x81\xa7refused\xa1\xff"])
        assert pull.poll(0, **IDLE, wait_s=DEADLINE_S) == [] and pull.rejected == 1
        server.close(0)
        real = serve(tmp_path, writer)
        assert numbers(pull_all(pull, 0, writer.append(step(0)))) == [0]
        real.close()
    finally:
        server.close(0)
        pull.close()


def test_whatever_ends_the_thread_that_serves_is_told_to_the_control_loop(tmp_path, writer):
    def committed() -> int:
        raise ZeroDivisionError("a bug")

    server = LogServer(log_address(tmp_path), LogReader(tmp_path / "segments"), committed, "run", "layout")
    pull = puller(tmp_path)
    try:
        end = time.monotonic() + DEADLINE_S
        while server.failure is None and time.monotonic() < end:
            pull.poll(0, **IDLE, wait_s=0.01)
        assert isinstance(server.failure, ZeroDivisionError)
    finally:
        pull.close()
        server.close()


@pytest.mark.parametrize("name", ["run_id", "schema_hash"])
def test_a_learner_of_another_configuration_is_refused(tmp_path, writer, name):
    server, pull = serve(tmp_path, writer), puller(tmp_path, **{name: "other"})
    try:
        with pytest.raises(LinkError, match="the learner has 'other'"):
            pull_all(pull, 0, writer.append(step(0)))
    finally:
        pull.close()
        server.close()


def test_rubbish_is_counted_and_survived(tmp_path, writer):
    server, pull = serve(tmp_path, writer), puller(tmp_path)
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(log_address(tmp_path))
    rng = np.random.default_rng(0)
    try:
        for length in (0, 1, 7, 64, 4096):
            socket.send(rng.bytes(length))
            socket.send_multipart([b"", rng.bytes(length)])
        socket.send(msgspec.msgpack.encode({"protocol": "one"}))
        socket.send(b"\x81\xa6run_id\xa1\xff")  # text that is not UTF-8
        socket.send(b"\x81\xa1x" + b"\x91" * 100_000)  # nested too deeply
        assert numbers(pull_all(pull, 0, writer.append(step(0)))) == [0]
        end = time.monotonic() + DEADLINE_S
        while server.rejected < 13 and time.monotonic() < end:
            pull.poll(writer.appended, **IDLE, wait_s=0.01)
        assert server.rejected == 13 and server.failure is None
    finally:
        socket.close()
        pull.close()
        server.close()


def test_the_learner_s_progress_reaches_the_actor(tmp_path, writer):
    server, pull = serve(tmp_path, writer), puller(tmp_path)
    try:
        writer.append(step(0))
        end = time.monotonic() + DEADLINE_S
        while not server.progress.training and time.monotonic() < end:
            pull.poll(0, updates=123, training=True, began_at=7, wait_s=0.02)
        assert (server.progress.updates, server.progress.began_at) == (123, 7)
    finally:
        pull.close()
        server.close()


def test_a_late_subscriber_gets_the_last_weights_and_a_slow_one_only_the_newest(tmp_path):
    publisher = WeightPublisher(weights_address(tmp_path))
    facts = {**FACTS, "boot_id": "b", "updates": 0, "online_steps": 0}
    publisher.publish(encode_weights({"w": torch.zeros(1000)}, **facts, version=1))
    late = WeightSubscriber(weights_address(tmp_path))
    try:
        assert newest_version(publisher, late) == 1
        for version in range(2, 40):
            publisher.publish(
                encode_weights({"w": torch.full((1000,), float(version))}, **facts, version=version)
            )
        seen = []
        while not seen or seen[-1] != 39:
            seen.append(newest_version(publisher, late))
        assert seen == sorted(seen)
    finally:
        late.close()
        publisher.close()


def newest_version(publisher: WeightPublisher, subscriber: WeightSubscriber) -> int:
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        publisher.repeat()
        frame = subscriber.newest(wait_s=0.05)
        if frame is not None:
            header, tensors = decode_weights(frame, **FACTS)
            assert header.version == 1 or bool((tensors["w"] == header.version).all())
            return header.version
    raise AssertionError("no weights arrived")
