"""What a teleoperation device is: something that can be asked, once a step, how it is deflected right now.

A device never decides who drives; the arbiter does, from the readings. Every reading carries the time at
which the device was known to be in that state, so that a silent device can be told from one at rest: a driver
whose hardware only reports changes stamps a *neutral* state with the time of its last successful poll, and a
*deflected* state with the time of the report itself. (A stick that is held still reports nothing at all; such
a device has a deadman button instead.) All times are on the clock whose `now_ns` the loop passes to `read`.

The axes of a device that lies on a desk: x to the operator's right, y away from the operator, z up; turns are
about these axes and right-handed, so that a positive turn about z is anticlockwise as seen from above.
`mapping` makes actions of them.
"""

import math
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from handrail.robot_env.errors import HandrailError

AXES = ("x", "y", "z", "rx", "ry", "rz")

Button = Literal["success", "failure", "discard", "pause", "stop", "takeover", "hold", "resume", "abandon"]
"""What a press means. Three are verdicts on the episode. "pause" stops and, pressed again, resumes; "stop"
only ever stops, whoever drives. "takeover" is a deadman switch.

Three are a console's alone: "hold" and "resume" pause and resume however often they come, "abandon" ends the
episode without a verdict."""
CONSOLE_BUTTONS: frozenset[Button] = frozenset(("hold", "resume", "abandon"))


class DeviceError(HandrailError):
    """A teleoperation device cannot be used as it is."""

    exit_code = 13


VERDICTS: frozenset[Button] = frozenset(("success", "failure", "discard"))


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What a device says.

    Attributes:
        twist: Deflection (6,) float64 in [-1, 1]: x y z, then about x y z, in the device's axes.
        buttons: Names held down. "takeover" is a deadman switch: held, the human drives, whatever the
            deflection.
        t_ns: When the device was known to be in this state [ns].
        connected: Whether the device is there at all.
        console: Whether the twist is that of a hand at the console, and not of the device beside the arm.
    """

    twist: np.ndarray
    t_ns: int
    buttons: frozenset[Button] = field(default_factory=frozenset)
    connected: bool = True
    console: bool = False

    @property
    def deflection(self) -> float:
        """Euclidean norm of the twist; NaN when any part of it is."""
        return math.hypot(*self.twist.tolist())


class Device(Protocol):
    """A source of readings. Constructors touch no hardware; `open` does."""

    @property
    def name(self) -> str:
        """What to call it: in messages, and as whoever gives its buttons' verdicts."""
        ...

    def open(self) -> None:
        """Acquire the hardware.

        Raises:
            DeviceError: it is missing, busy or not permitted.
        """
        ...

    def close(self) -> None:
        """Release the hardware; harmless when closed already."""
        ...

    def read(self, now_ns: int) -> Reading:
        """Return the newest state.

        The control loop calls it once a step: it never waits, and never raises for a lost device.
        """
        ...


@runtime_checkable
class EpisodeAware(Protocol):
    """A device that wants to know when episodes begin and end; the synthetic operator does."""

    def episode_started(self, seed: tuple[int, ...]) -> None:
        """An episode begins; `seed` is the one its reset was given."""
        ...

    def episode_finished(self, success: bool, unaided: bool) -> None:
        """The episode that had begun is over."""
        ...


@runtime_checkable
class Outspoken(Protocol):
    """A device with words on the running episode that hold whether or not its readings can be trusted."""

    def said(self) -> frozenset[Button]:
        """Verdicts, and "abandon", that were given since the last call; each is told once."""
        ...


def check_at_rest(device: Device, now_ns: int, limit: float = 0.03) -> None:
    """Refuse to start with a device that is held, stuck or gone.

    Raises:
        DeviceError: one line saying which.
    """
    reading = device.read(now_ns)
    if not reading.connected:
        raise DeviceError(f"{device.name} is not connected; plug it in, or choose another device.")
    worst = int(np.argmax(np.abs(reading.twist)))
    if not reading.deflection <= limit:
        raise DeviceError(
            f"{device.name} is not at rest: axis {AXES[worst]} reads {reading.twist[worst]:+.2f}, "
            f"limit {limit:.2f}; let go of it, or recalibrate it if nobody holds it."
        )
    if reading.buttons:
        raise DeviceError(f"{device.name} has {', '.join(sorted(reading.buttons))} pressed; let go of it.")
