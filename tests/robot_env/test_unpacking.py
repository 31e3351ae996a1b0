"""Whatever arrives, it is the message that is expected or `Malformed`, and never another error."""

import contextlib

import msgspec
import numpy as np
import pytest

from handrail.robot_env.unpacking import Malformed, unpack


class Message(msgspec.Struct):
    """Enough of one."""

    name: str
    anything: object = None


PACKED = msgspec.msgpack.Decoder(Message)
WRITTEN = msgspec.json.Decoder(Message)
DEEP = 100_000


def test_a_message_is_unpacked():
    message = Message("it", [1, 2])
    assert unpack(PACKED, msgspec.msgpack.encode(message)) == message
    assert unpack(WRITTEN, msgspec.json.encode(message).decode()) == message


@pytest.mark.parametrize(
    ("decoder", "frame"),
    [
        pytest.param(PACKED, b"", id="nothing"),
        pytest.param(PACKED, b"\x81\xa4name\x01", id="of another kind"),
        pytest.param(PACKED, b"\x81\xa4name\xa1\xff", id="text that is not UTF-8"),
        pytest.param(PACKED, b"\x82\xa4name\xa1x\xa8anything" + b"\x91" * DEEP, id="nested too deeply"),
        pytest.param(PACKED, b"\x81\xa4name\xdb\xff\xff\xff\xff", id="shorter than it says"),
        pytest.param(WRITTEN, b'{"name": NaN}', id="no JSON"),
        pytest.param(WRITTEN, b'{"name": "\xff"}', id="JSON that is not UTF-8"),
        pytest.param(WRITTEN, '{"name": "\ud800"}', id="half a character"),
        pytest.param(WRITTEN, '{"name": "x", "anything": ' + "[" * DEEP, id="JSON nested too deeply"),
    ],
)
def test_whatever_is_wrong_is_one_error(decoder, frame):
    with pytest.raises(Malformed):
        unpack(decoder, frame)


def test_nothing_else_comes_of_random_changes():
    rng = np.random.default_rng(0)
    packed = msgspec.msgpack.encode(Message("some name", {"a": [1.5, None, "text", b"bytes"]}))
    for _ in range(20_000):
        frame = bytearray(packed[: rng.integers(1, len(packed) + 1)])
        for place in rng.integers(len(frame), size=rng.integers(1, 6)):
            frame[place] = rng.integers(256)
        with contextlib.suppress(Malformed):
            assert isinstance(unpack(PACKED, bytes(frame)), Message)
