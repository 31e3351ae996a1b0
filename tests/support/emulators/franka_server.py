"""The process of an emulated Franka: `python -m emulators.franka_server <fd> <json>`.

One thread: commands, a physics step of 1 ms, the state, at 1 kHz of real time while the machine keeps up and
slower when not. A test steers it over the socket `fd` with a line of JSON for each request and reply, and it
ends when that socket closes.
"""

import ctypes
import gc
import json
import logging
import random
import signal
import socket
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from emulators.franka_box import ControlBox
from emulators.franka_cell import RamSimulator
from franky_sim.franka_robot_protocol import MoveStatus, RobotMode

from handrail.robot_env.sim.randomize import Draw

TICK_S = 0.001
PR_SET_PDEATHSIG = 1
PATIENCE_S = 0.02
"""How long a client in control may take over the first tick before it counts as missed [s]."""
MODES = {
    "reflex": (RobotMode.kReflex, MoveStatus.kReflexAborted),
    "user_stop": (RobotMode.kUserStopped, MoveStatus.kEmergencyAborted),
    "guiding": (RobotMode.kGuiding, MoveStatus.kPreempted),
    "locked": (RobotMode.kOther, MoveStatus.kAborted),
}


def hosts(count: int = 50) -> list[str]:
    """Loopback addresses at random: the ports are fixed, so that every emulator needs one of its own."""
    return [
        f"127.{random.randint(16, 250)}.{random.randint(1, 250)}.{random.randint(1, 250)}"
        for _ in range(count)
    ]


@dataclass
class Desk:
    """Answers a test's requests."""

    cell: RamSimulator
    box: ControlBox
    began: float

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        do = str(request.pop("do"))
        return getattr(self, f"do_{do}")(**request) or {}

    def do_status(self) -> dict[str, Any]:
        box = self.box
        return {
            "host": box.hostname,
            "ticks": box.ticks,
            "wall_s": time.monotonic() - self.began,
            "mode": box.robot_state.robot_mode.name,
            "time_ms": box.time_ms,
            "stopped_ms": box.stopped_ms,
            "wrench": (-box.wrench).tolist(),
            "peak_n": box.peak,
            "force_limits": box.force_limits.tolist(),
            "torque_limits": box.torque_limits.tolist(),
            "load": [self.cell.arm.m_load, *self.cell.arm.F_x_Cload],
            "q": list(self.cell.arm.inner_state.q),
        }

    def do_truth(self) -> dict[str, Any]:
        truth = self.cell.truth() | {"ticks": self.box.ticks, "peak_n": self.box.peak}
        self.box.peak = 0.0
        return truth

    def do_fault(
        self, kind: str, error: str = "cartesian_reflex", flags: bool = True, persists: bool = False
    ) -> None:
        mode, status = MODES[kind]
        self.box.persists = persists
        self.box.stop_with(mode, {error} if kind == "reflex" else set(), status, flags)

    def do_release(self) -> None:
        self.box.persists = False
        self.box.release()

    def do_reset(self) -> None:
        self.do_release()
        self.box.renew()

    def do_randomize(self, draw: dict[str, Any]) -> None:
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in draw.items()}
        self.cell.randomize(Draw(**fields))

    def do_sensor(self, bias: list[float], singular: bool = False) -> None:
        self.box.bias, self.box.singular = np.array(bias), singular

    def do_hand(self, homed: bool = True, silent: bool = False, stop_ms: int = 0) -> None:
        self.box.home_hand(homed)
        self.box.hinder_hand(silent, stop_ms)


class Channel:
    """Lines of JSON over a socket that is looked at, never waited for."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(False)
        self._buffer = b""

    def serve(self, desk: Desk) -> bool:
        """Answer what has come in; False once the test has hung up."""
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return True
        self._buffer += data
        while b"\n" in self._buffer:
            line, self._buffer = self._buffer.split(b"\n", 1)
            try:
                reply = desk.answer(json.loads(line))
            except Exception as error:
                reply = {"error": f"{type(error).__name__}: {error}"}
            self._socket.sendall(json.dumps(reply).encode() + b"\n")
        return bool(data)


def main() -> None:
    # A frozen emulator does not see that its test has died: the kernel ends it then.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    fd, options = int(sys.argv[1]), json.loads(sys.argv[2])
    # It warns that its controllers ignore the stiffness frame; the one here that uses it is the client's.
    logging.getLogger("franky_sim").setLevel(logging.ERROR)
    cell = RamSimulator(**options)
    cell.start()
    box = ControlBox(cell, hosts())
    box.init()
    box.process_commands()
    cell.step()  # There is no state to report before the first step.
    channel = Channel(fd)
    desk = Desk(cell, box, time.monotonic())
    gc.freeze()
    due = time.monotonic()
    while channel.serve(desk):
        box.wait_for_client(PATIENCE_S)
        box.process_commands()
        cell.step()
        box.watch()
        box.send_state()
        due += TICK_S
        now = time.monotonic()
        if due > now:
            time.sleep(due - now)
        else:
            due = now  # A late tick is not made up for: the client would get a burst.
    box.cleanup()


if __name__ == "__main__":
    main()
