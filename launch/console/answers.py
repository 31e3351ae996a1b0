"""How the console reads and answers JSON."""

from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from handrail.robot_env.errors import HandrailError
from handrail.robot_env.unpacking import Malformed, unpack

_T = TypeVar("_T")


class Refused(HandrailError):
    """A request is refused.

    Args:
        why: one line.
        status: of the HTTP answer.
    """

    exit_code = 2

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.status = status


class Busy(Refused):
    """There is too much to do already."""

    def __init__(self, why: str) -> None:
        super().__init__(why, 503)


def ok(value: object, status: int = 200) -> Response:
    """A JSON answer: plain values, dataclasses, msgspec structs, NumPy scalars; NaN becomes null."""
    return Response(encode(value), status, media_type="application/json")


def refuse(status: int, why: str) -> Response:
    """A refusal: `{"error": why}`."""
    return ok({"error": why}, status)


async def read(request: Request, kind: type[_T]) -> _T:
    """The request's JSON body as a `kind` (a msgspec struct, a dataclass, `dict[str, int]`, …).

    Raises:
        Refused: it is none; 400.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Refused("a body must be JSON: Content-Type: application/json", 415)
    try:
        return unpack(msgspec.json.Decoder(kind), await request.body())
    except Malformed as error:
        raise Refused(f"the body is not what is expected here: {error}") from error


def encode(value: object) -> bytes:
    """`value` as JSON."""
    return msgspec.json.encode(value, enc_hook=_plain)


def _plain(value: Any) -> Any:
    """NumPy arrays and scalars by their Python values."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise NotImplementedError(f"an answer holds plain values, not {type(value).__name__}")
