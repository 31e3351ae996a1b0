"""Arrays out of a pickle, and nothing else: HIL-SERL keeps its pretrained ResNet-10 in one.

A pickle is a program, and `pickle.load` runs whatever it names. Here nothing is unpickled: `pickletools`
takes the program apart, and a machine of some thirty instructions, all that a dictionary of arrays needs,
builds the arrays. The names that it knows are those of NumPy's and JAX's array constructors and of plain
dictionaries, and each stands for a few lines below; nothing is imported and nothing of theirs is called.
Every other name and instruction is refused.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from handrail.vision.weights import TrunkError

LARGEST_FILE = 1 << 30
"""Bytes that a file of weights may have; a ResNet-10 has 20 million."""
_MOST_ENTRIES, _DEEPEST = 10_000, 32
_MOST_DIMENSIONS = 8
_LONGEST_NAME = 200  # characters of a key
_TYPES = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"})


class _Refused(Exception):
    """A pickle holds something that is no array; the message says what."""


def arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a pickled nested dictionary, by their path in it ("conv_init/kernel").

    Raises:
        TrunkError: the file is missing, too large, damaged, or holds anything but arrays of numbers.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise TrunkError(f"{path} has {size} bytes, more than the {LARGEST_FILE} of any file of weights")
        data = path.read_bytes()
    except OSError as error:
        raise TrunkError(f"{path} cannot be read: {error.strerror}") from None
    try:
        return _flat(_Machine().run(data))
    except _Refused as refusal:
        raise TrunkError(f"{path} is refused: {refusal}; nothing of it was run") from None
    except Exception as error:  # a made-up program can break the machine in any way at any byte
        reason = " ".join(str(error).split()) or type(error).__name__
        raise TrunkError(f"{path} is damaged or no pickle of arrays: {reason}") from None


class _Machine:
    """Runs the instructions of one pickle on a stack, as `pickletools` documents them."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[Any, Any] = {}

    def run(self, data: bytes) -> Any:
        """What the program leaves on the stack."""
        for opcode, argument, _ in pickletools.genops(data):
            name = opcode.name
            if name in _VALUES:
                self._stack.append(argument)
            elif name in _CONSTANTS:
                self._stack.append(_CONSTANTS[name])
            elif name in _TUPLES:
                self._put_tuple(_TUPLES[name])
            elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
                self._memo[argument] = self._stack[-1]
            elif name in ("GET", "BINGET", "LONG_BINGET"):
                self._stack.append(self._memo[argument])
            elif name not in ("PROTO", "FRAME", "STOP"):
                step = _STEPS.get(name)
                if step is None:
                    raise _Refused(f"it uses the instruction {name}, which no array needs")
                step(self, argument)
        (result,) = self._stack
        return result

    def _put_tuple(self, length: int) -> None:
        start = len(self._stack) - length
        if start < 0:
            raise _Refused("it ends in the middle of a tuple")
        self._stack[start:] = [tuple(self._stack[start:])]

    def _since_mark(self) -> list[Any]:
        start = self._marks.pop()
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def mark(self, _: Any) -> None:
        self._marks.append(len(self._stack))

    def pop(self, _: Any) -> None:
        self._stack.pop()

    def memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def make_tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._since_mark()))

    def make_dictionary(self, _: Any) -> None:
        self._stack.append({})

    def make_list(self, _: Any) -> None:
        self._stack.append([])

    def append(self, _: Any) -> None:
        value = self._stack.pop()
        self._top(list).append(value)

    def appends(self, _: Any) -> None:
        values = self._since_mark()
        self._top(list).extend(values)

    def set_item(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._top(dict)[_checked(key)] = value

    def set_items(self, _: Any) -> None:
        values = self._since_mark()
        self._top(dict).update(zip(map(_checked, values[::2]), values[1::2], strict=True))

    def _top(self, kind: type[Any]) -> Any:
        top = self._stack[-1]
        if not isinstance(top, kind):
            raise _Refused(f"it puts an entry into what is no {kind.__name__}")
        return top

    def name(self, argument: Any) -> None:
        """GLOBAL and STACK_GLOBAL: one of the few names there are."""
        if argument is None:
            last, module = self._stack.pop(), self._stack.pop()
        else:
            module, _, last = argument.partition(" ")
        maker = _MAKERS.get((_checked(module), _checked(last)))
        if maker is None:
            raise _Refused(f"it names {module}.{last}, and only arrays are let in")
        self._stack.append(maker)

    def call(self, _: Any) -> None:
        """REDUCE: make an array, a type or a dictionary."""
        arguments, maker = self._stack.pop(), self._stack.pop()
        if not isinstance(maker, _Maker) or not isinstance(arguments, tuple):
            raise _Refused("it calls what is no array")
        self._stack.append(maker.make(*arguments))

    def fill(self, _: Any) -> None:
        """BUILD: the second half of an array or a type."""
        state = self._stack.pop()
        half = self._stack[-1]
        if not isinstance(half, _Array | _Type):
            raise _Refused("it sets the inside of what is no array")
        half.fill(state)


_VALUES = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "BINFLOAT"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    }
)
_CONSTANTS: Mapping[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_STEPS: Mapping[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "MEMOIZE": _Machine.memoize,
    "TUPLE": _Machine.make_tuple,
    "EMPTY_DICT": _Machine.make_dictionary,
    "EMPTY_LIST": _Machine.make_list,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.name,
    "REDUCE": _Machine.call,
    "BUILD": _Machine.fill,
}


def _checked(name: Any) -> str:
    """A name, before it is hashed or shown.

    Tuples that hold one other tuple twice, and that again, take 2ⁿ operations for either.
    """
    if not isinstance(name, str):
        raise _Refused(f"it has the key or name {_shown(name)}, which is no text")
    if len(name) > _LONGEST_NAME:
        raise _Refused(f"it has a key or name of {len(name)} characters")
    return name


def _shown(value: Any) -> str:
    """A value for a message, in a few words whatever it is."""
    return repr(value[:40]) if isinstance(value, str) else f"of type {type(value).__name__.lstrip('_')}"


class _Array:
    """An array that is still to be filled: NumPy pickles it in two halves."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: np.ndarray | None = None

    def fill(self, state: Any) -> None:
        """Take the second half: (version, shape, dtype, is Fortran-ordered, bytes)."""
        _, shape, dtype, fortran, data = state
        self.value = _from_bytes(data, dtype, shape, "F" if fortran else "C")


class _Type:
    """A dtype: a name of the short list, and the byte order that its second half may set."""

    __slots__ = ("name", "order")

    def __init__(self, name: Any) -> None:
        if not isinstance(name, str) or name not in _TYPES:
            raise _Refused(f"it holds an array of type {_shown(name)}, which is no plain number")
        self.name, self.order = name, "="

    def fill(self, state: Any) -> None:
        """Take the second half, of which only the byte order matters for a number."""
        if not isinstance(state, tuple) or state[1] not in ("<", ">", "=", "|") or any(state[2:5]):
            raise _Refused("it holds an array of a composed type")
        self.order = state[1]


class _Maker:
    """What a name in the pickle stands for."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self.make = make


def _from_bytes(data: Any, dtype: Any, shape: Any, order: Any = "C") -> np.ndarray:
    """An array of its own, after every length has been checked."""
    if not isinstance(data, bytes | bytearray) or not isinstance(dtype, _Type):
        raise _Refused("it holds an array of objects")
    if not isinstance(shape, tuple) or len(shape) > _MOST_DIMENSIONS:
        raise _Refused("it holds an array without a proper shape")
    if not all(type(length) is int and 0 <= length <= LARGEST_FILE for length in shape):
        raise _Refused("it holds an array without a proper shape")
    kind = np.dtype(dtype.order + dtype.name)
    wanted = math.prod(shape) * kind.itemsize
    if wanted != len(data):
        raise _Refused(f"it holds an array of {len(data)} bytes where {wanted} belong")
    values = np.frombuffer(bytes(data), kind).reshape(shape, order="F" if order == "F" else "C")
    return np.array(values, np.dtype(dtype.name), order="C")


def _from_jax(_make: Any, _arguments: Any, state: Any, *_type: Any) -> _Array:
    array = _Array()
    array.fill(state)
    return array


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    array.value = _from_bytes(data, dtype, shape, order)
    return array


def _dictionary(items: Any = ()) -> dict[str, Any]:
    if isinstance(items, dict):
        return items
    return {_checked(key): value for key, value in items}


def _bytes(text: Any, encoding: Any) -> bytes:
    if encoding != "latin1":
        raise _Refused(f"it wants {_shown(encoding)} decoded")
    return text.encode("latin1")


_MAKERS: Mapping[tuple[str, str], _Maker] = {
    ("numpy", "ndarray"): _Maker(lambda *_: _Array()),
    ("numpy", "dtype"): _Maker(lambda name, *_: _Type(name)),
    ("collections", "OrderedDict"): _Maker(_dictionary),
    ("flax.core.frozen_dict", "FrozenDict"): _Maker(_dictionary),
    ("_codecs", "encode"): _Maker(_bytes),
    ("__builtin__", "bytes"): _Maker(lambda: b""),  # how an old protocol writes no bytes at all
    ("jax._src.array", "_reconstruct_array"): _Maker(_from_jax),
    ("jax._src.device_array", "reconstruct_device_array"): _Maker(_from_jax),
    **{
        (f"{numpy}.multiarray", "_reconstruct"): _Maker(lambda *_: _Array())
        for numpy in ("numpy.core", "numpy._core")
    },
    **{(f"{numpy}.numeric", "_frombuffer"): _Maker(_from_buffer) for numpy in ("numpy.core", "numpy._core")},
}


def _flat(tree: Any) -> dict[str, np.ndarray]:
    """The leaves of a nested dictionary by path; shared branches may not make it endless."""
    if not isinstance(tree, dict):
        raise _Refused("it is no dictionary of arrays")
    found: dict[str, np.ndarray] = {}
    visited = 0
    branches: list[tuple[str, int, dict[str, Any]]] = [("", 0, tree)]
    while branches:
        prefix, depth, branch = branches.pop()
        for key, value in branch.items():
            visited += 1
            if visited > _MOST_ENTRIES or depth > _DEEPEST:
                raise _Refused(f"it has more than {_MOST_ENTRIES} entries, or goes deeper than {_DEEPEST}")
            if isinstance(value, dict):
                branches.append((f"{prefix}{key}/", depth + 1, value))
            elif isinstance(value, _Array) and value.value is not None:
                found[prefix + key] = value.value
            else:
                raise _Refused(f"{prefix}{key} is a {type(value).__name__.lstrip('_')}, no array")
    if not found:
        raise _Refused("it holds no array")
    return found
