"""Checks of configuration values, made once, where a settings class is built."""

import math

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
