"""Gains of a commander that has gone: the arm stands with the station's own, where the tool is."""

import numpy as np
import pytest
from supervised import ABOVE, FRAME, Cell

from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.arms.config import ArmConfig
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import ArmError
from handrail.robot_env.remote.impedance import Impedance

OWN = Gains(1500.0, 100.0)
SOFT = Gains(50.0, 5.0, 20.0, 2.0)
PULLED = np.array((0.004, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0))
"""What somebody has pulled the tool away by."""


def soft_cell(**arm):
    """An arm that runs on its commander's soft spring, and the tool pulled out of place."""
    cell = Cell(EnvConfig(arm=ArmConfig(kind="franka", contact=OWN, **arm))).running()
    cell.supervisor.gains(cell.now, cell.stamp(), SOFT)
    cell.target(x=0.01)
    cell.driver.offset = PULLED
    cell.tick()
    assert cell.driver.gains == SOFT
    return cell


def release(cell):
    cell.supervisor.release(cell.now, cell.stamp())


def fall_silent(cell):
    cell.tick(220)


@pytest.mark.parametrize("go", [release, fall_silent])
def test_the_arm_stands_with_the_stations_gains_where_the_tool_is(go):
    cell = soft_cell()
    go(cell)
    cell.tick(100)
    assert cell.mode == "HOLD" and cell.driver.gains == OWN
    before, after = (np.asarray(pose) for _, pose, _ in cell.driver.setpoints[-2:])
    np.testing.assert_allclose(after - before, PULLED, atol=1e-9)  # the tool's place, not the old set-point
    written = len(cell.driver.setpoints)
    cell.tick(50)
    assert len(cell.driver.setpoints) == written  # nothing moves it any more


def test_it_brakes_first():
    cell = soft_cell()
    cell.target(x=0.01)
    cell.tick(3)
    release(cell)
    cell.tick()
    assert cell.driver.gains == SOFT and not cell.supervisor.arm.resting
    cell.tick(100)
    assert cell.driver.gains == OWN


def test_a_commander_that_only_stops_keeps_its_gains():
    cell = soft_cell()
    cell.supervisor.stop(cell.now)
    cell.tick(20)
    assert cell.driver.gains == SOFT


def test_the_next_commander_begins_with_the_stations():
    cell = soft_cell()
    release(cell)
    cell.acquire("another")
    cell.start()
    cell.tick()
    assert cell.mode == "RUN" and cell.driver.gains == OWN
    cell.tick(5)
    assert cell.mode == "RUN"


def test_an_arm_whose_gains_were_the_stations_is_left_as_it_stands():
    cell = Cell(EnvConfig(arm=ArmConfig(kind="franka", contact=OWN))).running()
    cell.driver.offset = PULLED
    release(cell)
    cell.tick(100)
    assert "set_gains" not in cell.driver.calls
    np.testing.assert_allclose(cell.driver.setpoints[-1][1], FRAME.pose(ABOVE), atol=1e-9)


def test_a_driver_that_does_not_take_them_is_a_fault():
    cell = soft_cell()

    def refuse(gains):
        raise ArmError("no such gains")

    cell.driver.set_gains = refuse
    release(cell)
    cell.tick(100)
    assert cell.mode == "FAULT" and "the station's gains: no such gains" in cell.state().fault


def test_to_check_gains_is_not_to_take_them():
    impedance = Impedance(EnvConfig(arm=ArmConfig(kind="franka", contact=OWN)))
    impedance.check(SOFT)
    assert impedance.now() == OWN
    impedance.ask(SOFT)
    assert (impedance.now(), impedance.now(commanded=False)) == (SOFT, OWN)
    with pytest.raises(ArmError, match="stiffness times clip"):
        impedance.check(Gains(9000.0))
    assert impedance.now() == SOFT
