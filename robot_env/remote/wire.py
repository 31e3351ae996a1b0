"""How the messages travel: msgspec structs packed as msgpack, a single frame each.

**Commands** (DEALER → ROUTER): a `Request` around one of the bodies, answered by a `Reply` with the same id;
a heartbeat is not answered. **State** (PUB → SUB): `State`, once a tick.

The body of a request is unpacked second, so that a client of another version is told so instead of ignored.
A stop counts whatever the version of who sends it: its bytes, and those of the envelope, never change. What
cannot be unpacked at all is counted and not answered.
"""

import msgspec
from msgspec import Struct

from handrail.robot_env.errors import ArmError, ArmFault, ConfigError, HandrailError
from handrail.robot_env.remote.messages import (
    Answer,
    Body,
    Goal,
    Hello,
    Lease,
    Name,
    Positions,
    Seated,
    State,
    Stop,
    Truth,
    Welcome,
)
from handrail.robot_env.unpacking import unpack

PROTOCOL = 2
MAX_MESSAGE_BYTES = 64 * 1024
OF_ANY_VERSION = (Hello, Stop)
"""What a server does whatever protocol it is asked in: who stops an arm may ask first who is there."""


class LeaseLost(ArmError):
    """The sender does not command the arm (any more): connect, or start anew."""


class Request(Struct, frozen=True):
    """Around every body.

    Attributes:
        protocol: `PROTOCOL` of the sender.
        id: returned with the reply.
        sent_ns: the sender's monotonic clock when it sent this [ns].
        token: of its lease; "" without one.
        sequence: grows by at least one with every command under a lease.
        body: the packed body.
    """

    protocol: int
    id: int
    sent_ns: int
    token: Name
    sequence: int
    body: msgspec.Raw


ReplyBody = Welcome | Lease | Goal | Seated | Answer | Truth | Positions | None


class Reply(Struct, frozen=True):
    """The answer to a request.

    Attributes:
        protocol: `PROTOCOL` of the server.
        id: of the request.
        tick: number of the first `State` that shows the world after it.
        error: class name of the error; "" for none.
        message: the error's text.
        body: the answer, where there is more to say than yes.
    """

    protocol: int
    id: int
    tick: int
    error: str = ""
    message: str = ""
    body: ReplyBody = None


_encoder = msgspec.msgpack.Encoder()
_request = msgspec.msgpack.Decoder(Request)
_body = msgspec.msgpack.Decoder(Body)
_reply = msgspec.msgpack.Decoder(Reply)
_state = msgspec.msgpack.Decoder(State)


def pack_request(number: int, body: Body, sent_ns: int, token: str = "", sequence: int = 0) -> bytes:
    """A request as one frame."""
    return _encoder.encode(
        Request(PROTOCOL, number, sent_ns, token, sequence, msgspec.Raw(_encoder.encode(body)))
    )


def unpack_request(frame: bytes) -> Request:
    """The envelope of a request; its body is still packed.

    Raises:
        Malformed: it is none.
    """
    return unpack(_request, frame)


def unpack_body(request: Request) -> Body:
    """The body of a request.

    Raises:
        Malformed: it is none.
    """
    return unpack(_body, request.body)


def pack(message: Reply | State) -> bytes:
    """What a server says, as one frame."""
    return _encoder.encode(message)


def unpack_reply(frame: bytes) -> Reply:
    """A reply.

    Raises:
        Malformed: it is none.
    """
    return unpack(_reply, frame)


def unpack_state(frame: bytes) -> State:
    """A state.

    Raises:
        Malformed: it is none.
    """
    return unpack(_state, frame)


_ERRORS: dict[str, type[HandrailError]] = {
    each.__name__: each for each in (ArmError, ArmFault, ConfigError, LeaseLost)
}


def other_version(server: int, client: int) -> ConfigError:
    """What is said where the two speak another protocol each."""
    return ConfigError(
        f"the arm server speaks protocol {server}, this client {client}; install the same version on both"
    )


def refusal(number: int, tick: int, error: HandrailError) -> Reply:
    """The reply that makes the client raise `error`, as far as the wire knows its class."""
    name = next(each.__name__ for each in type(error).__mro__ if each.__name__ in (*_ERRORS, "HandrailError"))
    return Reply(PROTOCOL, number, tick, name if name in _ERRORS else "ArmError", str(error)[:2000])


def error_of(reply: Reply) -> HandrailError | None:
    """The error that a reply carries."""
    return _ERRORS.get(reply.error, ArmError)(reply.message) if reply.error else None
