"""Our driver against our own REST server, with an arm server and a simulated arm behind it."""

import time

import pytest
from emulators.serl_cell import SerlCell

from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.arms.serl_http import SerlHttpDriver
from handrail.robot_env.errors import ArmFault
from handrail.robot_env.geometry import pose_compose, pose_distance
from handrail.robot_env.serl.config import SerlHttpConfig


@pytest.fixture
def cell():
    cell = SerlCell()
    yield cell
    cell.close()


def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)
    return value


def test_it_follows_and_a_reflex_behind_the_server_is_a_fault_until_it_is_cleared_there(cell):
    # The robot's side is as busy as the rest of the machine.
    patient = SerlHttpConfig(
        cell.url, gripper="none", manage_impedance=True, deadline_s=2.0, gone_s=5.0, frozen_states=200
    )
    driver = SerlHttpDriver(patient)
    driver.connect()
    try:
        seated = cell.seated_pose
        above, aside = (pose_compose(seated, (x, 0.0, -0.06, 0.0, 0.0, 0.0, 1.0)) for x in (0.0, 0.01))
        driver.engage(Gains())

        def at(pose) -> bool:
            driver.set_setpoint(pose)
            return pose_distance(driver.read().pose, pose)[0] < 1e-3

        until(lambda: at(above))
        until(lambda: at(aside))
        cell.do("reflex")

        def fault() -> str:
            driver.set_setpoint(above)
            return driver.read().fault

        assert "reflex" in until(fault)
        driver.disengage()
        with pytest.raises(ArmFault):
            driver.clear_fault()
        cell.do("recover")
        driver.clear_fault()
        driver.engage(Gains())
        until(lambda: at(above))
    finally:
        driver.close()
