"""An arm server in front of a SERL server, which is our own, in front of another, simulated, arm server.

It breaks by its server's death: while an arm is not engaged, that is all that the protocol can tell of.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any, cast

from device_clock import DeviceClock
from emulators.serl_cell import SerlCell

from benches.bench import Bench
from benches.served import serve, served_config
from handrail.robot_env.arms.serl_http import SerlHttpDriver
from handrail.robot_env.clock import Clock
from handrail.robot_env.config import TaskConfig
from handrail.robot_env.remote.operator import ArmOperator
from handrail.robot_env.serl.config import SerlHttpConfig


class BothClocks:
    """The protocol carries no time, so this side's is the host's; wait until the robot's has passed too."""

    def __init__(self, ours: Clock, robots: Clock) -> None:
        self._ours, self._robots = ours, robots

    def now_ns(self) -> int:
        return self._ours.now_ns()

    def wait_until(self, t_ns: int) -> None:
        robots_ns = self._robots.now_ns() + t_ns - self._ours.now_ns()
        self._ours.wait_until(t_ns)
        self._robots.wait_until(robots_ns)

    def stalled_ns(self) -> int:
        return 0


@contextmanager
def station() -> Iterator[Callable[[], Bench]]:
    """One process for all benches: starting Python takes longer than most of their tests."""
    with closing(SerlCell()) as cell:
        yield lambda: make(cell)


def make(cell: SerlCell) -> Bench:
    cell.renew()
    settings = SerlHttpConfig(
        cell.url,
        gripper="none",
        manage_impedance=True,
        poll_hz=100.0,
        pose_hz=100.0,
        deadline_s=0.9,
        slow_deadline_s=3.0,
        gone_s=3.0,
        frozen_states=50,  # the robot's side is as busy as the rest of the machine
    )
    config = served_config("serl_http", serl_http=settings)
    config = replace(config, task=TaskConfig(seated_pose=tuple(cell.seated_pose)))
    eyes = ArmOperator(cell.config)
    bench = serve(
        SerlHttpDriver(settings), config, lambda: cell.do("die"), lambda: cell.do("revive"), eyes.close
    )
    eyes.state()
    bench.clock = BothClocks(bench.clock, DeviceClock(cast(Any, eyes)))
    return bench
