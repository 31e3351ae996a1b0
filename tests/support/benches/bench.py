"""An arm above a socket, and the hands of a test around it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from handrail.robot_env.arms.arm import Arm, ArmState
from handrail.robot_env.clock import NS_PER_S, Clock
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.geometry import pose_compose, pose_distance

PERIOD_S = 0.1
"""Time between two commands; 1 / `EnvConfig.hz` of every bench."""

JOINT_SPEED = 0.05
"""Share of their rated speed at which the joints move: slow enough to be caught in the middle."""

REST = 2e-3
"""Speed below which an arm rests [m/s, rad/s]."""


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
        stopped_ns: when the robot stopped in `break_it`, by its own clock [ns]; None where it does not tell.
        tolerance_m: how exactly it stands where it was sent [m].
        joint_home: joint angles above the socket, where a joint motion may go (J,) [rad]; empty for an arm
            that makes none, or none that can be ended.
    """

    arm: Arm
    clock: Clock
    seated_pose: np.ndarray
    break_it: Callable[[], None]
    repair_it: Callable[[], None]
    close: Callable[[], None]
    config: EnvConfig | None = None
    stopped_ns: Callable[[], int] | None = None
    tolerance_m: float = 5e-4
    joint_home: tuple[float, ...] = ()

    def wait(self, seconds: float) -> None:
        self.clock.wait_until(self.clock.now_ns() + round(seconds * NS_PER_S))

    def drive(self, pose, seconds: float) -> None:
        """Command one pose at the usual rate for a while."""
        for _ in range(round(seconds / PERIOD_S)):
            self.arm.set_target(pose)
            self.wait(PERIOD_S)

    def reach(self, pose, within_s: float = 4.0) -> ArmState:
        """Command one pose at the usual rate until the arm rests there; the reading in which it does."""
        end_ns = self.clock.now_ns() + round(within_s * NS_PER_S)
        while True:
            self.arm.set_target(pose)
            self.wait(PERIOD_S)
            state = self.arm.state()
            distance_m, angle_rad = pose_distance(state.pose, pose)
            there = distance_m < self.tolerance_m and angle_rad < 10 * self.tolerance_m
            if there and np.abs(state.twist).max() < REST:
                return state
            assert self.clock.now_ns() < end_ns, f"{distance_m} m, {angle_rad} rad from it after {within_s} s"

    def above(self, x=0.0, y=0.0, z=0.05, yaw=0.0):
        """Tool pose over the socket: x along it, y across, z above the seated pose [m], yaw [rad]."""
        return pose_compose(self.seated_pose, (x, -y, -z, 0.0, 0.0, -np.sin(yaw / 2), np.cos(yaw / 2)))
