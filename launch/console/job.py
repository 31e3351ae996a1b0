"""`python -m handrail.launch.console.job <words>`: one `handrail` command that ends with who started it."""

import os
import sys
import threading

from handrail.launch import cli, lifetime

NICENESS = "HANDRAIL_JOB_NICE"
"""The variable that says how far it stands back behind a run that is being driven."""


def main() -> int:
    """Run the command line; returns its exit code."""
    orphaned = threading.Event()
    lifetime.follow_parent(os.environ.get("HANDRAIL_PARENT"), orphaned)
    if orphaned.is_set():
        return 1
    os.nice(int(os.environ.get(NICENESS, "0")))
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
