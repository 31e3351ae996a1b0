"""What an observation and an action are: names, shapes, units, frames and typical magnitudes.

A process that sends an array and one that reads it compare `schema_hash`, so that a changed shape, unit or
action scale is refused at the handshake and never trained on.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from handrail.robot_env.errors import ActionError, ConfigError
from handrail.robot_env.geometry import Array, quat_from_rotvec

if TYPE_CHECKING:
    from handrail.robot_env.config import EnvConfig

Proprioception = Literal["socket", "start"]
"""Where the arm's own pose is counted from: the nominal socket, or where the episode began."""


@dataclass(frozen=True)
class ArraySpec:
    """One named array.

    Attributes:
        name: key in an observation's field dictionary.
        shape: shape of the array.
        unit: SI unit, such as "m".
        frame: frame it is expressed in.
        scale: typical magnitude in `unit`; networks divide by it.
        description: one line for documentation and the console.
        resolution: smallest difference in `unit` that decides something, such as a clearance; networks see
            the value at this scale as well. None where `scale` says it all.
    """

    name: str
    shape: tuple[int, ...]
    unit: str
    frame: str
    scale: float
    description: str
    resolution: float | None = None

    def __post_init__(self) -> None:
        if self.resolution is not None and not 0.0 < self.resolution < self.scale:
            raise ConfigError(
                f"field {self.name!r} has resolution {self.resolution}; it must be above 0 "
                f"and below the scale, {self.scale}"
            )
        if not self.scale > 0.0 or any(n < 1 for n in self.shape):
            raise ConfigError(
                f"field {self.name!r} has scale {self.scale} and shape {self.shape}; both must be positive"
            )

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class StateSpec:
    """The proprioceptive state: an ordered list of fields packed into one (D,) float32 vector.

    Attributes:
        fields: the fields, in the order in which they are packed.
    """

    fields: tuple[ArraySpec, ...]
    size: int = field(init=False)
    slices: Mapping[str, slice] = field(init=False)
    scale: NDArray[np.float32] = field(init=False, compare=False)
    resolution: NDArray[np.float32] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        names = [f.name for f in self.fields]
        if len(set(names)) != len(names):
            raise ConfigError(f"state fields {names} repeat a name; names must be unique")
        slices: dict[str, slice] = {}
        start = 0
        for spec in self.fields:
            slices[spec.name] = slice(start, start + spec.size)
            start += spec.size
        scale = np.concatenate([np.full(f.size, f.scale, dtype=np.float32) for f in self.fields])
        resolution = np.concatenate(
            [np.full(f.size, f.resolution or np.inf, dtype=np.float32) for f in self.fields]
        )
        scale.setflags(write=False)
        resolution.setflags(write=False)
        object.__setattr__(self, "slices", slices)
        object.__setattr__(self, "size", start)
        object.__setattr__(self, "scale", scale)
        object.__setattr__(self, "resolution", resolution)

    def pack(self, values: Mapping[str, ArrayLike]) -> NDArray[np.float32]:
        """Pack fields into a fresh (D,) float32 vector.

        Raises:
            KeyError: a field is missing.
            ValueError: a field has the wrong number of elements.
        """
        vector = np.empty(self.size, dtype=np.float32)
        for name, where in self.slices.items():
            vector[where] = np.ravel(values[name])
        return vector

    def unpack(self, vector: NDArray[np.floating]) -> dict[str, NDArray[np.floating]]:
        """Fields of a (D,) vector, as views of it in their own shapes."""
        return {f.name: vector[self.slices[f.name]].reshape(f.shape) for f in self.fields}


@dataclass(frozen=True)
class ActionSpec:
    """Six numbers in [−1, 1]: `(dx dy dz rx ry rz)`, a step in the END-EFFECTOR frame.

    Attributes:
        translation_m: what ±1 means along an axis, per step [m].
        rotation_rad: what ±1 means about an axis, per step [rad]; the three form one rotation vector.
    """

    translation_m: float = 0.01
    rotation_rad: float = 0.06
    size: int = field(default=6, init=False)

    def __post_init__(self) -> None:
        for name, value in (("translation_m", self.translation_m), ("rotation_rad", self.rotation_rad)):
            if not (math.isfinite(value) and value > 0.0):
                raise ConfigError(
                    f"action {name} is {value}; it must be positive: an arm moves by it each step"
                )

    def check(self, action: ArrayLike) -> Array:
        """`action` as (6,) float64.

        Raises:
            ActionError: it is not six finite numbers.
        """
        array = np.asarray(action, dtype=np.float64)
        if array.shape != (6,):
            raise ActionError(f"action has shape {array.shape}, expected (6,); nothing was commanded")
        if not math.isfinite(sum(array.tolist())):
            raise ActionError(f"action {array.tolist()} is not finite; nothing was commanded")
        return array

    def delta_pose(self, action: ArrayLike) -> Array:
        """The step that `action` asks for, unclipped: (7,) pose in the end-effector frame."""
        dx, dy, dz, rx, ry, rz = np.asarray(action, dtype=np.float64).tolist()
        t, r = self.translation_m, self.rotation_rad
        return np.array((dx * t, dy * t, dz * t, *quat_from_rotvec((rx * r, ry * r, rz * r)).tolist()))


STATE_SPEC = StateSpec(
    (
        ArraySpec(
            "tcp_position", (3,), "m", "work", 0.03, "tool centre point from the nominal seated pose", 0.003
        ),
        ArraySpec(
            "tcp_rotation", (3,), "rad", "work", 0.2, "rotation vector from the nominal orientation", 0.02
        ),
        ArraySpec("tcp_velocity", (3,), "m/s", "work", 0.1, "linear velocity of the tool centre point"),
        ArraySpec("tcp_angular_velocity", (3,), "rad/s", "work", 0.5, "angular velocity of the tool"),
        ArraySpec("force", (3,), "N", "tool", 10.0, "force of the environment on the tool, tared at reset"),
        ArraySpec("torque", (3,), "Nm", "tool", 1.0, "torque of the environment on the tool, tared at reset"),
        ArraySpec("gripper_width", (1,), "m", "tool", 0.08, "opening of the gripper"),
    )
)
"""19 numbers, relative to the *nominal* socket only: what a policy without cameras goes by."""

START_SPEC = StateSpec(
    (
        ArraySpec("tcp_position", (3,), "m", "start", 0.03, "tool centre point from the episode's start"),
        ArraySpec("tcp_rotation", (3,), "rad", "start", 0.2, "rotation vector from the start's orientation"),
        ArraySpec("tcp_velocity", (3,), "m/s", "tool", 0.1, "linear velocity of the tool centre point"),
        ArraySpec("tcp_angular_velocity", (3,), "rad/s", "tool", 0.5, "angular velocity of the tool"),
        *STATE_SPEC.fields[4:],
    )
)
"""The same numbers as HIL-SERL (2410.21845) gives them (its `RelativeFrame`): the pose in the tool's frame at
the start, velocities in the tool's frame now. They do not say where the socket is: the images must.
"""


def state_spec(config: "EnvConfig") -> StateSpec:
    """What the state of an environment is, without making one."""
    return START_SPEC if config.proprioception == "start" else STATE_SPEC


def schema_hash(
    state_spec: StateSpec, action_spec: ActionSpec, cameras: Mapping[str, Sequence[int]] | None = None
) -> str:
    """Fingerprint of an observation and action layout.

    Args:
        state_spec: fields of the state.
        action_spec: meaning of the action.
        cameras: image shape (H, W, C) by camera name.

    Returns:
        16 hexadecimal digits, the same on every machine.
    """
    layout = {
        "state": [{k: v for k, v in asdict(f).items() if k != "description"} for f in state_spec.fields],
        "action": asdict(action_spec),
        "cameras": {name: list(shape) for name, shape in (cameras or {}).items()},
    }
    return hashlib.sha256(json.dumps(layout, sort_keys=True).encode()).hexdigest()[:16]
