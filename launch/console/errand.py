"""How the console starts a `handrail` command: a process that ends with it, and knows nothing of its door."""

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import TypedDict

from handrail.launch.console.access import ENVIRONMENT
from handrail.launch.console.address import LISTENER
from handrail.launch.console.job import NICENESS

_OF_THE_CONSOLE = frozenset({ENVIRONMENT, LISTENER})


class Settings(TypedDict):
    """Of a process, for `subprocess` and `asyncio.subprocess` alike."""

    stdin: int
    env: dict[str, str]
    process_group: int


def command(words: Sequence[str]) -> list[str]:
    """The command line of `handrail <words>`, as `console.job` runs it."""
    return [sys.executable, "-m", "handrail.launch.console.job", *words]


def settings(nice: int = 0, **variables: str) -> Settings:
    """How it is started; from the main thread, because a child dies with the thread that started it.

    Args:
        nice: how far it stands back behind a run.
        variables: of its environment, beside the console's own that are not its secrets.
    """
    known = {name: value for name, value in os.environ.items() if name not in _OF_THE_CONSOLE}
    return {
        "stdin": subprocess.DEVNULL,
        "env": {**known, **variables, "HANDRAIL_PARENT": str(os.getpid()), NICENESS: str(nice)},
        "process_group": 0,  # Ctrl-C in the console's terminal is the console's
    }
