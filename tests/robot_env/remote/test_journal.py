"""A log that nobody reads, or that nobody can write, costs its writer nothing."""

import contextlib
import io
import os
import threading
from collections.abc import Iterator

import pytest
import structlog

from handrail.robot_env.remote.journal import Journal


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def log_to(stream) -> None:
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
        logger_factory=structlog.WriteLoggerFactory(file=stream),
    )


def test_events_are_written_in_order_with_their_facts_and_errors() -> None:
    text = io.StringIO()
    log_to(text)
    journal = Journal("test")
    journal.info("first", t_ns=1)
    try:
        raise RuntimeError("the reason")
    except RuntimeError:
        journal.exception("second")
    journal.close()
    first, second = text.getvalue().splitlines()
    assert '"first"' in first and '"t_ns": 1' in first
    assert '"second"' in second and "the reason" in second


def test_a_closed_stream_ends_nothing() -> None:
    text = io.StringIO()
    log_to(text)
    journal = Journal("test")
    text.close()
    journal.info("nobody hears this")
    journal.warning("nor this")
    journal.close()
    assert "test-journal" not in {thread.name for thread in threading.enumerate()}


def test_a_pipe_that_nobody_reads_blocks_nobody() -> None:
    reading, writing = os.pipe()
    with open(writing, "w") as stream:  # noqa: PTH123  # a descriptor, not a path
        log_to(stream)
        journal = Journal("test")
        for _ in range(5000):
            journal.info("x" * 1000)  # far beyond what a pipe takes
        journal.close()
        assert len(os.read(reading, 1 << 12)) > 0
        os.close(reading)  # now it is gone as well
        journal.close()
        with contextlib.suppress(BrokenPipeError):
            stream.close()
