"""The control box of an emulated UR e-Series: safety, program, registers, one tick of 2 ms at a time.

No sockets and no clock, only the rules that a driver must live with. A protective stop *pauses* the program,
and `play` would resume it with its old command; it can be unlocked 5 s later at the earliest. An emergency
stop ends the program and switches the arm off, and nothing of that is undone from the network. A watchdog
that starves ends the program, and so does an error in it.
"""

import time
from dataclasses import dataclass

import numpy as np
from emulators.ur.motion import Motion
from emulators.ur.rtde import Value
from emulators.ur.script import Command, ControlScript, ScriptError

from handrail.robot_env.geometry import Array, rotvec_from_quat
from handrail.robot_env.sim.cell import SimCell

TICK_S = 0.002
VERSION = (5, 12, 0, 0)
STOPPED, PLAYING, PAUSED = 1, 2, 4
RUNNING, POWER_OFF = 7, 3
NORMAL, PROTECTIVE_STOP, EMERGENCY_STOP = 1, 3, 7


@dataclass
class Rules:
    """What a test may choose.

    Attributes:
        unlock_s: age that a protective stop must have before it can be unlocked [s].
        force_n: force on the tool at which the robot stops itself [N].
        remote: whether the pendant is in remote control.
    """

    unlock_s: float = 5.0
    force_n: float = 150.0
    remote: bool = True


@dataclass
class Watch:
    """The RTDE watchdog.

    Attributes:
        period_s: longest time between two writes of input register 0 [s].
        fed_s: when it was last written [s].
    """

    period_s: float
    fed_s: float


class ControlBox:
    """One controller.

    Args:
        cell: the UR5e and what stands around it.
        rules: what a test may choose.

    Attributes:
        ticks: ticks so far.
        script: the running program; None without one.
        events: (time [s], what happened).
        uploads: programs received so far.
        writes_while_stopped: commands that came while the robot was stopped.
        force_writes: host and own time [s] of each force-mode command.
        peak_n: largest force since this was last set to 0 [N].
    """

    def __init__(self, cell: SimCell, rules: Rules) -> None:
        self.cell = cell
        self.rules = rules
        self.motion = Motion(cell)
        self.ticks = 0
        self.output_ints = [0] * 48
        self.output_floats = [0.0] * 48
        self.script: ControlScript | None = None
        self.events: list[tuple[float, str]] = []
        self.uploads = 0
        self.robot_mode, self.safety_mode, self.runtime = RUNNING, NORMAL, STOPPED
        self.writes_while_stopped = 0
        self.peak_n = 0.0
        self.force_writes: list[tuple[float, float]] = []
        self._inputs: dict[str, Value] = {}
        self._stopped_s = 0.0
        self._watch: Watch | None = None

    @property
    def time_s(self) -> float:
        """The controller's own time [s]."""
        return self.ticks * TICK_S

    def note(self, what: str) -> None:
        """Record an event."""
        self.events.append((self.time_s, what))

    def tick(self) -> None:
        """2 ms of the robot's life."""
        self.ticks += 1
        if self.runtime == PLAYING and self.script is not None:
            self._run(self.script)
        driven = self.runtime == PLAYING and self.safety_mode == NORMAL
        self.motion.step(TICK_S, driven)
        force_n = float(np.linalg.norm(self.motion.state.wrench[:3]))
        self.peak_n = max(self.peak_n, force_n)
        if force_n > self.rules.force_n and self.safety_mode == NORMAL:
            self.protective_stop(f"force of {force_n:.0f} N")

    # What a program can reach

    def int_in(self, index: int) -> int:
        """An integer input register."""
        value = self._inputs.get(f"input_int_register_{index}", 0)
        assert isinstance(value, int)
        return value

    def floats_in(self, index: int, count: int) -> Array:
        """Some of the number input registers."""
        return np.array(
            [self._inputs.get(f"input_double_register_{i}", 0.0) for i in range(index, index + count)]
        )

    def watch(self, rate_hz: float) -> None:
        """End the program when input register 0 is written less often."""
        self._watch = Watch(1.0 / rate_hz, self.time_s)

    # What the network does

    def write(self, inputs: dict[str, Value]) -> None:
        """Inputs from a client."""
        self._inputs |= inputs
        if "input_int_register_0" in inputs:
            if self._watch is not None:
                self._watch.fed_s = self.time_s
            if inputs["input_int_register_0"] == Command.FORCE_MODE:
                self.force_writes.append((time.monotonic(), self.time_s))
            self.writes_while_stopped += self.safety_mode != NORMAL and bool(inputs["input_int_register_0"])

    def load(self, text: str) -> None:
        """A script from port 30003; it runs at once, in the place of any other."""
        if self.safety_mode != NORMAL or self.robot_mode != RUNNING:
            self.note("script rejected: the robot is stopped")
            return
        self.end_program("replaced")
        self.uploads += 1
        self.runtime = PLAYING
        self.script = ControlScript(self, self.motion, self.cell)
        self.note(f"script of {len(text)} characters runs")

    def value(self, name: str) -> Value:
        """An RTDE output by name."""
        state = self.motion.state
        match name:
            case "timestamp":
                return self.time_s
            case "actual_q":
                return state.q.tolist()
            case "actual_qd":
                return state.dq.tolist()
            case "actual_TCP_pose":
                return ur_pose(state.pose)
            case "actual_TCP_speed":
                return state.twist.tolist()
            case "actual_TCP_force":
                return self.motion.base_wrench().tolist()
            case "robot_mode":
                return self.robot_mode
            case "safety_mode":
                return self.safety_mode
            case "runtime_state":
                return self.runtime
            case "robot_status_bits":
                return 1 | (2 if self.runtime != STOPPED else 0)
            case "safety_status_bits":
                return {NORMAL: 1, PROTECTIVE_STOP: 0x404, EMERGENCY_STOP: 0x4C0}[self.safety_mode]
        kind, _, index = name.rpartition("_")
        registers = self.output_ints if kind == "output_int_register" else self.output_floats
        return registers[int(index)]

    # What people and accidents do

    def protective_stop(self, why: str) -> None:
        """The robot stops itself; its program is paused."""
        if self.safety_mode == NORMAL:
            self.note(f"protective stop: {why}")
            self.safety_mode, self._stopped_s = PROTECTIVE_STOP, self.time_s
            self.runtime = PAUSED if self.runtime == PLAYING else self.runtime
            self.motion.freeze()

    def unlock(self) -> str:
        """Release a protective stop, as the dashboard answers it."""
        if self.safety_mode == PROTECTIVE_STOP and self.time_s - self._stopped_s < self.rules.unlock_s:
            return (
                "Cannot unlock protective stop until 5s after occurrence. "
                "Always inspect cause of protective stop before unlocking"
            )
        if self.safety_mode == PROTECTIVE_STOP:
            self.safety_mode = NORMAL
            self.note("protective stop unlocked")
        return "Protective stop releasing"

    def emergency_stop(self, pressed: bool) -> None:
        """Press or release the button. Released, the arm stays switched off until `power_on`."""
        if pressed:
            self.note("emergency stop")
            self.end_program("emergency stop")
            self.safety_mode, self.robot_mode = EMERGENCY_STOP, POWER_OFF
            self.motion.freeze()
        elif self.safety_mode == EMERGENCY_STOP:
            self.note("emergency stop released")
            self.safety_mode = NORMAL

    def power_on(self) -> None:
        """Switch the arm on and release its brakes."""
        if self.safety_mode == NORMAL:
            self.robot_mode = RUNNING

    def play(self) -> bool:
        """Resume a paused program where it was, old command and all; whether there was one."""
        if self.runtime != PAUSED or self.safety_mode != NORMAL:
            return False
        self.note("program resumed")
        self.runtime = PLAYING
        if self._watch is not None:
            self._watch.fed_s = self.time_s
        return True

    def end_program(self, why: str) -> None:
        """Stop the program, if there is one; the arm brakes."""
        if self.script is not None:
            self.note(f"program ended: {why}")
        self.script = self._watch = None
        self.runtime = STOPPED
        self.motion.halt()

    def _run(self, script: ControlScript) -> None:
        watch = self._watch
        try:
            if not script.tick():
                self.end_program("its own end")
        except ScriptError as error:
            self.end_program(f"runtime exception: {error}")
        if watch is not None and self._watch is watch and self.time_s - watch.fed_s > watch.period_s:
            self.end_program("RTDE watchdog")


def ur_pose(pose: Array) -> list[float]:
    """A pose (7,) in UR's notation: position and rotation vector."""
    return [*pose[:3].tolist(), *rotvec_from_quat(pose[3:]).tolist()]
