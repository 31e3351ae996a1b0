"""A gamepad, through SDL's GameController interface: every pad looks like the same one, whoever made it.

Hold the right shoulder button to drive; let go, and the policy has the wheel again. That button is needed
because a stick that is held still reports nothing: the age of its last report says nothing about the hand.
For the same reason use a cable: a pad whose radio link breaks seems to go on as it was until the system gives
it up, which can take seconds.

Axes, as of a device on the desk: the left stick moves x (right) and y (away), the triggers z (the right one
up, the left one down). The right stick turns about z (to the right: clockwise as seen from above) and tips
about x (pulled back: the far edge rises); the cross tips to the sides, about y.

SDL is used from this device's thread alone, and only its joystick part: no video, so no display is needed.
Left to itself it would take over SIGTERM.
"""

import threading
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from handrail.intervention.buttons import assign
from handrail.intervention.config import ButtonsConfig
from handrail.intervention.device import Button, DeviceError
from handrail.intervention.polled import Look, PolledDevice
from handrail.robot_env.errors import MissingExtra

_FULL = 32767.0
_CROSS = 0.5  # the cross knows only on and off
_STEERING = ("dpleft", "dpright")
_DEFAULTS: dict[str, Button] = {
    **{"a": "success", "b": "failure", "x": "discard", "start": "pause", "back": "stop"},
    **{"rightshoulder": "takeover"},
}


@dataclass(frozen=True)
class _Pad:
    """A pad that SDL sees."""

    index: int
    name: str
    guid: str
    path: str

    def __str__(self) -> str:
        return f"{self.name} ({self.path or self.index}, GUID {self.guid})"


class Gamepad(PolledDevice):
    """A gamepad.

    Args:
        path: which one: its node ("/dev/input/event5"), its GUID or its number; "" takes the only one.
        buttons: what its buttons mean, by SDL's names; by default a success, b failure, x discard, start
            pause, back stop, rightshoulder takeover. With takeover "none" it drives whenever it is deflected.
        dead_zone: deflection of a stick or trigger that still counts as none; worn sticks rest at 0.1.
        poll_s: time between two looks [s].
        stale_s: how long its thread may be silent [s].
        clock: the machine's monotonic time [ns].

    Raises:
        MissingExtra: PySDL2 or SDL itself is not installed.
    """

    # SDL's start, end and list of devices are one for the process.
    _sdl_lock = threading.Lock()

    def __init__(
        self,
        path: str = "",
        buttons: ButtonsConfig | None = None,
        *,
        dead_zone: float = 0.15,
        poll_s: float = 0.005,
        stale_s: float = 0.15,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        super().__init__("gamepad", poll_s=poll_s, stale_s=stale_s, clock=clock)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it announces where it found SDL
                import sdl2
        except ImportError:
            raise MissingExtra("gamepad") from None
        self._sdl = sdl2
        self._path = path
        self._buttons = buttons or ButtonsConfig()
        self._dead_zone = dead_zone
        self._started = False
        self._guid = ""
        self._pad: Any = None
        self._names: dict[str, int] = {}
        self._held: frozenset[str] = frozenset()

    def _connect(self) -> Mapping[str, Button]:
        sdl = self._sdl
        with self._sdl_lock:
            self._start()
            sdl.SDL_GameControllerUpdate()
            chosen = self._choose(list(self._pads()))
            pad = sdl.SDL_GameControllerOpen(chosen.index)
            if not pad:
                reason = sdl.SDL_GetError().decode(errors="replace")
                raise DeviceError(f"{chosen} cannot be opened ({reason}); may this user read {chosen.path}?")
        self._pad, self._guid, self._held = pad, chosen.guid, frozenset()
        self.description = str(chosen)
        self._names = {
            sdl.SDL_GameControllerGetStringForButton(number).decode(): number
            for number in range(sdl.SDL_CONTROLLER_BUTTON_MAX)
            if sdl.SDL_GameControllerHasButton(pad, number)
        }
        free = [name for name in self._names if name not in _STEERING]
        return assign(chosen.name, free, _DEFAULTS, self._buttons)

    def _disconnect(self) -> None:
        if self._pad is not None:
            with self._sdl_lock:
                self._sdl.SDL_GameControllerClose(self._pad)
            self._pad = None

    def _leave(self) -> None:
        if self._started:
            with self._sdl_lock:
                self._sdl.SDL_QuitSubSystem(self._sdl.SDL_INIT_GAMECONTROLLER)
            self._started = False

    def _look(self, wait_s: float) -> Look:
        sdl, pad = self._sdl, self._pad
        self._closing.wait(wait_s)
        sdl.SDL_GameControllerUpdate()
        sdl.SDL_FlushEvents(sdl.SDL_FIRSTEVENT, sdl.SDL_LASTEVENT)  # the state is read, not its changes
        if not sdl.SDL_GameControllerGetAttached(pad):
            raise DeviceError(f"{self.description} was unplugged, or its receiver lost it")
        held = frozenset(
            name for name, number in self._names.items() if sdl.SDL_GameControllerGetButton(pad, number)
        )
        axes = [
            sdl.SDL_GameControllerGetAxis(pad, axis) / _FULL for axis in range(sdl.SDL_CONTROLLER_AXIS_MAX)
        ]
        clicked, self._held = held - self._held, held
        self.reports += 1
        return Look(self._twist(np.array(axes), held), self._clock(), held, clicked)

    def _twist(self, axes: np.ndarray, held: frozenset[str]) -> np.ndarray:
        """The deflection (6,) of SDL's axes: left stick, right stick (x, y down), left and right trigger."""
        beyond = np.maximum(0.0, np.abs(axes) - self._dead_zone) / (1.0 - self._dead_zone)
        left_x, left_y, right_x, right_y, left_trigger, right_trigger = np.sign(axes) * beyond
        tilt = _CROSS * (("dpright" in held) - ("dpleft" in held))
        return np.array([left_x, -left_y, right_trigger - left_trigger, right_y, tilt, -right_x])

    def _start(self) -> None:
        sdl = self._sdl
        if self._started:
            return
        sdl.SDL_SetHint(sdl.SDL_HINT_NO_SIGNAL_HANDLERS, b"1")
        sdl.SDL_SetHint(sdl.SDL_HINT_JOYSTICK_ALLOW_BACKGROUND_EVENTS, b"1")
        if sdl.SDL_InitSubSystem(sdl.SDL_INIT_GAMECONTROLLER) != 0:
            reason = sdl.SDL_GetError().decode(errors="replace")
            raise DeviceError(f"SDL cannot look for gamepads ({reason}); see `handrail doctor device`")
        self._started = True

    def _pads(self) -> list[_Pad]:
        sdl = self._sdl
        return [
            _Pad(
                index,
                _text(sdl.SDL_GameControllerNameForIndex(index)) or "gamepad",
                _guid(sdl, index),
                _text(sdl.SDL_GameControllerPathForIndex(index)),
            )
            for index in range(sdl.SDL_NumJoysticks())
            if sdl.SDL_IsGameController(index)
        ]

    def _choose(self, pads: list[_Pad]) -> _Pad:
        """The pad to open.

        Raises:
            DeviceError: there is none, or there are several and no path says which.
        """
        listed = ", ".join(map(str, pads))
        if not pads:
            raise DeviceError("no gamepad is connected; plug it in, or choose another device")
        if self._path:
            found = [pad for pad in pads if self._path in (pad.path, pad.guid, str(pad.index))]
            # Numbers move up when a pad is pulled out: the number must not lead to another pad than it did.
            found = [pad for pad in found if not self._guid or pad.guid == self._guid]
            if not found:
                raise DeviceError(
                    f"device.path is {self._path}, where there is no gamepad; connected: {listed}"
                )
        else:
            found = pads
        if len(found) > 1:
            raise DeviceError(
                f"{len(found)} gamepads are connected: {listed}; say which one with device.path=…"
            )
        return found[0]


def _text(value: bytes | None) -> str:
    return value.decode(errors="replace") if value else ""


def _guid(sdl: Any, index: int) -> str:
    return bytes(sdl.SDL_JoystickGetDeviceGUID(index).data).hex()
