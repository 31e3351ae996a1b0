"""A device that a thread of its own listens to: the control loop only ever takes the newest state.

The thread finds the device, takes in everything it has reported and, when it is pulled out, goes on looking
for it. The rules that make such a device safe to drive an arm with are here, once for all of them:

- A state counts from the moment the thread has taken in *all* that was queued: no backlog hides a release.
- What is deflected and has been silent for `stale_s` reads zero, with the stamp of its last report, so that
  the arbiter holds. A thread that no longer runs looks the same.
- A lost device reads zero and not connected at once. One that is back is first listened to for a moment: one
  that is held down would report, and is then seen to be.
- A button clicked between two looks of a slow loop is in its next reading.
- Where a deadman is assigned, the device is dead unless it is held. Let go of under deflection, it still
  shows that deflection until it is gone: the wheel is not given back while somebody pushes.
"""

import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from handrail.intervention.buttons import described, meant
from handrail.intervention.device import Button, DeviceError, Reading
from handrail.robot_env.clock import NS_PER_S
from handrail.robot_env.errors import HandrailError

REST = 0.03
"""Deflection (Euclidean norm) up to which a device counts as at rest: a worn one need not return to zero."""

_SETTLE_S = 0.1
_RETRY_S = 0.25
_OPEN_S = 10.0
_NOTHING = np.zeros(6)
_NOTHING.setflags(write=False)


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What one look at a device found.

    Attributes:
        twist: deflection (6,), in the device's axes; clipped to [-1, 1] by whoever takes it.
        t_ns: when it was known to be so, by the rule in `device` [ns].
        held: the device's names of the buttons that are down.
        clicked: names of the buttons that went down since the look before, even if they are up again.
    """

    twist: np.ndarray
    t_ns: int
    held: frozenset[str] = frozenset()
    clicked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """What the thread hands to the control loop."""

    twist: np.ndarray
    buttons: frozenset[Button]
    t_ns: int
    connected: bool


_LOST = _State(_NOTHING, frozenset(), 0, False)


class PolledDevice(ABC):
    """The part that all such devices share; each says how to find, ask and release its hardware.

    Attributes:
        description: model and place of the device that was opened last.
        problem: why it is not connected, in one line; "" while it is.
        meanings: what its buttons mean.
        reports: reports taken in since it was made.

    Args:
        name: what it is called in messages and labels.
        poll_s: longest time between two looks [s].
        stale_s: how long a deflection may be silent [s].
        clock: the machine's monotonic time [ns].
    """

    def __init__(
        self, name: str, *, poll_s: float, stale_s: float, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self.name = name
        self.description = name
        self.problem = ""
        self.reports = 0
        self.meanings: Mapping[str, Button] = {}
        self._poll_s = poll_s
        self._stale_ns = round(stale_s * NS_PER_S)
        self._clock = clock
        self._closing = threading.Event()
        self._answered = threading.Event()
        self._refusal: HandrailError | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._state = _LOST
        self._clicked: frozenset[Button] = frozenset()
        self._live = True
        self._stamped = (-1, 0)

    # What a kind of device adds; all of it runs in the device's thread.

    @abstractmethod
    def _connect(self) -> Mapping[str, Button]:
        """Find the hardware and open it; returns what its buttons mean and sets `description`.

        Raises:
            DeviceError: it is missing, busy or not permitted.
            ConfigError: it lacks a button that the configuration names.
        """

    @abstractmethod
    def _look(self, wait_s: float) -> Look:
        """Take in all that it reports, waiting up to `wait_s` for the first of it.

        Raises:
            DeviceError: it is gone.
        """

    @abstractmethod
    def _disconnect(self) -> None:
        """Release what `_connect` opened; harmless when it opened nothing."""

    def _leave(self) -> None:  # noqa: B027 - most have nothing to do
        """The thread's last act."""

    # What the control loop uses.

    def open(self) -> None:
        """Find the device and start to listen; returns once it has shown whether it is at rest.

        Raises:
            DeviceError: it is missing, busy or not permitted.
            ConfigError: it lacks a button that the configuration names.
        """
        if self._thread is not None:
            return
        self._closing.clear()
        self._answered.clear()
        self._refusal = None
        self._thread = threading.Thread(target=self._run, name=f"{self.name}-device", daemon=True)
        self._thread.start()
        if not self._answered.wait(_OPEN_S):
            self._refusal = DeviceError(
                f"{self.name} did not answer within {_OPEN_S:.0f} s; unplug it, plug it in"
            )
        if self._refusal is not None:
            refusal = self._refusal
            self.close()
            raise refusal

    def close(self) -> None:
        """Stop listening and release the hardware."""
        if self._thread is not None:
            self._closing.set()
            self._thread.join(_OPEN_S)
            self._thread = None

    def read(self, now_ns: int) -> Reading:
        """Return the newest state, with the buttons that were clicked since the last call."""
        with self._lock:
            state, clicked = self._state, self._clicked
            self._clicked = frozenset()
        if not state.connected:
            return Reading(np.zeros(6), now_ns, connected=False)
        age_ns = max(0, self._clock() - state.t_ns)
        twist = state.twist
        if age_ns > self._stale_ns:
            twist = _NOTHING
        # On the loop's clock, which need not be ours. One report keeps one stamp: the arbiter counts by it.
        stamp_ns = now_ns - age_ns
        moved_ns = abs(stamp_ns - self._stamped[1])
        if self._stamped[0] != state.t_ns or max(age_ns, moved_ns) > self._stale_ns:
            self._stamped = (state.t_ns, stamp_ns)
        return Reading(twist.copy(), self._stamped[1], state.buttons | clicked)

    # The thread.

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                try:
                    self.meanings = self._connect()
                    self.problem = ""
                    self._follow()
                except HandrailError as error:
                    self._lose(str(error))
                    if not self._answered.is_set():
                        self._refusal = error
                        break
                finally:
                    self._disconnect()
                self._closing.wait(_RETRY_S)
        finally:
            self._lose("closed")
            self._leave()
            self._answered.set()

    def _follow(self) -> None:
        """Look again and again, until closed."""
        self._live = "takeover" not in self.meanings.values()
        settled_ns = self._clock() + round(_SETTLE_S * NS_PER_S)
        while not self._closing.is_set():
            look = self._look(self._poll_s)
            if self._clock() >= settled_ns:
                self._publish(look)
                self._answered.set()

    def _publish(self, look: Look) -> None:
        buttons = meant(look.held, self.meanings)
        clicked = meant(look.clicked, self.meanings) - {"takeover"}
        twist = np.clip(look.twist, -1.0, 1.0) + 0.0  # no -0.0
        if "takeover" in self.meanings.values():
            at_rest = math.hypot(*twist.tolist()) <= REST
            self._live = "takeover" in buttons or (self._live and not at_rest)
        state = _State(twist if self._live else _NOTHING, buttons, look.t_ns, True)
        with self._lock:
            self._state = state
            self._clicked |= clicked

    def _lose(self, problem: str) -> None:
        self.problem = problem
        with self._lock:
            self._state, self._clicked = _LOST, frozenset()

    def __str__(self) -> str:
        return f"{self.description}: {described(self.meanings)}"
