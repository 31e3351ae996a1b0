"""What the driver of a UR and the process that holds ur_rtde say to each other.

Two sockets that keep messages whole: a *stream* each way, of which only the newest message matters and which
nobody waits for, and *calls*, one request and one reply at a time.
"""

import select
import socket
from typing import Any

import msgspec

from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.arms.ur.config import URConfig

MOST_BYTES = 1 << 16
Six = tuple[float, float, float, float, float, float]
Seven = tuple[float, float, float, float, float, float, float]


class Message(msgspec.Struct, array_like=True, tag=True):
    """Anything said."""


class SetLoad(Message):
    """Call: what is carried besides the tool, mass [kg] and centre of mass in the tool frame [m]."""

    mass_kg: float = 0.0
    com_m: tuple[float, float, float] = (0.0, 0.0, 0.0)


class Setup(Message):
    """The first call: which robot, and what it carries."""

    config: URConfig
    load: SetLoad


class Engage(Message):
    """Call: hang the tool on a spring, at the measured pose at first."""

    gains: Gains


class Disengage(Message):
    """Call: let go; the arm stands."""


class MoveJoints(Message):
    """Call: go to joint angles [rad] at `speed` [rad/s]."""

    q: Six
    speed: float


class Tare(Message):
    """Call: the force reads zero now."""


class Reply(Message):
    """How a call ended; an empty error is well. `fault`: the robot itself is what stands in the way."""

    error: str = ""
    fault: bool = False


class Setpoint(Message):
    """Stream: pull towards this pose, base frame."""

    pose: Seven


class SetGains(Message):
    """Stream: another impedance."""

    gains: Gains


class Abort(Message):
    """Stream: end a joint motion."""


class Alive(Message):
    """Stream: the driver has nothing to say, but it is there."""


class Reading(Message):
    """Stream: what the robot last said, in Handrail's conventions; see `DriverReading`."""

    t_ns: int
    device_ns: int
    pose: Seven
    twist: Six
    wrench: Six
    q: Six
    dq: Six
    fault: str
    estop: bool
    engaged: bool


class Lost(Message):
    """Stream: the robot has fallen silent; these are the process's last words."""

    reason: str


_DECODER = msgspec.msgpack.Decoder(
    Setup
    | Engage
    | Disengage
    | MoveJoints
    | Tare
    | SetLoad
    | Reply
    | Setpoint
    | SetGains
    | Abort
    | Alive
    | Reading
    | Lost
)


class Link:
    """One end of a socket pair that carries messages. Never blocks, unless asked to.

    Args:
        end: the socket.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        end.setblocking(False)

    @staticmethod
    def pair() -> "tuple[Link, socket.socket]":
        """One end here, and the other to be given to a process."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return Link(ours), theirs

    def send(self, message: Message) -> bool:
        """Send; whether there was room, and anybody at the other end."""
        try:
            self._socket.send(msgspec.msgpack.encode(message))
        except OSError:
            return False
        return True

    def drain(self) -> list[Any]:
        """Every message that has arrived.

        Raises:
            EOFError: the other end has gone.
        """
        messages: list[Any] = []
        while True:
            try:
                data = self._socket.recv(MOST_BYTES)
            except BlockingIOError:
                return messages
            except ConnectionResetError:
                continue  # it went without having read all that we said; what it said itself comes after this
            except OSError:
                data = b""
            if not data:
                if messages:
                    return messages  # its last words first
                raise EOFError
            messages.append(_DECODER.decode(data))

    def wait(self, timeout_s: float) -> bool:
        """Wait for a message, or for the line to be closed; whether that is so."""
        try:
            return bool(select.select([self._socket], [], [], timeout_s)[0])
        except (OSError, ValueError):  # closed at this end
            return True

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
