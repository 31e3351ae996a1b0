"""A Franka on loopback for tests: the process of `franka_server`, held from the test's side.

The real libfranka speaks to it as to a robot; `FrankaEmulator` is the hand at the robot and the eye beside
it, over a channel of its own.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from emulators.scene import EmulatedScene

from handrail.robot_env.sim.truth import RamTruth

SUPPORT = Path(__file__).resolve().parents[1]
SUCCESS_DEPTH = 0.9


class FrankaEmulator:
    """One emulated robot in a process of its own. Use as a context manager.

    Args:
        options: arguments of `RamSimulator`.
    """

    def __init__(self, **options: object) -> None:
        ours, theirs = socket.socketpair()
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SUPPORT)}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "emulators.franka_server", str(theirs.fileno()), json.dumps(options)],
                pass_fds=[theirs.fileno()],
                env=env,
            )
        ours.settimeout(60.0)
        self._socket, self._lines = ours, ours.makefile("r")
        try:
            self.host = str(self.ask("status")["host"])
        except BaseException:
            self.close()
            raise

    def ask(self, do: str, **arguments: object) -> dict[str, Any]:
        """One request and its reply.

        Raises:
            RuntimeError: the emulator refused it, or is gone.
        """
        self._socket.sendall(json.dumps({"do": do, **arguments}).encode() + b"\n")
        line = self._lines.readline()
        reply: dict[str, Any] = json.loads(line) if line else {"error": "the emulator has ended"}
        if "error" in reply:
            raise RuntimeError(f"emulated Franka, {do}: {reply['error']}")
        return reply

    def status(self) -> dict[str, Any]:
        """Time, mode, forces (environment on tool, base frame) and settings, as the box has them."""
        return self.ask("status")

    def truth(self) -> dict[str, Any]:
        """Where everything really is."""
        return self.ask("truth")

    def fault(self, kind: str, **options: object) -> None:
        """Latch "reflex", "user_stop", "guiding" or "locked"; see `franka_server.Desk.do_fault`."""
        self.ask("fault", kind=kind, **options)

    def release(self) -> None:
        """Take the cause away: let go of the user stop, end the guiding; a reflex can be recovered then."""
        self.ask("release")

    def reset(self) -> None:
        """As it was when it was switched on; the client must have gone."""
        self.thaw()  # a test that failed may have left it frozen
        for _ in range(100):
            try:
                self.ask("reset")
                return
            except RuntimeError as error:
                if "connected" not in str(error):
                    raise
                time.sleep(0.02)  # the box has yet to notice that it hung up
        raise RuntimeError("a client is still connected to the emulated Franka")

    def freeze(self) -> None:
        """Stop the process in its tracks, as a pulled cable or a crashed box would look."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self._process.pid, signal.SIGCONT)

    def close(self) -> None:
        """End the process. Safe to call twice."""
        if self._process.poll() is None:
            self.thaw()
        self._lines.close()
        self._socket.close()
        try:
            self._process.wait(10.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FrankaScene(EmulatedScene):
    """The cell around an emulated Franka, as `RobotEnv` and the scripted expert know it.

    Args:
        emulator: the robot.
    """

    def success(self) -> bool:
        """Whether both corners are deeper than 90 % of the groove now."""
        return float(self._emulator.truth()["depth"]) > SUCCESS_DEPTH

    def truth(self) -> RamTruth:
        """Where everything really is. The set-point is the client's: the tool's pose stands for it."""
        return ram_truth(self._emulator.truth())


def ram_truth(reply: Mapping[str, Any]) -> RamTruth:
    """A truth as the emulator sends it, in the simulator's own type."""
    tcp = np.array(reply["T_base_tcp"])
    return RamTruth(
        t_ns=int(reply["ticks"]) * 1_000_000,
        T_base_tcp=tcp,
        T_base_tip=np.array(reply["T_base_tip"]),
        T_base_socket=np.array(reply["T_base_socket"]),
        T_base_setpoint=tcp,
        depth=float(reply["depth"]),
        lateral_m=np.array(reply["lateral_m"]),
        yaw_rad=float(reply["yaw_rad"]),
        peak_force_n=float(reply["peak_n"]),
    )
