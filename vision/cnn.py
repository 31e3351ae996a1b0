"""A small convolutional trunk that is trained with the critics."""

from __future__ import annotations

from torch import Tensor, nn


class SmallCNN(nn.Module):
    """Four strided convolutions, to a map of a thirty-second of the image's sides.

    Attributes:
        channels: C of the feature map.
    """

    channels = 64

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs, stride in ((3, 16, 4), (16, 32, 2), (32, 64, 2), (64, self.channels, 2)):
            kernel = 5 if stride == 4 else 3
            layers += [
                nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2),
                nn.GroupNorm(4, outputs),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps (N, 64, ⌈H/32⌉, ⌈W/32⌉) of normalised images (N, 3, H, W)."""
        return self.layers(x)
