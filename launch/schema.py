"""Plain data (YAML, Hydra) to frozen dataclasses and back, strictly.

The dataclasses of `robot_env`, `intervention` and `agent` *are* the schema: their field names are the keys,
their annotations the types, their defaults the values. Unknown keys, wrong types and missing values are
refused by name. Hydra and OmegaConf never get past this file: everything below it sees dataclasses.

OmegaConf's own structured configs are not used because they know neither `Literal` nor fixed tuples, and
silently turn "10" into 10.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Literal, TypeVar, Union

from handrail.launch.options import nearest
from handrail.robot_env.errors import ConfigError

T = TypeVar("T")

MISSING = "???"  # OmegaConf's mark for a value that has no sensible default

_UNITS = {
    "_s": "seconds",
    "_ms": "milliseconds",
    "_ns": "nanoseconds",
    "_m": "metres",
    "_mm": "millimetres",
    "_rad": "radians",
    "_n": "newtons",
    "_nm": "newton metres",
    "_kg": "kilograms",
    "_bytes": "bytes",
    "hz": "hertz",
}


def to_plain(value: Any) -> Any:
    """`value` as dicts, lists and scalars, as YAML writes them; an Enum by its value."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    return value


def from_plain(cls: type[T], data: Any, path: str = "") -> T:
    """An instance of the dataclass `cls` from plain data; keys that are left out keep their defaults.

    Args:
        cls: a dataclass.
        data: what YAML or Hydra gave.
        path: dotted path of `data` in the configuration, for messages.

    Raises:
        ConfigError: a key is unknown, a type is wrong, a value is missing, or the dataclass refuses the
        values.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{path or 'the configuration'} is {data!r}: it must be a group of settings")
    hints = typing.get_type_hints(cls)
    known = {f.name: hints[f.name] for f in dataclasses.fields(cls) if f.init}  # pyright: ignore[reportArgumentType]
    values: dict[str, Any] = {}
    for key, item in data.items():
        where = f"{path}.{key}" if path else str(key)
        if key not in known:
            raise ConfigError(f"unknown key {where!r}{nearest(str(key), known)}")
        values[key] = _convert(known[key], item, where)
    try:
        return cls(**values)
    except ConfigError as error:
        prefix = f"{path}: " if path and path.rpartition(".")[2] not in str(error) else ""
        raise ConfigError(f"{prefix}{error}") from None
    except TypeError as error:
        raise ConfigError(f"{path or 'the configuration'}: {error}") from None


def keys(cls: type, path: str = "") -> Iterator[str]:
    """Every dotted key of a dataclass and of those nested in it."""
    for name, hint in typing.get_type_hints(cls).items():
        where = f"{path}.{name}" if path else name
        yield where
        nested = _dataclass_in(hint)
        if nested is not None:
            yield from keys(nested, where)


def annotation(cls: type, key: str) -> Any:
    """The type of a dotted key, or None; a number counts the items of a list (`cameras.0.name`)."""
    hint: Any = cls
    for name in key.split("."):
        item = typing.get_args(hint)
        if name.isdecimal() and typing.get_origin(hint) is tuple and item[1:] == (Ellipsis,):
            hint = item[0]
            continue
        holder = _dataclass_in(hint)
        hint = typing.get_type_hints(holder).get(name) if holder is not None else None
        if hint is None:
            return None
    return hint


def _dataclass_in(hint: Any) -> type | None:
    for each in (hint, *typing.get_args(hint)):
        if isinstance(each, type) and dataclasses.is_dataclass(each) and typing.get_origin(hint) is not tuple:
            return each
    return None


def _convert(hint: Any, value: Any, path: str) -> Any:
    if value == MISSING and isinstance(value, str):
        raise ConfigError(f"{path} has no value: it is a fact of your station or task and must be given")
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return _convert_union(arguments, value, path)
    if origin is Literal:
        if value in arguments and not isinstance(value, bool):
            return value
        choices = ", ".join(str(choice) for choice in arguments)
        raise ConfigError(
            f"{path} is {value!r}: choose one of {choices}{nearest(str(value), map(str, arguments))}"
        )
    if origin is tuple:
        return _convert_tuple(arguments, value, path)
    if origin in (dict, Mapping, typing.get_origin(Mapping[str, int])):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{path} is {value!r}: it must be a group of settings")
        return {str(key): _convert(arguments[1], item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return from_plain(hint, value, path)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _convert_enum(hint, value, path)
    return _convert_scalar(hint, value, path)


def _convert_union(arguments: Sequence[Any], value: Any, path: str) -> Any:
    if value is None and type(None) in arguments:
        return None
    kinds = [each for each in arguments if each is not type(None)]
    refusals = []
    for kind in kinds:
        try:
            return _convert(kind, value, path)
        except ConfigError as error:
            refusals.append(str(error))
    # One alternative beside None: its own refusal says most.
    null = " (or null)" if type(None) in arguments else ""
    raise ConfigError(
        refusals[0] + null if len(kinds) == 1 else f"{path} is {value!r}: {'; '.join(refusals)}"
    )


def _convert_tuple(arguments: Sequence[Any], value: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{path} is {value!r}: it must be a list, such as [1, 2, 3]")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        arguments = [arguments[0]] * len(value)
    if len(arguments) != len(value):
        raise ConfigError(f"{path} has {len(value)} values: it must have {len(arguments)}")
    return tuple(
        _convert(hint, item, f"{path}[{index}]")
        for index, (hint, item) in enumerate(zip(arguments, value, strict=True))
    )


def _convert_enum(hint: type[Enum], value: Any, path: str) -> Enum:
    for member in hint:
        if value == member.value or value == member.name:
            return member
    choices = [str(member.value) for member in hint]
    raise ConfigError(
        f"{path} is {value!r}: choose one of {', '.join(choices)}{nearest(str(value), choices)}"
    )


def _convert_scalar(hint: Any, value: Any, path: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    # bool is an int to Python, but `utd: true` is a mistake.
    if hint is Any or (isinstance(value, hint) and not (isinstance(value, bool) and hint is not bool)):
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{path} is {value}: it must be finite")
        return value
    wanted = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "text, in quotes where it looks like a number",
    }.get(hint, getattr(hint, "__name__", str(hint)))
    name = path.rpartition(".")[2].partition("[")[0]
    unit = next((unit for suffix, unit in _UNITS.items() if name.endswith(suffix)), None)
    in_unit = f" of {unit}, without the unit" if unit and hint in (int, float) else ""
    raise ConfigError(f"{path} is {value!r}: it must be {wanted}{in_unit}")
