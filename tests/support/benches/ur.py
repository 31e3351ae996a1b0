"""A UR behind the arm server: the real ur_rtde, and an emulated controller with the RAM board."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from emulators.ur import UREmulator

from benches.bench import Bench
from benches.served import serve, served_config
from handrail.robot_env.arms.ur.config import URConfig
from handrail.robot_env.arms.ur.driver import URDriver
from handrail.robot_env.config import EnvConfig, TaskConfig


def ur_config(emulator: UREmulator) -> EnvConfig:
    """Settings of an arm server for an emulated robot."""
    # Ages for a busy machine; what they are to be in earnest has tests of its own.
    ages = URConfig(stale_s=1.0, silence_s=2.0, watchdog_hz=2.0, unlock_s=0.5)
    ur = replace(ages, host=emulator.host, rate_hz=125.0)
    seated = tuple(emulator.truth()["seated_pose"])
    joint_home = tuple(emulator.status()["q"])
    return replace(served_config("ur", ur=ur, joint_home=joint_home), task=TaskConfig(seated_pose=seated))


@contextmanager
def station() -> Iterator[Callable[[], Bench]]:
    """One controller for all benches, switched off and on for each."""
    with UREmulator() as emulator:
        yield lambda: make(emulator)


def make(emulator: UREmulator) -> Bench:
    emulator.reset()
    config = ur_config(emulator)

    def stop() -> None:
        emulator.ask("unlock_after", seconds=1e6)
        emulator.ask("protective_stop")

    def stopped_ns() -> int:
        stops = [time_s for time_s, what in emulator.status()["events"] if "protective stop:" in what]
        return round(stops[-1] * 1e9)

    return serve(
        URDriver(config.arm.ur),
        config,
        break_it=stop,
        repair_it=lambda: emulator.ask("unlock_after", seconds=0.0),
        stopped_ns=stopped_ns,
    )
