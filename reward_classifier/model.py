"""What is trained of a classifier: the head on a frozen trunk's feature maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from handrail.reward_classifier.config import ClassifierConfig
from handrail.vision.encoder import ObservationEncoder


class RewardHead(nn.Module):
    """An encoder of the cameras' feature maps, without any state, and a logit on it.

    Without state, because a classifier that knew where the arm is would learn that, and never look.

    Args:
        cameras: Number of cameras.
        map_shape: (C, S): channels and cells of a feature map.
        config: Widths and dropout.
        seed: Of the initial weights and of the dropout.
    """

    def __init__(self, cameras: int, map_shape: tuple[int, int], config: ClassifierConfig, seed: int) -> None:
        super().__init__()
        self._random = torch.Generator().manual_seed(seed)
        self.encoder = ObservationEncoder(cameras, map_shape, 0, config.encoder(), self._random)
        self.weight = nn.Parameter(torch.zeros(1, self.encoder.size))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, maps: Tensor, *, dropout: bool = False) -> Tensor:
        """Logits (B,) of success.

        Args:
            maps: (B, cameras, C, S), float16 or float32.
            dropout: Drop spatial embeddings, as in training.
        """
        encoded = self.encoder(None, maps, dropout=self._random if dropout else None)
        return functional.linear(encoded, self.weight, self.bias).squeeze(-1)


def balanced_loss(logits: Tensor, positive: Tensor) -> Tensor:
    """Binary cross-entropy in which successes and the rest weigh the same in all, however many there are.

    Args:
        logits: (B,).
        positive: (B,), 1 for success, 0 without.
    """
    each = functional.binary_cross_entropy_with_logits(logits, positive, reduction="none")
    share = positive.mean().clamp(1e-6, 1.0 - 1e-6)
    return (each * torch.where(positive > 0.5, 0.5 / share, 0.5 / (1.0 - share))).mean()
