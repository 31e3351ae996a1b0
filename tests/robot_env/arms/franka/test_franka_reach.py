"""An emulated Franka behind the arm server, pulled out as far as it reaches: held, told, and led back."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from benches.bench import PERIOD_S, Bench
from benches.franka import franka_config
from benches.served import serve
from emulators.franka import FrankaEmulator

from handrail.robot_env.arms.arm import ArmMode
from handrail.robot_env.arms.franka.driver import FrankaDriver
from handrail.robot_env.arms.kinematics import FRANKA
from handrail.robot_env.arms.reach import STOP_AT, Posture
from handrail.robot_env.gate import JOINTS_LIMIT, GateFlag
from handrail.robot_env.geometry import Array

pytest.importorskip("franky")


@pytest.fixture
def bench() -> Iterator[Bench]:
    with FrankaEmulator() as emulator:
        config = franka_config(emulator)
        wide = replace(config.limits, workspace_high_m=(0.6, 0.05, 0.10))
        config = replace(config, limits=wide)
        bench = serve(FrankaDriver(config.arm.franka), config, break_it=lambda: None, repair_it=lambda: None)
        try:
            bench.arm.connect()
            yield bench
        finally:
            bench.close()


def pull(bench: Bench, x: float, turned: Array) -> tuple[GateFlag, float]:
    """A command of a step along x [m] from where the tool is; what limited it, and the fastest joint."""
    goal = np.concatenate((bench.arm.state().pose[:3], turned))
    goal[0] += x
    bench.arm.set_target(goal)
    bench.wait(PERIOD_S)
    state = bench.arm.state()
    assert state.mode is ArmMode.RUN, state.fault
    return GateFlag(state.gate_flags) & JOINTS_LIMIT, float(np.abs(state.dq).max())


def test_pulled_to_its_full_reach_it_is_held_and_comes_back(bench: Bench) -> None:
    bench.arm.start()
    began = bench.arm.state().pose
    fastest = 0.0
    held = 0
    for _ in range(150):
        flags, speed = pull(bench, 0.012, began[3:])
        fastest, held = max(fastest, speed), held + 1 if flags & GateFlag.SINGULAR else 0
        if held > 15:
            break
    assert held > 15 and fastest < 0.7
    state = bench.arm.state()
    assert Posture(FRANKA, state.q, state.pose).condition_at(state.q) < 1.1 * STOP_AT
    assert state.pose[0] > began[0] + 0.1
    for _ in range(30):
        flags, _ = pull(bench, -0.012, began[3:])
        assert not flags
    assert bench.arm.state().pose[0] < state.pose[0] - 0.05
