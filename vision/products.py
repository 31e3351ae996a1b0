"""Matrix products on the CPU.

PyTorch sends float32 products on x86 to MKL, which on AMD processors runs at about half the rate of oneDNN (a
library that PyTorch ships and uses for convolutions); so products go to oneDNN's linear primitive (ADR 0006).
"""

from __future__ import annotations

import torch
from torch import Tensor


def onednn_available() -> bool:
    """Whether this build of PyTorch offers oneDNN's linear primitive."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


_ONEDNN = onednn_available()


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x @ weight.T + bias` without a graph; x (B, in), weight (out, in), bias (out,) or None -> (B, out)."""
    if _ONEDNN:
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return torch.nn.functional.linear(x, weight, bias)
