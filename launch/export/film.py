"""Episodes as one film: all cameras side by side, and below them who drives and what happens.

It plays at the speed of the robot. Every frame is one step, seen before it; the picture after the last step
stays for a second with the episode's outcome.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np

from handrail.intervention.transition import Transition
from handrail.launch.errors import ExportError
from handrail.launch.export.film_frame import FilmFrame
from handrail.launch.export.material import Material
from handrail.launch.export.progress import Advance
from handrail.launch.export.video import film_encoding, open_video
from handrail.robot_env.errors import ConfigError

_OUTCOME_S = 1.0


def write(material: Material, path: Path, advance: Advance, end_s: float | None = None) -> dict[str, int]:
    """Write the film.

    Args:
        material: the episodes.
        path: the file to make.
        advance: told of the steps done.
        end_s: only the last so many seconds of each episode; None for all of it.

    Returns:
        {"frames": how many}.

    Raises:
        ConfigError: `end_s` is not positive.
        ExportError: there are no images, or the film cannot be encoded.
        LogError: an episode is damaged.
    """
    if end_s is not None and end_s <= 0.0:
        raise ConfigError(f"end_s={end_s:g}: must be positive, such as end_s=3")
    rate = Fraction(material.hz).limit_denominator(1000)
    pictures = _pictures(material, advance, end_s)
    first = next(pictures)
    frames = 0
    with path.open("wb") as file:
        height, width = first.shape[:2]
        with open_video(file, film_encoding(), rate, height, width) as video:
            for picture in chain((first,), pictures):
                video.add(picture)
                frames += 1
    return {"frames": frames}


def _pictures(material: Material, advance: Advance, end_s: float | None) -> Iterator[np.ndarray]:
    """Every frame of the film, (H, W, 3) uint8, all of one size."""
    frame: FilmFrame | None = None
    for row in material.selection.rows:
        last: Transition | None = None
        rewards = material.verdict(row).reward.tolist()
        worth = dict(enumerate(rewards))  # of no step behind the last that counts
        for step in _tail(material.steps(row, images=True), end_s, material.hz):
            if not step.images:
                raise ExportError(
                    f"episode {row.episode} of {material.run_id} has no camera images, so there is no film; "
                    "`handrail export csv` writes its numbers"
                )
            frame = frame or FilmFrame(
                {name: image.shape[:2] for name, image in step.images.items()}, material.state
            )
            yield frame.step(row, step, worth.get(step.step))
            last = step
        assert frame is not None and last is not None, "empty episodes are left out"
        end = frame.outcome(row, last, worth.get(last.step))
        for _ in range(math.ceil(_OUTCOME_S * material.hz)):
            yield end
        advance(row.steps)


def _tail(steps: Iterable[Transition], end_s: float | None, hz: float) -> Iterable[Transition]:
    """The last `end_s` seconds of an episode."""
    return steps if end_s is None else deque(steps, maxlen=max(1, math.ceil(end_s * hz)))
