"""A run whose log a control loop has open: it takes labels at its desk, and drives nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

from judged import open_log

from handrail.intervention.console.desk import Desk
from handrail.intervention.console.messages import desk_address
from handrail.intervention.console.secretary import Secretary
from handrail.intervention.log_writer import LogWriter
from handrail.intervention.run_directory import RunDirectory


def _nothing(_: object) -> None: ...


@contextmanager
def dictated(run: RunDirectory, running: int | None = None) -> Iterator[LogWriter]:
    """Have the run, its log and its desk until the block ends.

    Args:
        run: the run.
        running: the episode that has not ended yet.
    """
    with run.lock("actor"), open_log(run.segments) as writer:
        secretary = Secretary(run, writer)
        desk = Desk(
            desk_address(run.socket_dir()),
            lambda command: secretary.write(command, lambda: running),
            _nothing,
            _nothing,
            secretary.close,
        )
        try:
            yield writer
        finally:
            desk.close()
