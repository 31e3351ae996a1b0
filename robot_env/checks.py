"""Checks of configuration values, made once, where a settings class is built."""

import math
from collections.abc import Sequence

from handrail.robot_env.errors import ConfigError


def require_positive(owner: str, **values: float) -> None:
    """Refuse a value that is not a finite number above 0.

    Raises:
        ConfigError: naming `owner` and the value.
    """
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0.0):
            raise ConfigError(
                f"{owner}.{name} is {value}, must be a finite number above 0; set a positive limit"
            )


def require_range(owner: str, low: float, high: float, **values: float) -> None:
    """Refuse a value outside [low, high]; nothing that is not a number is inside.

    Raises:
        ConfigError: naming `owner`, the value and the range.
    """
    for name, value in values.items():
        if not low <= value <= high:
            raise ConfigError(f"{owner}.{name} is {value}, outside [{low}, {high}]; choose a value inside")


def require_each(owner: str, count: int, low: float, high: float, **values: Sequence[float]) -> None:
    """Refuse what is not `count` numbers, each inside [low, high].

    Raises:
        ConfigError: naming `owner`, the values and the range.
    """
    for name, each in values.items():
        if len(each) != count or not all(low <= value <= high for value in each):
            raise ConfigError(f"{owner}.{name} is {each}; give {count} numbers, each in [{low}, {high}]")


def require_pose(owner: str, remedy: str, **poses: Sequence[float]) -> None:
    """Refuse what is not a position and a unit quaternion, (7,).

    Args:
        owner: whose values they are.
        remedy: where a right one comes from.
        poses: x y z [m], quaternion x y z w.

    Raises:
        ConfigError: naming `owner`, the value and `remedy`.
    """
    for name, pose in poses.items():
        length = math.hypot(*pose[3:]) if len(pose) == 7 and all(map(math.isfinite, pose)) else math.nan
        if not abs(length - 1.0) <= 1e-3:
            found = "" if math.isnan(length) else f" (a quaternion of length {length:.4g})"
            raise ConfigError(
                f"{owner}.{name} is {pose}{found}, must be x y z in metres and a unit quaternion x y z w; "
                f"{remedy}"
            )


def require_tool(owner: str, tcp: Sequence[float] | None, default: str) -> None:
    """Refuse what is no tool centre point: a pose (7,) in the flange's frame, within half a metre of it.

    Args:
        owner: whose value it is.
        tcp: x y z [m], quaternion x y z w; None is `default`.
        default: what null stands for.

    Raises:
        ConfigError: naming `owner` and the value.
    """
    if tcp is None:
        return
    remedy = f"give the tool's in the flange's frame, within 0.5 m, or null for {default}"
    require_pose(owner, remedy, tcp=tcp)
    if max(map(abs, tcp[:3])) > 0.5:
        raise ConfigError(f"{owner}.tcp is {tcp}, in metres, beyond half of one; {remedy}")
