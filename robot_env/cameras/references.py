"""What each physical camera of a station showed while it was right, to know the cameras again by.

Whole pictures are kept, and not the images of the observation: a crop of the wrong camera looks like nothing.
"""

import contextlib
import os
from collections.abc import Iterable, Mapping
from itertools import starmap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handrail.robot_env.cameras.camera import Camera
from handrail.robot_env.cameras.exchanged import SMALL, exchanged, outline, small
from handrail.robot_env.cameras.stream import FrameStream
from handrail.robot_env.errors import CameraError

Pictures = Mapping[str, NDArray[np.uint8]]
"""By camera device, (H, W, 3) uint8."""

ALIKE = 1.1
"""Outlines further apart than this show different things; those of unrelated pictures are about 1.4 apart."""


class References:
    """A small picture of each camera, in a file.

    Args:
        file: where; it need not be there yet. One that cannot be read is as good as none.
        anew: whether what is there is out of date, and to be replaced.
    """

    def __init__(self, file: Path, anew: bool = False) -> None:
        self.file = file
        self.pictures: dict[str, NDArray[np.uint8]] = {}
        if not anew:
            # Whatever it is: zip, deflate and numpy's header each fail in ways of their own.
            with contextlib.suppress(Exception):
                self.pictures = _read(file)
        self._outlines = {name: outline(each) for name, each in self.pictures.items()}

    def check(self, now: Pictures, serials: Mapping[str, str], renew: str) -> None:
        """Refuse cameras of which some show what others of them showed. What is not certain passes.

        Args:
            now: what the cameras show.
            serials: by camera, for the message.
            renew: what takes new pictures where these ones are out of date, for the message.

        Raises:
            CameraError: cameras were exchanged, two or more in a circle; says whose serial is whose.
        """
        before = {name: each for name, each in self._outlines.items() if name in now}
        seen = {name: outline(small(now[name])) for name in before}

        def distance(a: str, b: str) -> float:
            return float(np.linalg.norm(seen[a] - before[b]))

        def shows(a: str, b: str) -> bool:
            return distance(a, b) < min(ALIKE, distance(a, a))

        found = [each for each in exchanged(before, distance) if all(starmap(shows, each.links))]
        if not found:
            return
        names = [f"{name} ({serials[name]})" for each in found for name in each.names]
        crossed, straight = sum(each.crossed for each in found), sum(each.straight for each in found)
        # The camera with a's serial is mounted where b's was: that serial is b's.
        meant = {b: serials[a] for each in found for a, b in each.links}
        raise CameraError(
            f"cameras {', '.join(names[:-1])} and {names[-1]} look exchanged: "
            f"{'; '.join(each.said('before') for each in found)} (distance {crossed:.2f} so, "
            f"{straight:.2f} as they are); give "
            f"{', '.join(f'{name} the serial {meant[name]}' for name in sorted(meant))} in "
            f"env.camera_devices, or mount them as they were; if they are right, {renew}"
        )

    def keep(self, now: Pictures) -> None:
        """Take a picture of every camera that has none yet.

        Raises:
            OSError: the disk refused; what was there is untouched.
        """
        new = {name: small(each) for name, each in now.items() if name not in self.pictures}
        if not new:
            return
        self.pictures |= new
        self._outlines |= {name: outline(each) for name, each in new.items()}
        draft = self.file.with_name(f".{self.file.name}.{os.getpid()}")
        try:
            with draft.open("wb") as file:
                np.savez_compressed(file, allow_pickle=False, **self.pictures)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.file)
        finally:
            draft.unlink(missing_ok=True)


class FirstLook:
    """Looks once at a session's cameras, with the arm where an episode begins.

    The look is part of a reset, with nobody commanding the arm meanwhile, so it only compares. The disk may
    take its time: what concerns it is done before, and `at_rest`.

    Args:
        cameras: of the observation; simulated ones cannot be exchanged, and are left out.
        file: the references of the run; what it lacks is kept there.
    """

    def __init__(self, cameras: Iterable[Camera], file: Path) -> None:
        from handrail.robot_env.cameras.view import CroppedView

        views = (each for each in cameras if isinstance(each, CroppedView))
        self._streams = {each.stream.config.name: each.stream for each in views}
        self._references = References(file)
        self._passed = not self._streams
        self._seen: Pictures = {}

    def __call__(self) -> None:
        """Compare; does nothing once that has passed.

        Raises:
            CameraError: cameras were exchanged, or one has no picture.
        """
        if self._passed:
            return
        now = shown(self._streams.values())
        renew = f"say so on the console's page (Set-up, Crop), or delete {self._references.file}"
        self._references.check(now, serials(self._streams.values()), renew)
        self._passed, self._seen = True, now

    def at_rest(self) -> None:
        """Keep what the look found new, or read what the next one compares with; while the arm holds."""
        if not self._passed:  # whom it refused may have deleted or replaced the file, as he was told to
            self._references = References(self._references.file)
        if self._seen:
            with contextlib.suppress(OSError):  # a full disk is the log's to refuse
                self._references.keep(self._seen)
            self._seen = {}


def shown(streams: Iterable[FrameStream]) -> dict[str, NDArray[np.uint8]]:
    """What open cameras show, by device.

    Raises:
        CameraError: one has no picture.
    """
    return {stream.config.name: stream.latest().frame.image for stream in streams}


def serials(streams: Iterable[FrameStream]) -> dict[str, str]:
    """Which camera each one is, by device."""
    return {stream.config.name: stream.driver.identity for stream in streams}


def _read(file: Path) -> dict[str, NDArray[np.uint8]]:
    with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
        found = {name: stored[name] for name in stored.files}
    return {name: each for name, each in found.items() if _is_small(each)}


def _is_small(picture: NDArray[np.uint8]) -> bool:
    return picture.shape == (*SMALL, 3) and picture.dtype == np.uint8
