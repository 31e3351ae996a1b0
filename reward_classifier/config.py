"""Settings of how a reward classifier is trained and calibrated."""

from __future__ import annotations

from dataclasses import dataclass, field

from handrail.reward_classifier.guard import Guard
from handrail.robot_env.checks import require_range
from handrail.robot_env.errors import ConfigError
from handrail.vision.config import VisionConfig


@dataclass(frozen=True)
class ClassifierConfig:
    """What a classifier sees, how it learns, and how sure it must be.

    Attributes:
        cameras: Images that it looks at, by name; None for all that were recorded.
        margin: Frames before a success, and beside each change of the success key, that are left out: nobody
            presses a key to the frame.
        success_frames: Frames at the end of an episode labelled success that show it.
        max_episodes: Of all runs' labelled episodes of training and demonstration, the newest that are
            taken; those recorded to show success all are.
        max_negatives: Frames without success to train on, drawn evenly over the episodes; held-out episodes
            are judged whole.
        views: Views of each frame to train on: the frame as it is, and shifted, lighter and darker ones.
        shift_px: Largest shift of a view, either way [pixels].
        brightness: Largest relative change of a view's brightness, either way [1].
        spatial_features: Spatial learned embeddings for each channel.
        bottleneck: Width of each camera's features.
        dropout: Of the spatial embeddings, in training [1].
        folds: Parts that the episodes are split into; each is judged by a head that has not seen it. There
            are fewer where fewer episodes show success, or none.
        epochs: Most passes over the frames.
        patience: Passes without a smaller loss, on a fold that is neither learned nor judged, that end it.
        batch_size: Frames in a batch, half of them successes.
        learning_rate: Of AdamW.
        weight_decay: Of AdamW.
        consecutive: k, frames in a row that must look like success.
        guard: Where a success can be at all.
        fit_guard: Draw the guard closer around where successes were seen.
        false_positives: Wanted bound: share of episodes in which success is claimed before it is there [1].
        misses: Share of the successes that may be missed for a safer threshold [1].
        tolerated: Share of the held-out episodes whose false success may be borne, at the price of a wider
            bound, where they are too few to show the wanted one and more would be missed otherwise [1].
        confidence: Of the bound [1].
        seed: Of the split, the views, the initial weights and the batches.
    """

    cameras: tuple[str, ...] | None = None
    margin: int = 3
    success_frames: int = 2
    max_episodes: int = 100
    max_negatives: int = 2000
    views: int = 3
    shift_px: int = 4
    brightness: float = 0.15
    spatial_features: int = 8
    bottleneck: int = 64
    dropout: float = 0.1
    folds: int = 5
    epochs: int = 30
    patience: int = 6
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    consecutive: int = 3
    guard: Guard = field(default_factory=Guard)
    fit_guard: bool = True
    false_positives: float = 0.01
    misses: float = 0.05
    tolerated: float = 0.05
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        where = "classifier"
        require_range(where, 0, 100, margin=self.margin)
        require_range(where, 1, 100, success_frames=self.success_frames, consecutive=self.consecutive)
        require_range(where, 1, 1_000_000, max_episodes=self.max_episodes, max_negatives=self.max_negatives)
        require_range(where, 1, 16, views=self.views)
        require_range(where, 0, 32, shift_px=self.shift_px)
        require_range(where, 0.0, 0.9, brightness=self.brightness, dropout=self.dropout)
        require_range(where, 1, 64, spatial_features=self.spatial_features)
        require_range(where, 1, 4096, bottleneck=self.bottleneck)
        require_range(where, 2, 100, folds=self.folds)
        require_range(where, 1, 10_000, epochs=self.epochs, patience=self.patience)
        require_range(where, 2, 4096, batch_size=self.batch_size)
        require_range(where, 1e-6, 1.0, learning_rate=self.learning_rate)
        require_range(where, 0.0, 1.0, weight_decay=self.weight_decay)
        require_range(where, 1e-4, 0.5, false_positives=self.false_positives)
        require_range(where, 0.0, 0.5, misses=self.misses, tolerated=self.tolerated)
        require_range(where, 0.5, 0.999, confidence=self.confidence)
        if self.cameras is not None and not self.cameras:
            raise ConfigError("classifier.cameras is empty; name what it looks at, or give null for all")

    def encoder(self) -> VisionConfig:
        """Settings of the head's encoder."""
        return VisionConfig(
            spatial_features=self.spatial_features, bottleneck=self.bottleneck, dropout=self.dropout
        )
