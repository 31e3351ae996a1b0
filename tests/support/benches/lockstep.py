"""The simulated arm in lockstep."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest

from benches.bench import JOINT_SPEED, PERIOD_S, Bench
from handrail.robot_env.arms.lockstep import LockstepArm
from handrail.robot_env.clock import NS_PER_S, LockstepClock
from handrail.robot_env.config import LimitsConfig, SimConfig, TaskConfig
from handrail.robot_env.errors import ArmFault
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.sim.config import ArmName
from handrail.robot_env.tasks import RamInsertion


@contextmanager
def station(arm_name: ArmName) -> Iterator[Callable[[], Bench]]:
    """Nothing outlives a bench."""
    yield partial(make, arm_name)


def make(arm_name: ArmName) -> Bench:
    cell = SimCell(SimConfig(arm=arm_name))
    frame = RamInsertion(TaskConfig(), cell).frame()
    arm = LockstepArm(cell, LimitsConfig(), frame, PERIOD_S, JOINT_SPEED)
    joint_home = tuple(cell.joints()[0])

    def diverge() -> None:
        cell.data.qvel[:] = np.nan
        with pytest.raises(ArmFault, match="diverged"):
            arm.advance(NS_PER_S // 100)

    def repair() -> None:
        cell.teleport(cell.home_pose)
        cell.data.warning.number[:] = 0

    clock = LockstepClock(arm.advance)
    return Bench(arm, clock, cell.seated_pose, diverge, repair, arm.close, joint_home=joint_home)
