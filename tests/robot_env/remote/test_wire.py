import os
import random
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.errors import ArmError, ArmFault, CameraError, ConfigError, MissingExtra
from handrail.robot_env.remote import messages, wire
from handrail.robot_env.unpacking import Malformed

POSE = [0.5, 0.0, 0.1, 1.0, 0.0, 0.0, 0.0]
CLIPPED = Gains(clip_m=(0.01, 0.01, 0.02), clip_rad=(0.1, 0.1, 0.1))
BODIES = [
    messages.Hello(),
    messages.Acquire("env", 12, "station", 0.1, {"env.limits": "abc"}),
    messages.Release(),
    messages.Heartbeat(),
    messages.Start(),
    messages.Start(CLIPPED),
    messages.Target(POSE),
    messages.Target([float("nan")] * 7),
    messages.SetGains(CLIPPED),
    messages.SetResetting(True),
    messages.MoveJoints([0.1] * 7),
    messages.SetLoad(0.3, [0.0, 0.0, 0.05]),
    messages.ZeroFt(),
    messages.MoveGripper("move", 0.03, 20.0),
    messages.Stop(),
    messages.Recover("Ada"),
    messages.Randomize({"delay_s": 0.1}),
    messages.AskSuccess(),
    messages.AskTruth(),
    messages.AskPositions(),
]


def test_every_body_is_tried_here():
    assert {type(body) for body in BODIES} == set(get_args(messages.Body))


@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
def test_a_request_survives_the_wire(body):
    request = wire.unpack_request(wire.pack_request(7, body, 123, "token", 9))
    assert (request.protocol, request.id, request.sent_ns, request.token, request.sequence) == (
        wire.PROTOCOL,
        7,
        123,
        "token",
        9,
    )
    back = wire.unpack_body(request)
    assert repr(back) == repr(body)  # repr: not a number is not equal to itself


def test_a_state_survives_the_wire_and_fits():
    state = messages.State(wire.PROTOCOL, "boot", 3, 4, pose=tuple(POSE), force_n=float("inf"), mode="run")
    assert wire.unpack_state(wire.pack(state)) == state
    assert len(wire.pack(state)) < 1500 < wire.MAX_MESSAGE_BYTES


@pytest.mark.parametrize("error", [ArmError("a"), ArmFault("b"), ConfigError("c"), wire.LeaseLost("d")])
def test_an_error_is_raised_as_itself_on_the_other_side(error):
    back = wire.error_of(wire.unpack_reply(wire.pack(wire.refusal(1, 2, error))))
    assert type(back) is type(error) and str(back) == str(error)


@pytest.mark.parametrize("error", [CameraError("odd"), MissingExtra("franka")])
def test_an_error_of_another_kind_becomes_that_of_an_arm(error):
    back = wire.error_of(wire.refusal(1, 2, error))
    assert type(back) is ArmError and str(back) == str(error)


@pytest.mark.parametrize(
    "body",
    [
        {"type": "target", "pose": [0.0] * 17},
        {"type": "target", "pose": ["x"] * 7},
        {"type": "gains", "gains": {"translation_n_m": -5.0}},
        {"type": "gains", "gains": {"translation_n_m": float("nan")}},
        {"type": "gripper", "action": "bite"},
        {"type": "recover", "by": "x" * 1000},
        {"type": "self-destruct"},
        {},
        [],
    ],
)
def test_a_body_that_means_nothing_is_refused(body):
    raw = msgspec.Raw(msgspec.msgpack.encode(body))
    with pytest.raises(Malformed):
        wire.unpack_body(wire.Request(wire.PROTOCOL, 1, 0, "", 0, raw))


def hostile(frames, rng):
    """Valid frames with bytes flipped, cut out, put in or repeated; and noise."""
    frame = bytearray(rng.choice(frames))
    for _ in range(rng.choice((1, 1, 1, 3, 10))):
        at = rng.randrange(len(frame)) if frame else 0
        match rng.randrange(6):
            case 0 if frame:
                frame[at] = rng.randrange(256)
            case 1 if frame:
                frame[at] ^= 1 << rng.randrange(8)
            case 2:
                del frame[at : at + rng.randrange(8)]
            case 3:
                frame[at:at] = rng.randbytes(rng.randrange(8))
            case 4:
                frame += frame[at:]
            case 5:
                frame = frame[:at]
    return bytes(frame[:4096]) if rng.random() < 0.95 else rng.randbytes(rng.randrange(200))


def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_nothing_that_arrives_raises_anything_but_malformed_or_costs_memory():
    rng = random.Random(0)
    frames = [wire.pack_request(i, body, i, "token", i) for i, body in enumerate(BODIES)]
    deep = [b"\x91" * 30_000, b"\x81\xa1a" * 20_000]
    refused, before_mb = 0, resident_mb()
    for case in range(1_000_000):
        frame = deep[case] if case < len(deep) else hostile(frames, rng)
        try:
            wire.unpack_body(wire.unpack_request(frame))
        except Malformed:
            refused += 1
    assert refused > 500_000 and resident_mb() - before_mb < 10.0
