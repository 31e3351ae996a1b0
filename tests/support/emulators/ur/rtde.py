"""RTDE, version 2, from the controller's side: recipes in, a package of variables out at each client's rate.

A package is a header (size, type) and a payload. A client describes the variables it wants (output recipe)
and those it will write (input recipes, numbered from 1); from then on both sides send bare numbers.
https://docs.universal-robots.com/tutorials/communication-protocol-tutorials/rtde-guide.html
"""

import struct
from collections.abc import Callable, Sequence

from emulators.ur.sockets import Client

HEADER = struct.Struct(">HB")
FORMATS = {
    "DOUBLE": "d",
    "INT32": "i",
    "UINT32": "I",
    "UINT64": "Q",
    "UINT8": "B",
    "VECTOR3D": "3d",
    "VECTOR6D": "6d",
    "VECTOR6INT32": "6i",
}
TYPES = {
    "timestamp": "DOUBLE",
    "robot_mode": "INT32",
    "safety_mode": "INT32",
    "runtime_state": "UINT32",
    "robot_status_bits": "UINT32",
    "safety_status_bits": "UINT32",
    "payload": "DOUBLE",
    "external_force_torque": "VECTOR6D",
    **{
        name: "VECTOR6D"
        for name in (
            "actual_q",
            "actual_qd",
            "actual_TCP_pose",
            "actual_TCP_speed",
            "actual_TCP_force",
            "target_q",
        )
    },
    **{f"{way}_int_register_{index}": "INT32" for way in ("input", "output") for index in range(48)},
    **{f"{way}_double_register_{index}": "DOUBLE" for way in ("input", "output") for index in range(48)},
}
Value = float | int | Sequence[float]


class RtdeServer:
    """Every RTDE client of one controller.

    Args:
        version: the controller's four version numbers.
        tick_hz: rate of the controller.
        value: a variable's present value.
        write: told of each package of inputs, by name.
    """

    def __init__(
        self,
        version: tuple[int, int, int, int],
        tick_hz: float,
        value: Callable[[str], Value],
        write: Callable[[dict[str, Value]], None],
    ) -> None:
        self._version = version
        self._tick_hz = tick_hz
        self._value = value
        self._write = write
        self._sessions: dict[Client, _Session] = {}
        self._writers: dict[str, Client] = {}

    def joined(self, client: Client) -> None:
        """A client has connected."""
        self._sessions[client] = _Session()

    def left(self, client: Client) -> None:
        """A client has gone; what it wrote others may write."""
        self._sessions.pop(client, None)
        self._writers = {name: owner for name, owner in self._writers.items() if owner is not client}

    def received(self, client: Client) -> None:
        """Take whole packages off a client's bytes."""
        data = client.received
        while len(data) >= HEADER.size:
            size, kind = HEADER.unpack_from(data)
            if len(data) < size:
                return
            payload = bytes(data[HEADER.size : size])
            del data[:size]
            self._handle(client, chr(kind), payload)

    def publish(self, tick: int) -> None:
        """Send each client its package, when one is due."""
        for client, session in self._sessions.items():
            if session.started and tick % session.every == 0:
                package = bytearray(b"\x01")
                for name, layout in session.outputs:
                    value = self._value(name)
                    package += layout.pack(*value) if isinstance(value, Sequence) else layout.pack(value)
                self._send(client, "U", bytes(package))

    def _handle(self, client: Client, kind: str, payload: bytes) -> None:
        session = self._sessions[client]
        match kind:
            case "V":
                self._send(client, "V", b"\x01")
            case "v":
                self._send(client, "v", struct.pack(">4I", *self._version))
            case "O":
                (rate_hz,) = struct.unpack_from(">d", payload)
                names = [name for name in payload[8:].decode().split(",") if name]
                types = [TYPES.get(name, "NOT_FOUND") for name in names]
                session.every = max(1, round(self._tick_hz / rate_hz))
                session.outputs = [
                    (name, struct.Struct(">" + FORMATS[kind]))
                    for name, kind in zip(names, types, strict=True)
                    if kind in FORMATS
                ]
                self._send(client, "O", b"\x01" + ",".join(types).encode())
            case "I":
                names = [name for name in payload.decode().split(",") if name]
                types = [self._claim(name, client) for name in names]
                session.recipes.append(list(zip(names, types, strict=True)))
                self._send(client, "I", bytes([len(session.recipes)]) + ",".join(types).encode())
            case "S" | "P":
                session.started = kind == "S"
                self._send(client, kind, b"\x01")
            case "U":
                self._write(_unpack(session.recipes[payload[0] - 1], payload))

    def _claim(self, name: str, client: Client) -> str:
        """Type of an input for the client that is its only writer; "IN_USE" for every other."""
        if self._writers.setdefault(name, client) is not client:
            return "IN_USE"
        return TYPES.get(name, "NOT_FOUND")

    @staticmethod
    def _send(client: Client, kind: str, payload: bytes) -> None:
        client.send(HEADER.pack(HEADER.size + len(payload), ord(kind)) + payload)


class _Session:
    """What one client has agreed on."""

    def __init__(self) -> None:
        self.started = False
        self.every = 1
        self.outputs: list[tuple[str, struct.Struct]] = []
        self.recipes: list[list[tuple[str, str]]] = []


def _unpack(recipe: list[tuple[str, str]], payload: bytes) -> dict[str, Value]:
    """The inputs of a package by name. ur_rtde sends some packages without their last fields."""
    values: dict[str, Value] = {}
    at = 1
    for name, kind in recipe:
        layout = ">" + FORMATS[kind]
        if at + struct.calcsize(layout) > len(payload):
            break
        numbers = struct.unpack_from(layout, payload, at)
        at += struct.calcsize(layout)
        values[name] = numbers[0] if len(numbers) == 1 else numbers
    return values
