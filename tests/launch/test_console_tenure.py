"""Which session has a run, by the locks of real processes."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from handrail.intervention.run_directory import RunDirectory
from handrail.launch.console.tenure import Tenure
from handrail.launch.driven import taken

_HOLD = """
import sys
from pathlib import Path
from handrail.intervention.run_directory import RunDirectory
run = RunDirectory(Path(sys.argv[1]))
locks = [run.lock(role) for role in sys.argv[2:]]
print(flush=True)
sys.stdin.read()
"""


@contextmanager
def holder(run: RunDirectory, *roles: str) -> Iterator[None]:
    """Another process has these roles, until it is killed."""
    words = [sys.executable, "-c", _HOLD, str(run.path), *roles]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline()
        yield
        process.kill()


def test_each_session_is_another(run: RunDirectory) -> None:
    tenure = Tenure(run)
    assert (tenure.looked, tenure.free, tenure.look()) == (False, False, False)
    assert (tenure.looked, tenure.free, tenure.session) == (True, True, "")
    sessions = set[str]()
    for roles in (("supervisor", "actor"), ("supervisor", "actor"), ("actor",), ("actor",)):
        with holder(run, *roles):
            assert tenure.look() and not tenure.look() and not tenure.free
            sessions.add(tenure.session)
        assert not tenure.look() and tenure.free
        assert tenure.session in sessions, "the last one is remembered"
    assert len(sessions) == 4


def test_one_after_the_other_between_two_looks_is_another(run: RunDirectory) -> None:
    tenure = Tenure(run)
    for roles in (("actor",), ("supervisor",), ("supervisor", "actor")):
        with holder(run, *roles):
            assert tenure.look(), roles


def test_an_actor_that_was_left_behind_is_no_session(run: RunDirectory) -> None:
    tenure = Tenure(run)
    with holder(run, "actor"):
        with holder(run, "supervisor"):
            assert tenure.look()
            before = tenure.session
        assert not tenure.look()
        assert (tenure.free, tenure.session) == (False, before)


def test_nobody_has_taken_what_nobody_has(run: RunDirectory) -> None:
    assert taken(run, "actor") == ""
    run.lock("actor").release()
    assert taken(run, "actor") == "", "its file is still there"
