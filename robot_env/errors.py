"""Every error that `handrail.robot_env` raises, and the exit code each one ends a command with.

One root, so that a caller can catch all of Handrail and nothing else. The message of each says what happened,
the value, the limit and what to do about it. Other packages keep their own errors beside their producers, and
derive them from `HandrailError` too.

    HandrailError            1
    ├── ConfigError          2   a value in the configuration is refused (a ValueError too)
    ├── ArmError             3   the arm refused a command
    │   └── ArmFault         3   the arm is in a latched fault; an operator must acknowledge it
    ├── CameraError          4   a camera gave no frame, or a stale one
    │   └── RenderingUnavailable 4   no OpenGL library can render off-screen here
    ├── ActionError          5   an action is not finite or has the wrong shape (a ValueError too)
    ├── ResetError           6   the reset did not reach its start pose; no episode began
    │   └── ResetEnded       6   whoever asked for the reset had a reason to end it
    └── MissingExtra         7   an optional dependency is not installed (an ImportError too)
"""

from typing import ClassVar


class HandrailError(Exception):
    """Root of every error Handrail raises on purpose."""

    exit_code: ClassVar[int] = 1


class ConfigError(HandrailError, ValueError):
    """A configuration value is refused; the message names the key, the value, the limit and the remedy."""

    exit_code = 2


class ArmError(HandrailError):
    """The arm refused a command or cannot be reached."""

    exit_code = 3


class ArmFault(ArmError):
    """The arm is in a latched fault: it accepts no motion until `recover()`."""


class CameraError(HandrailError):
    """A camera gave no frame, or one too old to be an observation."""

    exit_code = 4


class RenderingUnavailable(CameraError):
    """No OpenGL backend can render off-screen on this machine."""


class ActionError(HandrailError, ValueError):
    """An action was not finite or had the wrong shape; nothing was commanded."""

    exit_code = 5


class ResetError(HandrailError):
    """The reset sequence did not reach its start pose; no episode began."""

    exit_code = 6


class ResetEnded(ResetError):
    """Whoever asked for the reset had a reason to end it, and knows which."""


class MissingExtra(HandrailError, ImportError):
    """An optional dependency is not installed.

    Args:
        extra: the name of the extra in `pyproject.toml`, such as "franka".
        system: the Debian package it also needs, such as "libusb-1.0-0"; "" for none.
    """

    exit_code = 7

    def __init__(self, extra: str, system: str = "") -> None:
        also = f" and `apt-get install {system}`" if system else ""
        super().__init__(
            f"The extra {extra!r} is not installed; run `pip install 'handrail[{extra}]'`{also}."
        )
        self.extra = extra
