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

UNDO = "undo"
"""In place of a label: the newest one is taken back."""

_NOBODY = frozenset({"", TASK, CLASSIFIER.strip(), "rollout", "recovery", "machine", "person", "none"})
"""What no person may be called: what machines sign events with, and what a filter understands otherwise."""


def result_of(label: str | None, recorded: bool | None) -> bool | None:
    """Whether an episode counts as a success; None where it counts as nothing.

    Args:
        label: what it is taken for; None for no label.
        recorded: what it came to when it was driven; None for no result.
    """
    match label:
        case Label.SUCCESS | Label.DEMO:
            return True
        case Label.FAILURE:
            return False
        case Label.EXCLUDE:
            return None
    return recorded


def classifier_name(version: str) -> str:
    """Return who says a label that is a reward classifier's; "" without one."""
    return f"{CLASSIFIER}{version}" if version else ""


def said_by_machine(who: str) -> bool:
    """Whether a label is the task's or a classifier's, and not a person's word."""
    return who == TASK or who.startswith(CLASSIFIER)


def may_be_a_person(who: str) -> bool:
    """Whether somebody may go by that name: what they say must not be taken for a machine's word."""
    plain = who.strip().casefold()
    return plain not in _NOBODY and not plain.startswith(CLASSIFIER)
