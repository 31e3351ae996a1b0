"""HIL-SERL's compliance parameters in Handrail's terms, and back.

Three things differ, and each of them silently halves or swaps a force when it is forgotten:

- **Half angles.** Its orientation error is the vector part of a quaternion, sin(θ/2) ≈ θ/2; ours is the
  angle θ. The same torque needs half the stiffness and twice the clip. Damping acts on the true angular
  velocity in both and stays.
- **Sign.** Its error is *measured minus desired*, so its `clip_z` bounds the error while the tool is above
  its target, which is a push *down*. Ours is the pull's own direction: its `clip_*` is our `clip_neg_*`.
- **Integral.** Its `Ki` has no counterpart here. The error that it integrates is reset by every command and
  bounded to 0.1 m, so that the usual 0 to 0.1 N/m pushes with 0.01 N at most.

Both clip the error along the axes of the base frame, and there stiffness times clip bounds the steady force.
"""

import math
from collections.abc import Mapping

from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.errors import ConfigError

SERL_DEFAULTS: Mapping[str, float] = {
    "translational_stiffness": 2000.0,
    "translational_damping": 89.0,
    "rotational_stiffness": 150.0,
    "rotational_damping": 7.0,
    "translational_Ki": 0.0,
    "rotational_Ki": 0.0,
    **{f"translational_clip_{sign}{axis}": 0.01 for sign in ("", "neg_") for axis in "xyz"},
    **{f"rotational_clip_{sign}{axis}": 0.05 for sign in ("", "neg_") for axis in "xyz"},
}
"""The 18 parameters of its `update_param` and the values that its controller starts with."""

_LEAST = 1e-6  # Its clips may be 0, to let an axis go; ours are positive.
_MOST_M, _MOST_RAD = (
    0.05,
    0.5,
)  # What `Gains` admits; beyond it a clip bounds nothing that a gate lets through.


def gains_from_serl(params: Mapping[str, float]) -> Gains:
    """The impedance that presses and turns as hard as HIL-SERL's controller would with `params`.

    Args:
        params: any of the 18 parameters of `update_param`; the others keep their defaults.

    Raises:
        ConfigError: an unknown parameter, one that is not a finite number of 0 or more, or a stiffness or a
            damping beyond what `Gains` admits.
    """
    for name, value in params.items():
        if name not in SERL_DEFAULTS:
            known = ", ".join(SERL_DEFAULTS)
            raise ConfigError(f"compliance parameter {name!r} is unknown; there are {known}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"compliance parameter {name} is {value!r}; give a number")
        if not (math.isfinite(value) and value >= 0.0):
            raise ConfigError(f"compliance parameter {name} is {value}; give a finite number of 0 or more")
    p = {**SERL_DEFAULTS, **params}

    def clip(kind: str, factor: float, most: float) -> tuple[float, float, float]:
        x, y, z = (min(most, max(_LEAST, factor * p[f"{kind}{axis}"])) for axis in "xyz")
        return x, y, z

    return Gains(
        translation_n_m=max(_LEAST, p["translational_stiffness"]),
        rotation_nm_rad=max(_LEAST, p["rotational_stiffness"] / 2.0),
        translation_damping_ns_m=max(_LEAST, p["translational_damping"]),
        rotation_damping_nms_rad=max(_LEAST, p["rotational_damping"]),
        clip_m=clip("translational_clip_neg_", 1.0, _MOST_M),
        clip_neg_m=clip("translational_clip_", 1.0, _MOST_M),
        clip_rad=clip("rotational_clip_neg_", 2.0, _MOST_RAD),
        clip_neg_rad=clip("rotational_clip_", 2.0, _MOST_RAD),
    )


def serl_from_gains(gains: Gains) -> dict[str, float]:
    """HIL-SERL's parameters for `gains`: the inverse of `gains_from_serl`.

    A clip that `gains` leaves to the driver is left out, so that the server keeps its own.
    """
    params = {
        "translational_stiffness": gains.translation_n_m,
        "translational_damping": gains.translation_damping_ns_m,
        "rotational_stiffness": 2.0 * gains.rotation_nm_rad,
        "rotational_damping": gains.rotation_damping_nms_rad,
        "translational_Ki": 0.0,
        "rotational_Ki": 0.0,
    }
    for kind, factor, positive, negative in (
        ("translational", 1.0, gains.clip_m, gains.clip_neg_m),
        ("rotational", 0.5, gains.clip_rad, gains.clip_neg_rad),
    ):
        for sign, clip in (("neg_", positive), ("", negative or positive)):
            if clip is not None:
                params |= {f"{kind}_clip_{sign}{a}": factor * c for a, c in zip("xyz", clip, strict=True)}
    return params
