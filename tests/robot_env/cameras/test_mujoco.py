"""The simulated cameras see the cell, follow it, and say clearly when nothing here can draw."""

import os
import subprocess
import sys

import numpy as np
import pytest

from handrail.robot_env.cameras.config import SIM_PICTURE, CameraConfig
from handrail.robot_env.cameras.mujoco import MujocoCamera
from handrail.robot_env.errors import CameraError, ConfigError, RenderingUnavailable
from handrail.robot_env.sim import gl
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.sim.config import RandomizationConfig

MS = 1_000_000


@pytest.fixture(scope="module")
def _drawing() -> None:
    """Skip where no library can render, with its own words."""
    try:
        gl.choose_backend()
    except RenderingUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def cell() -> SimCell:
    return SimCell()


@pytest.mark.usefixtures("_drawing")
@pytest.mark.parametrize("view", ["wrist", "wrist_2", "side", "overview"])
def test_images_show_something(cell, view):
    camera = MujocoCamera(cell, CameraConfig(view))
    camera.open()
    frame = camera.read()
    camera.close()
    assert frame.image.shape == (128, 128, 3)
    assert frame.image.dtype == np.uint8
    assert 20 < frame.image.mean() < 235
    assert frame.image.std() > 15, "an even picture shows nothing"


@pytest.mark.usefixtures("_drawing")
def test_images_follow_the_arm_and_only_time_makes_frames(cell):
    camera = MujocoCamera(cell, CameraConfig("side"))
    camera.open()
    first = camera.read()
    assert camera.read().sequence == first.sequence
    goal = cell.home_pose.copy()
    goal[2] -= 0.02
    cell.set_setpoint(goal)
    cell.advance(500 * MS)
    second = camera.read()
    camera.close()
    assert second.sequence == first.sequence + 1
    assert second.t_ns - first.t_ns == 500 * MS
    assert np.abs(second.image.astype(int) - first.image).mean() > 2.0


@pytest.mark.usefixtures("_drawing")
def test_wrist_camera_sees_where_the_socket_really_is(cell):
    camera = MujocoCamera(cell, CameraConfig("wrist"))
    camera.open()
    before = camera.read().image.astype(int)
    cell.randomize(np.random.default_rng(2), RandomizationConfig(visible=True))
    cell.advance(1 * MS)
    after = camera.read().image
    camera.close()
    assert np.abs(after - before).mean() > 1.0


@pytest.mark.usefixtures("_drawing")
def test_look_varies_only_when_asked(cell):
    camera = MujocoCamera(cell, CameraConfig("side"))
    camera.open()
    nominal = camera.read().image.astype(int)
    cell.randomize(np.random.default_rng(0), RandomizationConfig(hidden=False, look=True))
    cell.advance(1 * MS)
    varied = camera.read().image
    cell.randomize(np.random.default_rng(0))
    cell.advance(1 * MS)
    again = camera.read().image
    camera.close()
    assert np.abs(varied - nominal).mean() > 1.0
    assert np.abs(again - nominal).mean() < 0.1


@pytest.mark.usefixtures("_drawing")
def test_two_sizes_of_one_cell_do_not_disturb_each_other(cell):
    small, large = (
        MujocoCamera(cell, CameraConfig("side")),
        MujocoCamera(cell, CameraConfig("side", "", 64, 48)),
    )
    small.open()
    large.open()
    assert small.read().image.shape == (128, 128, 3)
    assert large.read().image.shape == (48, 64, 3)
    small.close()
    cell.advance(1 * MS)
    assert large.read().image.std() > 15, "closing one camera must not blind the other"
    large.close()


@pytest.mark.usefixtures("_drawing")
def test_unknown_view_is_refused_naming_those_there_are(cell):
    with pytest.raises(CameraError, match=r"it has .*side"):
        MujocoCamera(cell, CameraConfig("front")).open()


def test_closed_camera_is_refused(cell):
    with pytest.raises(CameraError, match="not open"):
        MujocoCamera(cell, CameraConfig("side")).read()


@pytest.mark.parametrize("values", [{"name": ""}, {"name": "state"}, {"width": 0}, {"height": 5000}])
def test_config_is_checked(values):
    with pytest.raises(ConfigError):
        CameraConfig(**values)


WITHOUT_GL = """
import ctypes, sys
class Refusing(ctypes.CDLL):
    def __init__(self, name, *rest, **words):
        if name and ("EGL" in name or "OSMesa" in name):
            raise OSError("not installed")
        super().__init__(name, *rest, **words)
ctypes.CDLL = Refusing
from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.cameras.mujoco import MujocoCamera
from handrail.robot_env.errors import RenderingUnavailable
from handrail.robot_env.sim.cell import SimCell
cell = SimCell()
cell.advance(100_000_000)
try:
    MujocoCamera(cell, CameraConfig("side")).open()
except RenderingUnavailable as error:
    sys.stdout.write(str(error))
    cell.advance(100_000_000)
    sys.exit(0)
sys.exit(1)
"""


def test_machine_without_gl_says_so_and_keeps_working():
    """In a process of its own: a GL platform is chosen once and for all."""
    environment = {name: value for name, value in os.environ.items() if name != "MUJOCO_GL"}
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_GL], capture_output=True, text=True, env=environment, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert "libEGL.so.1 is not installed" in result.stdout
    assert "libOSMesa.so.8 is not installed" in result.stdout
    assert "run without cameras" in result.stdout
    assert "\n" not in result.stdout


def test_rendering_switched_off_is_respected(monkeypatch):
    monkeypatch.setattr(gl, "_chosen", None)
    monkeypatch.setenv("MUJOCO_GL", "disabled")
    with pytest.raises(RenderingUnavailable, match="switched off"):
        gl.choose_backend()


@pytest.mark.usefixtures("_drawing")
def test_a_crop_shows_the_very_pixels_of_that_part_of_the_picture(cell):
    width, height = SIM_PICTURE
    whole = MujocoCamera(cell, CameraConfig("wrist", width=width, height=height), fine=False)
    left, top, wide, high = crop = (100, 50, 200, 160)
    part = MujocoCamera(cell, CameraConfig("wrist", width=wide, height=high, crop=crop))
    for camera in (whole, part):
        camera.open()
    picture, image = whole.read().image, part.read().image
    for camera in (whole, part):
        camera.close()
    cut = picture[top : top + high, left : left + wide]
    assert cut.std() > 10.0, "an even part proves nothing"
    assert np.abs(image.astype(int) - cut).mean() < 0.1


@pytest.mark.usefixtures("_drawing")
def test_no_crop_is_the_middle_of_the_picture(cell):
    plain = MujocoCamera(cell, CameraConfig("side", width=64, height=64))
    middle = MujocoCamera(cell, CameraConfig("side", width=64, height=64, crop=(80, 0, 480, 480)))
    for camera in (plain, middle):
        camera.open()
    difference = np.abs(plain.read().image.astype(int) - middle.read().image)
    for camera in (plain, middle):
        camera.close()
    assert difference.mean() < 0.1


def test_a_crop_beyond_the_picture_is_refused(cell):
    with pytest.raises(ConfigError, match="640x480 pixels"):
        MujocoCamera(cell, CameraConfig("wrist", crop=(400, 0, 300, 300)))
