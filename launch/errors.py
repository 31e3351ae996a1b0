"""What `launch` raises, and every exit code of the `handrail` command.

    HandrailError
    ├── RunMissing           no run of that name
    ├── PolicyMissing        the run has no policy to evaluate yet
    ├── GoalNotReached       the budget is spent and the policy does not pass
    ├── ChildFailed          a process of the run keeps failing
    ├── CheckFailed          `doctor` found something that stops a run, `classify check` a broken promise
    ├── BenchSilent          the other process of a benchmark did not answer
    └── ExportError          an export found nothing to write, or could not write it

A command ends with the `exit_code` of the error that ended it; the packages below choose theirs beside the
error. `EXIT_CODES` is the whole table: docs and `handrail --help` print it, and a test holds it to the
error classes.
"""

from handrail.robot_env.errors import HandrailError


class RunMissing(HandrailError):
    """No run of that name."""

    exit_code = 20


class PolicyMissing(HandrailError):
    """The run has no policy to evaluate yet."""

    exit_code = 24


class GoalNotReached(HandrailError):
    """The budget is spent and the policy does not pass the final evaluation."""

    exit_code = 21


class ChildFailed(HandrailError):
    """A process of the run failed for good; the message quotes its last line.

    Args:
        message: what failed, and what to do.
        exit_code: the child's own code where it ended with a documented one, this class's otherwise.
    """

    exit_code = 22

    def __init__(self, message: str, exit_code: int | None = None) -> None:
        super().__init__(message)
        if exit_code is not None:
            self.exit_code = exit_code  # pyright: ignore[reportAttributeAccessIssue]  # an instance may be more exact


class CheckFailed(HandrailError):
    """A check of `handrail doctor` failed, or a classifier does not keep its promise."""

    exit_code = 23


class BenchSilent(HandrailError):
    """The other process of a benchmark did not answer."""

    exit_code = 25


class ExportError(HandrailError):
    """An export found nothing to write, or could not write it; nothing of it is left."""

    exit_code = 26


EXIT_CODES: dict[int, str] = {
    0: "done; also a run that was asked to stop and stopped cleanly",
    1: "an unexpected error: a bug, please report it (HANDRAIL_DEBUG=1 shows the traceback)",
    2: "the configuration or the command line is refused",
    3: "the arm refused a command or is in a latched fault",
    4: "a camera gave no usable frame, or nothing here can render",
    5: "an action was not finite or had the wrong shape",
    6: "a reset did not reach its start pose",
    7: "an optional dependency is not installed",
    10: "the episode log is damaged, of another schema, or its disk is full",
    11: "a folder is not a run of this version, or cannot become one",
    12: "another process already has this role in the run",
    13: "a teleoperation device is missing, busy or not at rest",
    14: "no such label or episode",
    15: "no usable checkpoint or weights: damaged, foreign or of another schema",
    16: "a run's processes do not fit together: another configuration, protocol or version",
    17: "training diverged, or has nothing to learn from",
    18: "no control loop of the run answered",
    20: "no run of that name",
    21: "the budget is spent and the goal is not reached",
    22: "a process of the run keeps failing",
    23: "`handrail doctor` found something that stops a run, or `classify check` a broken promise",
    24: "the run has no policy to evaluate yet",
    25: "the other process of a benchmark did not answer",
    26: "an export found nothing to write, or could not write it",
    130: "interrupted by Ctrl-C",
}
