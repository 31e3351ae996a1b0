"""The simulated cell: an arm under Cartesian impedance, holding a module over a socket.

One object, one thread. Time passes only in `advance`, in chunks of 10 ms; before each chunk `on_chunk` may
move the set-point, which is how the servo smooths a command. The cell knows nothing of tasks, actions or
episodes: `randomize` changes the socket and the circumstances, never the arm, which goes where it is told.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import mujoco as mj
import numpy as np

from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.clock import NS_PER_S
from handrail.robot_env.errors import ArmError, ArmFault
from handrail.robot_env.geometry import Array, Vector, pose_compose, pose_relative
from handrail.robot_env.sim.config import RandomizationConfig, SimConfig
from handrail.robot_env.sim.hand import SEATED_TCP_HEIGHT_M
from handrail.robot_env.sim.insertion import insertion_depth
from handrail.robot_env.sim.kinematics import ArmKinematics
from handrail.robot_env.sim.model import ARM_PARTS, compile_cell
from handrail.robot_env.sim.randomize import Draw, Randomizer, draw
from handrail.robot_env.sim.sizes import MODULE_LENGTH_M, MODULE_THICKNESS_M, TOWER_HEIGHT_M
from handrail.robot_env.sim.truth import RamTruth

POSTURE_PERIOD_NS = 50_000_000
SUCCESS_DEPTH = 0.9
"""The worse corner must be deeper than this share of the groove."""

# MuJoCo would write its warnings to a file in the working directory; `SimCell` turns them into an `ArmFault`.
mj.set_mju_user_warning(lambda message: None)


@dataclass(frozen=True)
class CellState:
    """What the arm's own sensors say. Arrays are float64 and belong to the reader.

    Attributes:
        t_ns: Simulated time [ns].
        pose: Tool centre point in the base frame, (7,).
        twist: Linear [m/s] and angular [rad/s] velocity of it, base frame, (6,).
        wrench: Force [N] and torque [Nm] of the environment on the tool about the tool centre point, TOOL
            frame, averaged over the last advance and tared, (6,).
        q: Joint angles [rad], (J,).
        dq: Joint velocities [rad/s], (J,).
        gripper_width_m: Opening of the gripper [m].
        peak_force_n: Largest force since the last reading [N].
    """

    t_ns: int
    pose: Array
    twist: Array
    wrench: Array
    q: Array
    dq: Array
    gripper_width_m: float
    peak_force_n: float


class SimCell:
    """The simulated cell.

    Poses are [x y z qx qy qz qw] in the base frame [m]. Not thread-safe: one thread owns a cell.

    Attributes:
        config: What was built.
        on_chunk: Called before each chunk with the simulated time [ns]; may call `set_setpoint`.
        nominal_socket: Where the socket is *said* to be, (7,); only the visible displacement moves it.
        seated_pose: Tool pose with the module seated in the nominal socket, (7,).
        home_pose: Tool pose at construction, (7,).
        kinematics: The arm's joints: their limits, and the angles that reach a pose.
        rated_rad_s: Fastest speed of each joint, by the arm's data sheet [rad/s], (J,).
        episode: The circumstances in force.
    """

    def __init__(self, config: SimConfig | None = None) -> None:
        """Build the cell with the arm at its home pose.

        Args:
            config: What to build; the default is the Panda's cell.
        """
        self.config = config or SimConfig()
        self.model = compile_cell(self.config)
        self.data = mj.MjData(self.model)
        self.on_chunk: Callable[[int], None] | None = None
        parts = ARM_PARTS[self.config.arm]
        self.kinematics = ArmKinematics(self.model, parts.joints, parts.posture)
        self.rated_rad_s = np.array(parts.rated_rad_s)
        self._randomizer = Randomizer(self.model)
        self._tcp_site = self.model.site("tcp").id
        self._tip_site = self.model.site("tip").id
        self._flange = self.model.body("flange").id
        self._module = self.model.body("module").id
        self._board = self.model.body("board").id
        self._root = int(self.model.body_rootid[self._module])
        self._step_ns = round(self.config.timestep_s * NS_PER_S)
        self._chunk_ns = round(self.config.chunk_s * NS_PER_S)
        self._time_ns = 0
        self._due_ns = 0
        self._posture_ns = 0
        self._stale = False
        self._twist = np.zeros(6)
        self._wrench_raw = np.zeros(6)
        self._tare, self._tare_force = np.zeros(6), [0.0, 0.0, 0.0]
        self._peak_n = self._peak_unread_n = 0.0
        self._delayed: deque[tuple[int, list[float]]] = deque()
        self._gains = Gains()
        self._set_episode(Draw())
        self.home_pose = self.seated_pose.copy()
        self.home_pose[2] += self.config.home_height_m
        self._place(self.home_pose)
        self.kinematics.posture = self.data.qpos[self.kinematics.qpos_at].copy()

    @property
    def time_ns(self) -> int:
        """Simulated time since construction [ns]."""
        return self._time_ns

    def advance(self, dt_ns: int) -> None:
        """Let `dt_ns` [ns] pass. Fractions of a time step are carried over to the next call.

        Raises:
            ArmFault: The physics diverged; the message says when.
        """
        self._due_ns += max(0, int(dt_ns))
        steps = self._due_ns // self._step_ns
        if not steps:
            return
        self._due_ns -= steps * self._step_ns
        model, data = self.model, self.data
        total = [0.0] * 6
        samples, self._peak_n = 0, 0.0
        per_chunk = self._chunk_ns // self._step_ns
        while steps:
            if self.on_chunk is not None:
                self.on_chunk(self._time_ns)
            if self._delayed:
                self._apply_delayed()
            if self.kinematics.redundant and self._time_ns >= self._posture_ns:
                self._pull_elbow()
            count = min(per_chunk, steps)
            mj.mj_step(model, data, nstep=count)
            steps -= count
            self._time_ns += count * self._step_ns
            wrench = self._sense()
            total = [a + b for a, b in zip(total, wrench, strict=True)]
            samples += 1
            self._peak_n = max(self._peak_n, math.dist(wrench[:3], self._tare_force))
        self._stale = True
        self._wrench_raw = np.array(total) / samples
        self._peak_unread_n = max(self._peak_unread_n, self._peak_n)
        self._guard()

    def set_setpoint(self, pose: Vector) -> None:
        """Move the pose (7,) that the impedance controller pulls towards, after the drawn delay."""
        values = pose.tolist() if isinstance(pose, np.ndarray) else list(pose)
        if self.episode.delay_s > 0.0:
            self._delayed.append((self._time_ns + round(self.episode.delay_s * NS_PER_S), values))
        else:
            self._write_setpoint(values)

    @property
    def setpoint(self) -> Array:
        """The set-point in force, (7,)."""
        w, x, y, z = self.data.mocap_quat[0].tolist()
        return np.array([*self.data.mocap_pos[0].tolist(), x, y, z, w])

    def read(self) -> CellState:
        """Read the arm's sensors now; the peak force starts anew."""
        self._refresh()
        wrench = self._wrench_raw - self._tare
        if any(self.episode.wrench_noise) or any(self.episode.wrench_bias):
            wrench += self.episode.wrench_bias
            wrench += self._noise.normal(0.0, 1.0, 6) * self.episode.wrench_noise
        peak, self._peak_unread_n = self._peak_unread_n, 0.0
        q, dq = self.joints()
        return CellState(
            t_ns=self._time_ns,
            pose=self._tcp_pose(),
            twist=self._twist_now(),
            wrench=wrench,
            q=q,
            dq=dq,
            gripper_width_m=MODULE_THICKNESS_M,
            peak_force_n=peak,
        )

    def set_gains(self, gains: Gains) -> None:
        """Change the impedance; the set-point stays where it is."""
        self._gains = gains
        k, d = self.episode.stiffness_factor, self.episode.damping_factor
        prm = self.model.actuator_biasprm
        prm[:3, 1], prm[3:, 1] = -k * gains.translation_n_m, -k * gains.rotation_nm_rad
        prm[:3, 2], prm[3:, 2] = -d * gains.translation_damping_ns_m, -d * gains.rotation_damping_nms_rad

    def tare(self) -> None:
        """Take the force and torque of the last advance as zero; nothing may touch the module."""
        self._tare = self._wrench_raw.copy()
        self._tare_force = self._tare[:3].tolist()
        self._peak_n = self._peak_unread_n = 0.0

    def joints(self) -> tuple[Array, Array]:
        """Joint angles (J,) [rad] and velocities (J,) [rad/s]; looking takes no peak force."""
        return self.data.qpos[self.kinematics.qpos_at].copy(), self.data.qvel[self.kinematics.dof_at].copy()

    def follow_joints(self, q: Array) -> None:
        """Pull the tool to where joint angles (J,) [rad] put it, and the elbow with it; it stays there."""
        self._delayed.clear()
        self._write_setpoint(self.kinematics.pose(q).tolist())
        self.kinematics.posture = q

    def randomize(self, rng: np.random.Generator, config: RandomizationConfig | None = None) -> Draw:
        """Draw the next episode's circumstances and put them in force; the arm does not move.

        Args:
            rng: Everything drawn follows from it.
            config: What varies; None for the nominal cell.

        Raises:
            ArmError: The module still stands between the socket's towers, which cannot be moved then.
        """
        episode = Draw() if config is None else draw(rng, config)
        self.put_in_force(episode)
        return episode

    def put_in_force(self, episode: Draw) -> None:
        """Put circumstances that were drawn elsewhere in force; otherwise as `randomize`."""
        tip = pose_relative(self._socket_pose(), self._tip_pose())
        if tip[2] < TOWER_HEIGHT_M and np.abs(tip[:2]).max() < MODULE_LENGTH_M / 2:
            raise ArmError(
                f"the module's tip is {tip[2] * 1e3:.1f} mm above the groove's floor, below the towers' "
                f"{TOWER_HEIGHT_M * 1e3:.0f} mm; lift it out before the socket is displaced"
            )
        self._set_episode(episode)

    def truth(self) -> RamTruth:
        """Where everything really is."""
        self._refresh()
        tip, socket = self._tip_pose(), self._socket_pose()
        tip_in_socket = pose_relative(socket, tip)
        depth, yaw = insertion_depth(tip_in_socket)
        return RamTruth(
            t_ns=self._time_ns,
            T_base_tcp=self._tcp_pose(),
            T_base_tip=tip,
            T_base_socket=socket,
            T_base_setpoint=self.setpoint,
            depth=depth,
            lateral_m=tip_in_socket[:2].copy(),
            yaw_rad=yaw,
            peak_force_n=self._peak_n,
        )

    def success(self) -> bool:
        """Whether both corners are deeper than 90 % of the groove now."""
        self._refresh()
        return insertion_depth(pose_relative(self._socket_pose(), self._tip_pose()))[0] > SUCCESS_DEPTH

    def teleport(self, pose: Vector) -> None:
        """Put the tool at `pose` (7,), at rest. For tests and benchmarks only: no real arm can do this.

        Raises:
            ArmError: The pose is out of reach.
        """
        self._place(np.asarray(pose, dtype=np.float64))

    def _place(self, pose: Array) -> None:
        """Set the joints for a tool pose, everything at rest and the sensor tared."""
        data = self.data
        data.qpos[:] = self.model.qpos0
        data.qpos[self.kinematics.qpos_at] = self.kinematics.solve(pose)
        data.qvel[:] = data.qacc_warmstart[:] = data.qfrc_applied[:] = 0.0
        self._delayed.clear()
        self._write_setpoint(pose.tolist())
        mj.mj_forward(self.model, data)
        self._wrench_raw = np.array(self._sense())
        self._stale = True
        self.tare()

    def _set_episode(self, episode: Draw) -> None:
        """Put an episode's circumstances in force."""
        self.episode = episode
        self._randomizer.apply(episode)
        self._noise = np.random.default_rng(episode.noise_seed)
        self.set_gains(self._gains)
        while self._delayed:
            self._write_setpoint(self._delayed.popleft()[1])
        x, y, yaw = episode.visible
        self.nominal_socket = pose_compose(
            (*self.config.socket_position_m, 0.0, 0.0, 0.0, 1.0),
            (x, y, 0.0, 0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2)),
        )
        seated = (0.0, 0.0, SEATED_TCP_HEIGHT_M, 1.0, 0.0, 0.0, 0.0)
        self.seated_pose = pose_compose(self.nominal_socket, seated)
        self._stale = True

    def _pull_elbow(self) -> None:
        """Renew the pull towards the home posture: slow enough to be done twenty times a second."""
        kinematics = self.kinematics
        torque = kinematics.posture_torque(self.data, self.config.posture_stiffness_nm)
        self.data.qfrc_applied[kinematics.dof_at] = torque
        self._posture_ns = self._time_ns + POSTURE_PERIOD_NS

    def _apply_delayed(self) -> None:
        """Put every set-point whose time has come in force."""
        while self._delayed and self._delayed[0][0] <= self._time_ns:
            self._write_setpoint(self._delayed.popleft()[1])

    def _write_setpoint(self, pose: list[float]) -> None:
        """Move the target body. A non-finite pose never gets here: the gate holds it back."""
        x, y, z, qx, qy, qz, qw = pose
        self.data.mocap_pos[0] = (x, y, z)
        self.data.mocap_quat[0] = (qw, qx, qy, qz)

    def _sense(self) -> list[float]:
        """Force [N] and torque [Nm] of the environment on the tool about its centre point, tool frame.

        Read from the load between hand and module in the physics step just made, as a wrist sensor would:
        the module's weight and inertia are in it.
        """
        data = self.data
        mj.mj_rnePostConstraint(self.model, data)
        tx, ty, tz, fx, fy, fz = data.cfrc_int[self._module].tolist()
        cx, cy, cz = data.subtree_com[self._root].tolist()
        px, py, pz = data.site_xpos[self._tcp_site].tolist()
        # MuJoCo takes torques about the tree's centre of mass: move them to the tool centre point.
        rx, ry, rz = cx - px, cy - py, cz - pz
        tx, ty, tz = tx + ry * fz - rz * fy, ty + rz * fx - rx * fz, tz + rx * fy - ry * fx
        m = data.site_xmat[self._tcp_site].tolist()
        return [
            -(m[0] * fx + m[3] * fy + m[6] * fz),
            -(m[1] * fx + m[4] * fy + m[7] * fz),
            -(m[2] * fx + m[5] * fy + m[8] * fz),
            -(m[0] * tx + m[3] * ty + m[6] * tz),
            -(m[1] * tx + m[4] * ty + m[7] * tz),
            -(m[2] * tx + m[5] * ty + m[8] * tz),
        ]

    def _refresh(self) -> None:
        """Bring positions and velocities up to the state: a physics step leaves them one step behind."""
        if self._stale:
            mj.mj_kinematics(self.model, self.data)
            mj.mj_comPos(self.model, self.data)
            mj.mj_comVel(self.model, self.data)
            self._stale = False

    def _tcp_pose(self) -> Array:
        return self._pose(self.data.site_xpos[self._tcp_site], self._flange)

    def _tip_pose(self) -> Array:
        return self._pose(self.data.site_xpos[self._tip_site], self._module)

    def _socket_pose(self) -> Array:
        return self._pose(self.data.xpos[self._board], self._board)

    def _pose(self, position: Array, body: int) -> Array:
        """A pose (7,) from a position and a body's orientation."""
        w, x, y, z = self.data.xquat[body].tolist()
        return np.array([*position.tolist(), x, y, z, w])

    def _twist_now(self) -> Array:
        """Velocity of the tool centre point, (6,): linear, then angular (MuJoCo's order is the reverse)."""
        velocity = self._twist
        mj.mj_objectVelocity(self.model, self.data, mj.mjtObj.mjOBJ_SITE, self._tcp_site, velocity, 0)
        return np.concatenate((velocity[3:], velocity[:3]))

    def _guard(self) -> None:
        """Refuse to go on with a state that is no longer physics.

        Raises:
            ArmFault: Non-finite positions or velocities, or a MuJoCo warning.
        """
        data = self.data
        warnings = data.warning.number
        if math.isfinite(float(data.qpos.sum() + data.qvel.sum())) and not warnings.any():
            return
        kinds = [mj.mjtWarning(kind).name[7:].lower() for kind in np.flatnonzero(warnings)]
        raise ArmFault(
            f"simulated physics diverged at {self._time_ns / NS_PER_S:.3f} s "
            f"({', '.join(kinds) or 'non-finite state'}); lower the gains or sim.timestep_s "
            f"({self.config.timestep_s} s now), then make a new cell"
        )
