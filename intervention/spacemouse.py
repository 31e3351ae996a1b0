"""A 3Dconnexion SpaceMouse, through pyspacemouse and easyhid.

pyspacemouse parses the reports; which of the connected interfaces to open, how long to wait for a report,
when the queue is empty and when the device is gone is decided here:

- A receiver shows several interfaces, and only one of them moves: HID usage page 1 (generic desktop), usage 8
  (multi-axis controller). pyspacemouse takes the first, which may read zero for ever.
- pyspacemouse reads one report a call and either never waits or waits for ever. Here a read waits a few
  milliseconds inside hidapi and then takes in the whole queue.
- A device that was pulled out raises on reading, and pyspacemouse still calls it connected.

Axes: the mouse lies on the desk with its cable leading away from you. Pushed to the right the cap reads +x,
pushed away from you +y, lifted +z. Tipped with its far edge up it reads +rx, with its right edge down +ry,
turned anticlockwise as seen from above +rz. That is pyspacemouse's HID_Z_UP; its default is no consistent
frame.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from handrail.intervention.buttons import assign
from handrail.intervention.config import ButtonsConfig
from handrail.intervention.device import Button, DeviceError
from handrail.intervention.polled import REST, Look, PolledDevice
from handrail.robot_env.errors import MissingExtra

_MOTION = (1, 8)  # usage page, usage
_VENDOR = 0x256F
_QUEUE = 256  # reports taken in at a time at most; the kernel keeps 64

# A two-button mouse behind the Universal Receiver reports as MENU and FIT. It has no button left to pause
# with: a held session is resumed with success, too.
_DEFAULTS: dict[str, Button] = {
    **{"LEFT": "success", "RIGHT": "failure"},
    **{"BTN_1": "success", "BTN_2": "failure", "BTN_3": "discard", "ESC": "pause"},
}
_RECEIVER: dict[str, Button] = {**_DEFAULTS, "MENU": "success", "FIT": "failure"}


class _Interface:
    """easyhid's device, whose reads wait for so long and no longer, and are counted."""

    def __init__(self, hid: Any) -> None:
        self._hid = hid
        self.wait_ms = 0
        self.reports = 0

    def read(self, size: int) -> bytearray:
        data = self._hid.read(size, timeout=self.wait_ms)
        self.reports += bool(data)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._hid, name)


class SpaceMouse(PolledDevice):
    """A SpaceMouse.

    Args:
        path: its hidraw node, or a link to it; "" takes the only one.
        buttons: what its buttons mean; by default LEFT and RIGHT (or BTN_1 and BTN_2) are success and
            failure, BTN_3 discard and ESC pause, as far as the model has them.
        poll_s: longest time between two looks [s]; a report is taken in at once.
        stale_s: how long a deflection may be silent [s].
        clock: the machine's monotonic time [ns].

    Raises:
        MissingExtra: pyspacemouse or its system library is not installed.
    """

    # hidapi's enumeration keeps state of its own, and two devices may be looked for at once.
    _finding = threading.Lock()

    def __init__(
        self,
        path: str = "",
        buttons: ButtonsConfig | None = None,
        *,
        poll_s: float = 0.005,
        stale_s: float = 0.15,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        super().__init__("spacemouse", poll_s=poll_s, stale_s=stale_s, clock=clock)
        try:
            import pyspacemouse
            from easyhid import easyhid

            # Without the system library easyhid imports all the same, and fails at its first call.
            getattr(easyhid.hidapi, "hid_enumerate")  # noqa: B009 - a symbol of the library
        except (ImportError, AttributeError, OSError):
            raise MissingExtra("spacemouse", "libhidapi-hidraw0") from None
        self._easyhid, self._vendor = easyhid, pyspacemouse
        self._path = path
        self._buttons = buttons or ButtonsConfig()
        self._interface: _Interface | None = None
        self._mouse: Any = None
        self._moved = False
        self._moved_ns = 0
        self._held: frozenset[str] = frozenset()

    def _connect(self) -> Mapping[str, Button]:
        vendor = self._vendor
        with self._finding:
            hid, spec = self._choose()
            self._interface = _Interface(hid)
            z_up = vendor.apply_axis_convention(spec, vendor.AxisConvention.HID_Z_UP)
            meanings = assign(
                spec.name,
                spec.button_names,
                _RECEIVER if spec.name == "UniversalReceiver" else _DEFAULTS,
                self._buttons,
            )
            mouse = vendor.SpaceMouseDevice(info=z_up, device=self._interface)
            mouse.configure(dof_callback=self._note_motion)
            try:
                mouse.open()
            except RuntimeError:
                raise DeviceError(_refused(hid, spec)) from None
        self._mouse, self._held, self._moved_ns = mouse, frozenset(), self._clock()
        self.description = _named(hid, spec)
        return meanings

    def _disconnect(self) -> None:
        if self._mouse is not None:
            self._mouse.close()
            self._mouse = None

    def _look(self, wait_s: float) -> Look:
        interface, mouse = self._interface, self._mouse
        assert interface is not None
        names = mouse.info.button_names
        held, seen = self._held, frozenset()
        self._moved = False
        interface.wait_ms = max(1, round(1e3 * wait_s))
        try:
            for _ in range(_QUEUE):
                before = interface.reports
                state = mouse.read()
                if interface.reports == before:
                    break
                interface.wait_ms = 0
                down = frozenset(name for name, is_down in zip(names, state.buttons, strict=True) if is_down)
                seen |= down - held
                held = down
        except self._easyhid.HIDException:
            raise DeviceError(f"{self.description} was unplugged, or its receiver lost it") from None
        now_ns = self._clock()
        self._moved_ns = now_ns if self._moved else self._moved_ns
        self._held = held
        self.reports += interface.reports
        interface.reports = 0
        twist = np.array([state.x, state.y, state.z, state.roll, state.pitch, state.yaw])
        deflected = bool(np.linalg.norm(twist) > REST)
        return Look(twist, self._moved_ns if deflected else now_ns, held, seen)

    def _note_motion(self, _: Any) -> None:
        self._moved = True

    def _choose(self) -> tuple[Any, Any]:
        """The interface to open, and pyspacemouse's description of its model.

        Raises:
            DeviceError: there is none, or there are several and no path says which.
        """
        specs = {spec.hid_id: spec for spec in self._vendor.get_device_specs().values()}
        everything = self._easyhid.Enumeration().find()
        hids = [hid for hid in everything if (hid.vendor_id, hid.product_id) in specs]
        found = {hid.path: hid for hid in hids if (hid.usage_page, hid.usage) == _MOTION}
        if hids and not any(hid.usage_page for hid in hids):
            # An hidapi older than 0.11 does not know what an interface is for.
            found = {hid.path: hid for hid in hids}
        listed = ", ".join(_named(hid, specs[hid.vendor_id, hid.product_id]) for hid in found.values())
        if self._path:
            wanted = Path(self._path).resolve()
            found = {path: hid for path, hid in found.items() if Path(path).resolve() == wanted}
            if not found:
                raise DeviceError(
                    f"device.path is {self._path}, where no SpaceMouse moves; connected: {listed or 'none'}"
                )
        if not found:
            raise DeviceError(
                f"no SpaceMouse is connected; plug it in, or choose another device{_unknown(everything)}"
            )
        if len(found) > 1:
            raise DeviceError(
                f"{len(found)} SpaceMice are connected: {listed}; say which one with device.path=…"
            )
        hid = next(iter(found.values()))
        return hid, specs[hid.vendor_id, hid.product_id]


def _named(hid: Any, spec: Any) -> str:
    return f"{hid.product_string or spec.name} at {hid.path}"


def _unknown(hids: list[Any]) -> str:
    """Words about a 3Dconnexion device that is there, but that pyspacemouse does not know."""
    for hid in hids:
        if hid.vendor_id == _VENDOR and (hid.usage_page, hid.usage) == _MOTION:
            model = f"{hid.product_string} ({hid.vendor_id:04x}:{hid.product_id:04x})"
            return f" ({model} at {hid.path} is there, but pyspacemouse does not know this model)"
    return ""


def _refused(hid: Any, spec: Any) -> str:
    named = _named(hid, spec)
    if Path(hid.path).exists() and not os.access(hid.path, os.R_OK | os.W_OK):
        return f"{named} may not be opened by this user; add a udev rule for it, then plug it in again"
    return f"{named} cannot be opened; plug it in again, or end the program that holds it"
