"""The process that holds ur_rtde: `python -m handrail.robot_env.arms.ur.control <fd> <fd>`.

ur_rtde is kept out of the arm server's process, because it takes that down with it. When a controller falls
silent, its own threads try to reconnect after 2.5 s: the process then dies of a segmentation fault, or a
motion never returns; meanwhile its getters repeat old values and its commands return True. Taking the objects
apart in time is no way out (`disconnect` blocks for 5 s, their destructors and constructors hold the
interpreter's lock). So this process watches the robot's own time, and when that stands still it says so and
ends at once, without touching the objects again. The driver then starts another one. Force mode also keeps
its beat here while the server's interpreter is busy; it inherits the server's real-time priority.

Three watch over each other. The robot's RTDE watchdog ends the program when this process falls silent; this
process lets go when the driver falls silent; the driver ends this process when it does.
"""

import contextlib
import math
import os
import signal
import socket
import sys
import time

import numpy as np

from handrail.robot_env.arms.ur.config import URConfig
from handrail.robot_env.arms.ur.impedance import Impedance
from handrail.robot_env.arms.ur.messages import (
    Abort,
    Disengage,
    Engage,
    Link,
    Lost,
    MoveJoints,
    Reading,
    Reply,
    SetGains,
    SetLoad,
    Setpoint,
    Setup,
    Tare,
)
from handrail.robot_env.arms.ur.robot import RTDE_HZ, RobotLost, SettingRefused, URRobot
from handrail.robot_env.geometry import Array

ARRIVED_RAD, RESTING_RAD_S = 2e-3, 2e-2
"""How near its goal a joint motion ends, and how slow the joints are then."""
PROGRESS_RAD, STANDSTILL_S = 1e-4, 1.0
"""A motion that comes no nearer to its goal than that for so long has been stopped [s]."""
ABORTED_S = 0.5
"""An order to end a joint motion counts for one asked for so soon after it, too [s]: they overtake."""
TELLS_S = 0.05
"""How long a robot that takes no command may take to say why: a stop shows in its modes a bit later [s]."""
ENDED_EARLY = "the joint motion was ended early"


class JointMotion:
    """A joint motion under way.

    Args:
        goal: joint angles to reach (6,) [rad].
        now_s: time [s].
    """

    def __init__(self, goal: Array, now_s: float) -> None:
        self._goal = goal
        self._nearest_rad = math.inf
        self._nearer_s = now_s
        self.aborted = False

    def ended(self, q: Array, dq: Array, now_s: float) -> str | None:
        """None while it goes on; then "" at the goal, or why it is not there."""
        off_rad = float(np.abs(q - self._goal).max())
        if off_rad < self._nearest_rad - PROGRESS_RAD:
            self._nearest_rad, self._nearer_s = off_rad, now_s
        if float(np.abs(dq).max()) < RESTING_RAD_S:
            if self.aborted:
                return ENDED_EARLY
            if off_rad < ARRIVED_RAD:
                return ""
        if now_s - self._nearer_s > STANDSTILL_S:
            return (
                f"the joint motion stopped {off_rad:.3f} rad short of its goal; see the pendant's log, and "
                "what is in its way"
            )
        return None


class ControlLoop:
    """One robot, one driver, one thread.

    Args:
        config: facts of the robot.
        robot: the robot.
        stream: readings out, set-points in.
        calls: requests in, replies out.
    """

    def __init__(self, config: URConfig, robot: URRobot, stream: Link, calls: Link) -> None:
        self._config = config
        self._robot = robot
        self._stream, self._calls = stream, calls
        self._impedance: Impedance | None = None
        self._target: Array | None = None
        self._move: JointMotion | None = None
        self._heard_s = time.monotonic()
        self._aborted_s = -math.inf
        self._latched = ""
        stream.send(self._reading())

    def run(self) -> None:
        """Keep the beat until the driver hangs up or the robot is lost."""
        period_s = 1.0 / self._config.rate_hz
        due_s = time.monotonic()
        with contextlib.suppress(EOFError):
            while True:
                self._hear()
                self._robot.look()
                self._act()
                self._stream.send(self._reading())
                due_s += period_s
                left_s = due_s - time.monotonic()
                if left_s > 0.0:
                    time.sleep(left_s)
                else:
                    due_s -= left_s  # what was missed is not caught up with in a burst
        if not self._fault():
            self._stop_move()
            self._let_go()
            self._robot.end_program()

    def _hear(self) -> None:
        for message in self._stream.drain():
            self._heard_s = time.monotonic()
            match message:
                case Setpoint() if self._impedance is not None:
                    self._target = np.array(message.pose)
                case SetGains() if self._impedance is not None:
                    self._impedance = Impedance(message.gains, self._config)
                case Abort():
                    self._aborted_s = self._heard_s
                    self._stop_move()
        for request in self._calls.drain():
            reply = self._answer(request)
            if reply is not None:
                # The driver must not see the answer before what it speaks of.
                self._stream.send(self._reading())
                self._calls.send(reply)

    def _answer(self, request: object) -> Reply | None:
        """Do what is asked; None where the reply comes later."""
        fault = self._fault()
        if isinstance(request, Disengage):
            if not fault:
                self._let_go()
            return Reply()
        if fault:
            return Reply(fault, fault=True)
        robot = self._robot
        match request:
            case Engage(gains=gains):
                self._target, self._impedance = robot.pose, Impedance(gains, self._config)
                if self._press():
                    return Reply()
                self._impedance = self._target = None
                return self._refused("force mode")
            case MoveJoints(q=q, speed=speed):
                if time.monotonic() - self._aborted_s < ABORTED_S:
                    return Reply(ENDED_EARLY)
                if not robot.within_limits(q):
                    angles = [round(x, 3) for x in q]
                    return Reply(f"the joint angles {angles} are outside the robot's limits")
                self._let_go()
                self._move = JointMotion(np.array(q), time.monotonic())
                if robot.move_joints(q, speed):
                    return None
                self._move = None
                return self._refused("a joint motion")
            case Tare():
                return Reply() if robot.tare() else self._refused("to zero its force sensor")
            case SetLoad(mass_kg=mass_kg, com_m=com_m):
                return Reply() if robot.set_load(mass_kg, com_m) else self._refused("a payload")
        return Reply(f"{type(request).__name__} is not a request")

    def _act(self) -> None:
        """One round's command to the robot; none while it is stopped."""
        now_s = time.monotonic()
        if fault := self._fault():
            self._impedance = self._target = None
            if self._move is not None:
                self._move = None
                self._calls.send(Reply(fault, fault=True))
            return
        driven = self._impedance is not None or self._move is not None
        silent_s = now_s - self._heard_s
        if driven and silent_s > self._config.silence_s:
            self._stop_move()
            self._let_go()
            self._latched = f"the arm server fell silent for {1e3 * silent_s:.0f} ms; recover()"
        elif self._impedance is not None:
            if not self._press():
                self._latched = self._why_refused()
        else:
            self._robot.kick()
            self._follow_move(now_s)

    def _follow_move(self, now_s: float) -> None:
        if self._move is not None:
            outcome = self._move.ended(self._robot.q, self._robot.dq, now_s)
            if outcome is not None:
                self._move = None
                self._calls.send(Reply(outcome))

    def _stop_move(self) -> None:
        if self._move is not None and not self._move.aborted:
            self._move.aborted = True
            self._robot.stop_joints()

    def _press(self) -> bool:
        assert self._impedance is not None and self._target is not None
        robot = self._robot
        wrench = self._impedance.wrench(self._target, robot.pose, robot.twist)
        return bool(np.isfinite(wrench).all()) and robot.press(wrench)

    def _why_refused(self) -> str:
        """Why it took no command; "" where it says so itself: one that stops does that a moment later."""
        robot, until_s = self._robot, time.monotonic() + TELLS_S
        while not robot.fault and not robot.program_lost:
            if time.monotonic() > until_s:
                return "the robot took no force mode command; see the pendant's log, then recover()"
            time.sleep(1.0 / RTDE_HZ)
            robot.look()
        return ""

    def _let_go(self) -> None:
        if self._impedance is not None:
            self._impedance = self._target = None
            self._robot.end_force_mode()

    def _fault(self) -> str:
        """Why the robot must not be commanded; what is more than a safety stop stays until a new process."""
        if self._robot.program_lost and not self._latched:
            self._latched = (
                "the control program on the robot has ended (its watchdog, somebody at the pendant, or an "
                "error): see the pendant's log, then recover()"
            )
        return self._robot.fault or self._latched

    def _refused(self, what: str) -> Reply:
        return Reply(self._robot.fault or f"the robot refused {what}; see the pendant's log")

    def _reading(self) -> Reading:
        robot = self._robot
        return Reading(
            t_ns=robot.t_ns,
            device_ns=robot.device_ns,
            pose=tuple(robot.pose.tolist()),
            twist=tuple(robot.twist.tolist()),
            wrench=tuple(robot.wrench.tolist()),
            q=tuple(robot.q.tolist()),
            dq=tuple(robot.dq.tolist()),
            fault=self._fault(),
            estop=robot.estop,
            engaged=self._impedance is not None,
        )


def main() -> None:
    """Serve one driver. Ends by `os._exit`: ur_rtde's destructors reconnect, wait and crash."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)  # the arm server's to handle: it brakes first, then hangs up
    stream, calls = (Link(socket.socket(fileno=int(fd))) for fd in sys.argv[1:3])
    calls.wait(10.0)
    try:
        (setup,) = calls.drain()
        assert isinstance(setup, Setup)
        robot = URRobot(setup.config, setup.load)
    except Exception as error:  # there is no arm to recover() yet
        calls.send(Reply(_last_words(error)))
        os._exit(1)
    try:
        loop = ControlLoop(setup.config, robot, stream, calls)
        calls.send(Reply())
        loop.run()
    except Exception as error:
        stream.send(Lost(f"{_last_words(error)}, then recover()"))
        os._exit(1)
    os._exit(0)


def _last_words(error: Exception) -> str:
    if isinstance(error, SettingRefused):
        return f"the UR refused {error}; see the pendant's log, and correct it there or here"
    # A robot that has died makes ur_rtde's commands try to reconnect, and raise.
    what = f"the UR {error}" if isinstance(error, RobotLost) else f"the UR is lost: ur_rtde says {error}"
    return f"{what}; look at its cable and its controller"


if __name__ == "__main__":
    main()
