"""The FR3 of franky-sim with the project's RAM board before it and a module in its hand.

franky-sim brings the arm, its dynamics and its collision meshes; board, socket and module are the project's
own parts, so that the task is the one that the simulated Panda solves. Shapes meet in the classes that they
meet in there (the robot meets the cell, neither meets its own kind), and what only a picture needs is taken
out.
"""

import xml.etree.ElementTree as ET

import mujoco as mj
import numpy as np
from franky_sim.mujoco_simulator import MujocoSimulator

from handrail.robot_env.geometry import Array, pose_compose, pose_relative
from handrail.robot_env.sim.hand import SEATED_TCP_HEIGHT_M, hold_module
from handrail.robot_env.sim.insertion import insertion_depth
from handrail.robot_env.sim.kinematics import ArmKinematics
from handrail.robot_env.sim.parts import CELL_BIT, ROBOT_BIT, Builder, Detail
from handrail.robot_env.sim.ram import add_socket
from handrail.robot_env.sim.randomize import Draw, Randomizer
from handrail.robot_env.sim.sizes import MODULE_THICKNESS_M
from handrail.robot_env.sim.stage import add_board

PREFIX = "robot0_"
JOINTS = tuple(f"{PREFIX}fr3_joint{number}" for number in range(1, 8))
POSTURE = (0.0, -0.19, 0.0, -2.51, 0.0, 2.32, 0.785)
"""The elbow-up posture of the simulated Panda [rad]; the FR3's links are as long."""
HOLD_KP = (4500.0, 4500.0, 3500.0, 3500.0, 1500.0, 1500.0, 1500.0)
HOLD_KV = (200.0, 200.0, 200.0, 200.0, 40.0, 40.0, 40.0)
"""How the idle box holds its joints [Nm/rad, Nms/rad]: franky-sim's own damping needs dry friction, or it
buzzes."""


class RamSimulator(MujocoSimulator):
    """franky-sim's simulator with the RAM cell in it.

    Args:
        socket_position_m: the groove's floor in the base frame [m].
        height_m: height of the first tool pose above the seated one [m].
        friction: share of the dry joint friction that franky-sim's model has. A real FR3's inner torque loop
            takes most of it away, and its model does not say how much.
    """

    def __init__(
        self,
        socket_position_m: tuple[float, float, float] = (0.5, 0.0, 0.04),
        height_m: float = 0.05,
        friction: float = 0.0,
    ) -> None:
        super().__init__()
        self._socket_position_m = socket_position_m
        self._height_m = height_m
        self._friction = friction
        self.init()
        self.arm = self.add_robot(initial_hand_width=MODULE_THICKNESS_M, kp=HOLD_KP, kv=HOLD_KV)
        self.nominal_socket = np.array((*socket_position_m, 0.0, 0.0, 0.0, 1.0))

    @property
    def seated_pose(self) -> Array:
        """(7,) tool pose with the module seated in the nominal socket."""
        return pose_compose(self.nominal_socket, (0.0, 0.0, SEATED_TCP_HEIGHT_M, 1.0, 0.0, 0.0, 0.0))

    def _start(self) -> None:
        """Build the model with the cell in it; called once, when the server starts."""
        spec = mj.MjSpec.from_string(ET.tostring(self.scene, encoding="unicode"))
        _strip(spec)
        build = Builder(Detail.PHYSICS)
        hold_module(build, spec.body(f"{PREFIX}hand"))
        for finger in ("left_finger", "right_finger"):
            spec.body(f"{PREFIX}{finger}").gravcomp = 1.0  # The box's model of the hand leaves them out.
        board = spec.worldbody.add_body(name="board", pos=list(self._socket_position_m))
        add_board(build, board)
        add_socket(build, board)
        option = spec.option
        option.timestep = 0.001
        # The contact settings with which the simulated cell inserts like a real module.
        option.cone, option.impratio = mj.mjtCone.mjCONE_ELLIPTIC, 10
        option.iterations, option.ls_iterations = 30, 20
        model = spec.compile()
        kinematics = ArmKinematics(model, JOINTS, POSTURE)
        model.dof_frictionloss[kinematics.dof_at] *= self._friction
        self._cell, self._state = model, mj.MjData(model)
        self._mj_model, self._mj_data = self._cell, self._state  # as franky-sim knows them
        self._randomizer = Randomizer(model)
        self._module, self._board = model.body("module").id, model.body("board").id
        self._tip, self._tcp = model.site("tip").id, model.site("tcp").id
        self._hand = model.body(f"{PREFIX}hand").id
        self._root = int(model.body_rootid[self._hand])
        self._robot_bodies = np.flatnonzero(model.body_rootid == self._root)
        self._linear, self._angular = np.zeros((3, model.nv)), np.zeros((3, model.nv))
        self._dofs = kinematics.dof_at
        self.arm._attach_to_scene(model, self._state, PREFIX)
        above = pose_compose(self.seated_pose, (0.0, 0.0, -self._height_m, 0.0, 0.0, 0.0, 1.0))
        self._home = kinematics.solve(above)
        self.go_home()

    def go_home(self) -> None:
        """Put the arm at its first pose, at rest and with the module in hand."""
        model, data = self._cell, self._state
        mj.mj_resetData(model, data)
        data.qpos[self.arm._qpos_addrs] = self._home
        data.qpos[self.arm._finger_qpos_addrs] = MODULE_THICKNESS_M / 2
        self.arm.set_hand_goal(MODULE_THICKNESS_M, 0.05, 70.0)
        self.randomize(Draw())
        mj.mj_forward(model, data)

    def contact_wrench(self, point: Array) -> tuple[Array, Array]:
        """What the cell did to the arm in the last step.

        Args:
            point: (3,) about which torques are taken, base frame [m].

        Returns:
            (6,) force [N] and torque [Nm] on the arm, base frame; and the torques (7,) [Nm] that it puts on
            the joints when it acts at the hand, as it does when the tool touches.
        """
        model, data = self._cell, self._state
        mj.mj_rnePostConstraint(model, data)
        total = data.cfrc_ext[self._robot_bodies].sum(axis=0)
        force = total[3:]
        # MuJoCo takes torques about the tree's centre of mass.
        torque = total[:3] + np.cross(data.subtree_com[self._root] - point, force)
        mj.mj_jac(model, data, self._linear, self._angular, point, self._hand)
        joints = self._linear[:, self._dofs].T @ force + self._angular[:, self._dofs].T @ torque
        return np.concatenate((force, torque)), joints

    def randomize(self, draw: Draw) -> None:
        """Put an episode's circumstances in force."""
        self._randomizer.apply(draw)
        x, y, yaw = draw.visible
        turn = (x, y, 0.0, 0.0, 0.0, np.sin(yaw / 2), np.cos(yaw / 2))
        self.nominal_socket = pose_compose((*self._socket_position_m, 0.0, 0.0, 0.0, 1.0), turn)

    def truth(self) -> dict[str, object]:
        """Where everything really is: poses (7,), depth and yaw as in `RamTruth`."""
        data = self._state
        mj.mj_kinematics(self._cell, data)
        tip = self._pose(data.site_xpos[self._tip], self._module)
        socket = self._pose(data.xpos[self._board], self._board)
        tip_in_socket = pose_relative(socket, tip)
        depth, yaw = insertion_depth(tip_in_socket)
        return {
            "T_base_tcp": self._pose(data.site_xpos[self._tcp], self._hand).tolist(),
            "T_base_tip": tip.tolist(),
            "T_base_socket": socket.tolist(),
            "seated_pose": self.seated_pose.tolist(),
            "depth": depth,
            "lateral_m": tip_in_socket[:2].tolist(),
            "yaw_rad": yaw,
        }

    def _pose(self, position: Array, body: int) -> Array:
        w, x, y, z = self._state.xquat[body].tolist()
        return np.array([*position.tolist(), x, y, z, w])


def _strip(spec: mj.MjSpec) -> None:
    """Leave out what is only looked at, and franky-sim's own actuators; sort the rest into classes."""
    used = set()
    for geom in list(spec.geoms):
        if geom.name == "ground":
            geom.contype, geom.conaffinity = CELL_BIT, ROBOT_BIT
        elif geom.contype == 0 and geom.conaffinity == 0:
            spec.delete(geom)
        else:
            geom.contype, geom.conaffinity = ROBOT_BIT, CELL_BIT
            used.add(geom.meshname)
    for mesh in list(spec.meshes):
        if mesh.name not in used:
            spec.delete(mesh)
    for actuator in list(spec.actuators):
        spec.delete(actuator)
