"""The link to a Franka: one connection, one thread that looks at the robot, and the SDK's errors as ours.

A look at the robot blocks for a millisecond while it idles and for a second when it has fallen silent, so
only this thread looks, 400 times a second, and everybody else gets its last look at once. A robot object
whose link was lost stays lost: opening the link again makes a new one.

The SDK hangs up when nothing refers to its robot any more, and has no other way to do so. Nobody keeps one
in a variable, therefore: an error's traceback would hold on to it, and to the connection.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from handrail.robot_env.arms.franka.config import FrankaConfig
from handrail.robot_env.arms.franka.patience import CONNECT_S, in_time
from handrail.robot_env.arms.franka.state import fault_of, pose_of
from handrail.robot_env.errors import ArmError, ArmFault
from handrail.robot_env.geometry import (
    Array,
    Vector,
    pose_apply,
    pose_compose,
    pose_from,
    pose_inverse,
)

T = TypeVar("T")

LOOK_S = 0.002
"""Time between two looks at the robot [s]."""
NOT_SET_UP = "the robot's tool frame and thresholds are not set yet"
LOAD_RADIUS_M = 0.03
"""A load counts as a ball of this size: libfranka wants an inertia as well."""


@dataclass(frozen=True)
class Look:
    """One look at the robot.

    Attributes:
        state: franky's RobotState.
        t_ns: when it arrived here, host monotonic clock [ns].
        device_ns: the robot's own time [ns], running on over a reconnection.
        fault: why the robot will not move; "" when it would.
        estop: whether software must not clear that.
    """

    state: Any
    t_ns: int
    device_ns: int
    fault: str
    estop: bool

    @property
    def mode(self) -> str:
        """The robot's mode, such as "Idle"."""
        return self.state.robot_mode.name


class FrankaLink:
    """One connection to one robot.

    Args:
        sdk: the franky module.
        config: facts of the robot.

    Attributes:
        lost: why the link is gone; "" while it is there.
        in_use: whether a control loop ought to be running; the looking thread clears it when that has ended.
        ended: why it ended by itself; "" until then.
        unready: why frames and thresholds are not set; "" when they are. In a fault they have to wait.
    """

    def __init__(self, sdk: Any, config: FrankaConfig) -> None:
        self._sdk = sdk
        self._config = config
        self._robot: Any = None
        self._look: Look | None = None
        self._looker: threading.Thread | None = None
        self._closing = threading.Event()
        self._base_ns = 0
        self._load: tuple[float, Vector] = (config.load_mass_kg, config.load_com_m)
        self.lost = ""
        self.in_use = False
        self.ended = ""
        self.unready = NOT_SET_UP

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, sound or not."""
        return self._robot is not None

    @property
    def robot(self) -> Any:
        """The SDK's robot.

        Raises:
            ArmError: not connected.
        """
        robot = self._robot
        if robot is None:
            raise ArmError("the Franka is not connected; call connect() first")
        return robot

    def open(self) -> None:
        """Connect and begin to look; set frames, thresholds and load, or wait for the end of a fault to.

        Raises:
            ArmError: the robot cannot be reached, or refused a setting.
        """
        sdk, config = self._sdk, self._config
        realtime = sdk.RealtimeConfig.Enforce if config.realtime == "enforce" else sdk.RealtimeConfig.Ignore
        self._robot = self._reach(lambda: sdk.Robot(config.host, realtime_config=realtime))
        self.lost = self.ended = ""
        self.unready = NOT_SET_UP
        try:
            if not self._take_look().fault:
                self._set_up()
                self._take_look()
        except BaseException:
            self.close()
            raise
        self._closing.clear()
        self._looker = threading.Thread(target=self._keep_looking, name="franka-look", daemon=True)
        self._looker.start()

    def close(self) -> None:
        """Stop looking and hang up. Safe to call twice."""
        self._closing.set()
        if self._looker is not None:
            self._looker.join()
            self._looker = None
        if self._look is not None:
            self._base_ns = self._look.device_ns
        self._robot = self._look = None
        self.in_use = False

    def newest(self) -> Look:
        """The last look at the robot.

        Raises:
            ArmError: not connected, or the link is gone.
        """
        if self.lost:
            raise ArmError(self.lost)
        look = self._look
        if look is None:
            raise ArmError("the Franka is not connected; call connect() first")
        return look

    def jacobian(self, state: Any) -> Array:
        """Jacobian (6, 7) of the tool in the base frame."""
        return self.robot.model.zero_jacobian(self._sdk.Frame.EndEffector, state)

    def attempt(self, what: str, call: Callable[[], T]) -> T:
        """Call the SDK.

        Raises:
            ArmFault: it raised, and the robot is in a fault or a motion was ended by one.
            ArmError: it raised otherwise.
        """
        try:
            return call()
        except Exception as error:
            look = self._look
            faulted = look is not None and look.fault
            kind = ArmFault if faulted or isinstance(error, self._sdk.ControlException) else ArmError
            raise kind(f"the Franka did not {what}: {first_line(error)}") from error

    def set_load(self, mass_kg: float, com_m: Vector) -> None:
        """Tell the robot what it carries: mass [kg] and centre of mass (3,) in the tool's frame [m].

        It is told again at every later opening of the link.
        """
        self._send_load(mass_kg, com_m, self.newest().state)
        self._load = (mass_kg, com_m)

    def _send_load(self, mass_kg: float, com_m: Vector, state: Any) -> None:
        com = pose_apply(pose_of(state.F_T_EE), com_m).tolist()
        inertia = (0.4 * mass_kg * LOAD_RADIUS_M**2 * np.eye(3)).flatten().tolist()
        self.attempt("set its load", lambda: self.robot.set_load(mass_kg, com, inertia))

    def _reach(self, call: Callable[[], T]) -> T:
        """The result of a call that may never return: in time, or an error."""
        host = self._config.host
        try:
            return in_time(call, CONNECT_S)
        except TimeoutError:
            raise ArmError(
                f"the Franka at {host} did not answer in {CONNECT_S:g} s; check its cable and its power; it "
                "takes one client only: where another one runs, end that"
            ) from None
        except Exception as error:
            raise ArmError(f"the Franka at {host}: {first_line(error)}; {self._remedy(error)}") from error

    def _remedy(self, error: Exception) -> str:
        """What to do about a robot that cannot be reached."""
        if isinstance(error, self._sdk.IncompatibleVersionException):
            return "franky's own wheels are for an FR3 with system 5.9 or later; older robots need others"
        if isinstance(error, self._sdk.CommandException):
            return "release the user stop, unlock the brakes and activate FCI in Desk"
        if isinstance(error, self._sdk.RealtimeException):
            return "boot a real-time kernel and allow rtprio 99, or set env.arm.franka.realtime to ignore"
        return "check its cable and address, and that FCI is activated in Desk"

    def _set_up(self) -> None:
        """Frames, thresholds and load: the robot takes them only while it idles."""
        config = self._config
        if config.tcp is not None:
            state = self.attempt("send its state", lambda: self.robot.state)
            tool = pose_compose(
                pose_inverse(pose_of(state.F_T_NE)), pose_from(config.tcp[:3], config.tcp[3:])
            )
            matrix = self._sdk.Affine(tool[:3], tool[3:]).matrix.flatten(order="F").tolist()
            self.attempt("set its tool frame", lambda: self.robot.set_ee(matrix))
        # With the stiffness frame in the tool, the wrench is the tool's.
        self.attempt("set its stiffness frame", lambda: self.robot.set_k(np.eye(4).flatten().tolist()))
        torques, forces = list(config.collision_torque_nm), list(config.collision_force_n)
        self.attempt("set its thresholds", lambda: self.robot.set_collision_behavior(torques, forces))
        # No load is sent as well: the robot remembers the one of an earlier session.
        state = self.attempt("send its state", lambda: self.robot.state)
        self._send_load(*self._load, state)
        self.unready = ""

    def _keep_looking(self) -> None:
        """Look at the robot until the link is gone or closes."""
        robot = self._robot
        while not self._closing.wait(LOOK_S):
            try:
                look = self._take_look()
            except Exception as error:
                self.lost = f"the link to the Franka at {self._config.host} is gone: {first_line(error)}"
                self.in_use = False
                return
            if self.unready and not look.fault:
                try:
                    self._set_up()
                except ArmError as error:
                    self.unready = str(error)
            if self.in_use and not robot.is_in_control:
                self.ended = _why_it_ended(robot)
                self.in_use = False

    def _take_look(self) -> Look:
        """Read the state; one that was seen before is no news."""
        state = self._robot.state
        device_ns = self._base_ns + round(state.time.to_sec() * 1e9)
        look = self._look
        if look is None or device_ns != look.device_ns:
            look = self._look = Look(state, time.monotonic_ns(), device_ns, *fault_of(state))
        return look


def first_line(error: Exception) -> str:
    """The SDK's message without the log that it appends."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _why_it_ended(robot: Any) -> str:
    """What ended the control loop, in the SDK's words."""
    try:
        robot.poll_motion()
    except Exception as error:
        return f"the control loop ended: {first_line(error)}"
    return "the control loop ended without an error"
