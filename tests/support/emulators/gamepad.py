"""A gamepad inside the real SDL: its virtual joystick driver, which all above it takes for hardware."""

import ctypes
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import sdl2

BUTTONS = (
    "a",
    "b",
    "x",
    "y",
    "back",
    "guide",
    "start",
    "leftstick",
    "rightstick",
    "leftshoulder",
    "rightshoulder",
)
_CROSS = ("dpup", "dpdown", "dpleft", "dpright")
_AXES = ("leftx", "lefty", "rightx", "righty", "lefttrigger", "righttrigger")
_ALL = BUTTONS + _CROSS


class VirtualPad:
    """A pad that is plugged in while it exists.

    Args:
        product: its USB product id; it makes the GUID.
        name: what it calls itself.
    """

    def __init__(self, product: int = 0x028E, name: str = "Emulated pad") -> None:
        description = sdl2.SDL_VirtualJoystickDesc()
        description.version = sdl2.SDL_VIRTUAL_JOYSTICK_DESC_VERSION
        description.type = sdl2.SDL_JOYSTICK_TYPE_GAMECONTROLLER
        description.naxes, description.nbuttons = len(_AXES), len(_ALL)
        description.axis_mask, description.button_mask = (1 << len(_AXES)) - 1, (1 << len(_ALL)) - 1
        description.vendor_id, description.product_id = 0x045E, product
        description.name = name.encode()
        self._description = description
        index = sdl2.SDL_JoystickAttachVirtualEx(ctypes.byref(description))
        assert index >= 0, sdl2.SDL_GetError()
        self.guid = bytes(sdl2.SDL_JoystickGetDeviceGUID(index).data).hex()
        self._instance = sdl2.SDL_JoystickGetDeviceInstanceID(index)
        self._joystick = sdl2.SDL_JoystickOpen(index)
        self.let_go()

    @property
    def index(self) -> int:
        """SDL's present number of the pad."""
        numbers = range(sdl2.SDL_NumJoysticks())
        return next(i for i in numbers if sdl2.SDL_JoystickGetDeviceInstanceID(i) == self._instance)

    def let_go(self) -> None:
        """Centre the sticks, release everything."""
        self.move(leftx=0, lefty=0, rightx=0, righty=0, lefttrigger=0, righttrigger=0)
        for number in range(len(_ALL)):
            sdl2.SDL_JoystickSetVirtualButton(self._joystick, number, 0)

    def move(self, **axes: float) -> None:
        """Move sticks (right and down are positive, full is 1) and triggers (0 to 1)."""
        for name, value in axes.items():
            # A trigger's joystick axis rests at its lower end.
            counts = 65535 * value - 32768 if name.endswith("trigger") else 32767 * value
            sdl2.SDL_JoystickSetVirtualAxis(self._joystick, _AXES.index(name), round(counts))

    def press(self, *names: str) -> None:
        for name in names:
            sdl2.SDL_JoystickSetVirtualButton(self._joystick, _ALL.index(name), 1)

    def release(self, *names: str) -> None:
        for name in names:
            sdl2.SDL_JoystickSetVirtualButton(self._joystick, _ALL.index(name), 0)

    def unplug(self) -> None:
        if self._joystick is not None:
            sdl2.SDL_JoystickDetachVirtual(self.index)
            sdl2.SDL_JoystickClose(self._joystick)
            self._joystick = None


@contextmanager
def sdl(hint: bool = True) -> Iterator[None]:
    """SDL's joysticks, kept up while a test has pads; without the `hint` SDL may take over SIGTERM."""
    if hint:
        sdl2.SDL_SetHint(sdl2.SDL_HINT_NO_SIGNAL_HANDLERS, b"1")
    assert sdl2.SDL_InitSubSystem(sdl2.SDL_INIT_GAMECONTROLLER) == 0
    try:
        yield
    finally:
        sdl2.SDL_QuitSubSystem(sdl2.SDL_INIT_GAMECONTROLLER)
