"""`python -m handrail.launch.console.job <words>`: one `handrail` command that ends with who started it."""

import os
import sys
import threading
import time

from handrail.launch import cli, lifetime

NICENESS = "HANDRAIL_JOB_NICE"
"""The variable that says how far it stands back behind a run that is being driven."""
GRACE_S = 15.0
"""How long a command may take to end once it has been told to [s]: a step, a brake, the end of a file."""
_POLL_S = 0.1


def main() -> int:
    """Run the command line; returns its exit code."""
    orphaned = threading.Event()
    parent = os.environ.get("HANDRAIL_PARENT")
    lifetime.follow_parent(parent, orphaned)
    if orphaned.is_set():
        return 1
    if parent is not None:
        threading.Thread(target=_end_in_time, args=(int(parent),), daemon=True).start()
    os.nice(int(os.environ.get(NICENESS, "0")))
    return cli.main()


def _end_in_time(parent: int) -> None:
    """Once the console has ended, which the command has been told, it has a moment to end well."""
    while os.getppid() == parent:
        time.sleep(_POLL_S)
    silence = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):  # what it says on its way is for nobody, and no reason to fail
        os.dup2(silence, descriptor)
    time.sleep(GRACE_S)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
