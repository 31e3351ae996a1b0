"""A minibatch: what one update sees."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """B transitions, the first half from the replay view and the second from the demo view.

    `discount` is Acme's: γᵏ after k steps, and 0 when the last of them terminated. A truncated step keeps its
    γᵏ, so that its target bootstraps. With one-step targets k = 1.

    With cameras, `pixels` and `next_pixels` are what the encoder sees: feature maps of a frozen trunk,
    (B, cameras, C, S) float16, or images for a trunk that is trained, (B, cameras, H, W, 3) uint8.
    """

    observation: Tensor  # (B, D) float32, in the units of the state spec
    action: Tensor  # (B, A) float32 in [-1, 1], the one executed
    reward: Tensor  # (B,) float32, discounted sum over k steps
    discount: Tensor  # (B,) float32
    next_observation: Tensor  # (B, D) float32, after k steps
    human: Tensor  # (B,) float32, 1 where a human drove
    pixels: Tensor | None = None
    next_pixels: Tensor | None = None  # after k steps

    def __len__(self) -> int:
        return self.observation.shape[0]
