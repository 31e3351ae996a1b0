"""The words between a control loop and a console on the same machine, over two local sockets.

**Desk** (ROUTER in the control loop's process, DEALER in the console's): msgpack structs, one a message.
`Command` is answered with an `Ack`; `Hand` and `Watch` are not answered.

**Feed** (PUB, SUB): `b"live"` with a msgpack `Live`; `b"frame"` with a msgpack `FrameHead` and the pixels,
RGB, as they are. A subscriber that is slow loses messages and nobody waits for it.

All times are `time.monotonic_ns()` of this machine. The console translates its browsers' clocks.
"""

from pathlib import Path
from typing import Literal

import msgspec

PROTOCOL = 1
LARGEST = 1 << 16  # of a message to the desk [bytes]

Verb = Literal[
    "success", "failure", "discard", "pause", "resume", "reset", "regrasp", "acknowledge", "stop", "label",
    "comment",
]  # fmt: skip
"""What an operator may ask for.

success, failure, discard: the verdict on the running episode, which the command names; it ends there.
reset: end the running episode without a verdict and go to a new start.
pause, resume: the policy. Asking twice is asking once. `resume` also ends a hold after an incident.
regrasp: take a part anew before the next episode; acknowledge: the answer to its prompts.
stop: pause, and hold whoever drives. Never expires.
label, comment: about a finished episode, as `intervention.labels` does it.
"""
VERDICTS: tuple[Verb, ...] = ("success", "failure", "discard")
NEVER_EXPIRES: tuple[Verb, ...] = ("stop",)

Status = Literal["done", "refused", "expired"]


class Command(msgspec.Struct, frozen=True, tag="command"):
    """One request.

    Attributes:
        id: names it; a second command of the same id changes nothing and gets the first one's answer.
        verb: what is asked.
        who: the operator, as they are to be known in the log.
        issued_ns: when the button was pressed.
        ttl_ms: how long it is worth anything [ms].
        episode: which episode is meant; verdicts and `reset` apply to no other.
        label: of `label`.
        step: of `label`, the step of the success.
        why: of `label` the reason, of `comment` the text.
        protocol: of the sender.
    """

    id: str
    verb: Verb
    who: str
    issued_ns: int
    ttl_ms: int = 2000
    episode: int | None = None
    label: str | None = None
    step: int | None = None
    why: str = ""
    protocol: int = PROTOCOL


class Ack(msgspec.Struct, frozen=True):
    """The answer to a command.

    Attributes:
        id: the command's.
        status: "done", "refused" (see `why`) or "expired".
        why: one line, "" when done without more to say.
        repeated: whether this id had been answered before; nothing was done again.
    """

    id: str
    status: Status
    why: str = ""
    repeated: bool = False


class Hand(msgspec.Struct, frozen=True, tag="hand"):
    """What the operator's hand does at the browser now; sent 30 to 60 times a second while it does anything.

    Attributes:
        who: the operator.
        sequence: grows by one; an older one that arrives late is dropped.
        t_ns: when the hand was like this.
        twist: deflection of the six axes in [-1, 1], as seen from behind the arm's base: x away from it, y to
            the left, z up, then turns about them. The page makes this of whatever it reads.
        drive: the deadman: while true the human drives, even with a twist of zero (neutral takeover).
        held: buttons held down, such as "success" while collecting for a classifier.
    """

    who: str
    sequence: int
    t_ns: int
    twist: tuple[float, float, float, float, float, float]
    drive: bool
    held: tuple[str, ...] = ()


class Watch(msgspec.Struct, frozen=True, tag="watch"):
    """Somebody looks on; holds for `WATCH_S`, so it is repeated every second.

    Attributes:
        fps: pictures a second and camera that are wanted; 0 for none.
        real_time: whether a simulated arm is to move at the speed of a real one.
    """

    fps: float
    real_time: bool = False


WATCH_S = 2.5
ToDesk = Command | Hand | Watch


class Now(msgspec.Struct, frozen=True, tag="now"):
    """The state of the control loop; sent on every change and at least four times a second.

    Attributes:
        run_id: of the run.
        boot: names this process's life: another boot, another log position to read from.
        purpose: "train", "demo", "classify" or "evaluate"; "setup" where nothing is recorded.
        driver: "policy", "human", "hold" (an episode runs, nobody drives), "reset", "countdown", "regrasp",
            "waiting" (for weights) or "held" (between episodes, until somebody resumes or acknowledges).
        reason: why it holds, or what is prompted; one line.
        fault: whether the reason is a fault of the arm.
        paused: whether the policy is paused.
        stopped: whether by a stop.
        halted_by: who paused or stopped it at a console; "" where nobody there has, or an incident holds.
        episode: the number of the running or the last episode; -1 before the first.
        running: whether an episode runs.
        step: steps of it so far.
        most_steps: after which its time is over.
        period_s: of a step [s].
        countdown_s: until the arm moves to a new start [s].
        device: name of the local device.
        hand: who drives from a console, "" for nobody.
        real_time: whether steps take as long as on a real arm.
        can: verbs that would be taken now.
        cameras: what there is to see: names, in order.
        blind: why there is nothing to see, "" otherwise.
        pose: (7,) of the tool in the base frame [m, quaternion x y z w]; () before the first reading.
        force_n: on the tool [N].
        threshold: score from which the reward classifier's look counts as a success, of the stage that is
            looked for now; None without a classifier.
        t_ns: when this was so.
    """

    run_id: str
    boot: str
    purpose: str
    driver: str
    t_ns: int
    reason: str = ""
    fault: bool = False
    paused: bool = False
    episode: int = -1
    running: bool = False
    step: int = 0
    most_steps: int = 0
    period_s: float = 0.1
    countdown_s: float = 0.0
    device: str = ""
    hand: str = ""
    real_time: bool = True
    can: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ()
    blind: str = ""
    pose: tuple[float, ...] = ()
    force_n: float = 0.0
    threshold: float | None = None
    stopped: bool = False
    halted_by: str = ""


class Step(msgspec.Struct, frozen=True, array_like=True):
    """One step, for the traces: numbers only, in the order of these fields.

    `source` is `intervention.transition.Source`; `value` the critics' opinion of the policy's proposal, None
    without critics; `score` the reward classifier's, None without one.
    """

    step: int
    source: int
    force_n: float
    value: float | None
    score: float | None
    reward: float
    action: tuple[float, ...]
    weights_version: int


class Steps(msgspec.Struct, frozen=True, tag="steps"):
    """Steps of one episode, in order, since the last message."""

    episode: int
    steps: list[Step]


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """An episode ended; its record is in the log."""

    episode: int
    purpose: str
    steps: int
    success: bool
    unaided: bool
    truncated_by: str | None
    human_steps: int
    takeovers: int


class Left(msgspec.Struct, frozen=True, tag="left"):
    """The control loop has ended as it was meant to; nothing drives any more."""

    boot: str


Live = Now | Steps | Ended | Left


class FrameHead(msgspec.Struct, frozen=True):
    """What the pixels of a frame are.

    Attributes:
        camera: its name.
        sequence: counts the frames of this camera.
        t_ns: when it was taken.
        shape: height, width, 3.
    """

    camera: str
    sequence: int
    t_ns: int
    shape: tuple[int, int, int]


def desk_address(socket_dir: Path) -> str:
    """Where a run's control loop takes commands."""
    return f"ipc://{socket_dir}/desk"


def feed_address(socket_dir: Path) -> str:
    """Where a run's control loop shows what it does."""
    return f"ipc://{socket_dir}/feed"
