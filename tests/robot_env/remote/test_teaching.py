"""A real arm's server before its seated pose has been taught, and what an operator may do without a lease."""

import pytest
from recording import Elsewhere, RecordingDriver
from supervised import ABOVE, FRAME, MS, Cell

from handrail.robot_env.arms.config import ArmConfig
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import ArmError, ConfigError
from handrail.robot_env.remote.agreement import agreement
from handrail.robot_env.remote.lease import Commander, Stamp
from handrail.robot_env.remote.messages import Counters
from handrail.robot_env.remote.supervisor import ArmSupervisor

NOBODY = Stamp("", 0, 1_000 * MS)


def test_an_untaught_arm_is_shown_and_holds_and_nobody_gets_the_lease():
    config = EnvConfig(arm=ArmConfig(kind="franka"))
    driver = RecordingDriver(FRAME.pose(ABOVE))
    supervisor = ArmSupervisor(driver, config, None, Elsewhere(True).submit)
    driver.now_ns = 1_000 * MS
    supervisor.open(driver.now_ns, lambda error: None)
    for _ in range(3):
        driver.now_ns += 5 * MS
        supervisor.tick(driver.now_ns)
    state = supervisor.state("boot", 1, Counters())
    assert state.mode == "hold" and len(state.pose) == 7 and len(state.q) == 7
    with pytest.raises(ConfigError, match=r"teach env\.task\.seated_pose first"):
        supervisor.acquire(driver.now_ns, driver.now_ns, Commander("env", 1, "here", 0.1), agreement(config))
    supervisor.gripper(driver.now_ns, NOBODY, "close", 0.0, 0.0)
    assert driver.gripper.calls == ["close"] and driver.setpoints == []


def test_an_operator_moves_the_jaws_and_tares_while_nobody_commands():
    cell = Cell()
    with pytest.raises(ArmError, match="not connected"):
        cell.supervisor.gripper(cell.now, NOBODY, "open", 0.0, 0.0)
    cell.open()
    cell.supervisor.gripper(cell.now, NOBODY, "open", 0.0, 0.0)
    cell.supervisor.tare(cell.now, NOBODY, cell.done)
    cell.tick(2)
    assert cell.driver.gripper.calls == ["open"] and cell.driver.calls[-1] == "zero_ft"
    cell.acquire("trainer")
    taken = list(cell.driver.calls)
    for ask in (
        lambda: cell.supervisor.gripper(cell.now, NOBODY, "open", 0.0, 0.0),
        lambda: cell.supervisor.tare(cell.now, NOBODY, cell.done),
    ):
        with pytest.raises(ArmError, match="commanded by 'trainer'"):
            ask()
    cell.tick(2)
    assert cell.driver.gripper.calls == ["open"] and cell.driver.calls == taken
