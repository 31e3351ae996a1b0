"""Dense layers on the CPU: the matrix products of an update, forwards and backwards.

Why this file exists: a batched product (`torch.bmm`) over an ensemble is slow on a CPU, and single ones are
fastest through oneDNN (`vision/products.py`). So each member's product goes there, and each hidden layer
(linear, LayerNorm, tanh) is one step of a hand-written backward pass, which also spares the autograd graph.
The plain PyTorch expression of the same network stays in `mlp.py`; it runs on a GPU and is what the tests
compare with.
"""

from __future__ import annotations

import torch
from torch import Tensor

from handrail.vision.products import linear

_LAYER_NORM_EPSILON = 1e-5


def tanh_(x: Tensor) -> Tensor:
    """Hyperbolic tangent in place, as `2 sigmoid(2x) - 1`: PyTorch's sigmoid is several times faster."""
    return x.mul_(2.0).sigmoid_().mul_(2.0).sub_(1.0)


class MemberCache:
    """What one member's backward pass needs from its forward pass."""

    __slots__ = ("activations", "means", "normalised_inputs", "rstds")

    def __init__(self) -> None:
        self.activations: list[Tensor] = []  # the input of every linear layer
        self.normalised_inputs: list[Tensor] = []  # the input of every LayerNorm
        self.means: list[Tensor] = []
        self.rstds: list[Tensor] = []


def forward_member(x: Tensor, layers: list[tuple[Tensor, ...]], cache: MemberCache | None) -> Tensor:
    """One member's output; x (B, in) -> (B, out).

    `layers` holds (weight, bias, gain, shift) for each hidden layer and (weight, bias) for the last.
    """
    for weight, bias, gain, shift in layers[:-1]:
        z = linear(x, weight, bias)
        y, mean, rstd = torch.native_layer_norm(z, (z.shape[-1],), gain, shift, _LAYER_NORM_EPSILON)
        if cache is not None:
            cache.activations.append(x)
            cache.normalised_inputs.append(z)
            cache.means.append(mean)
            cache.rstds.append(rstd)
        x = tanh_(y)
    if cache is not None:
        cache.activations.append(x)
    weight, bias = layers[-1]
    return linear(x, weight, bias)


def backward_member(
    grad: Tensor,
    layers: list[tuple[Tensor, ...]],
    cache: MemberCache,
    *,
    need_input: bool,
    need_parameters: bool,
) -> tuple[Tensor | None, list[tuple[Tensor, ...]]]:
    """Gradients of one member: for its input (B, in), and for `layers` in the same order and shapes."""
    gradients: list[tuple[Tensor, ...]] = []
    for depth in range(len(layers) - 1, -1, -1):
        weight = layers[depth][0]
        last = depth == len(layers) - 1
        affine: tuple[Tensor, ...] = ()
        if not last:
            grad, d_gain, d_shift = torch.ops.aten.native_layer_norm_backward(
                torch.ops.aten.tanh_backward(grad, cache.activations[depth + 1]),
                cache.normalised_inputs[depth],
                (weight.shape[0],),
                cache.means[depth],
                cache.rstds[depth],
                layers[depth][2],
                layers[depth][3],
                [True, need_parameters, need_parameters],
            )
            affine = (d_gain, d_shift)
        if need_parameters:
            d_weight = linear(grad.t(), cache.activations[depth].t())
            gradients.append((d_weight, grad.sum(0), *affine))
        if depth > 0 or need_input:
            grad = linear(grad, weight.t())
    gradients.reverse()
    return (grad if need_input else None), gradients
