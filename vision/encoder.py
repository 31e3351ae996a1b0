"""From feature maps and state to one vector: the part of seeing that is always trained.

For each camera: spatial learned embeddings, dropout, a dense bottleneck with LayerNorm and tanh; for the
state a dense layer of the same kind (HIL-SERL, arXiv 2410.21845, and its source). The vectors stand side by
side.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from handrail.vision.config import VisionConfig
from handrail.vision.products import linear

_POOL = 1 << 20


class ObservationEncoder(nn.Module):
    """Encodes what the policy observes.

    Args:
        cameras: Number of cameras; 0 is allowed for a state alone.
        map_shape: (C, S): channels and cells of a feature map.
        state_size: P, length of the state's features; 0 for none.
        config: Widths and dropout.
        generator: Source of the initial weights.

    Attributes:
        size: Length of the encoded vector.
    """

    def __init__(
        self,
        cameras: int,
        map_shape: tuple[int, int],
        state_size: int,
        config: VisionConfig,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        channels, cells = map_shape
        self.cameras, self._dropout = cameras, config.dropout
        spatial, wide = channels * config.spatial_features, config.bottleneck
        self.kernels, self.weights, self.affine = nn.ParameterList(), nn.ParameterList(), nn.ParameterList()
        for _ in range(cameras):
            kernel = torch.randn(channels, cells, config.spatial_features, generator=generator)
            self.kernels.append(nn.Parameter(kernel / math.sqrt(cells)))
            self.weights.append(_xavier(wide, spatial, generator))
            self.affine.append(_affine(wide))
        self.size = cameras * wide
        self.state_weight, self.state_affine = None, None
        if state_size:
            self.state_weight = _xavier(config.proprioception, state_size, generator)
            self.state_affine = _affine(config.proprioception)
            self.size += config.proprioception
        self._pool: Tensor | None = None

    def forward(
        self, state: Tensor | None, maps: Tensor | None, *, dropout: torch.Generator | None = None
    ) -> Tensor:
        """The encoded vector (B, size).

        Args:
            state: Features of the state (B, P), or None where there are none.
            maps: (B, cameras, C, S), float16 or float32.
            dropout: Source of the masks; None drops nothing.
        """
        parts = []
        for camera in range(self.cameras):
            assert maps is not None
            mask = self._mask(len(maps), dropout) if dropout is not None and self._dropout > 0.0 else None
            kernel, weight, affine = self.kernels[camera], self.weights[camera], self.affine[camera]
            parts.append(_squashed(_head(maps[:, camera].float(), kernel, weight, mask), affine))
        if self.state_weight is not None:
            assert state is not None and self.state_affine is not None
            parts.append(_squashed(functional.linear(state, self.state_weight), self.state_affine))
        return torch.cat(parts, -1)

    def _mask(self, rows: int, generator: torch.Generator) -> Tensor:
        """(rows, C·F): each row a stretch of one long random mask, for drawing millions anew is slow."""
        width = self.weights[0].shape[1]
        pool = self._pool
        if pool is None:
            # Always the same one: a resumed run goes on as it would have without the interruption.
            keep = torch.rand(_POOL, generator=torch.Generator().manual_seed(0)) >= self._dropout
            pool = self._pool = keep.float().div_(1.0 - self._dropout)
        starts = torch.randint(0, _POOL - width, (rows,), generator=generator)
        return pool.unfold(0, width, 1)[starts]


def _xavier(outputs: int, inputs: int, generator: torch.Generator | None) -> nn.Parameter:
    weight = torch.empty(outputs, inputs)
    nn.init.xavier_uniform_(weight, generator=generator)
    return nn.Parameter(weight)


def _affine(width: int) -> nn.Parameter:
    """Bias before the LayerNorm, its gain, and its shift: (3, width)."""
    return nn.Parameter(torch.stack([torch.zeros(width), torch.ones(width), torch.zeros(width)]))


def _squashed(z: Tensor, affine: Tensor) -> Tensor:
    bias, gain, shift = affine
    return torch.tanh(functional.layer_norm(z + bias, (z.shape[-1],), gain, shift))


def _head(maps: Tensor, kernel: Tensor, weight: Tensor, mask: Tensor | None) -> Tensor:
    """Spatial learned embeddings and the dense layer after them, without its bias: (B, C, S) -> (B, W)."""
    if maps.is_cuda:
        spatial = torch.einsum("bcs,csf->bcf", maps, kernel).flatten(1)
        return functional.linear(spatial if mask is None else spatial * mask, weight)
    return _Head.apply(maps, kernel, weight, mask)  # pyright: ignore[reportReturnType]


class _Head(torch.autograd.Function):
    """`_head` with its backward pass written out: products through oneDNN, few temporaries."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, kernel: Tensor, weight: Tensor, mask: Tensor | None) -> Tensor:  # type: ignore[override]
        # One (B, S) x (S, F) product for each channel.
        spatial = torch.bmm(maps.transpose(0, 1), kernel).transpose(0, 1).reshape(len(maps), -1)
        if mask is not None:
            spatial *= mask
        ctx.save_for_backward(maps, kernel, weight, mask, spatial)
        return linear(spatial, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        maps, kernel, weight, mask, spatial = ctx.saved_tensors
        grad = grad.contiguous()
        d_weight = linear(grad.t(), spatial.t()) if ctx.needs_input_grad[2] else None
        d_maps = d_kernel = None
        if ctx.needs_input_grad[0] or ctx.needs_input_grad[1]:
            d_spatial = linear(grad, weight.t())
            if mask is not None:
                d_spatial = d_spatial * mask
            by_channel = d_spatial.view(len(maps), kernel.shape[0], kernel.shape[2]).transpose(
                0, 1
            )  # (C, B, F)
            if ctx.needs_input_grad[1]:
                # This way round, and turned afterwards: four times as fast as (S, B) x (B, F).
                d_kernel = torch.bmm(by_channel.transpose(1, 2), maps.transpose(0, 1)).transpose(1, 2)
            if ctx.needs_input_grad[0]:
                d_maps = torch.bmm(by_channel, kernel.transpose(1, 2)).transpose(0, 1)
        return d_maps, d_kernel, d_weight, None
