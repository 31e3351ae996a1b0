"""The loop that holds ur_rtde, over a robot whose words come when the test says so."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.arms.ur.config import URConfig
from handrail.robot_env.arms.ur.control import ControlLoop
from handrail.robot_env.arms.ur.messages import Alive, Engage, Link, Reading

POSE = np.array((0.5, 0.0, 0.1, 1.0, 0.0, 0.0, 0.0))


class Robot:
    """A robot that takes commands until it has `stopped`, and says so `late` looks afterwards."""

    def __init__(self) -> None:
        self.t_ns = self.device_ns = 1
        self.pose, self.twist, self.wrench = POSE, np.zeros(6), np.zeros(6)
        self.q = self.dq = np.zeros(6)
        self.fault, self.estop, self.program_lost = "", False, False
        self.stopped, self.late = False, 3

    def look(self) -> None:
        if self.stopped:
            self.late -= 1
            if self.late == 0:
                self.fault = "protective stop"

    def press(self, wrench: object) -> bool:
        return not self.stopped

    def kick(self) -> None: ...

    def end_force_mode(self) -> None: ...

    def end_program(self) -> None: ...


class Station:
    """The loop in a thread, and the driver's ends of its links."""

    def __init__(self) -> None:
        self.robot = Robot()
        self.stream, stream = Link.pair()
        self.calls, calls = Link.pair()
        config = URConfig(host="nowhere", silence_s=5.0)
        self._theirs = Link(stream), Link(calls)
        self._loop = ControlLoop(config, self.robot, *self._theirs)  # pyright: ignore[reportArgumentType]
        self._thread = threading.Thread(target=self._loop.run)
        self._thread.start()

    def fault(self) -> str:
        """The first fault that a reading shows."""
        deadline_s = time.monotonic() + 20.0
        while time.monotonic() < deadline_s:
            self.stream.send(Alive())
            self.stream.wait(0.05)
            for message in self.stream.drain():
                if isinstance(message, Reading) and message.fault:
                    return message.fault
        raise AssertionError("no fault was shown")

    def close(self) -> None:
        self.stream.close()
        self.calls.close()
        self._thread.join()
        for link in self._theirs:
            link.close()


@pytest.fixture
def station() -> Iterator[Station]:
    station = Station()
    station.calls.send(Engage(Gains()))
    assert station.calls.wait(20.0)
    (reply,) = station.calls.drain()
    assert reply.error == ""
    yield station
    station.close()


def test_a_robot_that_stops_is_heard_before_it_is_said_to_refuse(station):
    station.robot.stopped = True
    assert station.fault() == "protective stop"


def test_one_that_refuses_without_a_word_is_a_fault_of_its_own(station):
    station.robot.late = -1
    station.robot.stopped = True
    assert "took no force mode command" in station.fault()
