"""Labelled frames, read from the episode log.

Two kinds of episodes teach: those recorded to show success, in which every step says whether the operator
held the success key, and episodes of training and demonstration whose newest label is a person's word or the
task's own. A classifier's verdicts teach no classifier: it would only grow surer of its mistakes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from handrail.intervention.labeller import TASK, Label, said_by_machine
from handrail.intervention.log_format import EpisodeStart, Event, LogError
from handrail.intervention.log_reader import LogReader
from handrail.reward_classifier.config import ClassifierConfig
from handrail.reward_classifier.recorded import RecordedSituations
from handrail.reward_classifier.stored import StoredEpisode, images_after, stored_episodes
from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import ConfigError, HandrailError
from handrail.robot_env.observation import is_black

POSITIVE, NEGATIVE, LEFT_OUT = 1, 0, -1


class FramesError(HandrailError):
    """The recorded frames teach nothing, or contradict each other."""

    exit_code = 17


@dataclass(frozen=True)
class Recording:
    """A log to learn from.

    Attributes:
        name: What to call it in a message: the run's id.
        reader: The log.
        env: The environment it was recorded with.
    """

    name: str
    reader: LogReader
    env: EnvConfig


@dataclass(frozen=True, eq=False)
class EpisodeFrames:
    """Every look at one episode, one after each step, as a judge has them.

    Attributes:
        recording: Name of the log.
        episode: Number in it.
        purpose: "train", "demo", "classify" or "evaluate".
        images: (T, H, W, 3) uint8 by camera.
        labels: (T,) int8: `POSITIVE`, `NEGATIVE` or `LEFT_OUT`.
        coordinates: (T, 6) of the tool from the nominal seated pose [m, rad].
        forces: (T, 3) on the tool [N].
        error_m: How far the coordinates may be off [m]; 0 where they were stored, not drawn again.
        error_rad: The same for the rotation [rad].
        labelled_at: Sequence in the log of the label that it was read by; 0 for none.
    """

    recording: str
    episode: int
    purpose: str
    images: Mapping[str, np.ndarray]
    labels: np.ndarray
    coordinates: np.ndarray
    forces: np.ndarray
    error_m: float = 0.0
    error_rad: float = 0.0
    labelled_at: int = 0

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return f"episode {self.episode} of {self.recording}"

    @property
    def succeeds(self) -> bool:
        """Whether a frame of it shows success."""
        return bool((self.labels == POSITIVE).any())

    @property
    def fails(self) -> bool:
        """Whether a frame of it shows none, and could be mistaken for success."""
        return bool((self.labels == NEGATIVE).any())


@dataclass(frozen=True, eq=False)
class LabelledFrames:
    """What a classifier is trained and calibrated on.

    Attributes:
        cameras: The images, in the order in which the classifier looks at them.
        episodes: Where the frames are.
    """

    cameras: tuple[CameraConfig, ...]
    episodes: tuple[EpisodeFrames, ...]

    def count(self, label: int) -> int:
        """Frames with a label."""
        return sum(int((each.labels == label).sum()) for each in self.episodes)

    @property
    def digest(self) -> str:
        """16 hexadecimal digits: cameras, pixels and labels."""
        digest = hashlib.sha256(repr(self.cameras).encode())
        for each in self.episodes:
            digest.update(f"{each.recording} {each.episode}".encode())
            digest.update(each.labels.tobytes())
            for camera in self.cameras:
                digest.update(each.images[camera.name].tobytes())
        return digest.hexdigest()[:16]


def gather(recordings: Sequence[Recording], config: ClassifierConfig) -> LabelledFrames:
    """Read every frame that a label speaks of; of the episodes lived, the newest `max_episodes` of all logs.

    Evaluations are left out: what a run is measured by is nothing to learn from, nor is its judge to.

    Raises:
        ConfigError: a camera was not recorded, or not in the same way everywhere.
        FramesError: a class is empty, an image is black or cannot be read, or labels contradict each other.
    """
    names = [recording.name for recording in recordings]
    if len(set(names)) != len(names):
        raise ConfigError(f"recordings {', '.join(names)} repeat a name; give each of them once")
    cameras = _cameras(recordings, config)
    chosen = [camera.name for camera in cameras]
    known = [
        (recording, each)
        for recording in recordings
        for each in _spoken_of(recording)
        if each.start.purpose != "evaluate"
    ]
    lived = sorted(each.start.wall_ns for _, each in known if each.start.purpose != "classify")
    oldest = lived[-config.max_episodes :][:1]
    episodes = [
        _frames(recording, each, chosen, config)
        for recording, each in known
        if each.start.purpose == "classify" or each.start.wall_ns >= oldest[0]
    ]
    frames = LabelledFrames(cameras, tuple(episodes))
    check(frames)
    return frames


def check(frames: LabelledFrames) -> None:
    """Refuse frames that nothing can be learned from.

    Raises:
        FramesError: a class is empty or in one episode only, an image is black, or two identical pictures
            have different labels.
    """
    for label, name, remedy in (
        (POSITIVE, "success", "hold the success key while it is done, or label episodes success"),
        (NEGATIVE, "no success", "record what only looks like success: half inserted, beside the slot"),
    ):
        episodes = sum(bool((each.labels == label).any()) for each in frames.episodes)
        if episodes < 2:
            raise FramesError(
                f"{frames.count(label)} frames of {episodes} episodes show {name}, at least 2 episodes are "
                f"needed (one to train on, one to test with); {remedy}"
            )
    seen: dict[bytes, tuple[EpisodeFrames, int, int]] = {}
    for each in frames.episodes:
        for index, label in enumerate(each.labels.tolist()):
            if label == LEFT_OUT:
                continue
            pictures = [each.images[camera.name][index] for camera in frames.cameras]
            for camera, picture in zip(frames.cameras, pictures, strict=True):
                if is_black(picture):
                    raise FramesError(
                        f"camera {camera.name} is black in {each.name}, step {index}; "
                        "label that episode exclude"
                    )
            digest = hashlib.blake2b(b"".join(p.tobytes() for p in pictures), digest_size=16).digest()
            other, at, as_what = seen.setdefault(digest, (each, index, label))
            if as_what != label:
                raise FramesError(
                    f"labels contradict: step {index} of {each.name} and step {at} of {other.name} "
                    "show the same picture, one labelled success and the other not; is the camera frozen? "
                    "Label one of the episodes exclude"
                )


def read(
    recording: Recording,
    cameras: Sequence[str],
    config: ClassifierConfig,
    wanted: Callable[[EpisodeStart], bool] = lambda _: True,
) -> Iterator[EpisodeFrames]:
    """Yield the labelled episodes of one log, oldest first, each loaded when it is asked for.

    Args:
        recording: The log.
        cameras: The images to load, by name.
        config: How labels become those of frames.
        wanted: Which episodes to load.

    Raises:
        FramesError: a label contradicts the episode, or an image of it is missing or cannot be read.
    """
    for stored in _spoken_of(recording):
        if wanted(stored.start):
            yield _frames(recording, stored, cameras, config)


def _spoken_of(recording: Recording) -> list[StoredEpisode]:
    """The episodes of a log whose frames mean something, without these."""
    return [each for each in stored_episodes(recording.reader) if _is_spoken_of(each)]


def _frames(
    recording: Recording, stored: StoredEpisode, cameras: Sequence[str], config: ClassifierConfig
) -> EpisodeFrames:
    """One episode with its images."""
    where = f"episode {stored.start.episode} of {recording.name}"
    labels = _labels(recording.name, stored, config)
    situations = RecordedSituations(recording.env)
    situations.begin(stored.start)
    poses, forces = zip(*(situations.after(step) for step in stored.steps), strict=True)
    try:
        looks = [images for _, images in images_after(recording.reader, stored.after, stored.start.episode)]
    except LogError as error:
        raise FramesError(f"{where} cannot be read ({error}); label it exclude") from error
    missing = [name for name in cameras if any(name not in images for images in looks)]
    if missing:
        raise FramesError(
            f"{where} has no images of camera {missing[0]}; "
            "choose others with classifier.cameras, or label that episode exclude"
        )
    return EpisodeFrames(
        recording.name,
        stored.start.episode,
        stored.start.purpose,
        {name: np.stack([images[name] for images in looks]) for name in cameras},
        labels,
        np.stack(poses),
        np.stack(forces),
        *situations.error,
        labelled_at=stored.labelled_at[-1] if stored.labels else 0,
    )


def _is_spoken_of(stored: StoredEpisode) -> bool:
    """Whether the frames of an episode mean something."""
    shown = stored.start.purpose == "classify"  # step by step: what a killed collection stored counts
    if (stored.end is None and not shown) or not stored.steps or stored.label == Label.EXCLUDE:
        return False
    if not stored.labels:
        return shown
    who = stored.labels[-1].who
    return who == TASK or not said_by_machine(who)


def _labels(recording: str, stored: StoredEpisode, config: ClassifierConfig) -> np.ndarray:
    """Labels (T,) of the looks at an episode.

    Raises:
        FramesError: its label contradicts it.
    """
    where = f"episode {stored.start.episode} of {recording}"
    if stored.start.purpose == "classify":
        held = np.array([step.reward > 0.5 for step in stored.steps])
        return _shown(held, stored.label, where, config)
    return _lived([step.step for step in stored.steps], stored.labels[-1], where, config)


def _shown(held: np.ndarray, label: str | None, where: str, config: ClassifierConfig) -> np.ndarray:
    """Labels of the looks at an episode that shows success while the key is held."""
    if label is not None and (label != Label.FAILURE) != bool(held.any()):
        was = f"held at step {held.argmax()}" if held.any() else f"not held up to step {len(held) - 1}"
        raise FramesError(
            f"labels contradict: {where} is labelled {label}, and the success key was {was}; "
            "label it exclude, or record it again"
        )
    labels = np.where(held, POSITIVE, NEGATIVE).astype(np.int8)
    for change in np.flatnonzero(held[1:] != held[:-1]) + 1:
        # Before a press the hand was late; after a release it was early.
        if held[change]:
            beside = slice(max(0, change - config.margin), change)
        else:
            beside = slice(change, change + config.margin)
        labels[beside][~held[beside]] = LEFT_OUT
    return labels


def _lived(steps: list[int], said: Event, where: str, config: ClassifierConfig) -> np.ndarray:
    """Labels of the looks at a labelled episode; its success is at the step that was said, or at its end."""
    labels = np.full(len(steps), NEGATIVE, np.int8)
    if said.new == Label.FAILURE:
        return labels
    if said.step is not None and said.step not in steps:
        raise FramesError(
            f"labels contradict: {where} is labelled {said.new} at step {said.step}, and its last step is "
            f"{steps[-1]}; label it again with a step that it has"
        )
    at_end = said.step is None or said.step == steps[-1]
    last = len(steps) - 1 if said.step is None else steps.index(said.step)
    # Whoever points out a frame in the middle means the first one that shows it.
    first = max(0, last - config.success_frames + 1) if at_end else last
    labels[max(0, first - config.margin) :] = LEFT_OUT
    labels[first : last + 1] = POSITIVE
    return labels


def _cameras(recordings: Iterable[Recording], config: ClassifierConfig) -> tuple[CameraConfig, ...]:
    """The images to look at, recorded in the same way everywhere."""
    chosen: dict[str, tuple[CameraConfig, str]] = {}
    for recording in recordings:
        there = {camera.name: camera for camera in recording.env.cameras}
        for name in config.cameras or tuple(there):
            camera = there.get(name)
            if camera is None:
                known = ", ".join(there) or "none"
                raise ConfigError(
                    f"{recording.name} was recorded without camera {name!r}, it has {known}; "
                    "choose among them with classifier.cameras, or leave that recording out"
                )
            other, first = chosen.setdefault(name, (camera, recording.name))
            if (camera.width, camera.height, camera.crop) != (other.width, other.height, other.crop):
                raise ConfigError(
                    f"camera {name!r} was recorded as {_picture(other)} in {first} and as "
                    f"{_picture(camera)} in {recording.name}; leave one of them out"
                )
    if not chosen:
        raise ConfigError("nothing was recorded with a camera; set env.cameras and collect again")
    return tuple(camera for camera, _ in chosen.values())


def _picture(camera: CameraConfig) -> str:
    return f"{camera.width}x{camera.height} of crop {camera.crop}"
