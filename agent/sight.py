"""What a run's policy sees with: its cameras, its trunk, and the shape of what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from handrail.agent.cameras import policy_cameras, policy_image
from handrail.agent.config import RunConfig
from handrail.agent.networks.perception import PixelSpec
from handrail.vision.config import VisionConfig
from handrail.vision.trunk import Trunk
from handrail.vision.weights import load_trunk_of


@dataclass(frozen=True)
class Sight:
    """Of one process; a policy on the state alone has none.

    Attributes:
        config: Of the encoder.
        pixels: What the cameras bring to the networks.
        trunk: Turns images into feature maps; for a trunk that is trained, its initial weights.
    """

    config: VisionConfig
    pixels: PixelSpec
    trunk: Trunk

    @property
    def frozen(self) -> bool:
        """Whether the trunk stays as it is, and so runs once a frame."""
        return self.pixels.trained_trunk is None

    def look(self, observation: Mapping[str, np.ndarray]) -> tuple[Tensor, dict[str, Tensor]]:
        """A batch of one: maps (1, cameras, C, S), or images (1, cameras, H, W, 3) for a trained trunk.

        The second value holds the maps by camera; it is empty for a trained trunk.
        """
        images = {name: observation[name] for name in self.pixels.cameras}
        if not self.frozen:
            return torch.from_numpy(np.stack(list(images.values()))).unsqueeze(0), {}
        maps = self.trunk.of(images)
        return torch.stack(list(maps.values())).unsqueeze(0), maps


def sight_of(run: Path, config: RunConfig) -> Sight | None:
    """What the policy of a run sees with; None where it has no cameras.

    Args:
        run: The run's directory, which holds the trunk's weights.
        config: The run's configuration.

    Raises:
        ConfigError: The policy's cameras are not among the environment's, or differ in size, or are
            smaller than a view's shift.
        TrunkError: The run's trunk is damaged, missing or of another architecture.
    """
    image, settings = policy_image(config), config.vision
    if image is None:
        return None
    trunk = load_trunk_of(run, settings)
    pixels = PixelSpec(
        cameras=policy_cameras(config),
        image=image,
        map_shape=(trunk.channels, trunk.map_size(*image)),
        trained_trunk=None if settings.frozen else settings.trunk,
    )
    return Sight(settings, pixels, trunk)
