"""A command's own options, as data, and how the words of a command line become their values.

`handrail review run=a last=20 --json` has no configuration: every word must be an option. `handrail train
run=a preset=parity` has both: what is not an option of the command is left for the configuration
(`launch/compose.py`).
"""

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from handrail.robot_env.errors import ConfigError

Options = Mapping[str, Any]

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


@dataclass(frozen=True)
class Option:
    """One option of a command.

    Attributes:
        name: the word before `=`.
        kind: `str`, `int`, `float`, `bool`, or the values it may take. A bool can also be given as `--name`.
        help: one line for `--help`.
        default: its value when it is not given.
    """

    name: str
    kind: type[str] | type[int] | type[float] | type[bool] | tuple[str, ...]
    help: str
    default: str | int | float | bool | None = None

    def parse(self, text: str) -> str | int | float | bool:
        """The value that `text` stands for.

        Raises:
            ConfigError: it stands for none.
        """
        if isinstance(self.kind, tuple):
            if text in self.kind:
                return text
            raise ConfigError(
                f"{self.name}={text}: choose one of {', '.join(self.kind)}{nearest(text, self.kind)}"
            )
        if self.kind is bool:
            if text.lower() in _TRUE | _FALSE:
                return text.lower() in _TRUE
            raise ConfigError(f"{self.name}={text}: must be true or false")
        if self.kind is int:
            try:
                return int(text)
            except ValueError:
                raise ConfigError(f"{self.name}={text}: must be a whole number") from None
        if self.kind is float:
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if not math.isfinite(value):
                raise ConfigError(f"{self.name}={text}: must be a number")
            return value
        if not text:
            raise ConfigError(f"{self.name}= is empty: {self.help}")
        return text


def nearest(word: str, known: Iterable[str]) -> str:
    """`"; did you mean 'x'?"` for the nearest known word, or nothing when none is near."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def split(words: Sequence[str], options: Sequence[Option]) -> tuple[dict[str, Any], list[str]]:
    """Sort the words of a command line into the command's options and the rest.

    Returns:
        Every option's value (its default where it was not given), and the words that are no option, in order.

    Raises:
        ConfigError: an option's value is refused, or the option is given twice.
    """
    known = {option.name: option for option in options}
    values: dict[str, Any] = {}
    rest: list[str] = []
    for word in words:
        name, equals, text = word.removeprefix("--").partition("=")
        option = known.get(name)
        flag = word.startswith("--") and not equals
        if option is None or not (equals or (flag and option.kind is bool)):
            rest.append(word)
            continue
        if name in values:
            raise ConfigError(f"{name} is given twice; once is enough")
        values[name] = True if flag else option.parse(text)
    return {option.name: values.get(option.name, option.default) for option in options}, rest


def words(options: Options, overrides: Sequence[str]) -> list[str]:
    """The words of a command line that mean the same again, for another command with these options."""
    given = {name: value for name, value in options.items() if name != "command" and value is not None}
    return [*(f"{name}={value}" for name, value in given.items()), *overrides]


def refuse(words: Sequence[str], options: Sequence[Option], command: str) -> None:
    """Refuse words that a command without a configuration cannot place.

    Raises:
        ConfigError: there are any; names the first, and the nearest option.
    """
    if words:
        name = words[0].removeprefix("--").partition("=")[0]
        names = [option.name for option in options]
        raise ConfigError(
            f"`handrail {command}` has no option {name!r}{nearest(name, names)} "
            f"(it has: {', '.join(names) or 'none'})"
        )
