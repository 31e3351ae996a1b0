"""Files as HIL-SERL leaves them: pickles of nested dictionaries of NumPy or JAX arrays, without JAX here."""

import pickle  # noqa: TID251  (it writes what `vision/unpickle.py` is to read)
import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

CHANNELS = (64, 128, 256, 512)


def shapes() -> dict[str, tuple[int, ...]]:
    """Every array of HIL-SERL's ResNet-10 by its path, kernels as (H, W, in, out)."""
    found: dict[str, tuple[int, ...]] = {"conv_init/kernel": (7, 7, 3, 64)}
    inputs = 64

    def norm(name: str, width: int) -> None:
        found.update({f"{name}/bias": (width,), f"{name}/scale": (width,)})

    norm("norm_init", 64)
    for stage, width in enumerate(CHANNELS):
        block = f"ResNetBlock_{stage}"
        found[f"{block}/Conv_0/kernel"] = (3, 3, inputs, width)
        found[f"{block}/Conv_1/kernel"] = (3, 3, width, width)
        norm(f"{block}/MyGroupNorm_0", width)
        norm(f"{block}/MyGroupNorm_1", width)
        if stage > 0:
            found[f"{block}/conv_proj/kernel"] = (1, 1, inputs, width)
            norm(f"{block}/norm_proj", width)
        inputs = width
    return found


def parameters() -> dict[str, Any]:
    """A full set of its parameters, always the same."""
    generator = np.random.default_rng(7)
    tree: dict[str, Any] = {}
    for path, shape in sorted(shapes().items()):
        values = generator.standard_normal(shape, dtype=np.float32)
        if path.endswith("kernel"):
            values *= np.float32(np.sqrt(2 / np.prod(shape[:-1])))
        else:
            values = np.float32(path.endswith("scale")) + np.float32(0.1) * values
        *above, last = path.split("/")
        branch = tree
        for name in above:
            branch = branch.setdefault(name, {})
        branch[last] = values
    return tree


class JaxArray:
    """Pickles as a `jax.Array` does: a call of JAX's own function with the parts of a NumPy array."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def __reduce__(self) -> tuple[Any, ...]:
        make, arguments, state = self._values.__reduce__()  # type: ignore[misc]  # NumPy's has three parts
        reconstruct = sys.modules["jax._src.array"]._reconstruct_array  # type: ignore[attr-defined]
        return reconstruct, (make, arguments, state, {"weak_type": False})


def pickled_by_jax(tree: Mapping[str, Any]) -> bytes:
    """The pickle of a tree whose arrays are JAX's."""

    def wrapped(node: Any) -> Any:
        return (
            {key: wrapped(value) for key, value in node.items()} if isinstance(node, dict) else JaxArray(node)
        )

    with jax_for_show():
        return pickle.dumps(wrapped(tree))


@contextmanager
def jax_for_show() -> Iterator[None]:
    """Let `jax._src.array` be there while something is pickled that names it."""

    def _reconstruct_array(*_: Any) -> None:
        raise AssertionError("the pickle was run")

    module = types.ModuleType("jax._src.array")
    _reconstruct_array.__module__ = module.__name__
    _reconstruct_array.__qualname__ = "_reconstruct_array"
    module._reconstruct_array = _reconstruct_array  # type: ignore[attr-defined]
    names = {name: types.ModuleType(name) for name in ("jax", "jax._src")} | {module.__name__: module}
    sys.modules.update(names)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
