"""The learner's images: where they are kept, and what a batch sees of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from handrail.agent.config import RunConfig
from handrail.agent.feature_cache import FeatureCache
from handrail.agent.feature_link import FeatureReceiver, features_address
from handrail.agent.frames import FramePool
from handrail.agent.image_source import ShiftedImages
from handrail.agent.sight import Sight

_BETWEEN_PULLS_S = 0.02


class Pixels:
    """Frames, and the source that a batch's pixels are taken from. One thread may use it.

    Args:
        sight: What the policy sees with.
        config: Of the run.

    Attributes:
        frames: The images.
        source: Feature maps of them under a frozen trunk, else shifted images.
    """

    def __init__(self, sight: Sight, config: RunConfig) -> None:
        vision = config.vision
        self.frames = FramePool(sight.pixels.cameras, sight.pixels.image)
        self._cache: FeatureCache | None = None
        self._receiver: FeatureReceiver | None = None
        self._views = vision.views
        self._told: set[str] = set()
        self._key, self._map_shape = sight.trunk.key, sight.pixels.map_shape
        if sight.frozen:
            self._cache = FeatureCache(
                self.frames,
                sight.trunk,
                views=vision.views,
                shift_px=vision.shift_px,
                megabytes=vision.cache_mb,
            )
        self.source = self._cache or ShiftedImages(self.frames, vision.shift_px)

    def listen(self, sockets: Path) -> None:
        """Begin to take the feature maps that the actor makes as it acts."""
        if self._cache is not None:
            self._receiver = FeatureReceiver(features_address(sockets), self._key, self._map_shape)

    def take(self, *, complete: bool) -> None:
        """Take what has arrived; with `complete`, use the time to make what is missing."""
        if self._cache is None or self._receiver is None:
            return
        for frame_id, features in self._receiver.arrived():
            self._cache.put(frame_id, features)
        if complete:
            self._cache.complete(_BETWEEN_PULLS_S)

    def status(self) -> dict[str, int]:
        """What a report says of the maps; nothing where each batch goes through the trunk."""
        cache = self._cache
        if cache is None:
            return {}
        rejected = 0 if self._receiver is None else self._receiver.rejected
        return {"maps_computed": cache.computed, "cache_bytes": cache.bytes, "maps_rejected": rejected}

    def notices(self) -> Iterator[str]:
        """What makes updates slow without being an error, each line once."""
        for line in self._slow():
            if line not in self._told:
                self._told.add(line)
                yield line

    def _slow(self) -> Iterator[str]:
        if self._receiver is not None and self._receiver.rejected > 0:
            yield (
                "a feature map of the actor's is refused: another trunk or precision than the learner's, or "
                "a damaged message; what is refused is computed anew"
            )
        if self._cache is not None and self.frames.held > self._cache.rows:
            yield (
                f"the feature cache is full: vision.cache_mb has room for {self._cache.rows} frames in "
                f"{self._views} views, older ones are computed anew in each batch"
            )

    def close(self) -> None:
        """Stop listening."""
        if self._receiver is not None:
            self._receiver.close()
