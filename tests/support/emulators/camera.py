"""A camera that does what a test says, on a clock that stands still until the test moves it, or films."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from handrail.robot_env.cameras.config import CameraDeviceConfig
from handrail.robot_env.cameras.driver import DeviceFrame
from handrail.robot_env.cameras.stream import FrameStream, StreamTiming

MS = 1_000_000
IMPATIENT = StreamTiming(wait_s=0.01, first_frame_s=0.2, lost_s=0.5, backoff_s=(0.01, 0.02))


def until(condition: Callable[[], object], deadline_s: float = 5.0) -> None:
    """Wait for something that another thread does."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.001)


class ScriptedDriver:
    """Delivers the frames and raises the errors that a test hands it."""

    def __init__(self) -> None:
        self.identity = "S1"
        self.live = True
        self.warnings: tuple[str, ...] = ()
        self.script: queue.Queue[DeviceFrame | Exception] = queue.Queue()
        self.on_open: Exception | None = None
        self.opened = self.closed = 0
        self._next: DeviceFrame | None = None

    def open(self) -> None:
        self.opened += 1
        if self.on_open is not None:
            raise self.on_open

    def wait(self, timeout_s: float) -> bool:
        try:
            item = self.script.get(timeout=timeout_s)
        except queue.Empty:
            return False
        if isinstance(item, Exception):
            raise item
        self._next = item
        return True

    def take(self) -> DeviceFrame:
        assert self._next is not None
        return self._next

    def close(self) -> None:
        self.closed += 1


class Bench:
    """A stream, its driver and its clock."""

    def __init__(self, config: CameraDeviceConfig) -> None:
        self.now_ns = 0
        self.driver = ScriptedDriver()
        self.stream = FrameStream(config, self.driver, None, lambda: self.now_ns, IMPATIENT)
        self._random = np.random.default_rng(0)

    def picture(self) -> NDArray[np.uint8]:
        """A picture like no other."""
        return self._random.integers(
            0, 256, (self.stream.config.height, self.stream.config.width, 3), np.uint8
        )

    def show(self, number: int, picture: NDArray[np.uint8] | None = None) -> None:
        """Let a frame arrive now, and wait until the stream has it."""
        before = self.stream._latest
        image = self.picture() if picture is None else picture.copy()
        self.driver.script.put(DeviceFrame(image, number, number * 33 * MS))
        until(lambda: self.stream._latest is not None and self.stream._latest is not before)

    def open(self) -> None:
        """Open with a first frame, number 0."""
        self.driver.script.put(DeviceFrame(self.picture(), 0, 0))
        self.stream.open()


class Film:
    """What is before a camera, in real time: a new picture for each frame, until it freezes or falls silent.

    Use as a context manager. A frozen camera goes on delivering its last picture under new numbers.

    Args:
        config: Size and rate of the frames.

    Attributes:
        driver: The camera.
        now: What it does.
        fresh_ns: When the newest picture that is unlike the one before was delivered [ns].
    """

    def __init__(self, config: CameraDeviceConfig) -> None:
        self.driver = ScriptedDriver()
        self.driver.identity = config.serial or self.driver.identity
        self.now: Literal["live", "frozen", "silent"] = "live"
        self.fresh_ns = 0
        self._config = config
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="film")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        random, number = np.random.default_rng(0), 0
        picture = np.zeros((self._config.height, self._config.width, 3), np.uint8)
        while not self._stop.wait(1.0 / self._config.fps):
            number += 1
            now = self.now
            if now == "live":
                picture = self._picture(random)
                self.fresh_ns = time.monotonic_ns()
            if now != "silent":
                self.driver.script.put(DeviceFrame(picture.copy(), number))

    def _picture(self, random: np.random.Generator) -> NDArray[np.uint8]:
        return random.integers(0, 256, (self._config.height, self._config.width, 3), np.uint8)


class Still(Film):
    """A camera before a scene in which nothing moves, with a sensor's noise.

    Args:
        config: Size and rate of the frames, and the serial number.
        scene: What it shows, (H, W, 3) uint8.
    """

    def __init__(self, config: CameraDeviceConfig, scene: NDArray[np.uint8]) -> None:
        super().__init__(config)
        self._scene = scene

    def _picture(self, random: np.random.Generator) -> NDArray[np.uint8]:
        noisy = self._scene + random.integers(-2, 3, self._scene.shape)
        return np.clip(noisy, 0, 255).astype(np.uint8)
