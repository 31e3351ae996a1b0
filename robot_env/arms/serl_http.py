"""An arm behind an existing SERL robot server, so that HIL-SERL's users keep their robot side.

HIL-SERL's controller pulls towards the last set-point for ever and low-passes it (0.2 s); it has no watchdog.
Ours is the arm server in front of it.

What the protocol cannot do, no driver can: its states carry no time and no errors (`SerlWatch` tells what can
be told), a joint reset cannot be ended early, and no force can be asked of the gripper.
"""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import replace

import numpy as np

from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.arms.compliance import serl_from_gains
from handrail.robot_env.arms.driver import DriverReading
from handrail.robot_env.clock import NS_PER_S
from handrail.robot_env.errors import ArmError, ArmFault, ConfigError
from handrail.robot_env.geometry import Array, Vector
from handrail.robot_env.gripper import Gripper
from handrail.robot_env.serl.config import SerlHttpConfig
from handrail.robot_env.serl.protocol import com_in_flange, counts_of_width

SAME_POSTURE_RAD = 0.02
"""Joint angles that differ by less name the same posture [rad]."""
REACHED_RAD = 0.05
"""Farther from its posture than this, a joint reset has failed [rad]; the server itself accepts 0.01."""


class SerlHttpDriver:
    """An `ArmDriver` over HTTP.

    Args:
        config: where the server is.

    Raises:
        ConfigError: the configuration names no server.
    """

    name = "serl_http"

    def __init__(self, config: SerlHttpConfig) -> None:
        from handrail.robot_env.serl.link import SerlLink  # asyncio and httpx, which no setting should cost

        if not config.url:
            raise ConfigError(
                'env.arm.serl_http.url is "": write the SERL server\'s address into the station, such as '
                "http://127.0.0.1:5000/"
            )
        self.joints = config.joints
        self.gripper: Gripper | None = None if config.gripper == "none" else SerlGripper(self, config)
        self._config = config
        self._link = SerlLink(config)
        self._lock = threading.Lock()
        self._engaged = False
        self._motion: Future[bytes] | None = None
        self._gripper_call: Future[None] | None = None

    def connect(self) -> None:
        """Read one state and begin to poll; nothing that moves is sent."""
        self._link.open()

    def close(self) -> None:
        """Stand, then let go. Safe to call twice, and from any thread."""
        self.disengage()
        self._link.close()

    def read(self) -> DriverReading:
        """The newest reading; its time stands still while states are missing or frozen."""
        return replace(self._link.reading(), engaged=self._engaged)

    def engage(self, gains: Gains) -> None:
        """Put the gains in force and pull towards where the arm is, whatever it was pulled to before."""
        reading = self.read()
        if reading.fault:
            raise ArmFault(reading.fault)
        self._command("update_param", serl_from_gains(gains))
        if self._config.manage_impedance:
            self._command("startimp")
        self._link.stand()
        self._link.forgive()
        self._engaged = True

    def disengage(self) -> None:
        """Pull towards where the arm is, so that it presses no longer; or stop its impedance controller."""
        if not self._engaged:
            return
        self._let_go()
        try:
            if self._config.manage_impedance:
                self._link.stop_impedance()
            else:
                self._link.stand()
        except ArmError as error:
            self._link.note(str(error))

    def set_setpoint(self, pose: Array) -> None:
        """Send `pose` (7,) next, in place of one that was not sent yet."""
        with self._lock:  # not one that was on its way here when the pull ended
            if self._engaged:
                self._link.pull(pose)

    def set_gains(self, gains: Gains) -> None:
        """Send new parameters, before the next set-point."""
        self._link.tune(serl_from_gains(gains))

    def move_joints(self, q: Sequence[float] | Array, speed: float) -> None:
        """Have the server do its joint reset, which knows one posture and one speed, its own."""
        wanted, posture = np.asarray(q, dtype=np.float64), np.array(self._config.joint_reset)
        if wanted.shape != posture.shape or np.abs(wanted - posture).max(initial=0.0) > SAME_POSTURE_RAD:
            raise ArmError(
                f"joint angles {np.round(wanted, 3).tolist()} cannot be reached: a SERL server goes to its "
                f"own only, {posture.tolist() or 'which are not given'}; set env.arm.serl_http.joint_reset "
                "to its --reset_joint_target, and env.arm.joint_home to the same"
            )
        session = self._link.session
        with self._link.unwatched():
            with self._lock:
                self._motion = session.submit(session.call("jointreset", None, self._config.joint_reset_s))
            try:
                self._motion.result()
            except CancelledError as error:
                raise ArmError(
                    "the wait for the joint reset was ended, but the SERL server goes on to its posture; use "
                    "the emergency stop if it must not"
                ) from error
            finally:
                with self._lock:
                    self._motion = None
            self._await_posture(posture)

    def abort(self) -> None:
        """Stop waiting for a joint reset. The motion goes on: the protocol has no word that ends it."""
        with self._lock:
            if self._motion is not None:
                self._motion.cancel()

    def clear_fault(self) -> None:
        """Clear the server's errors, and look whether it answers with live states and would obey."""
        self._let_go()
        try:
            self._command("clearerr")
            self._link.look()
            if self._config.manage_impedance:
                self._command("startimp")
                self._link.stop_impedance()
            else:
                self._link.stand()
        except ArmError as error:
            raise ArmFault(str(error)) from error
        self._link.forgive()

    def set_load(self, mass_kg: float, com_m: Vector) -> None:
        """Tell the server, without an inertia; a Franka takes a load only while nothing controls it."""
        centre = com_in_flange(com_m, self._config.tool_in_flange)
        inertia = [0.0] * 9
        self._command(
            "set_load", {"mass": float(mass_kg), "F_x_center_load": centre, "load_inertia": inertia}
        )

    def zero_ft(self) -> None:
        """Tare here: the server's forces are not tared."""
        self._link.tare()

    def command_gripper(self, name: str, payload: object = None) -> None:
        """Send a gripper's command without waiting for the reply; a newer one gives up an older."""

        async def call() -> None:
            try:
                await self._link.session.call(name, payload, self._config.slow_deadline_s)
            except ArmError as error:
                self._link.note(str(error))

        with self._lock:
            if self._gripper_call is not None:
                self._gripper_call.cancel()
            self._gripper_call = self._link.session.submit(call())

    def _command(self, name: str, payload: object = None) -> None:
        self._link.session.request(name, payload, self._config.slow_deadline_s)

    def _let_go(self) -> None:
        """Take no more set-points, and send none of before."""
        with self._lock:
            self._engaged = False
            self._link.pull(None)

    def _await_posture(self, posture: Array) -> None:
        """A joint reset that timed out answers as if it had succeeded: look where the arm is."""
        deadline_ns = time.monotonic_ns() + round(self._config.gone_s * NS_PER_S)
        while True:
            self._link.look()
            off_rad = float(np.abs(self.read().q - posture).max())
            if off_rad <= REACHED_RAD:
                return
            if time.monotonic_ns() > deadline_ns:
                raise ArmError(
                    f"the joint reset ended {off_rad:.3f} rad from its posture, limit {REACHED_RAD}; look at "
                    "the robot, and compare env.arm.serl_http.joint_reset with the server's "
                    "--reset_joint_target"
                )
            time.sleep(1.0 / self._config.poll_hz)


class SerlGripper:
    """The gripper of a SERL server, which presses as hard as that server was told to.

    Args:
        driver: whose gripper it is.
        config: which kind it is, and how wide it opens.
    """

    def __init__(self, driver: SerlHttpDriver, config: SerlHttpConfig) -> None:
        self._driver = driver
        self._config = config

    def open(self) -> None:
        """Open, as far as the server does."""
        self._driver.command_gripper("open_gripper")

    def close(self) -> None:
        """Close until something is held."""
        self._driver.command_gripper("close_gripper")

    def move(self, width_m: float, force_n: float) -> None:
        """Move the jaws to `width_m` apart [m]; the force cannot be passed on."""
        counts = counts_of_width(width_m, self._config.gripper, self._config.gripper_open_m)
        self._driver.command_gripper("move_gripper", {"gripper_pos": counts})

    @property
    def width_m(self) -> float:
        """Opening between the jaws [m]."""
        return self._driver.read().gripper_width_m
