"""A frozen trunk: images in, feature maps out, and a key that says with what."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from weakref import WeakValueDictionary

import numpy as np
import torch
from torch import Tensor, nn

from handrail.vision.cnn import SmallCNN
from handrail.vision.config import TrunkName
from handrail.vision.products import freeze_convolutions
from handrail.vision.resnet import ResNet10, initialise
from handrail.vision.resnet10t import ResNet10T

NORMALISATION = "imagenet"
"""The name of what `normalise` does, in keys and files of weights."""
_MEAN = (0.485, 0.456, 0.406)  # of ImageNet's pixels, red, green, blue, in [0, 1]
_DEVIATION = (0.229, 0.224, 0.225)
_REMEMBERED = 8
TRUNKS: Mapping[TrunkName, type[nn.Module]] = {
    "resnet10": ResNet10,
    "resnet10t": ResNet10T,
    "cnn": SmallCNN,
}


def build(name: TrunkName, seed: int = 0) -> nn.Module:
    """A trunk with random weights, the same for the same seed."""
    network = TRUNKS[name]()
    initialise(network, seed)
    return network


def shapes(name: TrunkName) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of a trunk, by name."""
    with torch.device("meta"):
        return {key: tuple(tensor.shape) for key, tensor in TRUNKS[name]().state_dict().items()}


def normalise(images: Tensor, precision: torch.dtype = torch.float32) -> Tensor:
    """Images (N, H, W, 3) uint8 as (N, 3, H, W) by ImageNet's mean and deviation, as HIL-SERL does.

    The memory stays channels-last.
    """
    scaled = images.permute(0, 3, 1, 2).float()
    mean = torch.tensor(_MEAN, device=images.device).mul_(255.0).view(3, 1, 1)
    deviation = torch.tensor(_DEVIATION, device=images.device).mul_(255.0).view(3, 1, 1)
    return scaled.sub_(mean).div_(deviation).to(precision)


class Trunk:
    """A network that is not trained; any thread may use it.

    It runs in bfloat16 where the processor multiplies that natively, else in float32.

    Args:
        name: Its architecture.
        tensors: Its weights, by name.
        precision: Of its products; None for the fastest here. Part of the key: features of two precisions
            are never mixed.

    Attributes:
        tensors: Its weights as they were given, for whoever trains or stores them.
        key: 16 hexadecimal digits: architecture, weights, normalisation and precision.
        channels: C of a feature map.
    """

    def __init__(
        self, name: TrunkName, tensors: Mapping[str, Tensor], precision: torch.dtype | None = None
    ) -> None:
        self.name: TrunkName = name
        self.tensors = {key: tensor.detach() for key, tensor in tensors.items()}
        self._precision = precision or fastest_precision()
        with torch.device("meta"):
            network = TRUNKS[name]()
        # A copy: what is given may be trained on, and these weights must stay what the key says.
        copies = {key: tensor.to(self._precision, copy=True) for key, tensor in self.tensors.items()}
        network.load_state_dict(copies, assign=True)
        self._network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self._network.requires_grad_(False).eval()
        freeze_convolutions(self._network)
        self.channels = int(network.channels)  # pyright: ignore[reportArgumentType]
        self.key = _key(name, self.tensors, self._precision)
        self._remembered: OrderedDict[tuple[tuple[int, ...], bytes], Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def map_size(self, height: int, width: int) -> int:
        """S, the number of cells of the feature map of an image."""
        return -(-height // 32) * -(-width // 32)

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Feature maps (N, C, S) float16 of images (N, H, W, 3) uint8."""
        features = self._network(normalise(images, self._precision))
        return features.flatten(2).to(torch.float16).contiguous()

    def of(self, images: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """Feature map (C, S) float16 of each image (H, W, 3) uint8, computed once for each picture.

        Policy and reward classifier look at the same pictures; the second one to ask finds the maps here,
        whichever copy of a picture it holds.
        """
        pictures = {name: (image.shape, image.tobytes()) for name, image in images.items()}
        with self._lock:
            missing: dict[tuple[int, ...], dict[bytes, np.ndarray]] = {}
            for name, (shape, pixels) in pictures.items():
                if (shape, pixels) not in self._remembered:
                    missing.setdefault(shape, {})[pixels] = images[name]
            for shape, batch in missing.items():
                maps = self(torch.from_numpy(np.stack(list(batch.values()))))
                for pixels, features in zip(batch, maps, strict=True):
                    self._remembered[shape, pixels] = features
            found = {name: self._remembered[picture] for name, picture in pictures.items()}
            while len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)
            return found


_LIVING: WeakValueDictionary[str, Trunk] = WeakValueDictionary()


def shared(trunk: Trunk) -> Trunk:
    """The trunk of this process that has this one's key, or this one.

    Policy and reward classifier load their weights apart; where those are the same, each picture then goes
    through the network once.
    """
    return _LIVING.setdefault(trunk.key, trunk)


def fastest_precision() -> torch.dtype:
    """bfloat16 where the processor has instructions for it."""
    native = torch.backends.cpu.get_cpu_capability() == "AVX512" and _has_bf16()
    return torch.bfloat16 if native else torch.float32


def _has_bf16() -> bool:
    # Not `_is_mkldnn_bf16_supported`: oneDNN supports it, slowly, on any AVX-512 core.
    asked = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return asked is not None and bool(asked())


def _key(name: str, tensors: Mapping[str, Tensor], precision: torch.dtype) -> str:
    digest = hashlib.sha256(f"{name} {NORMALISATION} {precision} {fingerprint(tensors)}".encode())
    return digest.hexdigest()[:16]


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of weights: names, shapes and float32 values; the same in every file that holds them."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        values = tensors[name].detach().to("cpu", torch.float32).contiguous()
        digest.update(f"{name} {tuple(values.shape)}\n".encode())
        digest.update(values.numpy().tobytes())
    return digest.hexdigest()
