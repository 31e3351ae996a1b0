"""Somebody's words on a terminal: names, comments and reasons come from a network and must not drive it."""

import unicodedata

_JOINER = "\u200d"  # between the parts of one emoji


def visible(text: str) -> str:
    """A text in which every character that would act on a terminal is spelled out by its code.

    So are line ends, by which one remark could pass for several lines of ours, and marks that turn the
    direction of what follows.
    """
    return "".join(each if _harmless(each) else each.encode("unicode_escape").decode() for each in text)


def visible_lines(text: str) -> str:
    """As `visible`, of a text of ours that may have several lines."""
    return "\n".join(map(visible, text.split("\n")))


def _harmless(character: str) -> bool:
    return character.isprintable() or character == _JOINER or unicodedata.category(character) == "Zs"
