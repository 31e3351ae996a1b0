"""How the emulated arm moves: joint motions, force mode, and position control that is stiff but not rigid.

The controller commands a tool pose at 500 Hz. In the simulated cell a spring and damper pull the tool there;
the commanded speed is fed forward, so that the tool does not lag behind. In force mode the commanded pose
behaves like a body with mass and friction that the wanted and the measured forces push: where nothing touches
the tool it accelerates up to the speed limits, and in contact it comes to rest when the forces balance. The
true law of a UR is not published; mass and friction are chosen so that it is stable, as the real one is.
"""

import math
from dataclasses import dataclass, field

import mujoco as mj
import numpy as np

from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.errors import ArmError
from handrail.robot_env.geometry import Array, pose_distance, quat_from_rotvec, quat_multiply, quat_rotate
from handrail.robot_env.sim.cell import CellState, SimCell
from handrail.robot_env.sim.model import ARM_PARTS

STIFF = Gains(6000.0, 400.0, 500.0, 25.0)
"""Springs and dampers between the commanded and the real tool pose."""
STRONGEST = np.array([200.0, 200.0, 200.0, 25.0, 25.0, 25.0])
"""What they can pull with [N], [Nm]."""
MASS_KG, INERTIA_KGM2 = 4.0, 0.15
"""Of the body that stands for the tool in force mode, at a gain scaling of 1."""
FRICTION_NS_M, FRICTION_NMS_RAD = 4000.0, 300.0
"""Its friction, at a damping of 1."""
STOP_M_S2, STOP_RAD_S2 = 10.0, 20.0
"""Deceleration of the commanded pose when nothing drives it."""


@dataclass
class ForceMode:
    """Settings of URScript's `force_mode`, in the base frame.

    Attributes:
        selection: (6,) whether each axis is compliant.
        wrench: (6,) what to press the environment with.
        limits: (6,) speed along and about compliant axes [m/s, rad/s].
    """

    selection: Array
    wrench: Array
    limits: Array


@dataclass
class JointMove:
    """A `movej` under way: a straight line in joint space, with a trapezoid of speed along it.

    Attributes:
        start: joint angles at its beginning [rad].
        goal: joint angles at its end [rad].
        speed: of the joint that goes furthest [rad/s].
        acceleration: of the same joint [rad/s²].
        done: how far that joint has come [rad].
        rate: its present speed [rad/s].
        braking: whether it is being stopped early.
    """

    start: Array
    goal: Array
    speed: float
    acceleration: float
    done: float = 0.0
    rate: float = 0.0
    braking: bool = False
    length: float = field(init=False)

    def __post_init__(self) -> None:
        self.length = float(np.abs(self.goal - self.start).max())

    @property
    def ended(self) -> bool:
        """Whether it has arrived, or has been braked to rest."""
        return self.done >= self.length or (self.braking and self.rate == 0.0)

    def step(self, dt_s: float) -> Array:
        """Joint angles a tick later."""
        most = math.sqrt(2.0 * self.acceleration * max(0.0, self.length - self.done))
        wanted = 0.0 if self.braking else min(self.speed, most)
        change = self.acceleration * dt_s
        self.rate += max(-change, min(change, wanted - self.rate))
        self.done = min(self.length, self.done + max(self.rate, 1e-4 if not self.braking else 0.0) * dt_s)
        return self.start + (self.goal - self.start) * (self.done / self.length if self.length else 1.0)


class Motion:
    """The arm of one cell.

    Args:
        cell: the simulated UR5e and what stands around it.

    Attributes:
        state: what its sensors said at the last tick.
        force: force mode's settings, while it is on.
        joints: the joint motion under way.
        damping: force mode's damping, 0 to 1.
        scaling: force mode's gain scaling, 0 to 2.
        offset: (6,) what the force sensor shows beside the truth, base orientation, until it is zeroed.
    """

    def __init__(self, cell: SimCell) -> None:
        self._cell = cell
        self._scratch = mj.MjData(cell.model)
        self._site = cell.model.site("tcp").id
        self._flange = cell.model.body("flange").id
        joints = [cell.model.joint(name) for name in ARM_PARTS["ur5e"].joints]
        self._qpos = [int(joint.qposadr[0]) for joint in joints]
        cell.set_gains(STIFF)
        cell.model.actuator_forcerange[:] = np.stack((-STRONGEST, STRONGEST), axis=1)
        self.state: CellState = cell.read()
        self._pose = self.state.pose.copy()
        self._velocity = np.zeros(6)
        self.force: ForceMode | None = None
        self.joints: JointMove | None = None
        self.damping, self.scaling = 0.025, 0.5
        self.offset = np.zeros(6)

    @property
    def commanded(self) -> Array:
        """(7,) the tool pose that the controller commands."""
        return self._pose.copy()

    @property
    def at_rest(self) -> bool:
        """Whether the commanded pose stands still and nothing drives it."""
        return self.force is None and self.joints is None and not self._velocity.any()

    def base_wrench(self) -> Array:
        """(6,) environment on tool, in base orientation: what a UR calls actual_TCP_force."""
        quat, wrench = self.state.pose[3:], self.state.wrench
        return np.concatenate((quat_rotate(quat, wrench[:3]), quat_rotate(quat, wrench[3:]))) + self.offset

    def begin_joints(self, goal: Array, speed: float, acceleration: float) -> None:
        """Start a `movej` from where the commanded pose is.

        Raises:
            ArmError: the angles lie beyond the joint limits.
        """
        if not np.all(np.abs(goal) < 2 * math.pi - 0.01) or not abs(goal[2]) < math.pi - 0.01:
            raise ArmError("joint angles beyond the joint limits")
        start = self._cell.kinematics.solve(self._pose, self.state.q)
        self.joints = JointMove(start, goal, max(speed, 1e-3), max(acceleration, 1e-2))

    def halt(self) -> None:
        """Let go of whatever drives the arm; it brakes."""
        self.force = self.joints = None

    def freeze(self) -> None:
        """Stand still at once, as with the brakes."""
        self.halt()
        self._velocity[:] = 0.0

    def step(self, dt_s: float, driven: bool) -> None:
        """A tick of the controller and of the cell.

        Args:
            dt_s: its length [s].
            driven: whether a program may move the arm now.
        """
        if driven and self.joints is not None:
            self._follow_joints(self.joints, dt_s)
        elif driven and self.force is not None:
            self._comply(self.force, dt_s)
        else:
            self._brake(dt_s)
        lead = self._velocity.copy()
        lead[:3] *= STIFF.translation_damping_ns_m / STIFF.translation_n_m
        lead[3:] *= STIFF.rotation_damping_nms_rad / STIFF.rotation_nm_rad
        self._cell.set_setpoint(_moved(self._pose, lead))
        self._cell.advance(round(dt_s * 1e9))
        self.state = self._cell.read()

    def forward(self, q: Array) -> Array:
        """(7,) tool pose of the joint angles `q` (6,) [rad]."""
        data = self._scratch
        data.qpos[self._qpos] = q
        mj.mj_kinematics(self._cell.model, data)
        w, x, y, z = data.xquat[self._flange].tolist()
        return np.array((*data.site_xpos[self._site].tolist(), x, y, z, w))

    def _follow_joints(self, move: JointMove, dt_s: float) -> None:
        before, self._pose = self._pose, self.forward(move.step(dt_s))
        turn = quat_multiply(self._pose[3:], _conjugate(before[3:]))
        self._velocity[:3] = (self._pose[:3] - before[:3]) / dt_s
        self._velocity[3:] = 2.0 * np.sign(turn[3]) * turn[:3] / dt_s
        if move.ended:
            self.joints = None
            self._velocity[:] = 0.0

    def _comply(self, mode: ForceMode, dt_s: float) -> None:
        total = mode.wrench + self.base_wrench()
        inertia = np.repeat((MASS_KG / self.scaling, INERTIA_KGM2 / self.scaling), 3)
        friction = self.damping * np.repeat((FRICTION_NS_M, FRICTION_NMS_RAD), 3)
        # Implicit in the friction, so that no damping is too much for the tick.
        velocity = (inertia * self._velocity + dt_s * total) / (inertia + dt_s * friction)
        self._velocity = np.clip(velocity, -mode.limits, mode.limits) * mode.selection
        self._pose = _moved(self._pose, self._velocity * dt_s)

    def _brake(self, dt_s: float) -> None:
        for part, deceleration in ((slice(0, 3), STOP_M_S2), (slice(3, 6), STOP_RAD_S2)):
            speed = float(np.linalg.norm(self._velocity[part]))
            left = max(0.0, speed - deceleration * dt_s)
            self._velocity[part] *= left / speed if speed else 0.0
        if self._velocity.any():
            self._pose = _moved(self._pose, self._velocity * dt_s)

    def settled(self) -> bool:
        """Whether the tool stands at the commanded pose."""
        return pose_distance(self._pose, self.state.pose)[0] < 2e-3 and self.at_rest


def _moved(pose: Array, step: Array) -> Array:
    """`pose` (7,) after a small displacement and turn (6,) in the base frame."""
    return np.concatenate((pose[:3] + step[:3], quat_multiply(quat_from_rotvec(step[3:]), pose[3:])))


def _conjugate(q: Array) -> Array:
    return np.array((-q[0], -q[1], -q[2], q[3]))
