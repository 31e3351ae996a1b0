"""timm's `resnet10t`, its BatchNorm folded into the convolutions: for ImageNet weights that are easy to get.

A deep, tiered stem (Bag of Tricks, arXiv 1812.01187), one block a stage, and shortcuts that average before
they project. With fixed statistics a BatchNorm is a scale and a shift of each channel, so each convolution
has a bias instead (`fold`).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from handrail.vision.resnet import CHANNELS

_STEM = (24, 32, 64)
_EPSILON = 1e-5  # of timm's BatchNorm2d


class TieredBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut that averages 2×2 pixels where the block halves the sides."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1) if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, ⌈H / stride⌉, ⌈W / stride⌉)."""
        y = self.conv2(functional.relu(self.conv1(x)))
        if self.shortcut is not None:
            x = self.shortcut(functional.avg_pool2d(x, 2, 2, ceil_mode=True, count_include_pad=False))
        return functional.relu(y + x)


class ResNet10T(nn.Module):
    """One block a stage, four stages; 4.9 million parameters.

    Attributes:
        channels: C of the feature map.
    """

    channels = CHANNELS[-1]

    def __init__(self) -> None:
        super().__init__()
        inputs, stem = 3, []
        for outputs in _STEM:
            stem.append(nn.Conv2d(inputs, outputs, 3, 2 if inputs == 3 else 1, 1))
            inputs = outputs
        self.stem = nn.ModuleList(stem)
        blocks = []
        for stage, outputs in enumerate(CHANNELS):
            blocks.append(TieredBlock(inputs, outputs, 1 if stage == 0 else 2))
            inputs = outputs
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps (N, 512, ⌈H/32⌉, ⌈W/32⌉) of normalised images (N, 3, H, W)."""
        for convolution in self.stem:
            x = functional.relu(convolution(x))
        return self.blocks(functional.max_pool2d(x, 3, 2, 1))


def fold(timm: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a `ResNet10T` from those of timm's `resnet10t`.

    `w' = w g / √(v + ε)`, `b' = b − m g / √(v + ε)`, with the gain g, shift b, mean m and variance v of each
    channel's BatchNorm.

    Raises:
        KeyError: a tensor is missing.
    """
    pairs = {f"stem.{number}": (f"conv1.{3 * number}", f"conv1.{3 * number + 1}") for number in (0, 1)}
    pairs["stem.2"] = ("conv1.6", "bn1")
    for stage in range(len(CHANNELS)):
        for number in (1, 2):
            theirs = f"layer{stage + 1}.0."
            pairs[f"blocks.{stage}.conv{number}"] = (f"{theirs}conv{number}", f"{theirs}bn{number}")
        if stage > 0:
            theirs = f"layer{stage + 1}.0.downsample."
            pairs[f"blocks.{stage}.shortcut"] = (f"{theirs}1", f"{theirs}2")
    folded = {}
    for ours, (convolution, norm) in pairs.items():
        weight = timm[f"{convolution}.weight"].double()
        gain, shift, mean, variance = (
            timm[f"{norm}.{part}"].double() for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = gain / torch.sqrt(variance + _EPSILON)
        folded[f"{ours}.weight"] = (weight * scale[:, None, None, None]).float()
        folded[f"{ours}.bias"] = (shift - mean * scale).float()
    return folded
