"""The simulated arm in real time, behind the arm server."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benches.bench import Bench
from benches.served import serve, served_config
from handrail.robot_env.arms.sim import SimDriver
from handrail.robot_env.config import SimConfig
from handrail.robot_env.sim.cell import SimCell


@contextmanager
def station() -> Iterator[Callable[[], Bench]]:
    """Nothing outlives a bench."""
    yield make


def make() -> Bench:
    cell = SimCell(SimConfig(arm="panda"))
    joint_home, driver = tuple(cell.joints()[0].tolist()), SimDriver(cell)
    return serve(
        driver,
        served_config("sim_server", joint_home=joint_home),
        break_it=lambda: driver.inject_fault("a reflex, for the test"),
        repair_it=driver.remove_cause,
    )
