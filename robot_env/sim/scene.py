"""The cell as it is seen: a second model with every detail, that follows the physics before each image.

Kept apart from the physics so that beauty costs nothing while nobody looks. One scene serves all cameras of a
cell: the first one to open makes the GL context, the last one to close frees it.
"""

from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary, ref

import mujoco as mj
import numpy as np
from numpy.typing import NDArray

from handrail.robot_env.cameras.config import SIM_PICTURE
from handrail.robot_env.errors import CameraError, RenderingUnavailable
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.sim.gl import choose_backend
from handrail.robot_env.sim.look import Dresser
from handrail.robot_env.sim.model import compile_cell
from handrail.robot_env.sim.parts import Detail

if TYPE_CHECKING:
    from mujoco.rendering.classic.renderer import Renderer


class SimScene:
    """Renders one cell. Not thread-safe, and bound to the thread that first renders.

    Args:
        cell: The cell to look at.
        fine: Draw every detail, shadows and smooth edges: for people. A policy's images go without: they
            take 2 to 3 ms instead of 30.
    """

    _shared: ClassVar[dict[bool, "WeakKeyDictionary[SimCell, SimScene]"]] = {
        False: WeakKeyDictionary(),
        True: WeakKeyDictionary(),
    }

    @classmethod
    def shared(cls, cell: SimCell, *, fine: bool = False) -> "SimScene":
        """The one scene that all cameras of a cell render from."""
        scenes = cls._shared[fine]
        scene = scenes.get(cell)
        if scene is None:
            scene = scenes[cell] = cls(cell, fine=fine)
        return scene

    def __init__(self, cell: SimCell, *, fine: bool = False) -> None:
        self._watched = ref(cell)  # a strong one would keep the cell, and so its scene, for ever
        self._fine = fine
        self._model = compile_cell(cell.config, Detail.FINE if fine else Detail.PLAIN)
        self._data = mj.MjData(self._model)
        self._renderers: dict[tuple[int, int], Renderer] = {}
        self._dresser = Dresser(self._model)
        self._camera_ids = {self._model.camera(index).name: index for index in range(self._model.ncam)}

    @property
    def _cell(self) -> SimCell:
        cell = self._watched()
        assert cell is not None, "a camera outlived its cell"
        return cell

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cell's cameras."""
        return tuple(self._camera_ids)

    def render(
        self, camera: str, width: int, height: int, crop: tuple[int, int, int, int] | None = None
    ) -> NDArray[np.uint8]:
        """An image of the cell as it is now, shape (height, width, 3), uint8, RGB.

        Args:
            camera: Its name.
            width: Of the image [pixels].
            height: Of the image [pixels].
            crop: Part of the camera's picture to draw: left, top, width, height [pixels of `SIM_PICTURE`];
                None for all of its height, and as much of its width as the image's shape takes.

        Raises:
            CameraError: There is no such camera.
            RenderingUnavailable: This machine cannot render off-screen.
        """
        if camera not in self._camera_ids:
            known = ", ".join(self.cameras)
            raise CameraError(f"the simulated cell has no camera {camera!r}; it has {known}")
        renderer = self._renderer(width, height)
        self._follow()
        renderer.update_scene(self._data, camera=self._camera_ids[camera])
        if crop is not None:
            _look_at_part(renderer, crop)
        return renderer.render()

    def close(self) -> None:
        """Free the GL context; a later `render` makes a new one."""
        while self._renderers:
            self._renderers.popitem()[1].close()

    def _renderer(self, width: int, height: int) -> "Renderer":
        """The renderer for an image size, made on first use."""
        renderer = self._renderers.get((width, height))
        if renderer is None:
            backend = choose_backend()
            from mujoco.rendering.classic.renderer import Renderer

            view = self._model.vis.global_
            view.offwidth, view.offheight = max(width, 16), max(height, 16)
            try:
                renderer = Renderer(self._model, height, width)
            except Exception as error:
                raise RenderingUnavailable(
                    f"{backend} gives no {width}x{height} image ({error}); run without cameras: cameras=[]"
                ) from error
            flags = renderer.scene.flags
            flags[mj.mjtRndFlag.mjRND_SHADOW] = self._fine
            flags[mj.mjtRndFlag.mjRND_REFLECTION] = 0
            self._renderers[width, height] = renderer
        return renderer

    def _follow(self) -> None:
        """Take over the state of the physics; both models have the same joints and bodies."""
        cell, model, data = self._cell, self._model, self._data
        data.qpos[:] = cell.data.qpos
        data.mocap_pos[:] = cell.data.mocap_pos
        data.mocap_quat[:] = cell.data.mocap_quat
        model.body_pos[:] = cell.model.body_pos
        model.body_quat[:] = cell.model.body_quat
        self._dresser.wear(cell.episode.look)
        mj.mj_kinematics(model, data)
        mj.mj_comPos(model, data)
        mj.mj_camlight(model, data)


def _look_at_part(renderer: "Renderer", crop: tuple[int, int, int, int]) -> None:
    """Narrow the view to a part of the picture: the very pixels that cutting it out would give."""
    left, top, width, height = crop
    picture_width, picture_height = SIM_PICTURE
    for view in renderer.scene.camera:
        high = view.frustum_top - view.frustum_bottom  # of the whole picture, in the near plane [m]
        wide = high * picture_width / picture_height
        upper = view.frustum_top
        view.frustum_top = upper - high * top / picture_height
        view.frustum_bottom = upper - high * (top + height) / picture_height
        view.frustum_center += wide * ((left + width / 2) / picture_width - 0.5)
        view.frustum_width = wide * width / picture_width / 2  # half of it, whatever its name says
