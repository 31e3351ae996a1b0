"""What arrives by a wire, unpacked: whatever is wrong with the bytes, it is one error, `Malformed`."""

from typing import Any, Protocol, TypeVar

import msgspec

_Message = TypeVar("_Message", covariant=True)


class Malformed(ValueError):
    """Bytes that are no message of the kind that is expected."""


class Decoder(Protocol[_Message]):
    """Of msgspec: msgpack's or JSON's."""

    def decode(self, buf: Any, /) -> _Message:
        """The message in `buf`."""
        ...


def unpack(decoder: Decoder[_Message], frame: bytes | str | msgspec.Raw) -> _Message:
    """The message in `frame`.

    Raises:
        Malformed: it is none.
    """
    try:
        return decoder.decode(frame)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:  # no UTF-8; nested too deeply
        raise Malformed(str(error)) from error
