"""A Universal Robots arm on loopback for tests: the unmodified ur_rtde client takes it for a robot.

The controller runs in a process of its own (`python -m emulators.ur`), with the project's simulated UR5e as
its body, so that contact and insertion are real. `UREmulator` is the hand at the robot and the eye beside it,
over a channel of its own; `URScene` is the cell, as an environment knows it.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from emulators.scene import EmulatedScene

from handrail.robot_env.sim.truth import RamTruth

SUPPORT = Path(__file__).resolve().parents[2]


class UREmulator:
    """One emulated robot. Use as a context manager.

    Args:
        options: fields of `emulators.ur.box.Rules`, and "jaws" for the gripper.

    Attributes:
        host: its address, which it keeps over a `restart`.
    """

    def __init__(self, **options: object) -> None:
        self._options = options
        self._start()
        self.host = str(self.status()["host"])
        self._options = {**options, "host": self.host}

    def ask(self, do: str, **arguments: object) -> Any:
        """One request and its reply.

        Raises:
            RuntimeError: the emulator refused it, or is gone.
        """
        self._socket.sendall(json.dumps({"do": do, **arguments}).encode() + b"\n")
        line = self._lines.readline()
        reply: dict[str, Any] = json.loads(line) if line else {"error": "the emulator has ended"}
        if "error" in reply:
            raise RuntimeError(f"emulated UR, {do}: {reply['error']}")
        return reply["is"]

    def status(self) -> dict[str, Any]:
        """The controller, as somebody at the pendant would see it."""
        return self.ask("status")

    def truth(self) -> dict[str, Any]:
        """Where everything really is; the peak force is the one since the last call."""
        return self.ask("truth")

    @property
    def time_s(self) -> float:
        """The controller's own time [s]."""
        return float(self.status()["time_s"])

    def let_pass(self, seconds: float) -> None:
        """Wait for so much of the controller's time."""
        end_s = self.time_s + seconds
        while self.time_s < end_s:
            time.sleep(0.01)

    def until(self, condition: Callable[[dict[str, Any]], bool], deadline_s: float = 20.0) -> None:
        """Look at the pendant until something is so; the deadline is only there to end a failing test."""
        end_s = time.monotonic() + deadline_s
        while not condition(status := self.status()):
            assert time.monotonic() < end_s, f"it did not come about: {status}"
            time.sleep(0.01)

    def events(self) -> list[str]:
        """What has happened, in order."""
        return [what for _, what in self.status()["events"]]

    def freeze(self) -> None:
        """Stop the process in its tracks: what a pulled cable or a hung controller looks like."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self._process.pid, signal.SIGCONT)

    def reset(self) -> None:
        """As it was when it was switched on, at time zero; the driver must have gone."""
        self.thaw()  # a test that failed may have left it frozen
        for _ in range(200):
            try:
                self.ask("reset")
                return
            except RuntimeError as error:
                if "connected" not in str(error):
                    raise
                time.sleep(0.01)  # the controller has yet to notice that it hung up
        raise RuntimeError("a client is still connected to the emulated UR")

    def kill(self) -> None:
        """Let the controller die."""
        self._process.kill()
        self._hang_up()

    def restart(self) -> None:
        """Start the controller anew, at the same address, the arm at home."""
        self._start()

    def close(self) -> None:
        """End the process. Safe to call twice."""
        if self._process.poll() is None:
            self.thaw()
        self._hang_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SUPPORT)}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "emulators.ur", str(theirs.fileno()), json.dumps(self._options)],
                pass_fds=[theirs.fileno()],
                env=env,
            )
        ours.settimeout(60.0)
        self._socket, self._lines = ours, ours.makefile("r")

    def _hang_up(self) -> None:
        self._lines.close()
        self._socket.close()
        try:
            self._process.wait(10.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class URScene(EmulatedScene):
    """The cell around an emulated UR, as `RobotEnv` and the scripted expert know it.

    Args:
        emulator: the robot.
    """

    def success(self) -> bool:
        """Whether both corners are deeper than 90 % of the groove now."""
        return bool(self._emulator.truth()["success"])

    def truth(self) -> RamTruth:
        """Where everything really is; the set-point is the controller's."""
        truth = self._emulator.truth()
        plain: dict[str, Any] = {}
        for name in (field.name for field in fields(RamTruth)):
            plain[name] = np.array(truth[name]) if isinstance(truth[name], list) else truth[name]
        return RamTruth(**plain)
