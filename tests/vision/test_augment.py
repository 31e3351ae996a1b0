"""Shifted views: what they show, and that they come back the same."""

import numpy as np
import pytest

from handrail.vision.augment import shifted, view_shifts

RNG = np.random.default_rng(0)


def cropped(image: np.ndarray, dy: int, dx: int, largest: int) -> np.ndarray:
    """The textbook way: pad by repeating the border, then crop."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((largest, largest), (largest, largest), (0, 0)), mode="edge")
    return padded[largest + dy : largest + dy + height, largest + dx : largest + dx + width]


def test_a_shift_is_a_crop_of_the_padded_image():
    images = RNG.integers(0, 256, (81, 12, 17, 3), dtype=np.uint8)
    shifts = np.array([(dy, dx) for dy in range(-4, 5) for dx in range(-4, 5)])
    found = shifted(images, shifts)
    for image, (dy, dx), moved in zip(images, shifts, found, strict=True):
        assert np.array_equal(moved, cropped(image, dy, dx, 4)), (dy, dx)


@pytest.mark.parametrize("largest", [1, 4])
def test_shifts_are_uniform_and_differ_between_cameras_and_views(largest):
    frames = np.arange(20_000)
    shifts = view_shifts(frames, np.ones_like(frames), 2, largest)
    assert shifts.shape == (20_000, 2, 2)
    values, counts = np.unique(shifts, return_counts=True)
    assert values.tolist() == list(range(-largest, largest + 1))
    assert np.abs(counts / counts.mean() - 1.0).max() < 0.03
    other_view = view_shifts(frames, np.full_like(frames, 2), 2, largest)
    columns = np.concatenate([shifts.reshape(-1, 4), other_view.reshape(-1, 4)], 1)
    correlation = np.corrcoef(columns.T) - np.eye(8)
    assert np.abs(correlation).max() < 0.04  # 20,000 draws: five standard deviations


def test_view_0_is_the_frame_and_every_view_comes_back_as_it_was():
    frames, views = np.array([7, 7, 900, 900]), np.array([0, 3, 0, 3])
    shifts = view_shifts(frames, views, 2, 4)
    assert (shifts[views == 0] == 0).all()
    assert (shifts[1] != shifts[3]).any()
    assert np.array_equal(view_shifts(frames[::-1], views[::-1], 2, 4), shifts[::-1])
