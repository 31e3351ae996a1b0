"""Draws an episode's circumstances and writes them into the physics model.

All draws are made in a fixed order whatever the switches say, so that one seed gives the same hidden
displacement with and without, say, sensor noise. Applying a draw sets *every* quantity, nominal or not:
nothing of the episode before can leak through, and the arm itself is never touched.
"""

from dataclasses import dataclass, field
from math import cos, sin

import mujoco as mj
import numpy as np

from handrail.robot_env.sim.config import RandomizationConfig
from handrail.robot_env.sim.look import Look, draw_look
from handrail.robot_env.sim.ram import CLEARANCE_M, SPRING_JOINTS, SPRING_N_M, WALL_PREFIX


@dataclass(frozen=True)
class Draw:
    """One episode's circumstances; the defaults are the nominal cell.

    Attributes:
        visible: Displacement of the nominal socket: x, y [m] and yaw [rad].
        hidden: Further displacement of the actual socket in the nominal one's frame: x, y [m], yaw [rad].
        grasp: Offset of the module in the hand: along it, along the approach axis [m], pitch [rad].
        friction: Sliding friction [1].
        clearance_m: Gap between the module and each wall [m].
        spring_n_m: Stiffness of the contact springs [N/m].
        stiffness_factor: On the arm's impedance [1].
        damping_factor: On the arm's impedance [1].
        wrench_bias: Bias of the force/torque sensor [N, Nm], 6 values.
        wrench_noise: Standard deviation of its readings [N, Nm], 6 values.
        delay_s: Delay of the set-point [s].
        noise_seed: Seed of the sensor noise.
        look: Light, texture and camera poses.
    """

    visible: tuple[float, float, float] = (0.0, 0.0, 0.0)
    hidden: tuple[float, float, float] = (0.0, 0.0, 0.0)
    grasp: tuple[float, float, float] = (0.0, 0.0, 0.0)
    friction: float = 0.25
    clearance_m: float = CLEARANCE_M
    spring_n_m: float = SPRING_N_M
    stiffness_factor: float = 1.0
    damping_factor: float = 1.0
    wrench_bias: tuple[float, ...] = (0.0,) * 6
    wrench_noise: tuple[float, ...] = (0.0,) * 6
    delay_s: float = 0.0
    noise_seed: int = 0
    look: Look = field(default_factory=Look)


def draw(rng: np.random.Generator, config: RandomizationConfig) -> Draw:
    """Draw one episode's circumstances; everything follows from `rng`."""
    u = rng.uniform(-1.0, 1.0, 26).tolist()
    noise_seed = int(rng.integers(2**63))

    def within(value: float, limits: tuple[float, float]) -> float:
        return limits[0] + (value + 1.0) / 2.0 * (limits[1] - limits[0])

    c, nominal = config, Draw()
    bias = [c.force_bias_n] * 3 + [c.torque_bias_nm] * 3
    noise = (c.force_noise_n,) * 3 + (c.torque_noise_nm,) * 3
    return Draw(
        hidden=(u[0] * c.hidden_xy_m, u[1] * c.hidden_xy_m, u[2] * c.hidden_yaw_rad)
        if c.hidden
        else nominal.hidden,
        visible=(u[3] * c.visible_xy_m, u[4] * c.visible_xy_m, u[5] * c.visible_yaw_rad)
        if c.visible
        else nominal.visible,
        grasp=(u[6] * c.grasp_m, u[7] * c.grasp_m, u[8] * c.grasp_pitch_rad) if c.grasp else nominal.grasp,
        friction=within(u[9], c.friction) if c.contact else nominal.friction,
        clearance_m=within(u[10], c.clearance_m) if c.contact else nominal.clearance_m,
        spring_n_m=within(u[11], c.spring_n_m) if c.contact else nominal.spring_n_m,
        stiffness_factor=1.0 + u[12] * c.controller_fraction if c.controller else 1.0,
        damping_factor=1.0 + u[13] * c.controller_fraction if c.controller else 1.0,
        wrench_bias=tuple(a * b for a, b in zip(u[14:20], bias, strict=True))
        if c.force_sensor
        else nominal.wrench_bias,
        wrench_noise=noise if c.force_sensor else nominal.wrench_noise,
        delay_s=within(rng.uniform(-1.0, 1.0), c.delay_s) if c.delay else 0.0,
        noise_seed=noise_seed,
        look=draw_look(u[20:26], noise_seed, c),
    )


class Randomizer:
    """Writes draws into one physics model, remembering what nominal means.

    Args:
        model: The physics model, as compiled.
    """

    def __init__(self, model: mj.MjModel) -> None:
        self._model = model
        self._board = model.body("board").id
        self._module = model.body("module").id
        self._board_pos = model.body_pos[self._board].copy()
        self._module_pos = model.body_pos[self._module].copy()
        names = [model.geom(index).name for index in range(model.ngeom)]
        self._walls = [
            (index, -1.0 if "near" in name else 1.0, float(model.geom_pos[index, 1]))
            for index, name in enumerate(names)
            if name.startswith(WALL_PREFIX)
        ]
        self._contact_geoms = np.flatnonzero(
            np.isin(model.geom_bodyid, [self._board, self._module, *_strip_bodies(model)])
        )
        self._springs = [model.joint(name).id for name in SPRING_JOINTS]

    def apply(self, episode: Draw) -> None:
        """Write every quantity of `episode`; takes effect at the next physics step."""
        model = self._model
        vx, vy, vyaw = episode.visible
        hx, hy, hyaw = episode.hidden
        x = vx + cos(vyaw) * hx - sin(vyaw) * hy
        y = vy + sin(vyaw) * hx + cos(vyaw) * hy
        model.body_pos[self._board] = self._board_pos + np.array((x, y, 0.0))
        yaw = vyaw + hyaw
        model.body_quat[self._board] = (cos(yaw / 2), 0.0, 0.0, sin(yaw / 2))
        along, out, pitch = episode.grasp
        model.body_pos[self._module] = self._module_pos + np.array((along, 0.0, out))
        model.body_quat[self._module] = (cos(pitch / 2), 0.0, sin(pitch / 2), 0.0)
        model.geom_friction[self._contact_geoms, 0] = episode.friction
        for index, side, nominal in self._walls:
            model.geom_pos[index, 1] = nominal + side * (episode.clearance_m - CLEARANCE_M)
        model.jnt_stiffness[self._springs] = episode.spring_n_m


def _strip_bodies(model: mj.MjModel) -> list[int]:
    """The bodies of the sprung contacts."""
    return [model.body(name).id for name in SPRING_JOINTS]
