"""Settings of what the policy sees with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from handrail.robot_env.checks import require_range
from handrail.robot_env.errors import ConfigError

SETTINGS = ("auto", "pretrain", "random")
"""The values of `weights` that are no file."""
TrunkName = Literal["resnet10", "resnet10t", "cnn"]


@dataclass(frozen=True)
class VisionConfig:
    """How images become features; without cameras in the environment none of it is used.

    Attributes:
        cameras: Images of the observation that the policy sees, by name; None for all of them. An empty list
            leaves a policy on the state alone, beside cameras that only the reward classifier looks through.
        trunk: "resnet10" (ResNet-10 with GroupNorm, as HIL-SERL's), "resnet10t" (timm's, for its weights), or
            "cnn", a small one to train.
        weights: Of the trunk: "auto" (those the run has, else the imported or pretrained ones under
            `handrail weights`, else random with a warning), "pretrain" (the same, but where there are none,
            they are first taught on the simulated cell), "random", or the path of a safetensors file.
        frozen: Keep the trunk as it is: its features are then computed once a frame. Otherwise it is trained
            with the critics, on every batch.
        views: K, randomly shifted views of each frame of which every batch draws one; 1 is the frame as it
            is. A frozen trunk keeps the features of each; one that is trained sees every image shifted anew,
            whatever K.
        shift_px: Largest shift of a view, or of an image for a trunk that is trained, either way [pixels]; 0
            for none.
        cache_mb: Memory for features of a frozen trunk [MB, 10⁶ bytes]; what does not fit is computed anew.
        spatial_features: F, spatial learned embeddings for each channel.
        bottleneck: Width of each camera's features.
        proprioception: Width of the state's features.
        dropout: Of the spatial embeddings, in the critics' update [1].
    """

    cameras: tuple[str, ...] | None = None
    trunk: TrunkName = "resnet10"
    weights: str = "auto"
    frozen: bool = True
    views: int = 1
    shift_px: int = 4
    cache_mb: int = 2000
    spatial_features: int = 8
    bottleneck: int = 256
    proprioception: int = 64
    dropout: float = 0.0

    def __post_init__(self) -> None:
        require_range("vision", 1, 16, views=self.views)
        require_range("vision", 0, 32, shift_px=self.shift_px)
        require_range("vision", 1, 1_000_000, cache_mb=self.cache_mb)
        require_range("vision", 1, 64, spatial_features=self.spatial_features)
        require_range("vision", 1, 4096, bottleneck=self.bottleneck, proprioception=self.proprioception)
        require_range("vision", 0.0, 0.9, dropout=self.dropout)
        if not self.weights:
            raise ConfigError("vision.weights is empty; give 'auto', 'pretrain', 'random' or a file's path")
        if self.trunk == "cnn" and self.frozen and self.weights == "random":
            raise ConfigError(
                "vision.trunk is 'cnn' with frozen random weights, which see little; set vision.frozen=false"
            )
