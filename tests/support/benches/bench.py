"""An arm above a socket, and the hands of a test around it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from handrail.robot_env.arms.arm import Arm
from handrail.robot_env.clock import NS_PER_S, Clock
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.geometry import pose_compose

PERIOD_S = 0.1
"""Time between two commands; 1 / `EnvConfig.hz` of every bench."""


@dataclass
class Bench:
    """What the contract suite needs of an arm.

    Attributes:
        arm: not connected yet.
        clock: what waiting means; the arm's own time, so that a slow machine changes nothing.
        seated_pose: (7,) tool pose with the module seated.
        break_it: bring a latched fault about, and return when the arm shows it.
        repair_it: take the fault's cause away; the fault stays latched.
        close: end everything, the arm included. The arm may be closed already.
        config: of the arm server; None where there is none.
        tolerance_m: how exactly it stands where it was sent [m].
    """

    arm: Arm
    clock: Clock
    seated_pose: np.ndarray
    break_it: Callable[[], None]
    repair_it: Callable[[], None]
    close: Callable[[], None]
    config: EnvConfig | None = None
    tolerance_m: float = 5e-4

    def wait(self, seconds: float) -> None:
        self.clock.wait_until(self.clock.now_ns() + round(seconds * NS_PER_S))

    def drive(self, pose, seconds: float) -> None:
        """Command one pose at the usual rate for a while."""
        for _ in range(round(seconds / PERIOD_S)):
            self.arm.set_target(pose)
            self.wait(PERIOD_S)

    def above(self, x=0.0, y=0.0, z=0.05, yaw=0.0):
        """Tool pose over the socket: x along it, y across, z above the seated pose [m], yaw [rad]."""
        return pose_compose(self.seated_pose, (x, -y, -z, 0.0, 0.0, -np.sin(yaw / 2), np.cos(yaw / 2)))
