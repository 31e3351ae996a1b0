"""3Dconnexion devices below the real easyhid and pyspacemouse: libhidapi's functions, over emulated nodes.

Only the C library's symbol table is replaced; all enumeration, opening and parsing that runs is the vendors'
own. As in the kernel each open node has a ring for 63 reports, and a report that finds it full is lost; a
read on a node that is gone fails at once.
"""

import contextlib
import struct
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from easyhid import easyhid

RING = 63
FULL = 350  # counts at full deflection


@dataclass(frozen=True)
class Model:
    """What a device says of itself, and whether its turns come in a report of their own."""

    vendor: int
    product: int
    name: str
    split: bool = True


COMPACT = Model(0x256F, 0xC635, "SpaceMouse Compact")
PRO_WIRELESS = Model(0x256F, 0xC632, "SpaceMouse Pro Wireless", split=False)
RECEIVER = Model(0x256F, 0xC652, "3Dconnexion Universal Receiver", split=False)
ENTERPRISE = Model(0x256F, 0xC633, "SpaceMouse Enterprise", split=False)
UNHEARD_OF = Model(0x256F, 0xC6FF, "SpaceMouse Next")


@dataclass
class Node:
    """One hidraw node."""

    path: str
    model: Model
    usage: tuple[int, int]
    api: "HidApi"
    present: bool = True
    openable: bool = True
    rings: list[deque] = field(default_factory=list)

    def push(
        self, x: float = 0, y: float = 0, z: float = 0, rx: float = 0, ry: float = 0, rz: float = 0
    ) -> None:
        """Report a deflection: x right, y away, z up, turns right-handed about them; 1 is full."""
        # The wire has HID's axes: x right, y towards the operator, z down (HID Usage Tables 4.2).
        counts = [round(FULL * value) for value in (x, -y, -z, rx, -ry, -rz)]
        if self.model.split:
            self.report(b"\x01" + struct.pack("<3h", *counts[:3]))
            self.report(b"\x02" + struct.pack("<3h", *counts[3:]))
        else:
            self.report(b"\x01" + struct.pack("<6h", *counts))

    def press(self, *bits: tuple[int, int]) -> None:
        """Report which buttons are down, as (byte, bit) of the button report; the left one is (1, 0)."""
        report = bytearray(7)
        report[0] = 3
        for byte, bit in bits:
            report[byte] |= 1 << bit
        self.report(bytes(report))

    def report(self, report: bytes) -> None:
        with self.api.news:
            for ring in self.rings:
                if len(ring) < RING:
                    ring.append(report)
            self.api.news.notify_all()


class HidApi:
    """The functions of hidapi that easyhid calls."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.news = threading.Condition()
        self.reads = 0
        self._open: dict[int, tuple[Node, deque]] = {}
        self._handles = 0
        self._kept: list[Any] = []
        self._starved = self._stuck = False

    # What a test does to the devices.

    @contextlib.contextmanager
    def installed(self) -> Iterator["HidApi"]:
        with mock.patch.object(easyhid, "hidapi", self):
            yield self

    def plug(
        self, path: str, model: Model = COMPACT, usage: tuple[int, int] = (1, 8), at_once: bool = True
    ) -> Node:
        """Plug a device in; not `at_once`: return it, for `nodes` to receive it later."""
        node = Node(path, model, usage, self)
        if at_once:
            self.nodes[path] = node
        return node

    def unplug(self, path: str) -> None:
        with self.news:
            self.nodes.pop(path).present = False
            self.news.notify_all()

    @contextlib.contextmanager
    def starved(self) -> Iterator[None]:
        """No read returns inside, as if the machine did not run the reader; begins once a reader is stuck."""
        with self.news:
            self._starved, self._stuck = True, False
            assert self.news.wait_for(lambda: self._stuck, 10.0), "nobody reads"
        yield
        with self.news:
            self._starved = False
            self.news.notify_all()

    @property
    def opened(self) -> list[str]:
        return [node.path for node, _ in self._open.values()]

    # hidapi's interface.

    def hid_enumerate(self, vendor: int, product: int) -> Any:
        ffi: Any = easyhid.ffi
        first, last = ffi.NULL, None
        for node in list(self.nodes.values()):
            info = ffi.new("struct hid_device_info*")
            texts = [
                ffi.new("char[]", node.path.encode()),
                *(ffi.new("wchar_t[]", text) for text in (node.model.name, "3Dconnexion", "")),
            ]
            info.path, info.product_string, info.manufacturer_string, info.serial_number = texts
            info.vendor_id, info.product_id = node.model.vendor, node.model.product
            info.usage_page, info.usage = node.usage
            self._kept += [info, *texts]
            if last is None:
                first = info
            else:
                last.next = info
            last = info
        return first

    def hid_free_enumeration(self, first: Any) -> None:
        self._kept.clear()

    def hid_open_path(self, path: bytes) -> Any:
        node = self.nodes.get(path.decode())
        if node is None or not node.openable:
            return easyhid.ffi.NULL
        with self.news:
            self._handles += 1
            ring: deque = deque()
            node.rings.append(ring)
            self._open[self._handles] = (node, ring)
        return easyhid.ffi.cast("hid_device*", self._handles)

    def hid_set_nonblocking(self, handle: Any, nonblocking: bool) -> int:
        return 0

    def hid_read_timeout(self, handle: Any, buffer: Any, size: int, timeout_ms: int) -> int:
        node, ring = self._open[int(easyhid.ffi.cast("uintptr_t", handle))]
        with self.news:
            self.reads += 1
            self.news.wait_for(lambda: (ring or not node.present) and not self._starved, timeout_ms / 1000)
            if self._starved:
                self._stuck = True
                self.news.notify_all()
                self.news.wait_for(lambda: not self._starved)
            if not node.present:
                return -1
            if not ring:
                return 0
            report = ring.popleft()[:size]
        easyhid.ffi.memmove(buffer, report, len(report))
        return len(report)

    def hid_close(self, handle: Any) -> None:
        with self.news:
            node, ring = self._open.pop(int(easyhid.ffi.cast("uintptr_t", handle)))
            node.rings = [each for each in node.rings if each is not ring]
