"""A mirror shows the very picture that the cell itself would show."""

import numpy as np
import pytest

from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.cameras.make import make_cameras
from handrail.robot_env.cameras.mirror import MirrorCamera
from handrail.robot_env.cameras.mujoco import MujocoCamera
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import CameraError, RenderingUnavailable
from handrail.robot_env.sim import gl
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.sim.config import RandomizationConfig
from handrail.robot_env.sim.randomize import Draw

MS = 1_000_000


class Distant:
    """A cell of which only numbers are seen."""

    def __init__(self, cell: SimCell) -> None:
        self.cell = cell
        self.asked = 0

    @property
    def episode(self) -> Draw:
        return self.cell.episode

    def positions(self) -> tuple[int, np.ndarray]:
        self.asked += 1
        return self.cell.time_ns, self.cell.data.qpos.copy()


@pytest.fixture(scope="module", autouse=True)
def _drawing() -> None:
    try:
        gl.choose_backend()
    except RenderingUnavailable as error:
        pytest.skip(str(error))


def test_mirror_shows_what_the_cell_shows():
    cell = SimCell()
    images = (CameraConfig("wrist"), CameraConfig("image", "side", 64, 48))
    distant = Distant(cell)
    mirrors = make_cameras(EnvConfig(cameras=images), distant)
    direct = [MujocoCamera(cell, image) for image in images]
    for camera in (*mirrors, *direct):
        camera.open()
    goal = cell.home_pose.copy()
    goal[:3] += (0.01, -0.01, -0.02)
    for step in range(3):
        cell.randomize(np.random.default_rng(step), RandomizationConfig(visible=True, look=True))
        cell.set_setpoint(goal)
        cell.advance(200 * MS)
        for mirror, camera in zip(mirrors, direct, strict=True):
            seen, shown = mirror.read(), camera.read()
            assert seen.t_ns == shown.t_ns == cell.time_ns
            assert seen.sequence == step
            assert np.array_equal(seen.image, shown.image)
    for camera in (*mirrors, *direct):
        camera.close()


def test_time_that_stands_still_gives_the_same_frame():
    distant = Distant(SimCell())
    (mirror,) = make_cameras(EnvConfig(cameras=(CameraConfig("wrist", width=32, height=32),)), distant)
    assert isinstance(mirror, MirrorCamera)
    mirror.open()
    assert mirror.read() is mirror.read()
    assert distant.asked == 2
    mirror.close()
    with pytest.raises(CameraError, match="not open"):
        mirror.read()
