"""Whether images can be judged at all: of the right cameras, not swapped, not black, not frozen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.cameras.exchanged import exchanged
from handrail.robot_env.errors import CameraError, ConfigError
from handrail.robot_env.judge import Situation
from handrail.robot_env.observation import BLACK, is_black

FROZEN_LOOKS = 3
"""So many identical images in a row, while the arm moves, are no images of it."""
MOVED_M, MOVED_RAD = 0.003, 0.03
"""Movement of the tool that any camera at it, or on it, must show."""
_LEAST_SPREAD = 1e-3  # of a feature that never varied in training

Statistics = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""By camera: mean and standard deviation of the features it was trained on, arrays of one shape."""


def check_views(trained: Iterable[CameraConfig], configured: Sequence[CameraConfig], name: str) -> None:
    """Refuse an environment whose images are not those that a classifier was trained on.

    Args:
        trained: What the classifier was trained on.
        configured: The environment's images.
        name: The classifier, for the message.

    Raises:
        ConfigError: one is missing, or has another size or crop.
    """
    known = {camera.name: camera for camera in configured}
    for camera in trained:
        found = known.get(camera.name)
        if found is None:
            there = ", ".join(known) or "none"
            raise ConfigError(
                f"classifier {name} looks through camera {camera.name!r}, env.cameras has {there}; "
                "add it there, or train a classifier on the cameras there are"
            )
        for what in ("width", "height", "crop"):
            was, is_now = getattr(camera, what), getattr(found, what)
            if was != is_now:
                raise ConfigError(
                    f"classifier {name} was trained on {what} {was} of camera {camera.name!r}, "
                    f"env.cameras has {is_now}; set it back, or train anew on the new images"
                )


class ImageWatch:
    """Looks at every image of an episode, and refuses those of a camera that is dead or stands still.

    Args:
        shapes: (H, W, 3) of each image that is looked at, by camera.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, int, int]]) -> None:
        self._shapes = dict(shapes)
        self._seen: dict[str, tuple[np.ndarray, np.ndarray | None, int]] = {}

    def restart(self, images: Mapping[str, np.ndarray]) -> None:
        """Begin an episode with its first images.

        Raises:
            CameraError: one is missing, of another size, or black.
        """
        self._seen = {}
        for name in self._shapes:
            self._seen[name] = (self._checked(name, images), None, 1)

    def look(self, images: Mapping[str, np.ndarray], situation: Situation) -> None:
        """Look at the images of a step.

        Raises:
            CameraError: one is missing, of another size, black, or the same although the arm has moved.
        """
        for name in self._shapes:
            image, here = self._checked(name, images), situation.coordinates
            last = self._seen.get(name)
            if last is None or not np.array_equal(last[0], image):
                self._seen[name] = (image, here, 1)
                continue
            since = here if last[1] is None else last[1]
            self._seen[name] = (last[0], since, last[2] + 1)
            moved = np.abs(here - since)
            if last[2] + 1 >= FROZEN_LOOKS and ((moved[:3] > MOVED_M).any() or (moved[3:] > MOVED_RAD).any()):
                raise CameraError(
                    f"camera {name} has shown the same picture {last[2] + 1} times while the tool moved "
                    f"{1000 * float(np.linalg.norm(moved[:3])):.0f} mm; it is frozen: check its cable"
                )

    def _checked(self, name: str, images: Mapping[str, np.ndarray]) -> np.ndarray:
        image = images.get(name)
        if image is None or image.shape != self._shapes[name]:
            found = "no image" if image is None else f"an image of {image.shape}"
            raise CameraError(
                f"camera {name} gave {found}, the classifier needs {self._shapes[name]}; check env.cameras"
            )
        if is_black(image):
            raise CameraError(
                f"camera {name} gave a black image (no pixel of {BLACK} of 255); take off its cap, "
                "switch the light on, or check its cable"
            )
        return image


def check_not_swapped(features: Mapping[str, np.ndarray], trained: Statistics) -> None:
    """Refuse images of cameras that look like what others of them showed in training: two, or a circle.

    Args:
        features: By camera, of the shape of its statistics.
        trained: The statistics.

    Raises:
        CameraError: cameras are swapped.
    """

    def distance(a: str, b: str) -> float:
        alike = features[a].shape == features[b].shape
        return _distance(features[a], trained[b]) if alike else math.inf

    for each in exchanged(trained, distance):
        raise CameraError(
            f"cameras {', '.join(each.names[:-1])} and {each.names[-1]} look swapped: "
            f"{each.said('when the classifier was trained')} (distance {each.crossed:.2f} so, "
            f"{each.straight:.2f} as they are); exchange their serials in env.camera_devices"
        )


def _distance(features: np.ndarray, trained: tuple[np.ndarray, np.ndarray]) -> float:
    """Root mean square of the features' distance from their training mean, in standard deviations."""
    mean, spread = trained
    return float(np.sqrt(np.mean(np.square((features - mean) / np.maximum(spread, _LEAST_SPREAD)))))
