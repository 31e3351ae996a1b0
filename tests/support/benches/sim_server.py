"""The simulated arm in real time, behind the arm server."""

from benches.bench import Bench
from benches.served import serve, served_config
from handrail.robot_env.arms.sim import SimDriver
from handrail.robot_env.config import SimConfig
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.sim.config import ArmName


def make(arm_name: ArmName = "panda") -> Bench:
    driver = SimDriver(SimCell(SimConfig(arm=arm_name)))
    return serve(
        driver,
        served_config("sim_server"),
        break_it=lambda: driver.inject_fault("a reflex, for the test"),
        repair_it=driver.remove_cause,
    )
