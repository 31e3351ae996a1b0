"""One picture of a film: the cameras side by side, a caption below, a frame around what a human drove."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from handrail.intervention.index_query import EpisodeRow
from handrail.intervention.transition import Source, Transition
from handrail.robot_env.spec import StateSpec

_HEIGHT = 320  # that small images are enlarged towards, by whole factors, so that pixels stay what they are
_MARGIN = 10  # around every image; where the human drives it is coloured
_CAPTION = 110
_TEXT = 22
_PAPER, _INK, _QUIET = (18, 20, 24), (240, 240, 240), (165, 170, 178)
_COLOURS = {"HUMAN": (255, 176, 0), "POLICY": (90, 160, 255), "HELD": (165, 170, 178)}
_OUTCOMES = {"success": (70, 200, 120), "failure": (240, 90, 80)}
_DRIVERS = {Source.HUMAN: "HUMAN", Source.POLICY: "POLICY", Source.SCRIPT: "HELD"}


class FilmFrame:
    """Draws the pictures of one film, all of one even size.

    Args:
        shapes: (height, width) by camera.
        spec: of the states.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, int]], spec: StateSpec) -> None:
        self._force = spec.slices.get("force")
        self._slots: dict[str, tuple[int, int, int, int]] = {}
        left = _MARGIN
        for camera, (height, width) in shapes.items():
            factor = max(1, round(_HEIGHT / height))
            self._slots[camera] = (left, _MARGIN, width * factor, height * factor)
            left += width * factor + _MARGIN
        tallest = max(slot[3] for slot in self._slots.values())
        self._caption_top = tallest + 2 * _MARGIN
        self._size = (_even(max(left, 420)), _even(self._caption_top + _CAPTION))
        self._font = ImageFont.load_default(_TEXT)

    def step(self, row: EpisodeRow, step: Transition, reward: float | None) -> np.ndarray:
        """(H, W, 3) uint8: what was seen before a step, and who then drove.

        Args:
            row: the episode.
            step: the step.
            reward: the one that counts, by the episode's label; None for a step that does not count.
        """
        driver = _DRIVERS[step.source]
        seen = step.images, step.observation
        framed = step.source is Source.HUMAN
        return self._draw(row, step, reward, *seen, driver, _COLOURS[driver], framed=framed)

    def outcome(self, row: EpisodeRow, last: Transition, reward: float | None) -> np.ndarray:
        """(H, W, 3) uint8: what was seen after the last step, and what the episode came to; see `step`."""
        seen = last.next_images or last.images, last.next_observation
        colour = _OUTCOMES.get(row.outcome, _INK)
        return self._draw(row, last, reward, *seen, row.outcome.upper(), colour, framed=False)

    def _draw(
        self,
        row: EpisodeRow,
        step: Transition,
        reward: float | None,
        images: Mapping[str, np.ndarray],
        state: np.ndarray,
        word: str,
        colour: tuple[int, int, int],
        *,
        framed: bool,
    ) -> np.ndarray:
        picture = Image.new("RGB", self._size, _PAPER)
        draw = ImageDraw.Draw(picture)
        for camera, (left, top, width, height) in self._slots.items():
            if framed:
                draw.rectangle(
                    (left - _MARGIN, top - _MARGIN, left + width + _MARGIN - 1, top + height + _MARGIN - 1),
                    fill=colour,
                )
            if camera in images:
                seen = Image.fromarray(images[camera]).resize((width, height), Image.Resampling.NEAREST)
                picture.paste(seen, (left, top))
        top = self._caption_top
        draw.text((_MARGIN, top + 4), word, colour, self._font)
        place = f"episode {row.episode}   step {step.step + 1}/{row.steps}"
        draw.text((_MARGIN + 150, top + 4), place, _INK, self._font)
        draw.text((_MARGIN, top + 38), self._numbers(step, reward, state), _QUIET, self._font)
        draw.text((_MARGIN, top + 72), _correction(row, step, reward), _INK, self._font)
        return np.asarray(picture)

    def _numbers(self, step: Transition, reward: float | None, state: np.ndarray) -> str:
        words = ["reward none" if reward is None else f"reward {reward:.2f}"]
        if step.score is not None:
            words.append(f"score {step.score:.2f}")
        if self._force is not None:
            words.append(f"force {float(np.linalg.norm(state[self._force])):.1f} N")
        return "   ".join(words)


def _correction(row: EpisodeRow, step: Transition, reward: float | None) -> str:
    """Who has made the reward another one than was recorded, and by which label; "" where nobody has."""
    if reward == step.reward:
        return ""
    when = " before" if reward is None else ""
    return f"recorded {step.reward:.2f}; {row.labeller} said {row.label}{when}"


def _even(pixels: int) -> int:
    return pixels + pixels % 2
