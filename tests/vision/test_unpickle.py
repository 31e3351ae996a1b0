"""Arrays out of a pickle: what JAX and NumPy write is read, and nothing else gets anything run."""

import collections
import io
import os
import pickle  # noqa: TID251  (it makes what is to be refused)
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hil_serl import pickled_by_jax

from handrail.vision import unpickle
from handrail.vision.unpickle import arrays
from handrail.vision.weights import TrunkError

TREE = {
    "conv_init": {"kernel": np.arange(24, dtype=np.float32).reshape(2, 3, 4)},
    "norm_init": {"scale": np.array([1, 2], np.float16), "bias": np.array([[1.5, 2.5], [3, 4]], order="F")},
    "empty": np.zeros((0, 3), np.float32),
}
FLAT = {
    "conv_init/kernel": TREE["conv_init"]["kernel"],
    "norm_init/scale": TREE["norm_init"]["scale"],
    "norm_init/bias": TREE["norm_init"]["bias"],
    "empty": TREE["empty"],
}


def write(path: Path, data: bytes) -> Path:
    file = path / "weights.pkl"
    file.write_bytes(data)
    return file


def refused(path: Path, data: bytes) -> str:
    """The one line that a file is refused with."""
    with pytest.raises(TrunkError) as caught:
        arrays(write(path, data))
    line = str(caught.value)
    assert "\n" not in line and "weights.pkl" in line
    return line


def assert_flat(found: dict[str, np.ndarray]) -> None:
    assert found.keys() == FLAT.keys()
    for name, values in FLAT.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype and found[name].flags.writeable


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_numpy_arrays_are_read_whatever_the_protocol(tmp_path: Path, protocol: int) -> None:
    assert_flat(arrays(write(tmp_path, pickle.dumps(TREE, protocol))))


def test_jax_arrays_are_read_without_jax(tmp_path: Path) -> None:
    assert_flat(arrays(write(tmp_path, pickled_by_jax(TREE))))


def test_ordered_dictionaries_and_other_byte_orders(tmp_path: Path) -> None:
    tree = collections.OrderedDict(a=np.arange(3, dtype=">f4"), b=np.arange(3, dtype="<i8"))
    found = arrays(write(tmp_path, pickle.dumps(tree)))
    np.testing.assert_array_equal(found["a"], [0, 1, 2])
    assert found["a"].dtype == np.float32 and found["b"].dtype == np.int64


class Calls:
    """Pickles as a call of whatever it is given."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_that_is_named_is_run(tmp_path: Path, protocol: int) -> None:
    trace = tmp_path / "trace"
    calls = Calls(os.system, (f"touch {trace}",))
    for tree in ({"a": calls}, calls, {"conv_init": TREE["conv_init"], "z": [calls]}):
        line = refused(tmp_path, pickle.dumps(tree, protocol))
        assert "posix.system, and only arrays are let in; nothing of it was run" in line
    assert not trace.exists()


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        (b"cbuiltins\neval\n(V1\ntR.", "names builtins.eval"),
        (b"(ios\nsystem\n.", "instruction"),  # INST
        (b"(cnumpy\nndarray\no.", "instruction OBJ"),
        (b"cnumpy\nndarray\n)\x81.", "instruction NEWOBJ"),
        (b"\x82\x01.", "instruction EXT1"),
        (b"Pid\n.", "instruction PERSID"),
        (b"\x80\x05\x97.", "instruction NEXT_BUFFER"),
        (b"]}R.", "calls what is no array"),
        (b"cnumpy\nndarray\n}b.", "sets the inside of what is no array"),
        (b"}(V__class__\nV1\nub0.", "damaged or no pickle"),
        (b"cnumpy\ndtype\n(VO8\nI00\nI01\ntR.", "type 'O8', which is no plain number"),
        (b"cnumpy\ndtype\n(V>f4,i8\nI00\nI01\ntR.", "which is no plain number"),
        (b"I1\n.", "no dictionary of arrays"),
        (b"}.", "holds no array"),
        (b"}(Va\nI1\nu.", "a is a int, no array"),
        (b"}(I1\nI1\nu.", "the key or name of type int, which is no text"),
        (b"}(Va\ncnumpy\nndarray\n)Ru.", "a is a Array, no array"),  # never filled
        (b"0.", "damaged"),
        (b"t.", "damaged"),
        (b"\x87.", "middle of a tuple"),
        (b"(Va\nVb\nV", "damaged"),
        (b"", "damaged"),
        (
            b"cnumpy._core.numeric\n_frombuffer\n(C\x04abcdcnumpy\ndtype\n(Vf4\ntR(I2\ntVC\ntR.",
            "4 bytes where 8",
        ),
        (
            b"cnumpy._core.numeric\n_frombuffer\n(C\x04abcdcnumpy\ndtype\n(Vf4\ntR(I-1\ntVC\ntR.",
            "proper shape",
        ),
        (b"c_codecs\nencode\n(Va\nVrot13\ntR.", "wants 'rot13' decoded"),
    ],
)
def test_made_up_programs_are_refused_with_a_line(tmp_path: Path, program: bytes, reason: str) -> None:
    assert reason in refused(tmp_path, program)


def test_object_arrays_are_refused(tmp_path: Path) -> None:
    assert "no plain number" in refused(tmp_path, pickle.dumps({"a": np.array([{}], object)}))
    assert "no plain number" in refused(tmp_path, pickle.dumps({"a": np.zeros(2, [("x", "f4")])}))


def test_a_shared_branch_does_not_make_it_endless(tmp_path: Path) -> None:
    node: dict[str, Any] = {"leaf": np.zeros(1)}
    for _ in range(25):  # 2**25 leaves in a few hundred bytes
        node = {"a": node, "b": node}
    assert "more than 10000 entries" in refused(tmp_path, pickle.dumps(node))


@pytest.mark.parametrize(
    "use",
    [
        b"}%sI1\ns.",  # a key
        b"}(%sI1\nu.",
        b"ccollections\nOrderedDict\n(](%sI1\nte%stR.",
        b"%sVb\n\x93.",  # a name
        b"Va\n%s\x93.",
        b"cnumpy\ndtype\n(%stR.",  # an array's type
        b"c_codecs\nencode\n(Va\n%stR.",
        b"cnumpy._core.numeric\n_frombuffer\n(C\x04abcdcnumpy\ndtype\n(Vf4\ntR(%stVC\ntR.",
    ],
)
def test_tuples_of_one_tuple_twice_are_neither_hashed_nor_shown(tmp_path: Path, use: bytes) -> None:
    nested = b")" + b"p0\ng0\n\x86" * 60  # 2**60 leaves
    assert "is refused" in refused(tmp_path, use.replace(b"%s", nested))


def test_a_name_without_end_is_refused(tmp_path: Path) -> None:
    assert "key or name of 201 characters" in refused(tmp_path, pickle.dumps({"a" * 201: np.zeros(1)}))


def test_a_loop_is_refused(tmp_path: Path) -> None:
    node: dict[str, Any] = {}
    node["again"] = node
    assert "goes deeper than 32" in refused(tmp_path, pickle.dumps(node))


def test_wherever_a_file_ends_too_early_it_is_refused(tmp_path: Path) -> None:
    data = pickled_by_jax({"a": np.arange(4, dtype=np.float32)})
    for length in range(len(data)):
        refused(tmp_path, data[:length])


def test_whatever_byte_is_wrong_nothing_but_a_refusal_comes_of_it(tmp_path: Path) -> None:
    data = pickle.dumps({"a": np.arange(4, dtype=np.float32)})
    generator = np.random.default_rng(0)
    outcomes = collections.Counter[str]()
    for _ in range(500):
        changed = bytearray(data)
        changed[generator.integers(len(data))] = generator.integers(256)
        try:
            found = arrays(write(tmp_path, bytes(changed)))
        except TrunkError:
            outcomes["refused"] += 1
        else:
            assert all(isinstance(values, np.ndarray) for values in found.values())
            outcomes["read"] += 1  # the byte was one of a name or of a number
    assert outcomes["refused"] > 100 and outcomes["read"] > 20


def test_a_claimed_length_makes_no_room(tmp_path: Path) -> None:
    claims = (1 << 40).to_bytes(8, "little")
    for opcode in (pickle.BINBYTES8, pickle.BYTEARRAY8, pickle.BINUNICODE8):
        assert "damaged" in refused(tmp_path, b"\x80\x05" + opcode + claims + b"abc.")


def test_files_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrunkError, match=r"gone\.pkl cannot be read: No such file"):
        arrays(tmp_path / "gone.pkl")
    monkeypatch.setattr(unpickle, "LARGEST_FILE", 10)
    assert "bytes, more than the 10 of any" in refused(tmp_path, pickle.dumps(TREE))


def test_every_instruction_of_an_ordinary_file_is_known() -> None:
    """A guard for the tests above: JAX's form differs from NumPy's, and both go through the machine."""
    used = {opcode.name for opcode, _, _ in pickletools.genops(io.BytesIO(pickled_by_jax(TREE)))}
    assert {"REDUCE", "BUILD", "STACK_GLOBAL", "MEMOIZE", "SETITEMS"} <= used
