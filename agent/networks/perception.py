"""What the networks see of an observation: features of the state and, with cameras, an encoder that learns.

While the demonstrations are cloned, clone and encoder learn together, a trunk that is not frozen too. From
then on the encoder belongs to the critics: their optimiser alone moves it, the actor reads its slow average
detached, and the clone keeps a frozen copy. (In HIL-SERL, arXiv 2410.21845, as released, the state's branch
receives the actor's gradient too.)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from handrail.agent.networks.features import StateFeatures
from handrail.vision.config import TrunkName, VisionConfig
from handrail.vision.encoder import ObservationEncoder
from handrail.vision.trunk import TRUNKS, normalise


@dataclass(frozen=True)
class PixelSpec:
    """What a batch's `pixels` are.

    Attributes:
        cameras: Names of the policy's cameras, in order.
        image: (H, W) of each.
        map_shape: (C, S), channels and cells of a feature map.
        trained_trunk: The trunk that turns images into maps inside the networks; None where it is frozen and
            the maps themselves are what a batch holds.
    """

    cameras: tuple[str, ...]
    image: tuple[int, int]
    map_shape: tuple[int, int]
    trained_trunk: TrunkName | None = None


class Perception(nn.Module):
    """An observation as one vector.

    Args:
        features: Of the state, fixed.
        pixels: What the cameras bring; None without cameras: nothing is learned then.
        config: Of the encoder.
        generator: Source of the initial weights; a trained trunk's are loaded into it afterwards.

    Attributes:
        size: Length of the vector.
        encoder: What is learned; None without cameras.
        trunk: A trunk that is trained; None where it is frozen.
    """

    def __init__(
        self,
        features: StateFeatures,
        pixels: PixelSpec | None = None,
        config: VisionConfig | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self._features = features
        self.size = features.size
        self.encoder: ObservationEncoder | None = None
        self.trunk: nn.Module | None = None
        if pixels is None:
            return
        assert config is not None, "cameras need a VisionConfig"
        self.encoder = ObservationEncoder(
            len(pixels.cameras), pixels.map_shape, features.size, config, generator
        )
        self.size = self.encoder.size
        if pixels.trained_trunk is not None:
            self.trunk = TRUNKS[pixels.trained_trunk]()

    def forward(self, state: Tensor, pixels: Tensor | None, dropout: torch.Generator | None = None) -> Tensor:
        """The vector (B, size).

        Args:
            state: (B, D), SI units.
            pixels: Maps (B, cameras, C, S), or images (B, cameras, H, W, 3) uint8 for a trained trunk; None
                without cameras.
            dropout: Source of the encoder's dropout masks; None drops nothing.
        """
        features = self._features(state)
        if self.encoder is None:
            return features
        assert pixels is not None, "a batch without pixels for a policy with cameras"
        if self.trunk is not None:
            maps = self.trunk(normalise(pixels.flatten(0, 1)))
            pixels = maps.flatten(2).unflatten(0, pixels.shape[:2])
        return self.encoder(features, pixels, dropout=dropout)
