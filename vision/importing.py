"""Weights that others have trained, turned into Handrail's; nothing of a file is run.

Known: HIL-SERL's `resnet10_params.pkl` (a pickle of JAX arrays), LeRobot's port of it (safetensors), timm's
`resnet10t` (safetensors or PyTorch's own format), and Handrail's files. A network that only looks alike is
refused: with another norm or stem its weights mean something else.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from handrail.vision.config import TrunkName
from handrail.vision.resnet10t import fold
from handrail.vision.trunk import TRUNKS, shapes
from handrail.vision.unpickle import LARGEST_FILE, arrays
from handrail.vision.weights import TrunkError, check

_HIL_SERL_NAME = re.compile(r"(?:params/)?(?:ResNetBlock_(\d+)/)?(\w+)/(kernel|scale|bias)")
_HIL_SERL_PARTS = {
    "conv_init": "conv1",
    "norm_init": "norm1",
    "Conv_0": "conv1",
    "MyGroupNorm_0": "norm1",
    "Conv_1": "conv2",
    "MyGroupNorm_1": "norm2",
    "conv_proj": "shortcut.0",
    "norm_proj": "shortcut.1",
}
_LEROBOT_NAMES = (
    (re.compile(r"^embedder\.0\."), "conv1."),
    (re.compile(r"^embedder\.1\."), "norm1."),
    (re.compile(r"^encoder\.stages\."), "blocks."),
    (re.compile(r"\.conv\.weight$"), ".weight"),  # its padding convolutions wrap a plain one
)
_LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How a file begins that `torch.save` wrote before PyTorch 1.6: a pickled magic number."""


@dataclass(frozen=True)
class Imported:
    """What a file holds, in Handrail's terms.

    Attributes:
        trunk: The architecture.
        tensors: Its weights by name, float32, checked.
        origin: Whose they are: the kind of network, the file's name, its SHA-256.
    """

    trunk: TrunkName
    tensors: dict[str, Tensor]
    origin: str


def read(path: Path) -> Imported:
    """Read somebody's weights.

    Raises:
        TrunkError: the file is missing, damaged, holds more than arrays, or no network that is known.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise TrunkError(f"{path} has {size} bytes, more than the {LARGEST_FILE} of any file of weights")
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            start = file.read(len(_LEGACY_TORCH))
    except OSError as error:
        raise TrunkError(f"{path} cannot be read: {error.strerror}") from None
    if start.startswith(b"PK\x03\x04") or start == _LEGACY_TORCH:
        trunk, kind, tensors = _recognise(_from_torch(path), path)
    elif start.startswith(b"\x80"):
        trunk, kind, tensors = "resnet10", "HIL-SERL's ResNet-10", _from_hil_serl(arrays(path))
    else:
        trunk, kind, tensors = _recognise(_from_safetensors(path), path)
    return Imported(trunk, check(trunk, tensors, str(path)), f"{kind}, {path.name}, SHA-256 {sha256}")


def _from_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise TrunkError(
            f"{path} is damaged, or neither safetensors, a PyTorch checkpoint nor a pickle: {error}"
        ) from None


def _from_torch(path: Path) -> dict[str, Tensor]:
    """A PyTorch checkpoint, by PyTorch's own reader of tensors alone."""
    try:
        document: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever is in the file, its reader may fail on it in any way
        reason = " ".join(str(error).split())[:120]
        raise TrunkError(
            f"{path} is refused: as a PyTorch checkpoint it is damaged or holds more than tensors ({reason})"
        ) from None
    for key in ("state_dict", "model"):
        if isinstance(document, dict) and isinstance(document.get(key), dict):
            document = document[key]
    if not isinstance(document, dict) or not all(isinstance(value, Tensor) for value in document.values()):
        raise TrunkError(f"{path} is refused: it holds no tensors by name; save the network's state_dict()")
    return {str(key).removeprefix("module."): value for key, value in document.items()}


def _from_hil_serl(found: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Arrays under PyTorch's names and in its order of axes; what is no part of the trunk is left out."""
    tensors = {}
    for path, array in found.items():
        match = _HIL_SERL_NAME.fullmatch(path)
        if match is None or match[2] not in _HIL_SERL_PARTS:
            continue  # the classifier's head of its ImageNet training
        block = "" if match[1] is None else f"blocks.{match[1]}."
        if match[3] == "kernel" and array.ndim == 4:
            array = np.ascontiguousarray(array.transpose(3, 2, 0, 1))  # HWIO -> OIHW
        name = "bias" if match[3] == "bias" else "weight"
        tensors[f"{block}{_HIL_SERL_PARTS[match[2]]}.{name}"] = torch.from_numpy(array)
    return tensors


def _recognise(tensors: dict[str, Tensor], path: Path) -> tuple[TrunkName, str, dict[str, Tensor]]:
    """Which trunk these are the weights of, whose they were, and the trunk's own names for them.

    Raises:
        TrunkError: of none.
    """
    for trunk in TRUNKS:
        if tensors.keys() == shapes(trunk).keys():
            return trunk, f"a {trunk}", tensors
    if "embedder.0.weight" in tensors:
        return "resnet10", "LeRobot's ResNet-10", _from_lerobot(tensors)
    if "conv1.0.weight" in tensors and not any(re.match(r"layer\d\.[1-9]", name) for name in tensors):
        try:
            return "resnet10t", "timm's resnet10t", fold(tensors)
        except (KeyError, RuntimeError) as error:
            raise TrunkError(f"{path} is no resnet10t of timm's with its BatchNorms: {error}") from None
    some = ", ".join(sorted(tensors)[:3])
    raise TrunkError(
        f"{path} holds no network that can be imported ({len(tensors)} tensors: {some} …); known are "
        "HIL-SERL's resnet10_params.pkl, LeRobot's resnet10, timm's resnet10t and Handrail's own"
    )


def _from_lerobot(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The port's tensors under Handrail's names."""
    renamed = {}
    for name, tensor in tensors.items():
        for pattern, ours in _LEROBOT_NAMES:
            name = pattern.sub(ours, name)
        renamed[name] = tensor
    return renamed
