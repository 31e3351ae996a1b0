"""A Franka behind the arm server: the real libfranka, and an emulated control box with the RAM board."""

from dataclasses import replace

from emulators.franka import FrankaEmulator

from benches.bench import Bench
from benches.served import serve, served_config
from handrail.robot_env.arms.franka import FrankaConfig, FrankaDriver
from handrail.robot_env.config import EnvConfig, TaskConfig


def franka_config(emulator: FrankaEmulator) -> EnvConfig:
    """Settings of an arm server for an emulated robot."""
    franka = FrankaConfig(host=emulator.host, realtime="ignore")
    seated = tuple(emulator.truth()["seated_pose"])
    return replace(served_config("franka", franka=franka), task=TaskConfig(seated_pose=seated))


def make() -> Bench:
    emulator = FrankaEmulator()
    try:
        config = franka_config(emulator)
        driver = FrankaDriver(config.arm.franka)
    except BaseException:
        emulator.close()
        raise
    return serve(
        driver,
        config,
        # The worst kind: latched, its cause still there, and not one error flag set.
        break_it=lambda: emulator.fault("reflex", flags=False, persists=True),
        repair_it=emulator.release,
        close=emulator.close,
    )
