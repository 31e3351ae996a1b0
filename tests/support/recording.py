"""A driver that does at once what it is told, and remembers; and an executor that a test drives by hand."""

from collections import deque
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import numpy as np

from handrail.robot_env.arms.driver import DriverReading
from handrail.robot_env.errors import ArmError, ArmFault

NOWHERE = np.zeros(6)


class RecordingGripper:
    def __init__(self):
        self.calls = []
        self.width_m = 0.04

    def open(self):
        self.calls.append("open")

    def close(self):
        self.calls.append("close")

    def move(self, width_m, force_n):
        self.calls.append(("move", width_m, force_n))


class RecordingDriver:
    """An `ArmDriver` whose arm stands where its set-point is, if nothing else is said.

    Attributes:
        now_ns: time of readings and of what is recorded; set by the test.
        setpoints: (time, pose, number of engagements so far) of every set-point.
        calls: names of the slow methods called, and the gains set.
        loads: every (mass [kg], centre of mass [m]) that was set.
        offset: (7,) added to the pose that it reads: what a contact does.
        changes: fields of the reading to replace.
        failure: raised by `read` when it is not None.
        frozen: whether the reading's time stands still.
    """

    name = "recording"
    joints = 7

    def __init__(self, pose, gripper=True):
        self.gripper: Any = RecordingGripper() if gripper else None
        self.now_ns = 0
        self.setpoints = []
        self.calls = []
        self.loads = []
        self.gains = None
        self.offset = np.zeros(7)
        self.changes = {}
        self.failure: Exception | None = None
        self.frozen = False
        self.engaged = False
        self.engagements = 0
        self.aborted = 0
        self.refuse = {}
        self.pose = np.array(pose, dtype=float)
        self._read_ns = 0

    def connect(self):
        self._called("connect")

    def close(self):
        self._called("close")

    def read(self):
        if self.failure is not None:
            raise self.failure
        if not self.frozen:
            self._read_ns = self.now_ns
        reading = DriverReading(
            self._read_ns, self._read_ns, self.pose + self.offset, NOWHERE, NOWHERE, np.zeros(7), np.zeros(7)
        )
        return replace(reading, **{"engaged": self.engaged, **self.changes})

    def engage(self, gains):
        self._called("engage")
        self.gains = gains
        self.engaged = True
        self.engagements += 1

    def disengage(self):
        self._called("disengage")
        self.engaged = False

    def set_setpoint(self, pose):
        self.setpoints.append((self.now_ns, pose, self.engagements))
        if self.engaged:
            self.pose = np.array(pose)

    def set_gains(self, gains):
        self.gains = gains
        self.calls.append("set_gains")

    def move_joints(self, q, speed):
        self._called("move_joints")

    def abort(self):
        self.aborted += 1

    def clear_fault(self):
        self._called("clear_fault")
        if self.changes.get("fault"):
            raise ArmFault(f"still there: {self.changes['fault']}")

    def set_load(self, mass_kg, com_m):
        self._called("set_load")
        self.loads.append((mass_kg, tuple(com_m)))

    def zero_ft(self):
        self._called("zero_ft")

    def _called(self, name):
        self.calls.append(name)
        if name in self.refuse:
            raise ArmError(self.refuse[name])


class Elsewhere:
    """What a worker thread is to a supervisor: work begins at once, and ends when the test says so.

    Attributes:
        at_once: whether it ends at once too.
        most: most pieces of work that were under way together.
    """

    def __init__(self, at_once=True):
        self.at_once = at_once
        self.most = 0
        self._under_way = deque()

    def submit(self, work):
        future = Future()
        self._under_way.append((work, future))
        self.most = max(self.most, len(self._under_way))
        if self.at_once:
            self.finish()
        return future

    def finish(self):
        """End what is under way."""
        while self._under_way:
            work, future = self._under_way.popleft()
            try:
                work()
            except Exception as error:
                future.set_exception(error)
            else:
                future.set_result(None)
