"""Which labels of an episode stand: one that was taken back counts no more, the one before stands again."""

from collections.abc import Iterable

from handrail.intervention.log_format import Event


def standing(said: Iterable[tuple[int, Event]]) -> list[tuple[int, Event]]:
    """The labels that nobody has taken back, oldest first; the last one is what the episode is taken for.

    Args:
        said: what was said about one episode, oldest first, each with its sequence in the log.
    """
    stand: list[tuple[int, Event]] = []
    for each in said:
        if each[1].kind == "label":
            stand.append(each)
        elif each[1].kind == "undo" and stand:
            stand.pop()
    return stand
