"""The process of an emulated UR: `python -m emulators.ur <fd> <json>`.

One thread: a tick of 2 ms, then whatever came in until the next is due, at 500 Hz of real time while the
machine keeps up and slower when not; a late tick is not made up for. A test steers it over the socket `fd`
with a line of JSON for each request and reply, and it ends when that socket closes.
"""

import gc
import hashlib
import json
import random
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from emulators.ur.box import TICK_S, VERSION, ControlBox, Rules
from emulators.ur.ports import Dashboard, LineService, Robotiq, ScriptPort
from emulators.ur.rtde import RtdeServer
from emulators.ur.sockets import Ports, Service

from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.sim.config import SimConfig
from handrail.robot_env.sim.randomize import Draw


class Robot:
    """A controller with its ports.

    Args:
        options: "host" for a certain address, "jaws" for the gripper, and the fields of `Rules`.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        host = options.pop("host", "")
        self._options = options
        self.host, self.ports = open_ports(host, self._switch_on(**options))

    def renew(self) -> None:
        """As it was when it was switched on; nobody may be connected."""
        self.ports.renew(self._switch_on(**self._options))

    def _switch_on(self, jaws: int = 255, **rules: Any) -> dict[int, Service]:
        """A new controller and arm; what answers on which port."""
        self.cell = SimCell(SimConfig(arm="ur5e", chunk_s=TICK_S))
        self.box = ControlBox(self.cell, Rules(**rules))
        self.gripper = Robotiq(self.box, jaws)
        self.rtde = RtdeServer(VERSION, 1.0 / TICK_S, self.box.value, self.box.write)
        self.script = ""
        greeting = "Connected: Universal Robots Dashboard Server"
        return {
            29999: LineService(Dashboard(self.box).answer, greeting),
            30003: ScriptPort(self._load),
            30004: self.rtde,
            63352: LineService(self.gripper.answer),
        }

    def _load(self, text: str) -> None:
        self.script = text
        self.box.load(text)


def open_ports(host: str, services: dict[int, Service]) -> tuple[str, Ports]:
    """Listen at `host`, or at a free loopback address: the ports are fixed, the address need not be."""
    for _ in range(50):
        candidate = host or f"127.{random.randint(16, 250)}.{random.randint(1, 250)}.{random.randint(1, 250)}"
        try:
            return candidate, Ports(candidate, services)
        except OSError:
            if host:
                raise
    raise OSError("no loopback address has the ports of a UR free")


class Desk:
    """Answers a test's requests, and keeps the time."""

    def __init__(self, robot: Robot, channel: socket.socket) -> None:
        self._robot = robot
        self._channel = channel

    def serve(self) -> bool:
        """Answer what has come in; False once the test has hung up."""
        try:
            data = self._channel.recv(65536)
        except BlockingIOError:
            return True
        for line in data.splitlines():
            request = json.loads(line)
            try:
                action: Callable[..., Any] = getattr(self, f"do_{request.pop('do')}")
                reply = {"is": action(**request)}
            except Exception as error:
                reply = {"error": f"{type(error).__name__}: {error}"}
            self._channel.sendall(json.dumps(reply).encode() + b"\n")
        return bool(data)

    def do_status(self) -> dict[str, Any]:
        """The controller as somebody at the pendant would see it."""
        box, script = self._robot.box, self._robot.box.script
        force = box.motion.force
        return {
            "host": self._robot.host,
            "time_s": box.time_s,
            "q": box.motion.state.q.tolist(),
            "runtime": box.runtime,
            "uploads": box.uploads,
            "events": box.events,
            "counts": script.counts if script else {},
            "payload": script.payload if script else [],
            "tcp": script.tcp if script else [],
            "damping": box.motion.damping,
            "scaling": box.motion.scaling,
            "force": force.wrench.tolist() if force else [],
            "speed_limits": force.limits.tolist() if force else [],
            "writes_while_stopped": box.writes_while_stopped,
            "gripper": self._robot.gripper.commands,
            "script_sha256": hashlib.sha256(self._robot.script.encode()).hexdigest(),
        }

    def do_reset(self) -> None:
        """Somebody switches the controller off and on; the arm is back at home."""
        self._robot.renew()

    def do_script(self) -> str:
        """The text of the program that was uploaded last."""
        return self._robot.script

    def do_truth(self) -> dict[str, Any]:
        """Where everything really is; the peak force is the one since the last call."""
        cell, box = self._robot.cell, self._robot.box
        truth = cell.truth()
        peak_n, box.peak_n = box.peak_n, 0.0
        return {
            **{name: np.asarray(value).tolist() for name, value in vars(truth).items()},
            "peak_force_n": peak_n,
            "seated_pose": cell.seated_pose.tolist(),
            "success": cell.success(),
            "commanded": box.motion.commanded.tolist(),
            "base_wrench": box.motion.base_wrench().tolist(),
        }

    def do_randomize(self, draw: dict[str, Any]) -> None:
        """Put an episode's circumstances in force."""
        self._robot.cell.put_in_force(msgspec.convert(draw, Draw))

    def do_protective_stop(self) -> None:
        """The robot stops itself."""
        self._robot.box.protective_stop("a test asked for it")

    def do_emergency_stop(self, pressed: bool) -> None:
        """Somebody presses or releases the button."""
        self._robot.box.emergency_stop(pressed)

    def do_power_on(self) -> None:
        """Somebody switches the arm on at the pendant."""
        self._robot.box.power_on()

    def do_remote(self, on: bool) -> None:
        """Somebody changes remote control at the pendant."""
        self._robot.box.rules.remote = on

    def do_play(self) -> bool:
        """Somebody presses play."""
        return self._robot.box.play()

    def do_unlock_after(self, seconds: float) -> None:
        """Change how old a protective stop must be to be unlocked."""
        self._robot.box.rules.unlock_s = seconds

    def do_unlock(self) -> str:
        """Somebody releases a protective stop at the pendant."""
        return self._robot.box.unlock()

    def do_end_program(self) -> None:
        """Somebody stops the program at the pendant."""
        self._robot.box.end_program("pendant")

    def do_gripper(self, active: bool) -> None:
        """Somebody activates the gripper at the pendant, or not."""
        self._robot.gripper.activate(active)

    def do_gripper_cable(self, plugged: bool) -> None:
        """Somebody pulls the gripper's cable, or plugs it in."""
        self._robot.gripper.cable = plugged

    def do_sensor(self, offset: list[float]) -> None:
        """The force sensor drifts: what it shows beside the truth, (6,), base orientation."""
        self._robot.box.motion.offset[:] = offset

    def do_writes(self) -> list[tuple[float, float]]:
        """When force mode's commands came: host and controller time [s]."""
        return self._robot.box.force_writes


def main() -> None:
    """Serve one robot until the test hangs up."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.setblocking(False)
    robot = Robot(json.loads(sys.argv[2]))
    desk = Desk(robot, channel)
    gc.freeze()
    due_s = time.monotonic()
    while desk.serve():
        robot.box.tick()
        robot.rtde.publish(robot.box.ticks)
        due_s += TICK_S
        now_s = time.monotonic()
        if due_s < now_s:
            due_s = now_s
        robot.ports.poll(0.0)
        while (left_s := due_s - time.monotonic()) > 0.0:
            robot.ports.poll(left_s)
    robot.ports.close()


if __name__ == "__main__":
    main()
