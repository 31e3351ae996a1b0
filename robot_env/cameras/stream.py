"""The newest frame of a physical camera, at hand without waiting, or the reason why there is none.

A thread per camera waits for frames, stamps each on arrival and keeps the newest. Whoever wants one takes it
in microseconds. A frame that is too old, or one picture coming again and again, is no observation: it is
refused, whatever the camera says of itself. A camera that is lost is opened again until it is back; what
becomes of the arm meanwhile is not decided here.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from handrail.robot_env.cameras.camera import Frame
from handrail.robot_env.cameras.config import CameraDeviceConfig
from handrail.robot_env.cameras.driver import CameraDriver, DeviceFrame
from handrail.robot_env.cameras.recorder import Recorder
from handrail.robot_env.cameras.report import CameraReport, StreamCounts
from handrail.robot_env.clock import NS_PER_MS, NS_PER_S
from handrail.robot_env.errors import CameraError, HandrailError

OPENING_LIMIT_S = 30.0
CLOSING_LIMIT_S = 15.0
PROBE_PERIOD_S = 0.005
REPLUG = "check its cable and USB port, then run `handrail doctor`"


@dataclass(frozen=True)
class StreamTiming:
    """How patient a stream is.

    Attributes:
        wait_s: Longest single wait for a frame [s]; closing takes about as long.
        first_frame_s: Longest wait for the first frame after opening [s]: USB cameras take a second or two.
        lost_s: Time without a new picture after which the camera is opened again [s].
        backoff_s: Pause before the first and before every later attempt to open it again [s]; it doubles.
    """

    wait_s: float = 0.1
    first_frame_s: float = 8.0
    lost_s: float = 1.0
    backoff_s: tuple[float, float] = (0.25, 4.0)


@dataclass(frozen=True)
class Arrival:
    """A frame, and what is known about how it came.

    Attributes:
        frame: The picture, read-only; its stamp is that of its arrival, its sequence counts this stream's.
        number: The device's number of it.
        device_ns: The device's stamp of it [ns], or None.
        identical: Frames in a row up to this one that show exactly the same; 1 for a new picture.
    """

    frame: Frame
    number: int
    device_ns: int | None
    identical: int = 1


class FrameStream:
    """The newest frame of one camera, for any number of readers in any thread.

    Opened as often as it is closed: the first opening starts the camera, the last closing stops it. Open and
    close it from one thread.

    Args:
        config: The camera, and the limits beyond which a frame is none.
        driver: Its SDK, not opened yet.
        recorder: Takes every frame, if there is one.
        clock_ns: Where time comes from [ns].
        timing: How patient it is.
    """

    def __init__(
        self,
        config: CameraDeviceConfig,
        driver: CameraDriver,
        recorder: Recorder | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        timing: StreamTiming | None = None,
    ) -> None:
        self.config = config
        self.driver = driver
        self.recorder = recorder
        self.counts = StreamCounts()
        self._clock_ns = clock_ns
        self._timing = timing or StreamTiming()
        self._latest: Arrival | None = None
        self._lost: Arrival | None = None
        self._why = "is not open; call open() first"
        self._sequence = -1
        self._users = 0
        self._refusal: HandrailError | None = None
        self._decided = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Start the camera and wait for its first frame; for one more reader, only count it.

        Raises:
            CameraError: It is not there, or gives no frame.
            ConfigError: It does not offer what is asked of it.
        """
        self._users += 1
        if self._users > 1:
            return
        self._refusal = self._lost = None
        self._decided.clear()
        self._closing = threading.Event()  # a new one: a thread that hangs from before keeps its own
        self._thread = threading.Thread(
            target=self._run, args=(self._closing,), name=f"camera-{self.config.name}", daemon=True
        )
        self._thread.start()
        if not self._decided.wait(OPENING_LIMIT_S):
            self._refusal = CameraError(f"its SDK does not return within {OPENING_LIMIT_S:.0f} s; {REPLUG}")
        if (refusal := self._refusal) is not None:
            self.close()
            raise type(refusal)(f"camera {self.config.name} cannot be started: {refusal}") from refusal

    def close(self) -> None:
        """Stop the camera once nobody reads it any more; closing what is closed does nothing."""
        if self._users == 0:
            return
        self._users -= 1
        if self._users == 0 and self._thread is not None:
            self._closing.set()
            self._thread.join(CLOSING_LIMIT_S)  # an SDK that hangs is left behind: closing must end
            self._thread = None
            self._lose("is not open; call open() first")

    def latest(self) -> Arrival:
        """The newest frame. Takes microseconds, from any thread.

        Raises:
            CameraError: There is none that could be an observation; the message says why.
        """
        arrival, config = self._latest, self.config
        if arrival is None:
            raise CameraError(f"camera {config.name} {self._why}")
        if arrival.identical >= config.max_repeats:
            raise CameraError(
                f"camera {config.name}: {arrival.identical} identical frames in a row, limit "
                f"{config.max_repeats}; it is frozen or covered: {REPLUG}"
            )
        age_ns = self._clock_ns() - arrival.frame.t_ns
        if age_ns > config.max_age_s * NS_PER_S:
            raise CameraError(
                f"camera {config.name}: last frame {age_ns / NS_PER_MS:.0f} ms old, limit "
                f"{1000 * config.max_age_s:.0f} ms; {REPLUG}"
            )
        return arrival

    def probe(self, duration_s: float = 2.0) -> CameraReport:
        """Watch the open stream for a while and say how it does.

        Args:
            duration_s: How long to watch [s].

        Raises:
            CameraError: It is not open.
        """
        if self._thread is None:
            raise CameraError(f"camera {self.config.name} {self._why}")
        began_ns, before = self._clock_ns(), replace(self.counts)
        end_ns = began_ns + round(duration_s * NS_PER_S)
        ages_ms, fault = [], ""
        while (now_ns := self._clock_ns()) < end_ns:
            if (arrival := self._latest) is not None:
                ages_ms.append((now_ns - arrival.frame.t_ns) / NS_PER_MS)
            try:
                self.latest()
            except CameraError as error:
                fault = str(error)
            self._closing.wait(PROBE_PERIOD_S)
        warnings = self.driver.warnings
        if self.recorder is not None and self.recorder.fault:
            warnings = (*warnings, self.recorder.fault)
        p50, p99 = np.percentile(ages_ms, (50, 99)) if ages_ms else (np.nan, np.nan)
        return CameraReport(
            name=self.config.name,
            identity=self.driver.identity,
            rate_hz=(self.counts.frames - before.frames) * NS_PER_S / (now_ns - began_ns),
            age_p50_ms=float(p50),
            age_p99_ms=float(p99),
            counts=self.counts.since(before),
            warnings=warnings,
            fault=fault,
        )

    def _run(self, closing: threading.Event) -> None:
        """The thread: open, follow, and open again when lost."""
        pause_s, longest_s = self._timing.backoff_s
        if self.recorder is not None:
            self.recorder.start()
        try:
            while not closing.is_set():
                frames = self.counts.frames
                error = self._follow(closing)
                if error is None:
                    return
                self._lose(f"is lost: {error}")
                if not self._decided.is_set() or not self.driver.live:
                    self._refusal = error
                    self._decided.set()
                    return
                if self.counts.frames > frames:
                    pause_s = self._timing.backoff_s[0]
                closing.wait(pause_s)
                pause_s = min(2.0 * pause_s, longest_s)
        finally:
            if self.recorder is not None:
                self.recorder.close()

    def _follow(self, closing: threading.Event) -> HandrailError | None:
        """Open the camera and take its frames until `close`, then None, or until it is lost, then why."""
        driver = self.driver
        try:
            driver.open()
            if self._decided.is_set():
                self.counts.reopens += 1
            patience_s, fresh_ns = self._timing.first_frame_s, self._clock_ns()
            while not closing.is_set():
                arrived = driver.wait(self._timing.wait_s)
                now_ns = self._clock_ns()
                if arrived:
                    if self._accept(driver.take(), now_ns).identical < self.config.max_repeats:
                        fresh_ns = now_ns
                    patience_s = self._timing.lost_s
                    self._decided.set()
                if now_ns - fresh_ns > patience_s * NS_PER_S:
                    raise CameraError(f"no new picture for {patience_s:g} s; {REPLUG}")
        except HandrailError as error:
            return error
        except Exception as error:
            # An SDK may raise anything; the thread must live to open the camera again.
            return CameraError(f"its SDK failed ({type(error).__name__}: {error}); {REPLUG}")
        finally:
            driver.close()
        return None

    def _accept(self, taken: DeviceFrame, t_ns: int) -> Arrival:
        """Make a frame the newest one, knowing it again if it has been here before."""
        last, counts = self._latest, self.counts
        if last is not None and taken.number == last.number:
            counts.repeats += 1
            arrival = replace(last, identical=last.identical + 1)  # the same exposure, and no younger for it
        else:
            identical = 1
            if last is not None:
                counts.drops += max(0, taken.number - last.number - 1)
            before = last or self._lost  # a sensor that froze may still be frozen when it is opened again
            if before is not None and same_picture(before.frame.image, taken.image):
                counts.repeats += 1
                identical = before.identical + 1
            counts.frames += 1
            self._sequence += 1
            taken.image.flags.writeable = False  # several views read it
            frame = Frame(taken.image, t_ns, self._sequence)
            arrival = Arrival(frame, taken.number, taken.device_ns, identical)
            if self.recorder is not None:
                self.recorder.put(frame, taken)
        self._latest = arrival
        return arrival

    def _lose(self, why: str) -> None:
        self._why = why  # first: a reader that finds no frame reads the reason next
        self._lost, self._latest = self._latest or self._lost, None


def same_picture(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> bool:
    """Whether two pictures agree in every pixel: no sensor's noise ever does.

    Looks at every thousandth pixel first, which decides nearly always.
    """
    return a.shape == b.shape and np.array_equal(a[::31, ::31], b[::31, ::31]) and np.array_equal(a, b)
