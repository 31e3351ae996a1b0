"""The simulated cell as a driver for the arm server: the same physics, in real time, in a thread of its own.

What is lockstep's clock there is the host's here. A host that falls behind by more than a twentieth of a
second lets the difference go: simulated time is then slower than real time, and `device_ns` says so.
"""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace

import numpy as np

from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.arms.driver import DriverReading
from handrail.robot_env.arms.refusals import not_connected
from handrail.robot_env.clock import NS_PER_S
from handrail.robot_env.errors import ArmError, ArmFault, HandrailError
from handrail.robot_env.geometry import Array, Vector
from handrail.robot_env.gripper import Gripper
from handrail.robot_env.sim.cell import SimCell
from handrail.robot_env.sim.joint_motion import JointMotion
from handrail.robot_env.sim.randomize import Draw
from handrail.robot_env.sim.truth import RamTruth

STEP_NS = 5_000_000
"""Simulated time between two readings, and between two looks at the set-point."""
_MOST_BEHIND_NS = 50_000_000


class SimDriver:
    """An `ArmDriver` made of a `SimCell`.

    Args:
        cell: the simulated cell; belongs to this driver's thread while it is connected.
        speed: simulated seconds in a second.

    Attributes:
        scene: the cell, for whoever may know where everything is; usable from any thread.
    """

    name = "sim"
    gripper: Gripper | None = None  # the simulated hand holds the module for good

    def __init__(self, cell: SimCell, speed: float = 1.0) -> None:
        self.joints = len(cell.read().q)
        self.scene = LiveScene(cell)
        self._cell = cell
        self._speed = speed
        self._lock = self.scene.lock
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self._setpoint: Array | None = None
        self._motion: JointMotion | None = None
        self._moved: Future[None] = Future()  # how the newest joint motion ended
        self._engaged = False
        self._fault = ""
        self._estop = False
        self._cause = ""
        self._diverged = False
        self._reading = self._read_cell()

    def connect(self) -> None:
        """Let simulated time run."""
        if self._thread is None:
            self._closed.clear()
            self._thread = threading.Thread(target=self._run, name="sim-arm", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop simulated time."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            with self._lock:
                self._end_motion(not_connected())

    def read(self) -> DriverReading:
        """The reading of the last step."""
        return self._reading

    def engage(self, gains: Gains) -> None:
        """Follow set-points, from where the tool is."""
        with self._lock:
            if self._fault:
                raise ArmFault(self._fault)
            self._cell.set_gains(gains)
            self._stand()
            self._engaged = True
            self._reading = self._read_cell()

    def disengage(self) -> None:
        """Stand still where the tool is."""
        with self._lock:
            self._stand()
            self._reading = self._read_cell()

    def set_setpoint(self, pose: Array) -> None:
        """Pull towards `pose` from the next step on."""
        if self._engaged:
            self._setpoint = pose

    def set_gains(self, gains: Gains) -> None:
        """Change the impedance."""
        with self._lock:
            self._cell.set_gains(gains)

    def move_joints(self, q: Sequence[float] | Array, speed: float) -> None:
        """Move to joint angles (J,) [rad] at `speed`, a share of the arm's rated speeds in (0, 1].

        Raises:
            ArmFault: a fault ended the motion.
            ArmError: the angles are refused, the arm is engaged or not connected, or `abort` ended it.
        """
        with self._lock:
            if self._fault:
                raise ArmFault(self._fault)
            if self._engaged:
                raise ArmError("the simulated arm follows set-points; disengage it before a joint motion")
            if self._thread is None:
                raise not_connected()
            motion = JointMotion(self._cell, q, speed)
            self._moved = Future()
            self._motion = motion
        self._moved.result()

    def abort(self) -> None:
        """End a joint motion early; it brakes."""
        with self._lock:
            if self._motion is not None:
                self._motion.brake()

    def clear_fault(self) -> None:
        """Be ready again, if the physics is sound and nobody keeps the fault up."""
        with self._lock:
            if self._cause:
                raise ArmFault(self._cause)
            if self._diverged:
                raise ArmFault("the simulated physics has diverged; restart the arm server")
            self._fault, self._estop = "", False
            self._stand()
            self._reading = self._read_cell()

    def set_load(self, mass_kg: float, com_m: Vector) -> None:
        """Nothing to tell: the simulated arm already compensates what it carries."""

    def zero_ft(self) -> None:
        """Tare the force reading."""
        with self._lock:
            self._cell.tare()
            self._reading = self._read_cell()

    def inject_fault(self, cause: str, estop: bool = False) -> None:
        """Have the robot stop with a fault whose cause stays until `remove_cause`. For tests and drills."""
        with self._lock:
            self._cause = self._fault = cause
            self._estop = estop
            self._end_motion(ArmFault(cause))
            self._stand()
            self._reading = self._read_cell()

    def remove_cause(self) -> None:
        """Take the cause of the injected fault away; the fault itself stays. An e-stop is released."""
        with self._lock:
            self._cause, self._estop = "", False
            self._reading = self._read_cell()

    def _stand(self) -> None:
        """Hold the present pose by the robot's own means."""
        self._engaged = False
        self._setpoint = None
        pose = self._cell.read().pose
        if np.isfinite(pose).all():
            self._cell.set_setpoint(pose)

    def _end_motion(self, error: HandrailError | None) -> None:
        """Let whoever asked for a joint motion know how it ended."""
        if self._motion is None:
            return
        self._motion = None
        if error is None:
            self._moved.set_result(None)
        else:
            self._moved.set_exception(error)

    def _run(self) -> None:
        step_s = STEP_NS / NS_PER_S / self._speed
        due_s = time.monotonic()
        while not self._closed.wait(max(0.0, due_s - time.monotonic())):
            due_s = max(due_s + step_s, time.monotonic() - _MOST_BEHIND_NS / NS_PER_S)
            with self._lock:
                self._step()

    def _step(self) -> None:
        if self._setpoint is not None:
            self._cell.set_setpoint(self._setpoint)
            self._setpoint = None
        try:
            if self._motion is not None and self._motion.advance(STEP_NS):
                self._end_motion(None)
            if not self._diverged:
                self._cell.advance(STEP_NS)
        except ArmFault as error:
            self._diverged, self._fault = True, str(error)
            self._engaged = False
            self._end_motion(error)
        except ArmError as error:
            self._end_motion(error)
        self._reading = self._read_cell()

    def _read_cell(self) -> DriverReading:
        raw = self._cell.read()
        self.scene.felt(raw.peak_force_n)
        return DriverReading(
            t_ns=time.monotonic_ns(),
            device_ns=raw.t_ns,
            pose=raw.pose,
            twist=raw.twist,
            wrench=raw.wrench,
            q=raw.q,
            dq=raw.dq,
            gripper_width_m=raw.gripper_width_m,
            fault=self._fault,
            estop=self._estop,
            engaged=self._engaged,
        )


class LiveScene:
    """What stands around a simulated arm while its time runs. Any thread may ask.

    Args:
        cell: the cell.

    Attributes:
        lock: held by whoever touches the cell.
    """

    def __init__(self, cell: SimCell) -> None:
        self.lock = threading.RLock()
        self._cell = cell
        self._peak_n = 0.0

    @property
    def seated_pose(self) -> Array:
        """(7,) tool pose with the module seated in the nominal socket, base frame."""
        return self._cell.seated_pose

    def put_in_force(self, episode: Draw) -> None:
        """Put an episode's circumstances in force; the arm does not move.

        Raises:
            ArmError: the module still stands in the socket.
        """
        with self.lock:
            self._cell.put_in_force(episode)

    def success(self) -> bool:
        """Whether the module is seated now."""
        with self.lock:
            return self._cell.success()

    def truth(self) -> RamTruth:
        """Where everything is; the peak force is that since the last call."""
        with self.lock:
            truth, self._peak_n = replace(self._cell.truth(), peak_force_n=self._peak_n), 0.0
        return truth

    def positions(self) -> tuple[int, Array]:
        """Simulated time [ns] and the positions of all joints (nq,) then."""
        with self.lock:
            return self._cell.time_ns, self._cell.data.qpos.copy()

    def felt(self, force_n: float) -> None:
        """Take note of the largest force of a step [N]."""
        self._peak_n = max(self._peak_n, force_n)
