"""What the arm server does to a UR's driver, without the server: read it and move its set-point.

Time is the controller's, so that a slow machine changes nothing; deadlines are generous.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from emulators.ur import UREmulator

from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.arms.driver import DriverReading
from handrail.robot_env.arms.ur.config import URConfig
from handrail.robot_env.arms.ur.driver import URDriver
from handrail.robot_env.errors import ArmError
from handrail.robot_env.geometry import Array, pose_compose

TICK_S = 0.004
DEADLINE_S = 20.0


def patient(emulator: UREmulator, **settings: object) -> URConfig:
    """Settings for an emulated robot, with ages for a busy machine where no others are given."""
    ages = {"stale_s": 1.0, "silence_s": 2.0, "watchdog_hz": 2.0}
    return URConfig(**{"host": emulator.host, **ages, **settings})  # pyright: ignore[reportArgumentType]


class Hands:
    """One driver of one emulated robot. Use as a context manager: connects and closes it.

    Args:
        emulator: the robot.
        settings: fields of `URConfig`.
    """

    def __init__(self, emulator: UREmulator, **settings: object) -> None:
        self.emulator = emulator
        self.driver = URDriver(patient(emulator, **settings))
        self.seated = np.array(emulator.truth()["seated_pose"])

    def __enter__(self) -> "Hands":
        self.driver.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.driver.close()

    def above(self, x: float = 0.0, y: float = 0.0, z: float = 0.05, yaw: float = 0.0) -> Array:
        """Tool pose over the socket: x along it, y across, z above the seated pose [m], yaw [rad]."""
        return pose_compose(self.seated, (x, -y, -z, 0.0, 0.0, -np.sin(yaw / 2), np.cos(yaw / 2)))

    def run(self, seconds: float, target: Array | None = None) -> DriverReading:
        """Let the controller's time pass, pulling towards `target`; the last reading."""
        reading = self.driver.read()
        end_ns = reading.device_ns + round(1e9 * seconds)
        deadline_s = time.monotonic() + DEADLINE_S
        while reading.device_ns < end_ns:
            assert time.monotonic() < deadline_s, f"the emulator is too slow for {seconds} s"
            if target is not None:
                self.driver.set_setpoint(target)
            time.sleep(TICK_S)
            reading = self.driver.read()
        return reading

    def until(self, condition: Callable[[DriverReading], bool], what: str) -> DriverReading:
        """Read until something is so; the reading in which it is."""
        deadline_s = time.monotonic() + DEADLINE_S
        while not condition(reading := self.driver.read()):
            assert time.monotonic() < deadline_s, f"never {what}: {reading}"
            time.sleep(TICK_S)
        return reading

    def lost(self) -> tuple[str, float]:
        """Read until the link is gone; why, and how long that took [s]."""
        began_s = time.monotonic()
        while time.monotonic() < began_s + DEADLINE_S:
            try:
                self.driver.read()
            except ArmError as error:
                return str(error), time.monotonic() - began_s
            time.sleep(TICK_S)
        raise AssertionError("the driver never noticed that the link was gone")

    def works(self) -> None:
        """The arm follows set-points, within a millimetre of where it is sent."""
        self.driver.engage(Gains())
        target = self.driver.read().pose.copy()
        target[0] += 0.005
        self.driver.set_setpoint(target)
        reading = self.until(
            lambda reading: bool(np.linalg.norm(reading.pose[:3] - target[:3]) < 1e-3), "where it was sent"
        )
        assert reading.engaged
        self.driver.disengage()


def control_processes() -> list[int]:
    """The processes that hold ur_rtde on behalf of this one."""
    children = " ".join(path.read_text() for path in Path("/proc/self/task").glob("*/children")).split()
    return [int(pid) for pid in children if b"arms.ur.control" in Path(f"/proc/{pid}/cmdline").read_bytes()]
