"""What the tests of the console's server share: a run, its console, a control loop; some have their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from consoled import Consoled, Loop, consoled, make_run

from handrail.intervention.run_directory import RunDirectory


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return make_run(tmp_path)


@pytest.fixture
def site(run: RunDirectory) -> Iterator[Consoled]:
    with consoled(run) as served:
        yield served


@pytest.fixture
def loop(run: RunDirectory) -> Iterator[Loop]:
    """A control loop that was there first; close it to have it gone."""
    loop = Loop(run)
    yield loop
    loop.close()
