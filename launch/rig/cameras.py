"""The whole picture of each camera while a station is set up, so that a part of it can be chosen."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol

import numpy as np

from handrail.robot_env.cameras.camera import Camera, Frame
from handrail.robot_env.cameras.config import SIM_PICTURE, CameraConfig
from handrail.robot_env.cameras.spectator import VIEWS, beside
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import CameraError, HandrailError
from handrail.robot_env.sim.cell import SimCell


class RigCameras(Protocol):
    """The cameras of a station.

    Attributes:
        pictures: width and height of each camera's picture [pixels], of those whose part may be chosen.
        names: everything there is to see, in order.
        blind: what cannot be seen and why; "" otherwise.
    """

    pictures: dict[str, tuple[int, int]]
    names: tuple[str, ...]
    blind: str

    def look(self, due: frozenset[str]) -> Iterator[tuple[str, Frame]]:
        """New pictures of the cameras that are due; a simulated one is drawn in this very thread."""
        ...

    def close(self) -> None:
        """Close every camera."""
        ...


class DrawnCameras:
    """The cameras of a simulated cell, one drawn at a time: an arm that follows a hand cannot wait for all.

    Args:
        cell: the cell; its owner's thread makes this object and uses it.
        env: the images that look through its cameras.
    """

    def __init__(self, cell: SimCell, env: EnvConfig) -> None:
        sources = list(dict.fromkeys(image.source for image in env.cameras))
        self.blind = ""
        self._closing = ExitStack()
        self._cameras: dict[str, Camera] = {}
        self._turn = 0
        for camera in [*_whole(cell, sources), *beside(cell, taken=sources)]:
            try:
                camera.open()
            except CameraError as error:  # no graphics library, or no such view: the box can still be set
                self.blind = str(error)
            else:
                self._closing.callback(camera.close)
                self._cameras[camera.name] = camera
        self.pictures: dict[str, tuple[int, int]] = {}
        self.pictures.update((name, SIM_PICTURE) for name in sources if name in self._cameras)
        self.names = tuple(sorted(self._cameras, key=lambda name: (name in VIEWS, name)))

    def look(self, due: frozenset[str]) -> Iterator[tuple[str, Frame]]:
        """A picture of the camera whose turn it is among those that are due."""
        waiting = [name for name in self.names if name in due]
        if waiting:
            self._turn += 1
            name = waiting[self._turn % len(waiting)]
            yield name, self._cameras[name].read()

    def close(self) -> None:
        """Close every camera."""
        self._closing.close()


def _whole(cell: SimCell, sources: list[str]) -> list[Camera]:
    from handrail.robot_env.cameras.mujoco import MujocoCamera

    width, height = SIM_PICTURE
    return [
        MujocoCamera(cell, CameraConfig(name, width=width, height=height), fine=False) for name in sources
    ]


class PhysicalCameras:
    """The cameras of a real station; one that is missing leaves the others at work.

    Args:
        env: the station's cameras.
    """

    def __init__(self, env: EnvConfig) -> None:
        from handrail.robot_env.cameras.make import make_streams

        self._closing = ExitStack()
        self._streams = {}
        self._shown: dict[str, int] = {}
        self.pictures: dict[str, tuple[int, int]] = {}
        missing = []
        for name, stream in make_streams(env.camera_devices).items():
            try:
                stream.open()
            except HandrailError as error:
                missing.append(str(error))
            else:
                self._closing.callback(stream.close)
                self._streams[name] = stream
                self.pictures[name] = (stream.config.width, stream.config.height)
        self.names = tuple(self._streams)
        self.blind = "; ".join(missing) or ("" if self.names else "this station has no camera")

    def look(self, due: frozenset[str]) -> Iterator[tuple[str, Frame]]:
        """What has arrived since the last look."""
        for name in due & self._streams.keys():
            try:
                frame = self._streams[name].latest().frame
            except CameraError as error:
                self.blind = str(error)
                continue
            if self._shown.get(name) != frame.sequence:
                self._shown[name] = frame.sequence
                yield name, Frame(np.ascontiguousarray(frame.image), frame.t_ns, frame.sequence)

    def close(self) -> None:
        """Close every camera."""
        self._closing.close()
