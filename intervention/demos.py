"""Demonstrations: ordinary episodes, selected by their label.

Nothing marks a demonstration but the label "demo": relabelling an episode takes it out of the demo buffer of
the next run that reads the log, and any success can be made a demonstration the same way.
"""

from collections.abc import Iterator

from handrail.intervention.index import EpisodeIndex, EpisodeRow
from handrail.intervention.labels import Label
from handrail.intervention.log_reader import LogReader, iter_transitions
from handrail.intervention.transition import Transition


def demo_episodes(index: EpisodeIndex) -> list[EpisodeRow]:
    """Return the whole episodes now labelled "demo", oldest first; the index is refreshed."""
    index.refresh()
    return index.episodes(label=Label.DEMO.value, status="ended")


def demo_transitions(index: EpisodeIndex, reader: LogReader) -> Iterator[tuple[int, Transition]]:
    """Yield (sequence, transition) for every step of every demonstration."""
    for row in demo_episodes(index):
        for sequence, transition in iter_transitions(reader, row.first_sequence - 1, row.last_sequence):
            if transition.episode == row.episode:
                yield sequence, transition
