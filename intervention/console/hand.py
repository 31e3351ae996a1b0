"""The operator's hand at the console: what it presses and, while its deadman is held, how it drives.

It stands beside the device at the arm and never instead of it: while nobody drives from the console, the
device's own reading passes through untouched.
"""

import threading
import time
from collections.abc import Callable

import numpy as np

from handrail.intervention.config import MappingConfig
from handrail.intervention.console.messages import Hand
from handrail.intervention.device import Button, Device, EpisodeAware, Reading
from handrail.robot_env.clock import NS_PER_S

CONSOLE_MAPPING = MappingConfig(frame="base")
"""How a hand at the console moves the arm: the page sends directions of the base already."""
LOST_S = 2.0
"""For so long a hand that fell silent while it drove is waited for; nobody drives meanwhile."""
SILENT = "the hand at the console fell silent: let go, then take over again"
"""Said of a hand that drove, was not heard for a moment, and has not let go since."""
_HOLDABLE: frozenset[Button] = frozenset({"success"})
_DRIVING: frozenset[Button] = frozenset({"takeover"})
_PAUSING: frozenset[Button] = frozenset({"hold"})


class Press:
    """A button pressed once at the console.

    Attributes:
        button: which.
        who: pressed it.
        episode: for which episode alone it is meant; None for whatever goes on.
        outcome: None while it waits to be seen by the control loop, then why it came to nothing, "" if it
            was seen.
    """

    def __init__(self, button: Button, who: str, episode: int | None = None) -> None:
        self.button: Button = button
        self.who, self.episode = who, episode
        self.outcome: str | None = None


class ConsoleHand:
    """Filled by the desk's thread, read by the control loop's.

    Args:
        stale_s: silence after which a hand that drives is no longer trusted [s].
        forgives: whether the policy may go on when a hand was lost; otherwise somebody has to resume.
        now_ns: the clock of what arrives.
    """

    def __init__(self, stale_s: float, forgives: bool, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._stale_ns = round(stale_s * NS_PER_S)
        self._forgives, self._now_ns = forgives, now_ns
        self._lock = threading.Lock()
        self._newest: Hand | None = None
        self._presses: list[Press] = []
        self._verdict_by = ""

    @property
    def driver(self) -> str:
        """Who drives from the console now, "" for nobody."""
        newest = self._newest
        return newest.who if newest is not None and newest.drive else ""

    @property
    def verdict_by(self) -> str:
        """Who gave a verdict on this episode at the console, "" when nobody has."""
        return self._verdict_by

    def begin(self) -> None:
        """An episode begins."""
        self._verdict_by = ""

    def feel(self, hand: Hand) -> None:
        """Take what the hand does; one that is older than what is known is dropped.

        While somebody drives, nobody else's hand counts: two would pull the arm to and fro.
        """
        if not np.isfinite(hand.twist).all():
            return
        with self._lock:
            newest = self._newest
            if newest is None or newest.who == hand.who:
                newer = newest is None or hand.sequence > newest.sequence
            else:
                newer = not newest.drive or hand.t_ns - newest.t_ns > self._stale_ns
            if newer:
                self._newest = hand

    def press(self, press: Press) -> str:
        """Have the control loop see a button at its next look; a resume takes back a pause before it.

        Returns:
            Why it comes to nothing, "" if it does not.
        """
        with self._lock:
            if press.button == "resume":
                if any(each.button == "stop" for each in self._presses):
                    return "a stop was pressed a moment before; resume once it has taken effect"
                self._presses = [each for each in self._presses if each.button != "hold"]
            self._presses.append(press)
        return ""

    def withdraw(self, press: Press, why: str) -> None:
        """Take a press back that has not been seen yet."""
        with self._lock:
            if press.outcome is None:
                press.outcome = why
                self._presses.remove(press)

    def over(self, reading: Reading, now_ns: int) -> Reading:
        """The device's reading, or the console's where somebody drives there, with the buttons of both.

        Args:
            reading: of the device.
            now_ns: the control loop's time, on which the result is stamped [ns].
        """
        with self._lock:
            buttons = self._seen()
            newest = self._newest
            age_ns = 0 if newest is None else max(0, self._now_ns() - newest.t_ns)
            if newest is None or (not newest.drive and age_ns > self._stale_ns):
                self._newest = None
                return _with(reading, buttons)
            if age_ns > self._stale_ns:
                return self._lost(reading, buttons, age_ns)
        held: frozenset[Button] = frozenset(each for each in _HOLDABLE if each in newest.held)
        if not newest.drive:
            return _with(reading, buttons | held)
        twist = np.clip(np.array(newest.twist, dtype=np.float64), -1.0, 1.0)
        pressed = reading.buttons | buttons | held | _DRIVING
        return Reading(twist, now_ns - age_ns, pressed, True, console=True)

    def _lost(self, reading: Reading, buttons: frozenset[Button], age_ns: int) -> Reading:
        """Nobody drives; and after a while nobody is waited for."""
        if age_ns > LOST_S * NS_PER_S:
            self._newest = None
            if not self._forgives:
                buttons |= _PAUSING
        return Reading(np.zeros(6), reading.t_ns, reading.buttons | buttons, connected=False, console=True)

    def said(self, episode: int | None) -> frozenset[Button]:
        """The verdicts, and "abandon", on an episode that were pressed since the last call.

        Args:
            episode: the number of the running episode; None between two. Words on any other come to nothing.
        """
        said: set[Button] = set()
        with self._lock:
            for press in [each for each in self._presses if each.episode is not None]:
                self._presses.remove(press)
                if press.episode != episode:
                    press.outcome = f"episode {press.episode} was over already; correct it in the review"
                    continue
                said.add(press.button)
                self._verdict_by = press.who
                press.outcome = ""
        return frozenset(said)

    def _seen(self) -> frozenset[Button]:
        """The other buttons pressed since the last look, each seen once."""
        seen = [each for each in self._presses if each.episode is None]
        self._presses = [each for each in self._presses if each.episode is not None]
        for press in seen:
            press.outcome = ""
        return frozenset(press.button for press in seen)


def _with(reading: Reading, buttons: frozenset[Button]) -> Reading:
    if not buttons:
        return reading
    return Reading(reading.twist, reading.t_ns, reading.buttons | buttons, reading.connected)


class SharedDevice:
    """A device, and the hand at the console over it. A `Device`, and aware of episodes if the device is.

    Args:
        device: the one beside the arm.
        hand: the one at the console.
        episode: asked for the number of the running episode; None between two.
    """

    def __init__(self, device: Device, hand: ConsoleHand, episode: Callable[[], int | None]) -> None:
        self._device, self._hand, self._episode = device, hand, episode

    @property
    def name(self) -> str:
        """Who is answerable for a verdict: the operator at the console who gave it, or else the device."""
        return self._hand.verdict_by or self._device.name

    def __str__(self) -> str:
        """The device in one line."""
        return str(self._device)

    def open(self) -> None:
        """Open the device."""
        self._device.open()

    def close(self) -> None:
        """Close the device."""
        self._device.close()

    def read(self, now_ns: int) -> Reading:
        """The newest state of both."""
        return self._hand.over(self._device.read(now_ns), now_ns)

    def said(self) -> frozenset[Button]:
        """What was said at the console of the running episode."""
        return self._hand.said(self._episode())

    def episode_started(self, seed: tuple[int, ...]) -> None:
        """Pass it on."""
        self._hand.begin()
        if isinstance(self._device, EpisodeAware):
            self._device.episode_started(seed)

    def episode_finished(self, success: bool, unaided: bool) -> None:
        """Pass it on."""
        if isinstance(self._device, EpisodeAware):
            self._device.episode_finished(success, unaided)


class NoDevice:
    """Nothing beside the arm: the console is the operator's only device."""

    name = "console"

    def __str__(self) -> str:
        """What to do, in one line."""
        return "console: drive, and give verdicts, on the operator's page"

    def open(self) -> None:
        """Nothing to open."""

    def close(self) -> None:
        """Nothing to close."""

    def read(self, now_ns: int) -> Reading:
        """Always at rest."""
        return Reading(np.zeros(6), now_ns)
