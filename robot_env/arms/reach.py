"""What an arm's joints allow of a motion of its tool: the margin before their limits, and singularities.

A Cartesian goal knows nothing of joints. Where a joint comes near its limit, or the arm is stretched out or
folds an axis onto another, a small motion of the tool asks for a large one of the joints, and the robot's own
controller ends it with a fault. So the way to a goal is followed on the arm's kinematics: it ends where a
joint would enter the margin, it is shortened where the Jacobian's condition number rises, as a leash that
becomes shorter, and it ends where that reaches its limit. A way that leads out of either is never limited, so
that an arm can always be led back; nothing is latched.

The condition number is that of the Jacobian in metres and radians, which MoveIt Servo's limits are for too.

Most commands are nowhere near. What was found at one posture holds in a ball around it in joint space, whose
size follows from how fast a singular value can change. While the arm is where it need not be slowed and its
goal where it need not be held, nothing is looked at: that costs three microseconds a command.
"""

import math

import numpy as np

from handrail.robot_env.arms.kinematics import DHTable, jacobian
from handrail.robot_env.arms.models import table_of
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.gate import GateFlag
from handrail.robot_env.geometry import Array, displacement

JOINT_MARGIN_RAD = 0.1
"""How far from its limit a joint is kept; MoveIt Servo's."""
SLOW_FROM, STOP_AT = 17.0, 30.0
"""Condition numbers from which the leash is shortened, and at which nothing is left; MoveIt Servo's."""
LONGEST_TOOL_M = 0.35
"""A tool centre point farther from the flange than this is another arm's, or another base's [m]."""
_STEPS = 8  # places on the way to a goal that are looked at
_AWAY_FROM_ANCHOR = 1.3  # allows for the inverse being that of the middle of the ball
_DAMPING = 1e-6 * np.eye(6)
_STEEPEST_LARGEST = 0.6  # [1/rad] as `DHTable.steepest`, of the largest singular value


class Posture:
    """An arm at given joint angles with its tool somewhere; everything is in the arm's own base frame.

    A UR's own base frame is turned by half a turn against that of our cells; whichever of the two explains
    the reported pose is taken.

    Attributes:
        known: whether the angles explain where the tool is; nothing else is of use otherwise.
        turn: (6,) what turns a motion of the tool from the reported pose's base frame to the arm's own.
    """

    def __init__(self, table: DHTable, q: Array, pose: Array) -> None:
        self.table, self.q = table, q
        self.known, self.turn = False, np.ones(6)
        if len(q) != len(table.rows):
            return
        self._frames = table.matrices(q)
        flange = self._frames[-1]
        for sign in (1.0, -1.0):
            tool = np.array((sign * pose[0], sign * pose[1], pose[2]))
            if math.dist(tool, flange[:3, 3]) <= LONGEST_TOOL_M:
                self.known, self.turn = True, np.array((sign, sign, 1.0) * 2)
                self._tool, self._offset = tool, flange[:3, :3].T @ (tool - flange[:3, 3])
                return

    def jacobian(self) -> Array:
        """(6, J) of the tool centre point."""
        return jacobian(self._frames, self._tool)

    def condition_at(self, q: Array) -> float:
        """Condition number of the Jacobian with the same tool at other joint angles (J,) [rad]."""
        frames = self.table.matrices(q)
        values = singular_values(jacobian(frames, frames[-1, :3, 3] + frames[-1, :3, :3] @ self._offset))
        return _ratio(values)

    def excess(self, q: Array) -> Array:
        """(J,) how far each joint at `q` is inside the margin, or beyond it [rad]; negative before it."""
        low, high = self.table.range_rad
        return JOINT_MARGIN_RAD - np.minimum(q - low, high - q)


class Reach:
    """What the joints of one arm allow. One thread.

    Args:
        table: its kinematics.

    Attributes:
        table: the same.
        why: what limited the last goal that was limited, in words.
    """

    def __init__(self, table: DHTable) -> None:
        self.table = table
        self._anchor: list[float] = []  # joint angles [rad] that the following was found at
        self._slow_rad = self._stop_rad = -1.0  # joint motion from there on which nothing is slowed, held
        self._condition = math.inf  # there
        self._inverse = np.zeros((len(table.rows), 6))
        self._q = self._pose = np.zeros(0)
        self.why = ""

    def at(self, q: Array, pose: Array) -> "Reach":
        """The same, for an arm with joint angles (J,) [rad] and its tool at `pose` (7,), base frame."""
        self._q, self._pose = q, pose
        return self

    def share(self, goal: Array, size: float) -> tuple[float, GateFlag]:
        """As `gate.Reach`; the whole way where the angles do not explain where the tool is."""
        way = displacement(self._pose, goal)
        if self._slow_rad > 0.0:
            away = math.dist(self._anchor, self._q.tolist())
            step_rad = _AWAY_FROM_ANCHOR * _length(self._inverse @ way)
            if away < self._slow_rad and away + step_rad < self._stop_rad:
                return 1.0, GateFlag.NONE
        posture = Posture(self.table, self._q, self._pose)
        if not posture.known:
            return 1.0, GateFlag.NONE
        self._look(posture)
        return self._follow(posture, self._inverse @ way, size)

    def _look(self, posture: Posture) -> None:
        """Make this posture the anchor."""
        matrix = posture.jacobian()
        values = singular_values(matrix)
        least, largest, steepest = values[0], values[-1], self.table.steepest
        free = -float(posture.excess(posture.q).max())
        # The smallest falls and the largest rises until their ratio is the limit: at this distance at best.
        self._slow_rad, self._stop_rad = (
            min(free, (limit * least - largest) / (limit * steepest + _STEEPEST_LARGEST))
            for limit in (SLOW_FROM, STOP_AT)
        )
        self._anchor, self._condition = posture.q.tolist(), _ratio(values)
        # Damped, so that a direction that is lost asks for no infinite motion.
        self._inverse = np.linalg.solve(matrix @ matrix.T + _DAMPING, matrix).T * posture.turn

    def _follow(self, posture: Posture, step: Array, size: float) -> tuple[float, GateFlag]:
        """Go along the way, joint motion `step` (J,) in all, until something forbids to go on."""
        length = _length(step)
        if self._slow_rad > 0.0 and length < self._stop_rad:
            return 1.0, GateFlag.NONE
        began, excess = self._condition, posture.excess(posture.q)
        clear = max(0, math.floor(_STEPS * self._slow_rad / length)) if length > 0.0 else _STEPS
        for number in range(clear + 1, _STEPS + 1):
            share = number / _STEPS
            q = posture.q + share * step
            beyond = posture.excess(q)
            into = (beyond > 0.0) & (beyond > excess + 1e-9)
            if into.any():
                joint = int(np.argmax(np.where(into, beyond, -math.inf)))
                low, high = self.table.limits_rad[joint]
                self.why = (
                    f"joint {joint + 1} at {posture.q[joint]:.2f} rad is led to its limits, "
                    f"[{low:.2f}, {high:.2f}], and kept {JOINT_MARGIN_RAD} from them"
                )
                return share - 1.0 / _STEPS, GateFlag.JOINT_MARGIN
            condition = posture.condition_at(q)
            leash = max((STOP_AT - condition) / (STOP_AT - SLOW_FROM), 0.0)
            if condition > max(SLOW_FROM, began * (1.0 + 1e-6)) and share * size > leash:
                self.why = (
                    f"the arm is led to a singularity: condition number {began:.0f}, slowed from "
                    f"{SLOW_FROM:.0f} and held at {STOP_AT:.0f}"
                )
                return share - 1.0 / _STEPS, GateFlag.SINGULAR
        return 1.0, GateFlag.NONE


def reach_of(config: EnvConfig, q: Array, pose: Array) -> Reach | str:
    """What the joints allow of an arm with its tool at `pose` (7,) for `q` (J,); or why that is not known."""
    table = table_of(config, q, pose)
    if isinstance(table, str):
        return table
    if not Posture(table, q, pose).known:
        return "the arm's joint angles do not explain where its tool is"
    return Reach(table)


def singular_values(matrix: Array) -> list[float]:
    """The six of a Jacobian (6, J), smallest first."""
    return [math.sqrt(max(value, 0.0)) for value in np.linalg.eigvalsh(matrix @ matrix.T).tolist()]


def _length(step: Array) -> float:
    return math.sqrt(float(step @ step))


def _ratio(values: list[float]) -> float:
    return values[-1] / values[0] if values[0] > 1e-9 * values[-1] else math.inf
