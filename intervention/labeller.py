"""What an episode is taken for, and who says so: the task, a reward classifier, or a person."""

from enum import StrEnum


class Label(StrEnum):
    """What an episode is taken for. DEMO is a success that the demo buffer learns from."""

    SUCCESS = "success"
    FAILURE = "failure"
    EXCLUDE = "exclude"
    DEMO = "demo"


TASK = "task"
"""Who says a label that is the task's own: the simulated cell's knowledge."""
CLASSIFIER = "classifier "
"""What the name of a labeller begins with that is a reward classifier; its version follows."""


def classifier_name(version: str) -> str:
    """Return who says a label that is a reward classifier's; "" without one."""
    return f"{CLASSIFIER}{version}" if version else ""


def said_by_machine(who: str) -> bool:
    """Whether a label is the task's or a classifier's, and not a person's word."""
    return who == TASK or who.startswith(CLASSIFIER)
