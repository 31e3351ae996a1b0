"""Views of a simulated cell for people who look on; no policy sees them and no log keeps them."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from handrail.robot_env.cameras.camera import Camera
from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.geometry import Array
from handrail.robot_env.remote.operator import ArmOperator

if TYPE_CHECKING:
    from handrail.robot_env.sim.cell import SimCell

VIEWS = ("overview", "side")
_WIDTH, _HEIGHT = 320, 240


def beside(cell: "SimCell", taken: Collection[str] = ()) -> list[Camera]:
    """Views of a cell in this process, for the thread that advances it; about 4 ms a picture.

    Args:
        cell: the cell.
        taken: names of views that somebody shows already.
    """
    from handrail.robot_env.cameras.mujoco import MujocoCamera

    return [MujocoCamera(cell, view, fine=False) for view in _views(taken)]


class Gallery:
    """Views of a cell behind an arm server, drawn in the thread that opens it. A context manager.

    Args:
        config: where the server is, and its cell.
        episode: an object whose `episode` is the `sim.randomize.Draw` in force: the control loop's scene.
        taken: names of views that somebody shows already.

    Raises:
        ArmError: no server answers.
    """

    def __init__(self, config: EnvConfig, episode: Any, taken: Collection[str] = ()) -> None:
        from handrail.robot_env.cameras.mirror import MirrorCamera, MirrorCell

        self._scene = episode
        self._operator = ArmOperator(config)
        mirror = MirrorCell(config.sim, self)
        self.cameras: list[Camera] = [MirrorCamera(mirror, view, fine=False) for view in _views(taken)]

    @property
    def episode(self) -> Any:
        """The circumstances in force."""
        return self._scene.episode

    def positions(self) -> tuple[int, Array]:
        """Simulated time [ns] and the positions of all joints (nq,) then."""
        return self._operator.positions()

    def __enter__(self) -> "Gallery":
        return self

    def __exit__(self, *exc_info: object) -> None:
        for camera in self.cameras:
            camera.close()
        self._operator.close()


def _views(taken: Collection[str]) -> list[CameraConfig]:
    return [CameraConfig(name, width=_WIDTH, height=_HEIGHT) for name in VIEWS if name not in taken]
