"""A Franka behind the arm server: the real libfranka, and an emulated control box with the RAM board."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from emulators.franka import FrankaEmulator

from benches.bench import Bench
from benches.served import serve, served_config
from handrail.robot_env.arms.franka.config import FrankaConfig
from handrail.robot_env.arms.franka.driver import FrankaDriver
from handrail.robot_env.config import EnvConfig, TaskConfig


def franka_config(emulator: FrankaEmulator) -> EnvConfig:
    """Settings of an arm server for an emulated robot."""
    franka = FrankaConfig(host=emulator.host, realtime="ignore")
    seated = tuple(emulator.truth()["seated_pose"])
    joint_home = tuple(emulator.status()["q"])
    config = served_config("franka", franka=franka, joint_home=joint_home)
    return replace(config, task=TaskConfig(seated_pose=seated))


@contextmanager
def station() -> Iterator[Callable[[], Bench]]:
    """One robot for all benches, switched off and on for each."""
    with FrankaEmulator() as emulator:
        yield lambda: make(emulator)


def make(emulator: FrankaEmulator) -> Bench:
    emulator.reset()
    config = franka_config(emulator)
    return serve(
        FrankaDriver(config.arm.franka),
        config,
        # The worst kind: latched, its cause still there, and not one error flag set.
        break_it=lambda: emulator.fault("reflex", flags=False, persists=True),
        repair_it=emulator.release,
        stopped_ns=lambda: emulator.status()["stopped_ms"] * 1_000_000,
    )
