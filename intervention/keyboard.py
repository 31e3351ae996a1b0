"""A keyboard as a teleoperation device: for a first try without hardware, and as an emergency fallback.

A terminal reports key presses, never releases, so a press is a deflection that ages out by itself: whoever
lets go, or loses the terminal, stops the arm within a quarter of a second. Holding a key repeats it.

The space bar is a stop: it halts whoever drives, and pressing it again changes nothing. Only p resumes.

The terminal is given back as it was, at the latest when the process exits. A process that is killed outright
cannot do that; typing `reset` does.
"""

import atexit
import contextlib
import os
import select
import sys
import termios
import tty
from typing import Protocol

import numpy as np

from handrail.intervention.device import Button, DeviceError, Reading
from handrail.robot_env.clock import NS_PER_S

HELP = (
    "move: w/s x  a/d y  r/f z | turn: i/k rx  j/l ry  u/o rz | space: stop | "
    "y success  n failure  x discard  p pause/resume"
)

_AXES: dict[str, tuple[int, float]] = {
    **{"w": (0, 1.0), "s": (0, -1.0), "a": (1, 1.0), "d": (1, -1.0), "r": (2, 1.0), "f": (2, -1.0)},
    **{"i": (3, 1.0), "k": (3, -1.0), "j": (4, 1.0), "l": (4, -1.0), "u": (5, 1.0), "o": (5, -1.0)},
}
_BUTTONS: dict[str, Button] = {
    **{"y": "success", "n": "failure", "x": "discard", "p": "pause", " ": "stop"},
}


class KeySource(Protocol):
    """Where key presses come from: a terminal, or a browser's window."""

    def open(self) -> None:
        """Start listening.

        Raises:
            DeviceError: there is nothing to listen to.
        """
        ...

    def close(self) -> None:
        """Stop listening and restore what was changed."""
        ...

    def pressed(self) -> str | None:
        """Return the keys pressed since the last call, oldest first; None when the source is gone."""
        ...


class TerminalKeys:
    """Reads keys from a terminal in cbreak mode: unechoed, without waiting for Enter.

    Ctrl-C still interrupts.

    Args:
        fd: The terminal; None takes standard input.
    """

    def __init__(self, fd: int | None = None) -> None:
        self._fd = fd
        self._saved: list | None = None

    def open(self) -> None:
        """Switch the terminal to cbreak mode.

        Raises:
            DeviceError: it is no terminal.
        """
        fd = sys.stdin.fileno() if self._fd is None else self._fd
        if not os.isatty(fd):
            raise DeviceError("The keyboard device needs a terminal on standard input; run it from one.")
        if self._saved is not None:
            return
        self._fd = fd
        self._saved = termios.tcgetattr(fd)
        atexit.register(self.close)
        tty.setcbreak(fd)

    def close(self) -> None:
        """Give the terminal back as it was; harmless when it is gone."""
        saved, self._saved = self._saved, None
        if saved is not None and self._fd is not None:
            atexit.unregister(self.close)
            with contextlib.suppress(termios.error, OSError):
                # Not TCSADRAIN: a terminal that shows nothing any more would keep us waiting.
                termios.tcsetattr(self._fd, termios.TCSANOW, saved)

    def pressed(self) -> str | None:
        """Return what was typed since the last call; None once the terminal is closed."""
        if self._saved is None or self._fd is None:
            return None
        keys = b""
        try:
            while select.select([self._fd], [], [], 0.0)[0]:
                chunk = os.read(self._fd, 1024)
                if not chunk:
                    return None
                keys += chunk
        except OSError:
            return None
        return keys.decode("ascii", errors="ignore")


class Keyboard:
    """Keys as deflections.

    Args:
        source: Where keys come from.
        deflection: How far a key deflects its axis, in (0, 1].
        age_s: How long a press lasts [s].
    """

    name = "keyboard"

    def __init__(
        self,
        source: KeySource,
        deflection: float = 0.5,
        age_s: float = 0.25,
    ) -> None:
        self._source = source
        self._deflection = deflection
        self._age_ns = round(age_s * NS_PER_S)
        self._forget()

    def __str__(self) -> str:
        """The device and its keys, in one line."""
        return f"{self.name}: {HELP}"

    def open(self) -> None:
        """Start listening; keys typed before do not count.

        Raises:
            DeviceError: there is no terminal.
        """
        self._source.open()
        self._source.pressed()
        self._forget()

    def close(self) -> None:
        """Stop listening."""
        self._source.close()
        self._forget()

    def read(self, now_ns: int) -> Reading:
        """Return the deflection of the keys that still count, and the buttons pressed just now."""
        keys = self._source.pressed()
        if keys is None:
            return Reading(np.zeros(6), now_ns, connected=False)
        buttons: set[Button] = set()
        for key in keys:
            if key in _AXES:
                axis, sign = _AXES[key]
                self._value[axis] = sign * self._deflection
                self._expires_ns[axis] = now_ns + self._age_ns
            elif key in _BUTTONS:
                buttons.add(_BUTTONS[key])
        if "stop" in buttons:
            self._forget()
        twist = np.where(self._expires_ns > now_ns, self._value, 0.0)
        return Reading(twist, now_ns, frozenset(buttons))

    def _forget(self) -> None:
        self._value = np.zeros(6)
        self._expires_ns = np.zeros(6, np.int64)
