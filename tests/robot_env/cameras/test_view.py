"""Crops are exact to the pixel, made once a frame, and share one camera."""

import numpy as np
import pytest
from emulators.camera import MS
from hypothesis import given
from hypothesis import strategies as st

from handrail.robot_env.cameras.camera import Frame, check_skew
from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.errors import CameraError, ConfigError

pytest.importorskip("cv2", reason="needs the extra 'opencv'")
from handrail.robot_env.cameras.view import CroppedView, largest_crop


def pattern() -> np.ndarray:
    """(48, 64, 3): every pixel says where it is."""
    y, x = np.mgrid[:48, :64]
    return np.stack((x, y, x ^ y), axis=-1).astype(np.uint8)


def view(bench, **values) -> CroppedView:
    return CroppedView(bench.stream, CameraConfig(**{"name": "image", "width": 16, "height": 16} | values))


def seen(bench, made: CroppedView, number: int = 1) -> Frame:
    """What a view reads of the pattern."""
    bench.open()
    made.open()
    bench.show(number, pattern())
    frame = made.read()
    made.close()
    return frame


def test_crop_of_the_images_size_is_copied_pixel_by_pixel(bench):
    frame = seen(bench, view(bench, crop=(40, 30, 16, 16)))
    assert np.array_equal(frame.image, pattern()[30:46, 40:56])
    frame.image[:] = 0  # the receiver owns it


def test_each_pixel_is_the_mean_of_what_becomes_it(bench):
    frame = seen(bench, view(bench, crop=(16, 8, 32, 32)))
    blocks = pattern()[8:40, 16:48].reshape(16, 2, 16, 2, 3).mean(axis=(1, 3))
    assert np.abs(frame.image - blocks).max() <= 0.5


def test_default_crop_is_the_largest_square_in_the_middle(bench):
    frame = seen(bench, view(bench))
    blocks = pattern()[:, 8:56].reshape(16, 3, 16, 3, 3).mean(axis=(1, 3))
    assert np.abs(frame.image - blocks).max() <= 0.5


def test_picture_may_be_enlarged(bench):
    frame = seen(bench, view(bench, crop=(0, 0, 16, 16), width=64, height=64))
    assert frame.image.shape == (64, 64, 3)
    assert frame.image[0, 0].tolist() == [0, 0, 0]


@given(*(st.integers(16, 1280) for _ in range(4)))
def test_largest_crop_lies_inside_and_has_the_images_shape(width, height, image_width, image_height):
    left, top, w, h = largest_crop((width, height), (image_width, image_height))
    assert left >= 0
    assert top >= 0
    assert left + w <= width
    assert top + h <= height
    assert w == width or h == height
    assert abs(w * image_height - h * image_width) <= max(image_width, image_height)


def test_two_views_of_one_camera_open_it_once(bench):
    left, right = view(bench, crop=(0, 0, 16, 16)), view(bench, crop=(48, 0, 16, 16))
    bench.open()
    for each in (left, right, left):
        each.open()
    bench.show(1, pattern())
    assert np.array_equal(left.read().image, pattern()[:16, :16])
    assert np.array_equal(right.read().image, pattern()[:16, 48:])
    bench.stream.close()
    left.close()
    left.close()
    assert bench.driver.closed == 0
    right.close()
    assert (bench.driver.opened, bench.driver.closed) == (1, 1)


def test_frame_is_cropped_once_and_keeps_its_stamp(bench):
    made = view(bench)
    bench.open()
    made.open()
    bench.now_ns = 20 * MS
    bench.show(1)
    bench.now_ns = 30 * MS
    first = made.read()
    assert made.read() is first
    assert (first.t_ns, first.sequence) == (20 * MS, 1)
    bench.show(2)
    assert made.read().sequence == 2
    made.close()


def test_stale_frame_is_refused_even_if_it_was_cropped_already(bench):
    made = view(bench)
    bench.open()
    made.open()
    made.read()
    bench.now_ns = 151 * MS
    with pytest.raises(CameraError, match="151 ms old"):
        made.read()
    made.close()


@pytest.mark.parametrize("crop", [(49, 0, 16, 16), (0, 33, 16, 16), (0, 0, 65, 48), (0, 0, 64, 49)])
def test_crop_outside_the_picture_is_refused_naming_its_size(bench, crop):
    with pytest.raises(ConfigError, match="reaches beyond the 64x48 pixels of camera device wrist"):
        view(bench, crop=crop)


def test_whole_picture_is_inside(bench):
    assert view(bench, crop=(0, 0, 64, 48)).width == 16


def test_closed_view_is_refused(bench):
    with pytest.raises(CameraError, match="image is not open; call open"):
        view(bench).read()


def test_images_of_different_moments_are_refused_naming_both():
    image = np.zeros((16, 16, 3), np.uint8)
    frames = {
        "wrist": Frame(image, 60 * MS, 0),
        "side": Frame(image, 9 * MS, 0),
        "top": Frame(image, 30 * MS, 0),
    }
    check_skew(frames, 0.051)
    check_skew({"wrist": frames["wrist"]}, 0.0)
    with pytest.raises(CameraError, match="camera side is 51 ms behind camera wrist, limit 50 ms"):
        check_skew(frames, 0.05)
