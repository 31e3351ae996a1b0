"""The arm while a station is set up: a simulated one follows the hand, a real one is only looked at.

A real arm stays as its server has it, in HOLD or in the vendor's own hand-guiding: nothing here takes the
lease with which it could be moved.
"""

import math
import threading
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from handrail.launch import arm_link
from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.arms.lockstep import LockstepArm
from handrail.robot_env.clock import NS_PER_S
from handrail.robot_env.config import EnvConfig, LimitsConfig
from handrail.robot_env.errors import ArmError
from handrail.robot_env.geometry import Array, pose_compose
from handrail.robot_env.remote.client import greet
from handrail.robot_env.remote.operator import ArmOperator
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.spec import ActionSpec
from handrail.robot_env.tasks import RamInsertion

HZ = 25.0
"""Looks at the arm a second."""
_AROUND_M, _ABOVE_M, _BELOW_M = 0.25, 0.35, 0.02
_RETRY_S = 2.0
_READ_S = 0.05


@dataclass(frozen=True)
class ArmLook:
    """One look at the arm.

    Attributes:
        pose: (7,) of the tool, base frame; () while nobody knows.
        force_n: on the tool [N].
        trouble: why it is not known, or does not follow; "" otherwise.
        fault: whether that is a fault of the arm.
    """

    pose: tuple[float, ...] = ()
    force_n: float = 0.0
    trouble: str = ""
    fault: bool = False


class RigArm(Protocol):
    """The arm that is set up.

    Attributes:
        guided: whether it follows the operator's hand.
    """

    guided: bool

    def seated_pose(self) -> tuple[float, ...]:
        """(7,) tool pose with the module seated, base frame; () where nobody has taught it."""
        ...

    def step(self, action: Array | None) -> ArmLook:
        """Follow `action`, (6,) in [-1, 1] in the tool's frame, for one period, or stay; then look."""
        ...

    def home(self) -> None:
        """Go back to where it began, if it is one that follows."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class GuidedArm:
    """A simulated arm in this process, in the thread that makes it; in a wide box around the socket.

    Args:
        env: the cell, the task and the limits.

    Attributes:
        cell: the simulated cell, for its cameras.
    """

    guided = True

    def __init__(self, env: EnvConfig) -> None:
        self.cell = SimCell(env.sim)
        self._task = RamInsertion(env.task, self.cell)
        self._arm = LockstepArm(self.cell, wide(env.limits), self._task.frame(), 1.0 / HZ)
        self._spec = ActionSpec(*(each * env.hz / HZ for each in env.action_scale))
        self._arm.connect()
        self._arm.start()
        self._goal = self._begun_at = self._arm.state().pose
        self._homing = False

    def seated_pose(self) -> tuple[float, ...]:
        """(7,) tool pose with the module seated, base frame."""
        return tuple(self._task.seated_pose.tolist())

    def step(self, action: Array | None) -> ArmLook:
        """Follow `action` for one period; an arm that presses too hard stops there and follows again.

        Raises:
            ArmFault: the physics diverged.
        """
        if action is not None:
            self._homing = False
            self._goal = self._arm.set_target(pose_compose(self._goal, self._spec.delta_pose(action)))
        elif self._homing:  # the leash lets the goal run ahead by a centimetre at a time
            self._goal = self._arm.set_target(self._begun_at)
        self._arm.advance(round(NS_PER_S / HZ))
        state = self._arm.state()
        trouble = ""
        if state.mode is ArmMode.HOLD:
            trouble, self._homing = "the arm pressed too hard and stopped: guide it back", False
            self._arm.start()
            self._goal = state.pose
        return ArmLook(tuple(state.pose.tolist()), float(np.linalg.norm(state.wrench[:3])), trouble)

    def home(self) -> None:
        """Go back above the socket, unless a hand drives."""
        self._homing = True

    def close(self) -> None:
        """Let go of the cell."""
        self._arm.stop()
        self._arm.close()


def wide(limits: LimitsConfig) -> LimitsConfig:
    """The limits with a box in which every workspace worth having fits."""
    low = (-_AROUND_M, -_AROUND_M, min(-_BELOW_M, limits.workspace_low_m[2]))
    high = (_AROUND_M, _AROUND_M, _ABOVE_M)
    return replace(limits, workspace_low_m=low, workspace_high_m=high)


class WatchedArm:
    """A real arm behind its server, looked at in a thread: the pictures must not wait for it.

    Args:
        env: where the server is, and the task.
    """

    guided = False

    def __init__(self, env: EnvConfig) -> None:
        self._env = env
        self._look = ArmLook(trouble="no word of the arm yet")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="rig-arm", daemon=True)
        self._thread.start()

    def seated_pose(self) -> tuple[float, ...]:
        """(7,) as it was taught."""
        return self._env.task.seated_pose or ()

    def step(self, action: Array | None) -> ArmLook:
        """The newest look; nothing moves."""
        return self._look

    def home(self) -> None:
        """Nothing moves."""

    def close(self) -> None:
        """Stop looking."""
        self._stop.set()
        self._thread.join(timeout=_RETRY_S)

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                greet(self._env, arm_link.GREETING_S)  # less patient than the line itself
                with ArmOperator(self._env) as operator:
                    while not self._stop.wait(_READ_S):
                        self._look = _look(operator)
            except ArmError as error:
                self._look = ArmLook(trouble=str(error))
                self._stop.wait(_RETRY_S)


def _look(operator: ArmOperator) -> ArmLook:
    state = operator.state()
    force_n = math.hypot(*state.wrench[:3].tolist())
    running = "the arm is being driven by somebody else" if state.mode is ArmMode.RUN else ""
    fault = state.mode is ArmMode.FAULT
    return ArmLook(tuple(state.pose.tolist()), force_n, state.fault if fault else running, fault)
