"""The program that ur_rtde uploads, as far as Handrail needs it: commands in registers, done one at a time.

Input register 0 holds a command's number, the others its arguments. Output register 0 says 1 when the script
is ready for a command and 2 when it has done one; the client then writes 0. Real-time commands (force mode
among them) are simply taken up at each tick. Written from the text of the script, whose hash a test holds: a
new ur_rtde may mean something else by the same numbers.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Protocol

import numpy as np
from emulators.ur.motion import ForceMode, Motion

from handrail.robot_env.errors import ArmError
from handrail.robot_env.geometry import Array, pose_from, quat_from_rotvec
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.sim.hand import TCP_OFFSET_M

READY, DONE = 1, 2
INSTALLED_TCP = (0.0, 0.0, TCP_OFFSET_M, 0.0, 0.0, 0.0)
MOST_PAYLOAD_KG = 7.5
"""Of a UR5e; one set beyond it ends the program [kg]."""
"""The tool centre point of the robot's installation, in UR's notation."""


class Command(IntEnum):
    """The numbers of the commands that are emulated."""

    NONE = 0
    MOVEJ = 1
    MOVEJ_IK = 2
    FORCE_MODE = 6
    FORCE_MODE_STOP = 7
    ZERO_FT = 8
    SET_PAYLOAD = 17
    DAMPING = 20
    GAIN_SCALING = 21
    SET_TCP = 29
    PROTECTIVE_STOP = 31
    STOPL = 33
    STOPJ = 34
    SET_WATCHDOG = 35
    JOINTS_WITHIN_LIMITS = 37
    GET_TCP = 40
    END = 255


class ScriptError(Exception):
    """A runtime exception of the program: the controller ends it and shows a pop-up."""


class Registers(Protocol):
    """The registers, and the little else that a program can reach."""

    output_ints: list[int]
    output_floats: list[float]

    def int_in(self, index: int) -> int:
        """An integer input."""
        ...

    def floats_in(self, index: int, count: int) -> Array:
        """Some of the number inputs."""
        ...

    def protective_stop(self, why: str) -> None:
        """Stop the robot."""
        ...

    def watch(self, rate_hz: float) -> None:
        """End the program when input register 0 is written less often."""
        ...


class ControlScript:
    """One run of the uploaded program.

    Args:
        box: registers.
        motion: the arm.
        cell: what the arm stands in.

    Attributes:
        counts: how often each command was taken up.
        payload: mass [kg] and centre of mass [m] that were set.
        tcp: the tool centre point that was set, in UR's notation.
    """

    def __init__(self, box: Registers, motion: Motion, cell: SimCell) -> None:
        self._box = box
        self._motion = motion
        self._cell = cell
        self._executing = False
        self._until: Callable[[], bool] | None = None
        self._operation, self._writes = 0, 0
        self._moving = False
        self.counts: dict[int, int] = {}
        self.payload: list[float] = []
        self.tcp = list(INSTALLED_TCP)
        motion.damping, motion.scaling = 0.025, 0.5  # the script sets these when it starts
        self._progress(-1)
        box.output_ints[0] = READY

    def tick(self) -> bool:
        """One round of its main loop; whether it goes on.

        Raises:
            ScriptError: a command cannot be done.
        """
        if self._moving and self._motion.joints is None:
            self._moving = False
            self._progress(-1)
        if self._until is not None:
            if self._until():
                self._until = None
                self._box.output_ints[0] = DONE
            return True
        command = self._box.int_in(0)
        if command == Command.FORCE_MODE:
            self._count(command)
            self._force_mode()
            self._box.output_ints[0] = READY
        elif command == Command.NONE:
            self._executing = False
            self._box.output_ints[0] = READY
        elif not self._executing:
            self._executing = True
            self._count(command)
            if command == Command.END:
                return False
            self._until = self._process(command)
            if self._until is None:
                self._box.output_ints[0] = DONE
        return True

    def _count(self, command: int) -> None:
        self.counts[command] = self.counts.get(command, 0) + 1

    def _process(self, command: int) -> Callable[[], bool] | None:
        """Do a command, or begin it and return what says that it is done."""
        box, motion = self._box, self._motion
        match command:
            case Command.MOVEJ | Command.MOVEJ_IK:
                return self._move_joints(command)
            case Command.FORCE_MODE_STOP:
                motion.force = None
                return lambda: motion.at_rest
            case Command.ZERO_FT:
                self._cell.tare()
                motion.offset[:] = 0.0
            case Command.SET_PAYLOAD:
                self.payload = box.floats_in(0, 4).tolist()
                if self.payload[0] > MOST_PAYLOAD_KG:
                    raise ScriptError(f"a payload of {self.payload[0]:g} kg")
            case Command.DAMPING:
                motion.damping = float(box.floats_in(0, 1)[0])
            case Command.GAIN_SCALING:
                motion.scaling = float(box.floats_in(0, 1)[0])
            case Command.SET_TCP:
                self.tcp = box.floats_in(0, 6).tolist()
            case Command.PROTECTIVE_STOP:
                box.protective_stop("the program asked for it")
            case Command.STOPL | Command.STOPJ:
                if motion.joints is not None:
                    motion.joints.braking = True
                    motion.joints.acceleration = max(0.1, float(box.floats_in(0, 1)[0]))
                return None if box.int_in(1) else lambda: motion.at_rest
            case Command.SET_WATCHDOG:
                box.watch(float(box.floats_in(0, 1)[0]))
            case Command.JOINTS_WITHIN_LIMITS:
                box.output_ints[1] = int(bool(np.all(np.abs(box.floats_in(0, 6)) < 6.2)))
            case Command.GET_TCP:
                box.output_floats[:6] = self.tcp
            case _:
                raise ScriptError(f"command {command} is not emulated")
        return None

    def _move_joints(self, command: int) -> Callable[[], bool] | None:
        box, motion = self._box, self._motion
        goal, (speed, acceleration) = box.floats_in(0, 6), box.floats_in(6, 2)
        try:
            if command == Command.MOVEJ_IK:
                pose = pose_from(goal[:3], quat_from_rotvec(goal[3:]))
                goal = self._cell.kinematics.solve(pose, motion.state.q)
            motion.begin_joints(goal, float(speed), float(acceleration))
        except ArmError as error:
            raise ScriptError(str(error)) from error
        if box.int_in(1):
            self._moving = True
            self._progress(0)
            return None
        return lambda: motion.joints is None

    def _force_mode(self) -> None:
        box, motion = self._box, self._motion
        selection = np.array([box.int_in(index) for index in range(2, 8)], dtype=np.float64)
        motion.joints = None
        motion.force = ForceMode(selection, box.floats_in(6, 6), np.abs(box.floats_in(12, 6)))

    def _progress(self, value: int) -> None:
        """Write the register in which an asynchronous motion reports."""
        self._writes = (self._writes + 1) % 128
        self._operation = (self._operation + (value == 0)) % 128
        running = 0x8000 + value if value >= 0 else 0
        self._box.output_ints[2] = (self._operation << 24) + (self._writes << 16) + running
