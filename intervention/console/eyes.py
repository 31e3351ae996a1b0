"""What a console sees: the pictures a control loop has anyhow and, of a simulated cell, some more.

Nothing is shown, and nothing drawn, while nobody watches. Where time stands still between two steps, the
control loop's own thread draws; beside a loop in real time, a thread does that never holds it up.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping

import numpy as np
import structlog

from handrail.intervention.console.feed import Feed
from handrail.intervention.console.messages import WATCH_S, FrameHead, Watch
from handrail.robot_env.cameras.camera import Camera
from handrail.robot_env.cameras.spectator import VIEWS, Gallery, beside
from handrail.robot_env.cameras.stream import FrameStream
from handrail.robot_env.cameras.view import CroppedView
from handrail.robot_env.env import RobotEnv
from handrail.robot_env.errors import CameraError, HandrailError

_WIDEST = 480  # a wider picture is halved: a console shows several, and they travel uncompressed
_DRAWN_FPS = 12.0  # of what is drawn for the console alone
_MOST_FPS = 60.0
_RETRY_S = 5.0


class Eyes:
    """Shows pictures on the feed while somebody watches.

    Args:
        env: whose cameras; opened or not.
        feed: where the pictures go.
        now_s: the clock of watching.

    Attributes:
        blind: why there is nothing to see, "" otherwise.
    """

    def __init__(self, env: RobotEnv, feed: Feed, now_s: Callable[[], float] = time.monotonic) -> None:
        self._env, self._feed, self._now_s = env, feed, now_s
        self._watch = Watch(fps=0.0)
        self._watched_s = -WATCH_S
        self._shown_s: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._drawn: list[Camera] | None = None
        self._streams = _streams(env)
        own = [name for name, camera in env.observer.cameras.items() if not isinstance(camera, CroppedView)]
        self._simulated = env.scene is not None
        views = [name for name in VIEWS if self._simulated and name not in own]
        self.names: tuple[str, ...] = (*views, *self._streams, *own)
        self.blind = "" if self.names else "this station has no camera"
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if not env.lockstep and (self._streams or views):
            self._thread = threading.Thread(target=self._look_on, name="eyes", daemon=True)
            self._thread.start()

    def watch(self, watch: Watch) -> None:
        """Somebody looks on; any thread."""
        self._watch, self._watched_s = watch, self._now_s()

    @property
    def fps(self) -> float:
        """Pictures a second that are wanted now: none, or 1 to 60."""
        if self._watch.fps <= 0.0 or self._now_s() - self._watched_s >= WATCH_S:
            return 0.0
        return min(max(self._watch.fps, 1.0), _MOST_FPS)

    @property
    def real_time(self) -> bool:
        """Whether somebody wants a simulated arm to move as slowly as a real one."""
        return self._watch.real_time and self._now_s() - self._watched_s < WATCH_S

    def see(self, images: Mapping[str, np.ndarray]) -> None:
        """What the control loop has just seen; for its thread, between two steps or two episodes.

        Args:
            images: (H, W, 3) uint8 by camera; {} when it has taken none.
        """
        if self.fps <= 0.0:
            return
        for name, image in images.items():
            if name in self.names:
                self._show(name, image, self.fps)
        if self._env.lockstep:
            self._draw()

    def close(self) -> None:
        """Close what was opened for the console; from the control loop's thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=2.0)
        for camera in self._drawn or ():
            camera.close()

    def _show(self, name: str, image: np.ndarray, fps: float, t_ns: int | None = None) -> None:
        now_s = self._now_s()
        if now_s - self._shown_s.get(name, 0.0) < 0.9 / fps:
            return
        self._shown_s[name] = now_s
        if image.shape[1] > _WIDEST:
            image = image[::2, ::2]
        number = self._counts[name] = self._counts.get(name, -1) + 1
        height, width, _ = image.shape
        stamp = time.monotonic_ns() if t_ns is None else t_ns
        self._feed.show(FrameHead(name, number, stamp, (height, width, 3)), image)

    def _draw(self) -> None:
        """Draw the cell in this process, which its own thread alone may do."""
        from handrail.robot_env.sim.cell import SimCell

        cell = self._env.scene
        if not isinstance(cell, SimCell):
            return
        fps = min(self.fps, _DRAWN_FPS)
        if self._drawn is None:
            self._drawn = beside(cell, taken=self._env.observer.cameras)
            try:
                for camera in self._drawn:
                    camera.open()
            except CameraError as error:  # no graphics library: the policy may still have no need of one
                for camera in self._drawn:
                    camera.close()
                self.blind, self._drawn = str(error), []
        for camera in self._drawn:
            if self._now_s() - self._shown_s.get(camera.name, 0.0) >= 0.9 / fps:
                self._show(camera.name, camera.read().image, fps)

    def _look_on(self) -> None:
        """Beside a loop in real time: physical cameras at their own rate, a simulated cell now and then."""
        sequences: dict[str, int] = {}
        while not self._stop.is_set():
            if self.fps <= 0.0:
                self._stop.wait(0.1)
            elif self._simulated and not self._streams:
                try:
                    self._tour()
                except Exception as error:  # nobody hears a thread, and the arm needs none of it
                    if not isinstance(error, HandrailError):
                        structlog.get_logger().exception("eyes")
                    self.blind = " ".join(str(error).split()) or type(error).__name__
                    self._stop.wait(_RETRY_S)
            else:
                for name, stream in self._streams.items():
                    with contextlib.suppress(CameraError):  # the control loop says what is wrong with it
                        frame = stream.latest().frame
                        if sequences.get(name) != frame.sequence:
                            sequences[name] = frame.sequence
                            self._show(name, frame.image, self.fps, frame.t_ns)
                self._stop.wait(0.004)

    def _tour(self) -> None:
        """Show the cell behind the arm server until nobody watches any more."""
        with Gallery(self._env.config, self._env.scene, taken=self._env.observer.cameras) as gallery:
            for camera in gallery.cameras:
                camera.open()
            self.blind = ""
            while self.fps > 0.0 and not self._stop.is_set():
                for camera in gallery.cameras:
                    self._show(camera.name, camera.read().image, self.fps)
                self._stop.wait(1.0 / min(self.fps, _DRAWN_FPS))


def _streams(env: RobotEnv) -> dict[str, FrameStream]:
    """The physical cameras, by name: a person wants to see all of a picture, not the policy's part of it."""
    views = [camera for camera in env.observer.cameras.values() if isinstance(camera, CroppedView)]
    return {view.stream.config.name: view.stream for view in views}
