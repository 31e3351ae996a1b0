"""Who has paused or stopped the policy from the console: to be told to everybody, and kept in the log."""

from typing import Literal

from handrail.intervention.console.hand import Press

BY_SOMEBODY = "paused by the operator"
"""What is said of a pause by whoever is at the device, who gives no name."""


class Halt:
    """The pause that stands now, if it was asked for at the console.

    The desk's thread tells of presses, the control loop's of whether the policy is paused.
    """

    def __init__(self) -> None:
        self._press: Press | None = None
        self._paused = False

    @property
    def who(self) -> str:
        """Who asked for it; "" where nobody at a console has."""
        press = self._press
        return "" if press is None else press.who

    @property
    def stopped(self) -> bool:
        """Whether it is a stop."""
        press = self._press
        return press is not None and press.button == "stop"

    def __str__(self) -> str:
        press = self._press
        if press is None:
            return BY_SOMEBODY
        return f"{'stopped' if press.button == 'stop' else 'paused'} by {press.who}"

    def asked(self, press: Press) -> Literal["stopped", "paused", "resumed"] | None:
        """Somebody has pressed stop, pause or resume at the console; what is new of it, None for nothing."""
        halted = self._paused or self._press is not None
        match press.button:
            case "resume":
                self._press = None
                return "resumed" if halted else None
            case "stop":  # is told whoever had paused before
                if not self.stopped:
                    self._press = press
                return "stopped"
            case _:
                if halted:  # it is the first one's
                    return None
                self._press = press
                return "paused"

    def stands(self, paused: bool) -> None:
        """Whether the policy is paused. One who resumes at the device ends what the console has asked for."""
        press = self._press
        if self._paused and not paused and press is not None and press.outcome is not None:
            self._press = None
        self._paused = paused
