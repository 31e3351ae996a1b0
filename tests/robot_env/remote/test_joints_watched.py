"""What an arm server says where joints come near their limits, and where it cannot know."""

import numpy as np
import pytest
from supervised import ABOVE, FRAME, Cell

from handrail.robot_env.gate import JOINTS_LIMIT, GateFlag

TURNED_FAR = np.array((0.0, -0.19, 0.0, -2.51, 0.0, 2.32, 2.78))
"""A Franka above the board whose last joint is just short of the margin [rad]."""


def turn(cell: Cell, yaw: float) -> None:
    """Ask for a turn of the tool [rad] from where it stands, and look."""
    cell.supervisor.target(cell.now, cell.stamp(), FRAME.pose((*ABOVE[:5], yaw)))
    cell.tick()


def told(cell: Cell) -> list[str]:
    return [what for _, what in cell.supervisor.arm.events if "joint" in what]


@pytest.fixture
def cell() -> Cell:
    cell = Cell()
    cell.driver.changes = {"q": TURNED_FAR}
    return cell.running()


def test_a_joint_that_is_led_to_its_limit_is_flagged_and_noted_once_a_start(cell):
    out, into = 0.1, -0.1  # the last joint's axis is the tool's, which points down
    cell.flags = 0
    turn(cell, out)
    assert not cell.flags & JOINTS_LIMIT and told(cell) == []
    for _ in range(3):
        turn(cell, into)
    assert GateFlag(cell.flags) & JOINTS_LIMIT == GateFlag.JOINT_MARGIN and cell.mode == "RUN"
    assert len(told(cell)) == 1 and "joint 7 at 2.78 rad" in told(cell)[0]
    cell.supervisor.stop(cell.now)
    cell.tick(100)
    cell.start()
    cell.tick(2)
    turn(cell, into)
    assert len(told(cell)) == 2


@pytest.mark.parametrize("q", [np.zeros(7), np.zeros(5)])
def test_an_arm_whose_joints_are_not_known_runs_and_says_so_once(q):
    cell = Cell()
    cell.driver.changes = {"q": q}
    cell.running()
    cell.supervisor.stop(cell.now)
    cell.tick(100)
    cell.start()
    cell.tick(2)
    assert cell.mode == "RUN" and len(told(cell)) == 1
    assert told(cell)[0].startswith("joint margin and singularity are not watched: ")
