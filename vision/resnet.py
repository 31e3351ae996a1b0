"""ResNet-10 with GroupNorm: the trunk of HIL-SERL (arXiv 2410.21845), in plain PyTorch.

Layer for layer what `serl_launcher/vision/resnet_v1.py` of the reference computes, so that its weights mean
the same here. Flax pads "SAME": on an even side a strided window starts at the first pixel and overhangs at
the last one, where PyTorch's `padding=1` would overhang at both, half a cell off.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = (64, 128, 256, 512)
_GROUPS = 4
_EPSILON = 1e-5


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(_GROUPS, channels, eps=_EPSILON)


def _pad_same(x: Tensor) -> Tensor:
    """Zeros around x (N, C, H, W) as "SAME" wants them for a 3×3 window of stride 2."""
    height, width = x.shape[-2:]
    # An even side: none before, one behind. An odd one: one on either side.
    return functional.pad(x, (width % 2, 1, height % 2, 1))


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1 if stride == 1 else 0, bias=False)
        self.norm1 = _norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = _norm(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), _norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, ⌈H / stride⌉, ⌈W / stride⌉)."""
        y = self.conv1(x if self.stride == 1 else _pad_same(x))
        y = self.norm2(self.conv2(functional.relu(self.norm1(y))))
        return functional.relu(y + self.shortcut(x))


class ResNet10(nn.Module):
    """One block a stage, four stages; 4.9 million parameters.

    Attributes:
        channels: C of the feature map.
    """

    channels = CHANNELS[-1]

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, CHANNELS[0], 7, 2, 3, bias=False)
        self.norm1 = _norm(CHANNELS[0])
        inputs, blocks = CHANNELS[0], []
        for stage, outputs in enumerate(CHANNELS):
            blocks.append(BasicBlock(inputs, outputs, 1 if stage == 0 else 2))
            inputs = outputs
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps (N, 512, ⌈H/32⌉, ⌈W/32⌉) of normalised images (N, 3, H, W)."""
        x = functional.relu(self.norm1(self.conv1(x)))
        return self.blocks(functional.max_pool2d(_pad_same(x), 3, 2))  # after a ReLU a zero is no maximum


def initialise(network: nn.Module, seed: int) -> None:
    """He-normal convolutions (arXiv 1502.01852) from a generator of their own; norms at one and zero."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.GroupNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
