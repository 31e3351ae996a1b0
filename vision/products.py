"""Matrix products and frozen convolutions on the CPU.

PyTorch sends float32 products on x86 to MKL, which on AMD processors runs at about half the rate of oneDNN (a
library that PyTorch ships and uses for convolutions); so products go to oneDNN's linear primitive (ADR 0006).
A convolution goes to oneDNN anyhow, but its weights are brought into oneDNN's layout at every call; weights
that never change are brought into it once, which takes a quarter off a pass of one or two images.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def onednn_available() -> bool:
    """Whether this build of PyTorch offers oneDNN's linear and convolution primitives."""
    wanted = ("_linear_pointwise", "_convolution_pointwise", "_reorder_convolution_weight")
    return torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in wanted)


_ONEDNN = onednn_available()


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x @ weight.T + bias` without a graph; x (B, in), weight (out, in), bias (out,) or None -> (B, out)."""
    if _ONEDNN:
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return torch.nn.functional.linear(x, weight, bias)


class FrozenConv2d(nn.Module):
    """A convolution that is never trained, its weights in oneDNN's own layout.

    Args:
        convolution: What it computes; its zero padding and strides too.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        assert not isinstance(convolution.padding, str)
        geometry = (convolution.padding, convolution.stride, convolution.dilation)
        self._geometry = (*(list(numbers) for numbers in geometry), convolution.groups)
        weight = convolution.weight.detach()
        self._weight: Tensor = torch.ops.mkldnn._reorder_convolution_weight(weight, *self._geometry)
        self._bias = None if convolution.bias is None else convolution.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) in channels-last memory -> (N, outputs, H', W')."""
        return torch.ops.mkldnn._convolution_pointwise(
            x, self._weight, self._bias, *self._geometry, "none", [], ""
        )


def freeze_convolutions(network: nn.Module) -> None:
    """Put a `FrozenConv2d` in the place of each convolution of a network, where oneDNN can run it."""
    if not _ONEDNN:
        return
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d):
                setattr(parent, name, FrozenConv2d(child))
