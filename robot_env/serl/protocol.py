"""HIL-SERL's robot server protocol: what its numbers mean, said once for both ends of it.

Every call is a POST; a command is answered in plain text, a question in JSON. Where its conventions differ
from ours:

- **Wrench.** It passes on libfranka's `K_F_ext_hat_K`: what the *robot* does to the environment, along the
  tool's axes, not tared. Ours is what the environment does to the tool: the sign turns.
- **Gripper.** It reads an opening from 0 (closed) to 1 (open): the width over 80 mm for a Franka hand, the
  jaws' position for a Robotiq. `move_gripper` takes 0 to 255, which is a tenth of a metre for a Franka hand
  (an opening of 1.25), and runs the other way (255 is closed) for a Robotiq. Ours counts like a Franka hand's
  with the stroke of the gripper that is there in place of 80 mm.
- **Load.** Its centre of mass is in the flange's frame, ours in the tool's.
- **Joints.** There are always seven; an arm with six pads them, and its Jacobian, with zeros.

Its states carry no time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from handrail.robot_env.geometry import (
    Array,
    Vector,
    matrix_from_quat,
    pose_apply,
    pose_from,
    pose_inverse,
    quat_rotate,
)
from handrail.robot_env.unpacking import Malformed, unpack

SERL_JOINTS = 7
FRANKA_OPEN_M = 0.08
"""Width that a Franka hand's server calls 1 [m]."""
_MOVE_COUNTS = 255
_MOVE_OPENING = 1.25  # What 255 asks of a Franka hand: a tenth of a metre.
FRANKA_HAND = (0.0, 0.0, 0.1034, 0.0, 0.0, -math.sin(math.pi / 8), math.cos(math.pi / 8))
"""(7,) the Franka hand's tool frame in the flange's, as the robot comes."""

GripperKind = Literal["franka", "robotiq", "none"]
GRIPPER_KINDS: tuple[GripperKind, ...] = ("franka", "robotiq", "none")


class PoseBody(msgspec.Struct):
    """Body of `pose`: x y z [m] and a quaternion x y z w of any length."""

    arr: list[float]


class MoveGripperBody(msgspec.Struct):
    """Body of `move_gripper`: 0 to 255."""

    gripper_pos: float


class LoadBody(msgspec.Struct):
    """Body of `set_load`: mass [kg], its centre in the flange's frame [m], inertia [kg m²] row by row."""

    mass: float
    F_x_center_load: list[float]
    load_inertia: list[float] = msgspec.field(default_factory=lambda: [0.0] * 9)


class StateReply(msgspec.Struct):
    """The parts of a `getstate` reply that we use; the Jacobian is not among them.

    Attributes:
        pose: x y z [m], quaternion x y z w; base frame.
        vel: linear [m/s] and angular [rad/s] velocity of the tool, base frame.
        force: force of the tool on the environment [N].
        torque: the same for the torque [Nm].
        q: joint angles [rad].
        dq: joint velocities [rad/s].
        gripper_pos: opening, 0 to 1; None without a gripper.
    """

    pose: list[float]
    vel: list[float]
    force: list[float]
    torque: list[float]
    q: list[float]
    dq: list[float]
    gripper_pos: float | None = None


@dataclass(frozen=True)
class SerlReading:
    """A `getstate` reply in our conventions.

    Attributes:
        pose: (7,) tool centre point, base frame, its quaternion of unit length.
        twist: (6,) velocity of the tool, base frame [m/s, rad/s].
        wrench: (6,) environment on tool, TOOL frame, not tared [N, Nm].
        q: (J,) joint angles [rad].
        dq: (J,) joint velocities [rad/s].
        opening: of the gripper, 0 to 1.
    """

    pose: Array
    twist: Array
    wrench: Array
    q: Array
    dq: Array
    opening: float


_STATE_DECODER = msgspec.json.Decoder(StateReply)


def decode_state(
    content: bytes,
    joints: int = SERL_JOINTS,
    frame: Literal["tool", "base"] = "tool",
    by: Literal["robot", "environment"] = "robot",
) -> SerlReading:
    """A `getstate` reply in our conventions.

    Args:
        content: the reply's body.
        joints: joints of the arm; what follows them is padding.
        frame: whose axes the server's wrench lies along.
        by: who exerts it: "robot" for HIL-SERL's Franka, "environment" for most force sensors.

    Raises:
        ValueError: not a state, or one with a number that is not finite.
    """
    try:
        reply = unpack(_STATE_DECODER, content)
    except Malformed as error:
        raise ValueError(f"no state of HIL-SERL's: {error}") from error
    pose = pose_of(reply.pose)
    wrench = np.array([*numbers("force", reply.force, 3), *numbers("torque", reply.torque, 3)])
    if frame == "base":
        inverse = pose_inverse(pose)[3:]
        wrench = np.concatenate((quat_rotate(inverse, wrench[:3]), quat_rotate(inverse, wrench[3:])))
    if len(reply.q) < joints or len(reply.dq) < joints:
        raise ValueError(f"q has {len(reply.q)} and dq {len(reply.dq)} values, the arm {joints} joints")
    opening = 0.0 if reply.gripper_pos is None else reply.gripper_pos
    return SerlReading(
        pose=pose,
        twist=np.array(numbers("vel", reply.vel, 6)),
        wrench=wrench if by == "environment" else -wrench,
        q=np.array(numbers("q", reply.q[:joints], joints)),
        dq=np.array(numbers("dq", reply.dq[:joints], joints)),
        opening=min(1.0, max(0.0, numbers("gripper_pos", [opening], 1)[0])),
    )


def numbers(name: str, values: Sequence[float], count: int) -> list[float]:
    """`values`, if they are `count` finite numbers.

    Raises:
        ValueError: they are not.
    """
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} values, must have {count}")
    if not all(math.isfinite(x) for x in values):
        raise ValueError(f"{name} is {list(values)}; only finite numbers are accepted")
    return [float(x) for x in values]


def pose_of(values: Sequence[float]) -> Array:
    """Pose (7,) of a `pose` array: HIL-SERL's clients send float32 and quaternions of any length.

    Raises:
        ValueError: not seven finite numbers, or a quaternion that names no rotation.
    """
    arr = numbers("pose", values, 7)
    return pose_from(arr[:3], arr[3:])


def euler_of(quat: Vector) -> list[float]:
    """Turns about the fixed x, y and z axes, in this order [rad]: scipy's "xyz", for `getpos_euler`.

    At a pitch of ±π/2, where x and z are one axis, the whole turn is given to x.
    """
    m = matrix_from_quat(quat)
    level = math.hypot(m[0, 0], m[1, 0])
    pitch = math.atan2(-m[2, 0], level)
    if level < 1e-9:
        return [math.atan2(-m[1, 2], m[1, 1]), pitch, 0.0]
    return [math.atan2(m[2, 1], m[2, 2]), pitch, math.atan2(m[1, 0], m[0, 0])]


def wrench_reply(wrench: Array) -> tuple[list[float], list[float]]:
    """HIL-SERL's force and torque of our wrench (6,), environment on tool."""
    # 0.0 − x and not −x: nobody wants to read "-0.0" in a reply.
    values = (0.0 - wrench).tolist()
    return values[:3], values[3:]


def padded(values: Array, count: int = SERL_JOINTS) -> list[float]:
    """`values` with zeros behind, up to `count`."""
    return [*values.tolist(), *([0.0] * (count - len(values)))]


def opening_of(width_m: float, open_m: float = FRANKA_OPEN_M) -> float:
    """The opening, 0 to 1, of a gripper `width_m` wide [m]; its clients take more than 0.85 for open."""
    return min(1.0, max(0.0, width_m / open_m))


def width_of_counts(counts: float, kind: GripperKind = "franka", open_m: float = FRANKA_OPEN_M) -> float:
    """Width [m] that `move_gripper` asks for with `counts`, clipped to 0..255 as its server does.

    Raises:
        ValueError: not a finite number.
    """
    share = min(1.0, max(0.0, numbers("gripper_pos", [counts], 1)[0] / _MOVE_COUNTS))
    return open_m * (1.0 - share if kind == "robotiq" else min(1.0, share * _MOVE_OPENING))


def counts_of_width(width_m: float, kind: GripperKind = "franka", open_m: float = FRANKA_OPEN_M) -> int:
    """What to ask HIL-SERL's `move_gripper` for, so that the jaws stand `width_m` apart [m].

    Its server of a Franka counts in metres, however wide the hand opens; that of a Robotiq passes them on.
    """
    franka = width_m / FRANKA_OPEN_M / _MOVE_OPENING
    share = 1.0 - width_m / open_m if kind == "robotiq" else franka
    return round(_MOVE_COUNTS * min(1.0, max(0.0, share)))


def com_in_flange(com_m: Vector, tool: Vector) -> list[float]:
    """A centre of mass (3,) [m] of the tool's frame in the flange's, where `tool` (7,) is the tool."""
    return pose_apply(tool, com_m).tolist()


def com_in_tool(com_m: Vector, tool: Vector) -> list[float]:
    """A centre of mass (3,) [m] of the flange's frame in the tool's, where `tool` (7,) is the tool."""
    return pose_apply(pose_inverse(tool), com_m).tolist()
