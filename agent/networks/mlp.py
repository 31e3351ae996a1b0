"""An ensemble of multilayer perceptrons: the one network shape of the state-based agent.

Every member is Linear → LayerNorm → tanh, twice, then Linear (HIL-SERL's and RLPD's critic, arXiv 2302.02948
§4.2: LayerNorm bounds the values of actions outside the data). The actor is an ensemble of one; the actor and
its frozen clone together are an ensemble of two; the critics are an ensemble of N. So one class serves all,
and stacking is free.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from handrail.agent.networks.kernels import MemberCache, backward_member, forward_member

_FEW_ROWS = 16
"""Up to this batch size a call's fixed cost outweighs its products, and the batched form is faster."""


class EnsembleMLP(nn.Module):
    """`members` independent perceptrons evaluated together.

    Args:
        members: E, the number of perceptrons.
        inputs: length of an input vector.
        outputs: length of an output vector.
        hidden: widths of the hidden layers.
        generator: source of the initial weights (orthogonal, gain sqrt 2; the last layer 0.01 when
            `small_output`).
        small_output: start with outputs near zero (an actor's mean near the centre of its range).
    """

    def __init__(
        self,
        members: int,
        inputs: int,
        outputs: int,
        hidden: Sequence[int] = (256, 256),
        *,
        generator: torch.Generator | None = None,
        small_output: bool = False,
    ) -> None:
        super().__init__()
        self.members, self.inputs, self.outputs = members, inputs, outputs
        widths = [inputs, *hidden, outputs]
        self.depth = len(widths) - 1
        for layer in range(self.depth):
            last = layer == self.depth - 1
            weight = torch.empty(members, widths[layer + 1], widths[layer])
            gain = (0.01 if small_output else 1.0) if last else math.sqrt(2.0)
            for member in weight:
                nn.init.orthogonal_(member, gain, generator=generator)
            self.register_parameter(f"weight{layer}", nn.Parameter(weight))
            self.register_parameter(f"bias{layer}", nn.Parameter(torch.zeros(members, widths[layer + 1])))
            if not last:
                self.register_parameter(f"gain{layer}", nn.Parameter(torch.ones(members, widths[layer + 1])))
                self.register_parameter(
                    f"shift{layer}", nn.Parameter(torch.zeros(members, widths[layer + 1]))
                )
        self._ordered = [name for name, _ in self.named_parameters()]

    def forward(self, x: Tensor, *, subset: Sequence[int] | None = None, frozen: bool = False) -> Tensor:
        """Outputs of every member.

        Args:
            x: (B, inputs), the same for all, or (E, B, inputs), one batch for each member.
            subset: evaluate only these members, in this order (REDQ's random subset).
            frozen: treat the parameters as constants; gradients reach only `x` (the actor's loss).

        Returns:
            (E, B, outputs), or (len(subset), B, outputs).
        """
        parameters = [getattr(self, name) for name in self._ordered]
        if frozen:
            parameters = [p.detach() for p in parameters]
        chosen = tuple(range(self.members)) if subset is None else tuple(subset)
        if x.is_cuda or x.shape[-2] <= _FEW_ROWS:
            return self.reference(x, parameters, chosen)
        if torch.is_grad_enabled() and (x.requires_grad or any(p.requires_grad for p in parameters)):
            return _EnsembleFunction.apply(x, chosen, self.depth, *parameters)
        layers = _by_member(parameters, chosen, self.depth)
        return torch.stack([forward_member(_rows(x, i), layer, None) for i, layer in enumerate(layers)])

    @torch.no_grad()
    def with_features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (E, B, outputs) for x (B, inputs), and what the last layer reads for them, (E, B, H)."""
        parameters = [getattr(self, name) for name in self._ordered]
        outputs, features = [], []
        for layers in _by_member(parameters, tuple(range(self.members)), self.depth):
            cache = MemberCache()
            outputs.append(forward_member(x, layers, cache))
            features.append(cache.activations[-1])
        return torch.stack(outputs), torch.stack(features)

    def reference(
        self, x: Tensor, parameters: Sequence[Tensor] | None = None, chosen: Sequence[int] = ()
    ) -> Tensor:
        """The same network in plain batched PyTorch: for a GPU, for few rows, and as the tests' yardstick."""
        tensors = [getattr(self, name) for name in self._ordered] if parameters is None else list(parameters)
        if len(chosen) not in (0, self.members):
            tensors = [p[list(chosen)] for p in tensors]
        named = dict(zip(self._ordered, tensors, strict=True))
        x = x if x.dim() == 3 else x.expand(named["weight0"].shape[0], *x.shape)
        for layer in range(self.depth):
            x = torch.baddbmm(named[f"bias{layer}"].unsqueeze(1), x, named[f"weight{layer}"].transpose(1, 2))
            if layer < self.depth - 1:
                x = functional.layer_norm(x, (x.shape[-1],))
                x = torch.tanh(
                    torch.addcmul(named[f"shift{layer}"][:, None], x, named[f"gain{layer}"][:, None])
                )
        return x


def _rows(x: Tensor, member: int) -> Tensor:
    return x if x.dim() == 2 else x[member]


def _by_member(
    parameters: Sequence[Tensor], chosen: Sequence[int], depth: int
) -> list[list[tuple[Tensor, ...]]]:
    """Parameters regrouped as kernels want them: for each chosen member, its layers' tensors."""
    per_layer = [tuple(parameters[4 * layer : 4 * layer + 4]) for layer in range(depth - 1)]
    per_layer.append(tuple(parameters[4 * (depth - 1) :]))
    return [[tuple(tensor[member] for tensor in layer) for layer in per_layer] for member in chosen]


class _EnsembleFunction(torch.autograd.Function):
    """The ensemble's forward pass with its hand-written backward pass (see `kernels`)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, chosen: tuple[int, ...], depth: int, *parameters: Tensor) -> Tensor:  # type: ignore[override]
        layers = _by_member(parameters, chosen, depth)
        caches = [MemberCache() for _ in layers]
        outputs = [forward_member(_rows(x, i), layers[i], cache) for i, cache in enumerate(caches)]
        ctx.chosen, ctx.layers, ctx.caches, ctx.parameters, ctx.shared = (
            chosen,
            layers,
            caches,
            parameters,
            x.dim() == 2,
        )
        return torch.stack(outputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        need_input, need_parameters = ctx.needs_input_grad[0], any(ctx.needs_input_grad[3:])
        d_inputs: list[Tensor] = []
        d_layers: list[list[tuple[Tensor, ...]]] = []
        for i, (layers, cache) in enumerate(zip(ctx.layers, ctx.caches, strict=True)):
            d_input, gradients = backward_member(
                grad[i].contiguous(), layers, cache, need_input=need_input, need_parameters=need_parameters
            )
            d_layers.append(gradients)
            if d_input is not None:
                d_inputs.append(d_input)
        d_x = None
        if need_input:
            d_x = torch.stack(d_inputs).sum(0) if ctx.shared else torch.stack(d_inputs)
        if not need_parameters:
            return (d_x, None, None, *[None] * len(ctx.parameters))
        return (d_x, None, None, *_gather_gradients(ctx, d_layers))


def _gather_gradients(ctx: Any, d_layers: list[list[tuple[Tensor, ...]]]) -> list[Tensor]:
    """Per-member gradients stacked back into the parameters' shapes; zero where a member was not chosen."""
    flat = [[tensor for layer in member for tensor in layer] for member in d_layers]
    every = ctx.chosen == tuple(range(ctx.parameters[0].shape[0]))
    gathered = []
    for position, parameter in enumerate(ctx.parameters):
        if every:
            gathered.append(torch.stack([member[position] for member in flat]))
            continue
        full = torch.zeros_like(parameter)
        for member, gradients in zip(ctx.chosen, flat, strict=True):
            full[member] = gradients[position]
        gathered.append(full)
    return gathered
