"""A frozen trunk: images in, feature maps out, and a key that says with what."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from handrail.vision.cnn import SmallCNN
from handrail.vision.config import TrunkName
from handrail.vision.resnet import ResNet10, initialise

_REMEMBERED = 8
TRUNKS: Mapping[TrunkName, type[nn.Module]] = {"resnet10": ResNet10, "cnn": SmallCNN}


def build(name: TrunkName, seed: int = 0) -> nn.Module:
    """A trunk with random weights, the same for the same seed."""
    network = TRUNKS[name]()
    initialise(network, seed)
    return network


def normalise(images: Tensor) -> Tensor:
    """(N, H, W, 3) uint8 as (N, 3, H, W) float32 in [−1, 1], in channels-last memory."""
    return images.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)


class Trunk:
    """A network that is not trained; any thread may use it, one at a time.

    It runs in bfloat16 where the processor multiplies that natively, else in float32.

    Args:
        name: Its architecture.
        tensors: Its weights, by name.
        precision: Of its products; None for the fastest here. Part of the key: features of two precisions
            are never mixed.

    Attributes:
        key: 16 hexadecimal digits: architecture, weights, normalisation and precision.
    """

    def __init__(
        self, name: TrunkName, tensors: Mapping[str, Tensor], precision: torch.dtype | None = None
    ) -> None:
        self.name = name
        with torch.device("meta"):
            network = TRUNKS[name]()
        network.load_state_dict(dict(tensors), assign=True)
        self._precision = precision or fastest_precision()
        self._network = network.to(self._precision).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self._network.requires_grad_(False).eval()
        self.channels = int(network.channels)  # pyright: ignore[reportArgumentType]
        self.key = _key(name, tensors, self._precision)
        self._remembered: OrderedDict[int, tuple[np.ndarray, Tensor]] = OrderedDict()

    def map_size(self, height: int, width: int) -> int:
        """S, the number of cells of the feature map of an image."""
        return -(-height // 32) * -(-width // 32)

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Feature maps (N, C, S) float16 of images (N, H, W, 3) uint8."""
        features = self._network(normalise(images).to(self._precision))
        return features.flatten(2).to(torch.float16).contiguous()

    def of(self, images: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """Feature map (C, S) of each image, computed once for each array that is asked for.

        Policy and reward classifier look at the same arrays; the second one to ask finds them here.
        """
        missing = {name: image for name, image in images.items() if not self._knows(image)}
        by_shape: dict[tuple[int, ...], list[np.ndarray]] = {}
        for image in missing.values():
            by_shape.setdefault(image.shape, []).append(image)
        for batch in by_shape.values():
            for image, features in zip(batch, self(torch.from_numpy(np.stack(batch))), strict=True):
                self._remembered[id(image)] = (image, features)  # holding the array keeps its id its own
        found = {name: self._remembered[id(image)][1] for name, image in images.items()}
        while len(self._remembered) > _REMEMBERED:
            self._remembered.popitem(last=False)
        return found

    def _knows(self, image: np.ndarray) -> bool:
        return id(image) in self._remembered


def fastest_precision() -> torch.dtype:
    """bfloat16 where the processor has instructions for it."""
    return (
        torch.bfloat16
        if torch.backends.cpu.get_cpu_capability() == "AVX512" and _has_bf16()
        else torch.float32
    )


def _has_bf16() -> bool:
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _key(name: str, tensors: Mapping[str, Tensor], precision: torch.dtype) -> str:
    digest = hashlib.sha256(f"{name} [-1,1] {precision}".encode())
    for key in sorted(tensors):
        digest.update(key.encode())
        digest.update(tensors[key].detach().float().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
