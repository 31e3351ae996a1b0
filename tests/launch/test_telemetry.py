"""Reports over real sockets: they arrive, and their senders never wait."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq

from handrail.launch.telemetry import Collector, Report, Reporter, address


@pytest.fixture
def where(tmp_path: Path) -> str:
    return address(tmp_path)


@pytest.fixture
def collector(where: str) -> Iterator[Collector]:
    collector = Collector(where)
    yield collector
    collector.close()


def collect(collector: Collector, count: int) -> list[Report]:
    """Poll until `count` reports are there, or ten seconds have passed."""
    reports: list[Report] = []
    deadline = time.monotonic() + 10.0
    while len(reports) < count and time.monotonic() < deadline:
        reports += collector.poll(0.1)
    return reports


def test_reports_arrive_in_order_and_whole(where: str, collector: Collector) -> None:
    reporter = Reporter(where)
    sent = [{"kind": "actor", "env_steps": n, "unaided": [True, False], "age": None} for n in range(100)]
    for report in sent:
        reporter(report)
    assert collect(collector, 100) == sent
    reporter.close()


def test_numpy_scalars_become_plain_ones(where: str, collector: Collector) -> None:
    reporter = Reporter(where)
    reporter({"kind": "learner", "loss": np.float32(0.5), "updates": np.int64(3), "ok": np.bool_(True)})
    assert collect(collector, 1) == [{"kind": "learner", "loss": 0.5, "updates": 3, "ok": True}]
    reporter.close()


def test_a_reporter_without_a_collector_never_waits_and_counts_what_it_drops(where: str) -> None:
    reporter = Reporter(where)
    for n in range(5000):
        reporter({"kind": "actor", "env_steps": n})
    assert reporter.dropped >= 3000
    reporter.close()


def test_reports_sent_before_the_collector_is_there_arrive(where: str) -> None:
    reporter = Reporter(where)
    reporter({"kind": "actor", "env_steps": 1})
    collector = Collector(where)
    assert collect(collector, 1) == [{"kind": "actor", "env_steps": 1}]
    collector.close()
    reporter.close()


def test_the_last_report_before_closing_arrives(where: str, collector: Collector) -> None:
    reporter = Reporter(where)
    reporter({"kind": "evaluation", "passed": True})
    reporter.close()
    reporter({"kind": "actor"})  # after the end: nobody hears it, nothing breaks
    assert collect(collector, 1) == [{"kind": "evaluation", "passed": True}]


@pytest.mark.parametrize(
    "frame",
    [b"", b"\xc1", b"\x93\x01\x02\x03", b"\x81\xa4kind\x03", b"\x80", b"\x91" * 50_000, b"x" * 60_000],
)
def test_malformed_frames_are_counted_and_survived(where: str, collector: Collector, frame: bytes) -> None:
    context = zmq.Context()
    socket = context.socket(zmq.PUSH)
    socket.connect(where)
    socket.send(frame)
    reporter = Reporter(where)
    reporter({"kind": "actor"})
    deadline = time.monotonic() + 10.0
    reports: list[Report] = []
    while (not reports or not collector.malformed) and time.monotonic() < deadline:
        reports += collector.poll(0.1)
    assert reports == [{"kind": "actor"}]
    assert collector.malformed == 1
    reporter.close()
    socket.close(0)
    context.term()


def test_a_huge_frame_ends_its_connection_only(where: str, collector: Collector) -> None:
    context = zmq.Context()
    socket = context.socket(zmq.PUSH)
    socket.connect(where)
    socket.send(b"x" * 1_000_000)
    reporter = Reporter(where)
    reporter({"kind": "actor"})
    assert collect(collector, 1) == [{"kind": "actor"}]
    reporter.close()
    socket.close(0)
    context.term()
