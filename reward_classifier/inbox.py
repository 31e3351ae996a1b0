"""Where a person and a classifier disagreed: the frames worth looking at before the next training.

Nothing is copied and nothing is ticked off. A vetoed or missed success is a label in the log like any other,
and training reads the log by its labels; the inbox only shows which of them the classifier got wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from handrail.intervention.index import EpisodeIndex
from handrail.intervention.index_verdicts import Judged
from handrail.intervention.labeller import Label, said_by_machine
from handrail.intervention.log_format import Event, LogError, StepRecord
from handrail.intervention.log_reader import LogReader
from handrail.reward_classifier.stored import (
    SUCCESSES,
    StoredEpisode,
    images_after,
    stored_episode,
    stored_episodes,
)

Kind = Literal["vetoed", "missed"]

_INCLINED = 0.5  # a score from which a person's "no" forestalls the classifier's "yes"


@dataclass(frozen=True)
class InboxEntry:
    """One disagreement.

    Attributes:
        run: Id of the run.
        episode: Number of the episode.
        step: The step that led to the images in question, from 0.
        kind: "vetoed": the classifier called it a success and a person did not; "missed": the reverse.
        score: The classifier's probability of success there.
        classifier: Its version.
        label: What the person called the episode.
        who: The person, as they are known in the log.
        why: Their reason, "" for none.
        wall_ns: When they said so [ns since 1970].
        sequence: Of that label in the log.
        after: Sequence of the log's record before the episode, from which its images are read.
    """

    run: str
    episode: int
    step: int
    kind: Kind
    score: float | None
    classifier: str
    label: str
    who: str
    why: str
    wall_ns: int
    sequence: int
    after: int


def entries(readers: Mapping[str, LogReader]) -> list[InboxEntry]:
    """Every disagreement in some logs, run by run, oldest first.

    Args:
        readers: By the run's id.
    """
    return [
        entry
        for run, reader in readers.items()
        for episode in stored_episodes(reader)
        if (entry := _entry(run, episode)) is not None
    ]


class Inbox:
    """The disagreements of one run while its log grows. For one thread at a time.

    The index says which episodes they may be in; of those, each is read once for what is said of it.

    Args:
        run: The run's id.
        reader: Of its log.
    """

    def __init__(self, run: str, reader: LogReader) -> None:
        self._run, self._reader = run, reader
        self._known: dict[int, tuple[int, InboxEntry | None]] = {}

    def entries(self, index: EpisodeIndex) -> list[InboxEntry]:
        """Every disagreement, oldest first; the index has been refreshed."""
        known: dict[int, tuple[int, InboxEntry | None]] = {}
        for judged in reversed(index.judged_by_both()):
            said = index.labels(judged.episode)
            if not said:  # whatever it was called has been taken back
                continue
            last, _ = said[-1]
            before = self._known.get(judged.episode)
            known[judged.episode] = (
                before if before is not None and before[0] == last else (last, self._look(judged, said))
            )
        self._known = known
        return [entry for _, entry in known.values() if entry is not None]

    def _look(self, judged: Judged, said: list[tuple[int, Event]]) -> InboxEntry | None:
        if _agree([event for _, event in said]):
            return None
        episode = stored_episode(self._reader, judged)
        if episode is None:
            return None
        for at, event in said:
            episode.labelled_at.append(at)
            episode.labels.append(event)
        return _entry(self._run, episode)


def news(found: Iterable[InboxEntry], learned: Mapping[str, Mapping[int, int]]) -> list[InboxEntry]:
    """Entries that a classifier has not learned from, or by an earlier label (`Classifier.learned`)."""
    return [e for e in found if e.sequence > learned.get(e.run, {}).get(e.episode, -1)]


def images(reader: LogReader, entry: InboxEntry) -> dict[str, np.ndarray]:
    """The images in question, (H, W, 3) uint8 by camera.

    Raises:
        LogError: they are not in this log, or in a damaged stretch of it.
    """
    for step, found in images_after(reader, entry.after, entry.episode):
        if step == entry.step:
            return found
    raise LogError(
        f"step {entry.step} of episode {entry.episode} is not in the log of run {entry.run}; "
        "give the log that the entry came from"
    )


def _entry(run: str, episode: StoredEpisode) -> InboxEntry | None:
    word = episode.word
    if word is None or not episode.classifier or not episode.steps:
        return None
    if word.new == Label.FAILURE:
        judged, kind = _called_success(episode), "vetoed"
    elif word.new in SUCCESSES:
        judged, kind = _missed(episode, word), "missed"
    else:  # an excluded episode says nothing of its frames
        return None
    if judged is None:
        return None
    return InboxEntry(
        run=run,
        episode=episode.start.episode,
        step=judged.step,
        kind=kind,
        score=judged.score,
        classifier=judged.classifier,
        label=str(word.new),
        who=word.who,
        why=word.why,
        wall_ns=word.wall_ns,
        sequence=next(
            at for at, said in zip(episode.labelled_at, episode.labels, strict=True) if said is word
        ),
        after=episode.after,
    )


def _agree(labels: list[Event]) -> bool:
    """Whether labels alone say that there is no disagreement, so that no step need be looked at."""
    word = next((event for event in reversed(labels) if not said_by_machine(event.who)), None)
    if word is None or word.new not in (*SUCCESSES, Label.FAILURE):
        return True
    called = any(said_by_machine(event.who) and event.new in SUCCESSES for event in labels)
    return called and word.new in SUCCESSES and word.step is None


def _called_success(episode: StoredEpisode) -> StepRecord | None:
    """The step at which a classifier called success, or was about to when the operator said no."""
    for event in episode.labels:
        if said_by_machine(event.who) and event.new in SUCCESSES:
            return episode.step_of(event)
    last = episode.steps[-1]
    return last if last.score is not None and last.score >= _INCLINED else None


def _missed(episode: StoredEpisode, word: Event) -> StepRecord | None:
    """The step at which the person saw success, if no classifier had called one by then.

    Whatever its score: one of 0.7 below the threshold, or of 0.99 outside the guard, was missed as well.
    """
    seen = episode.step_of(word)
    for event in episode.labels:
        called = said_by_machine(event.who) and event.new in SUCCESSES
        if called and episode.step_of(event).step <= seen.step:
            return None
    return seen
