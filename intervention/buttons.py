"""What a device's own buttons mean, by the names that its maker gave them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

from handrail.intervention.config import ButtonsConfig
from handrail.intervention.device import CONSOLE_BUTTONS, Button
from handrail.robot_env.errors import ConfigError

BUTTONS: tuple[Button, ...] = tuple(each for each in get_args(Button) if each not in CONSOLE_BUTTONS)
_NONE = "none"


def assign(
    device: str, names: Sequence[str], defaults: Mapping[str, Button], config: ButtonsConfig
) -> dict[str, Button]:
    """Which of a device's buttons means what.

    Args:
        device: what to call it in a message.
        names: every button it has.
        defaults: what they mean by themselves; names that it lacks are left out.
        config: what the operator wants instead. Upper and lower case are one.

    Raises:
        ConfigError: a button is named that the device does not have; the message lists those it has.
    """
    wanted: dict[Button, str] = {each: getattr(config, each) for each in BUTTONS if getattr(config, each)}
    meanings: dict[str, Button] = {
        name: button for name, button in defaults.items() if name in names and button not in wanted
    }
    known = {name.lower(): name for name in names}
    for button, name in wanted.items():
        if name.lower() == _NONE:
            continue
        if name.lower() not in known:
            has = f"it has {', '.join(names)}" if names else "it has none"
            raise ConfigError(f"device.buttons.{button} is {name!r}: {device} has no such button; {has}")
        meanings[known[name.lower()]] = button
    return meanings


def meant(names: Iterable[str], meanings: Mapping[str, Button]) -> frozenset[Button]:
    """What the buttons of these names mean together."""
    return frozenset(meanings[name] for name in names if name in meanings)


def described(meanings: Mapping[str, Button]) -> str:
    """The assignment in words, such as "LEFT success, RIGHT failure"."""
    return ", ".join(f"{name} {button}" for name, button in meanings.items()) or "no buttons"
