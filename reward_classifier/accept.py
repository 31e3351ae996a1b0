"""Making a classifier the one in use, and putting what it says of stored episodes into their logs.

An episode's reward is what its current label says, so a better classifier can put right what an earlier one
got wrong: each episode that a classifier judged is looked at again, and where the verdict differs a label is
appended, with the step. What a person has said of an episode stands, and so does what the simulated cell
knew.

A run may be driven meanwhile: its control loop takes the labels and its learner the rewards, while it goes on
judging with the version that it began with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from handrail.intervention.labeller import TASK, Label, classifier_name, said_by_machine
from handrail.intervention.labels import label_event
from handrail.intervention.log_format import Event, LogError
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.reward_classifier import artifact
from handrail.reward_classifier.artifact import Classifier
from handrail.reward_classifier.guard import first_success
from handrail.reward_classifier.predictor import rules_of
from handrail.reward_classifier.recorded import RecordedSituations
from handrail.reward_classifier.stored import SUCCESSES, StoredEpisode, images_after, stored_episodes
from handrail.reward_classifier.verdicts import bring
from handrail.reward_classifier.versions import ClassifierError, current, listed, make_current, versions
from handrail.reward_classifier.watch import check_views
from handrail.robot_env.config import EnvConfig

Progress = Callable[[int, int], None]
"""Told of each episode looked at: how many, of how many."""


class StoredRun(NamedTuple):
    """A run and the environment it was recorded in."""

    directory: RunDirectory
    env: EnvConfig


@dataclass(frozen=True)
class Relabelled:
    """What the new verdicts did to one run.

    Attributes:
        run: Its id.
        judged: Episodes that were looked at again.
        to_success: Episodes that are successes now and were not, or at another step.
        to_failure: Episodes that were successes and are none now.
        persons: Episodes left as they are because of what a person said.
        unreadable: Episodes left as they are because an image is missing from the log.
    """

    run: str
    judged: int
    to_success: tuple[int, ...]
    to_failure: tuple[int, ...]
    persons: int
    unreadable: tuple[int, ...]


@dataclass(frozen=True)
class Accepted:
    """What accepting a classifier came to.

    Attributes:
        version: The one in use now.
        previous: The one before; None for none.
        runs: What became of each run.
    """

    version: str
    previous: str | None
    runs: tuple[Relabelled, ...]


def accept(
    folder: Path, version: str, runs: Sequence[StoredRun], progress: Progress = lambda *_: None
) -> Accepted:
    """Put a classifier in use and apply its verdicts to stored episodes.

    Doing so again changes nothing, so that an interrupted one is simply repeated.

    Args:
        folder: `classifiers/<name>`.
        version: One of its versions.
        runs: Whose episodes are to follow, as far as they have ended.
        progress: Told of each episode.

    Raises:
        ClassifierError: there is no such version, or it cannot be read.
        ConfigError: a run's images are not those that the classifier was trained on.
        RunLocked: somebody holds a run's log and takes no labels; the version is not in use.
        LabelError: a control loop has not taken all of them; the version is not in use.
        LogError: a log cannot be read or written.
    """
    if version not in versions(folder):
        there = listed(folder)
        raise ClassifierError(f"{folder} has no version {version!r}; it has {there}")
    classifier = artifact.load(folder / version)
    previous = current(folder)
    for run in runs:
        check_views(classifier.cameras, run.env.cameras, str(classifier.folder))
    changes = [_Relabelling(run, classifier) for run in runs]
    total, done = sum(len(each.eligible) for each in changes), 0
    for each in changes:
        for _ in each.judge():
            done += 1
            progress(done, total)
    relabelled = tuple(each.apply() for each in changes)
    make_current(folder, version)
    return Accepted(version, previous, relabelled)


class _Relabelling:
    """The verdicts on one run's episodes, and the labels that follow from them."""

    def __init__(self, run: StoredRun, classifier: Classifier) -> None:
        self._run, self._classifier = run, classifier
        self._reader = LogReader(run.directory.segments)
        self._events: list[Event] = []
        self._unreadable: list[int] = []
        judged = [each for each in stored_episodes(self._reader) if each.end is not None and each.classifier]
        self._persons = sum(each.word is not None for each in judged)
        self.eligible = [
            each
            for each in judged
            if each.steps and each.start.purpose != "classify" and _by_classifier(each)
        ]

    def judge(self) -> Iterator[None]:
        """Look at one episode after another."""
        for episode in self.eligible:
            number = episode.start.episode
            try:
                step = verdict(self._classifier, self._reader, episode, self._run.env)
            except LogError:
                self._unreadable.append(number)
            else:
                label = _new_label(episode, step)
                if label is not None:
                    who, why = classifier_name(self._classifier.version), "the classifier was accepted"
                    self._events.append(label_event(number, episode.label, label, who, why, step))
            yield

    def apply(self) -> Relabelled:
        """Append the labels."""
        events = bring(self._run.directory, self._events)
        succeeded = [event for event in events if event.new in SUCCESSES]
        return Relabelled(
            run=self._run.directory.id,
            judged=len(self.eligible) - len(self._unreadable),
            to_success=tuple(event.episode for event in succeeded),
            to_failure=tuple(event.episode for event in events if event not in succeeded),
            persons=self._persons + len(self._events) - len(events),
            unreadable=tuple(self._unreadable),
        )


def verdict(classifier: Classifier, reader: LogReader, episode: StoredEpisode, env: EnvConfig) -> int | None:
    """The step at which a classifier would have ended a stored episode with success, or None.

    Args:
        classifier: Who looks.
        reader: The log.
        episode: Of that log.
        env: What it was recorded in, and by which rules the run judges.

    Raises:
        LogError: an image of the episode cannot be read.
    """
    consecutive, guard = rules_of(classifier, env.reward)
    situations = RecordedSituations(env)
    situations.begin(episode.start)
    allowed = [guard.allows(*situations.after(step)) for step in episode.steps]
    index = first_success(
        scores(classifier, reader, episode),
        allowed,
        threshold=classifier.threshold,
        consecutive=consecutive,
    )
    return None if index is None else episode.steps[index].step


def scores(classifier: Classifier, reader: LogReader, episode: StoredEpisode) -> np.ndarray:
    """Probability of success after each step of a stored episode, (steps,).

    Raises:
        LogError: an image of the episode cannot be read.
    """
    seen = [images for _, images in images_after(reader, episode.after, episode.start.episode)]
    try:
        by_camera = {
            camera.name: np.stack([images[camera.name] for images in seen]) for camera in classifier.cameras
        }
    except KeyError as error:
        raise LogError(
            f"episode {episode.start.episode} has no images of camera {error}, which the classifier looks "
            "through; leave its run out"
        ) from None
    return classifier.judge(by_camera)


def _by_classifier(episode: StoredEpisode) -> bool:
    """Whether nobody but classifiers has called it anything."""
    return all(said_by_machine(event.who) and event.who != TASK for event in episode.labels)


def _new_label(episode: StoredEpisode, step: int | None) -> Label | None:
    """What the episode is to be called, or None where that is what it is called."""
    was_success = episode.label in SUCCESSES
    if step is None:
        return Label.FAILURE if was_success else None
    if was_success and episode.step_of(episode.labels[-1]).step == step:
        return None
    return Label.DEMO if episode.start.purpose == "demo" else Label.SUCCESS
