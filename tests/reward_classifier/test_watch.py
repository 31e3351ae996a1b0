import numpy as np
import pytest
from judged import CAMERAS, picture

from handrail.reward_classifier.watch import ImageWatch, check_not_swapped, check_views
from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.errors import CameraError, ConfigError
from handrail.robot_env.judge import Situation


def at(height_m: float) -> Situation:
    return Situation(np.array([0.0, 0.0, height_m, 0.0, 0.0, 0.0]), np.zeros(3), 0.0, 1)


def watch() -> ImageWatch:
    return ImageWatch({"wrist": (32, 32, 3)})


@pytest.mark.parametrize(
    ("configured", "said"),
    [
        ((), "looks through camera 'wrist', env.cameras has none"),
        ((CameraConfig("side", width=32, height=32),), "env.cameras has side"),
        ((CameraConfig("wrist", width=64, height=32),), "trained on width 32 of camera 'wrist', .* has 64"),
        (
            (CameraConfig("wrist", width=32, height=32, crop=(0, 0, 100, 100)),),
            r"trained on crop None of camera 'wrist', env.cameras has \(0, 0, 100, 100\)",
        ),
    ],
)
def test_other_images_than_those_trained_on_are_refused(
    configured: tuple[CameraConfig, ...], said: str
) -> None:
    check_views(CAMERAS, CAMERAS, "c")
    with pytest.raises(ConfigError, match=said):
        check_views(CAMERAS, configured, "c")


def test_a_camera_that_moves_with_the_arm_is_well() -> None:
    eye = watch()
    eye.restart({"wrist": picture(False, 0)})
    for step in range(10):
        eye.look({"wrist": picture(False, step), "other": np.zeros(1)}, at(0.01 * step))


def test_the_same_picture_of_an_arm_at_rest_is_no_fault() -> None:
    eye, still = watch(), picture(False, 0)
    eye.restart({"wrist": still})
    for step in range(10):
        eye.look({"wrist": still.copy()}, at(1e-4 * step))


def test_a_frozen_camera_is_refused_once_the_arm_has_moved() -> None:
    eye, still = watch(), picture(False, 0)
    eye.restart({"wrist": still})
    eye.look({"wrist": still.copy()}, at(0.03))
    eye.look({"wrist": still.copy()}, at(0.029))
    with pytest.raises(CameraError, match=r"camera wrist has shown the same picture 4 times while .* 5 mm"):
        eye.look({"wrist": still.copy()}, at(0.025))
    eye.restart({"wrist": still})
    eye.look({"wrist": still.copy()}, at(0.05))  # where it was before the reset is of no matter


def test_black_missing_and_odd_images_are_refused() -> None:
    eye = watch()
    with pytest.raises(CameraError, match="camera wrist gave a black image"):
        eye.restart({"wrist": np.full((32, 32, 3), 3, np.uint8)})
    with pytest.raises(CameraError, match="camera wrist gave no image"):
        eye.restart({"side": picture(False, 0)})
    eye.restart({"wrist": picture(False, 0)})
    with pytest.raises(CameraError, match=r"an image of \(64, 64, 3\), the classifier needs \(32, 32, 3\)"):
        eye.look({"wrist": np.ones((64, 64, 3), np.uint8)}, at(0.0))
    with pytest.raises(CameraError, match="black"):
        eye.look({"wrist": np.zeros((32, 32, 3), np.uint8)}, at(0.0))


def test_swapped_cameras_are_told_apart_and_an_odd_scene_is_not_one() -> None:
    rng = np.random.default_rng(0)
    mean = {"a": rng.normal(size=(8, 4)), "b": rng.normal(size=(8, 4))}
    trained = {name: (each, np.full((8, 4), 0.3)) for name, each in mean.items()}
    seen = {name: each + 0.3 * rng.normal(size=(8, 4)) for name, each in mean.items()}
    check_not_swapped(seen, trained)
    with pytest.raises(CameraError, match="cameras a and b look swapped"):
        check_not_swapped({"a": seen["b"], "b": seen["a"]}, trained)
    odd = {name: 10.0 * rng.normal(size=(8, 4)) for name in mean}  # another room: neither way fits
    check_not_swapped(odd, trained)
    three = {**trained, "c": (rng.normal(size=(8, 4)), np.full((8, 4), 0.3))}
    now = {"a": three["b"][0], "b": three["c"][0], "c": three["a"][0]}
    with pytest.raises(
        CameraError, match=r"a, b and c .*a shows what b showed when .*, b what c showed, c what a"
    ):
        check_not_swapped(now, three)
    alike = {name: (np.zeros((8, 4)), np.ones((8, 4))) for name in mean}  # cameras that see the same
    check_not_swapped({"a": seen["b"], "b": seen["a"]}, alike)
