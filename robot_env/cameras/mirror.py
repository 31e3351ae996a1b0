"""Cameras of a simulated cell that runs elsewhere, behind an arm server.

Pictures do not travel: the joints' positions do, a dozen numbers, and a second cell without physics of its
own is drawn here as the first one looks.
"""

from typing import Protocol

from handrail.robot_env.cameras.camera import Frame
from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.cameras.mujoco import MujocoCamera
from handrail.robot_env.geometry import Array
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.sim.config import SimConfig
from handrail.robot_env.sim.randomize import Draw


class LiveCell(Protocol):
    """A simulated cell that others move."""

    @property
    def episode(self) -> Draw:
        """The circumstances in force: the socket's place and the look of things."""
        ...

    def positions(self) -> tuple[int, Array]:
        """Simulated time [ns] and the positions of all joints (nq,) then, in the physics engine's order."""
        ...


class MirrorCell(SimCell):
    """A cell that stands as another one does. It is never advanced.

    Args:
        config: The other cell's.
        source: The other cell.
    """

    def __init__(self, config: SimConfig, source: LiveCell) -> None:
        super().__init__(config)
        self._source = source

    def follow(self) -> None:
        """Stand as the other cell stands now.

        Raises:
            ArmError: It cannot be asked.
        """
        episode = self._source.episode
        if episode is not self.episode:
            self._set_episode(episode)
        self._time_ns, self.data.qpos[:] = self._source.positions()
        self._stale = True


class MirrorCamera(MujocoCamera):
    """A camera of the other cell; its stamps are that cell's time."""

    def __init__(self, cell: MirrorCell, config: CameraConfig, fine: bool | None = None) -> None:
        super().__init__(cell, config, fine)
        self._mirror = cell

    def read(self) -> Frame:
        """An image of the other cell as it is now.

        Raises:
            CameraError: The camera is not open.
            ArmError: The cell cannot be asked.
        """
        self._mirror.follow()
        return super().read()
