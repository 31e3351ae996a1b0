"""Episodes as a log has them: who called what a success, and what the classifier had seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from handrail.intervention.index_verdicts import Judged
from handrail.intervention.labeller import Label, said_by_machine
from handrail.intervention.log_format import (
    EpisodeEnd,
    EpisodeStart,
    Event,
    StepRecord,
    decode_record,
    holds_image,
)
from handrail.intervention.log_reader import LogReader, TransitionAssembler

_FRAMES_AT_ONCE = 64  # of the log; one with images has some 50 KB

SUCCESSES = frozenset({Label.SUCCESS.value, Label.DEMO.value})
"""The labels of an episode that succeeded."""


@dataclass
class StoredEpisode:
    """One episode of a log, without its images.

    Attributes:
        start: Its first record.
        after: Sequence of the record before it, from which `images_after` reads.
        steps: Its steps.
        end: Its last record; None while it runs, or when it was aborted.
        labels: What it was called and nobody took back, oldest first.
        labelled_at: Sequence of each of these in the log.
    """

    start: EpisodeStart
    after: int
    steps: list[StepRecord] = field(default_factory=list)
    end: EpisodeEnd | None = None
    labels: list[Event] = field(default_factory=list)
    labelled_at: list[int] = field(default_factory=list)

    @property
    def label(self) -> str | None:
        """What it is called now."""
        return self.labels[-1].new if self.labels else None

    @property
    def word(self) -> Event | None:
        """The last thing that a person called it, if anybody did."""
        return next((event for event in reversed(self.labels) if not said_by_machine(event.who)), None)

    @property
    def classifier(self) -> str:
        """Version of the classifier that looked while it was driven; "" for none."""
        return next((step.classifier for step in reversed(self.steps) if step.classifier), "")

    def step_of(self, event: Event) -> StepRecord:
        """The step at which an event says that the episode succeeded: the last one if it names none."""
        return next((step for step in self.steps if step.step == event.step), self.steps[-1])


def stored_episodes(reader: LogReader) -> list[StoredEpisode]:
    """Every episode of a log, oldest first."""
    episodes: dict[int, StoredEpisode] = {}
    last = 0
    for sequence, record in reader.records():
        match record:
            case EpisodeStart():
                episodes[record.episode] = StoredEpisode(record, last)
            case StepRecord() if record.episode in episodes:
                episodes[record.episode].steps.append(record)
            case EpisodeEnd() if record.episode in episodes:
                episodes[record.episode].end = record
            case Event(kind="label") if record.episode in episodes:
                episodes[record.episode].labels.append(record)
                episodes[record.episode].labelled_at.append(sequence)
            case Event(kind="undo") if record.episode in episodes and episodes[record.episode].labels:
                episodes[record.episode].labels.pop()
                episodes[record.episode].labelled_at.pop()
        last = sequence
    return list(episodes.values())


def stored_episode(reader: LogReader, judged: Judged) -> StoredEpisode | None:
    """One episode, without its labels, of which nothing but itself is read; None where its start is lost.

    Args:
        reader: The log.
        judged: Where the log has it.
    """
    episode: StoredEpisode | None = None
    after = judged.first_sequence - 1
    while frames := reader.read(after, _FRAMES_AT_ONCE, judged.last_sequence):
        after = frames[-1][0]
        for _, payload in frames:
            record = None if holds_image(payload) else decode_record(payload)
            match record:
                case EpisodeStart() if record.episode == judged.episode:
                    episode = StoredEpisode(record, judged.first_sequence - 1)
                case StepRecord() if episode is not None and record.episode == judged.episode:
                    episode.steps.append(record)
    return episode


def images_after(reader: LogReader, after: int, episode: int) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """(step, images by camera) after each step of an episode; nothing behind it is read.

    Args:
        reader: The log.
        after: Sequence of the record before the episode, `StoredEpisode.after`.
        episode: Its number.

    Raises:
        LogError: an image lies in a damaged stretch of the log.
    """
    assembler = TransitionAssembler()
    while frames := reader.read(after, _FRAMES_AT_ONCE):
        after = frames[-1][0]
        for _, payload in frames:
            record = decode_record(payload)
            match record:
                case EpisodeEnd() if record.episode == episode:
                    return
                case EpisodeStart() if record.episode != episode:  # it was killed, and has no end
                    return
            transition = assembler.feed(record)
            if transition is not None and transition.episode == episode:
                yield transition.step, dict(transition.next_images)
