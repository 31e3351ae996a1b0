"""Settings of the simulated cell, usable without any configuration framework.

`SimConfig` says what the cell *is*; `RandomizationConfig` says what varies from episode to episode. Every
range in the latter is a half-width or a (low, high) pair, and every group has a switch of its own, so that a
study can turn on one effect at a time.
"""

from dataclasses import dataclass
from math import isfinite
from typing import Literal

from handrail.robot_env.errors import ConfigError

ArmName = Literal["panda", "ur5e"]
ARMS: tuple[ArmName, ...] = ("panda", "ur5e")


@dataclass(frozen=True)
class SimConfig:
    """What the simulated cell is made of.

    Attributes:
        arm: Which arm stands in the cell.
        timestep_s: Physics step [s]. 0.001 is what the contact settings were tuned for; 0.002 doubles the
            penetration and is for quick tests only.
        chunk_s: Time between two chances to move the set-point [s]: the servo's period in lockstep.
        socket_position_m: Nominal socket (groove floor, middle of the slot) in the base frame [m].
        home_height_m: Height of the home pose above the seated pose [m].
        posture_stiffness_nm: Pull of a redundant arm's elbow towards its home posture [Nm/rad].
    """

    arm: ArmName = "panda"
    timestep_s: float = 0.001
    chunk_s: float = 0.01
    socket_position_m: tuple[float, float, float] = (0.5, 0.0, 0.04)
    home_height_m: float = 0.05
    posture_stiffness_nm: float = 10.0

    def __post_init__(self) -> None:
        """Refuse values that the physics cannot hold.

        Raises:
            ConfigError: An unknown arm, a time step outside (0, 0.002] s, or a chunk that is not a whole
                number of time steps.
        """
        if self.arm not in ARMS:
            raise ConfigError(f"sim.arm is {self.arm!r}; choose one of {', '.join(ARMS)}")
        if not 0.0 < self.timestep_s <= 0.002:
            raise ConfigError(f"sim.timestep_s is {self.timestep_s} s, outside (0, 0.002]; use 0.001")
        steps = self.chunk_s / self.timestep_s
        if not isfinite(steps) or round(steps) < 1 or abs(steps - round(steps)) > 1e-6:
            raise ConfigError(
                f"sim.chunk_s is {self.chunk_s} s, not a whole number of time steps of "
                f"{self.timestep_s} s; use 0.01"
            )
        if len(self.socket_position_m) != 3 or not all(isfinite(value) for value in self.socket_position_m):
            raise ConfigError(
                f"sim.socket_position_m is {self.socket_position_m}; give three finite numbers in metres"
            )
        if not 0.04 <= self.home_height_m <= 0.2:
            raise ConfigError(
                f"sim.home_height_m is {self.home_height_m} m, outside [0.04, 0.2]: the module must clear "
                "the socket; use 0.05"
            )
        if not 0.0 <= self.posture_stiffness_nm <= 50.0:
            raise ConfigError(
                f"sim.posture_stiffness_nm is {self.posture_stiffness_nm} Nm/rad, outside [0, 50]; use 10"
            )


@dataclass(frozen=True)
class RandomizationConfig:
    """What differs between two episodes. The arm itself is never moved by it.

    The *visible* socket displacement moves the nominal socket with it: the policy is told. The *hidden* one
    does not, and is what the policy has to feel for.

    Attributes:
        hidden: Displace the socket without telling the policy.
        hidden_xy_m: Half-width of that displacement, each of x and y [m].
        hidden_yaw_rad: Half-width of its rotation about the vertical [rad].
        visible: Displace the nominal socket too (a board put down anew).
        visible_xy_m: Half-width, each of x and y [m].
        visible_yaw_rad: Half-width about the vertical [rad].
        grasp: Vary how the fingers hold the module.
        grasp_m: Half-width along the module and along the approach axis [m].
        grasp_pitch_rad: Half-width of the module's tilt about the closing axis [rad].
        contact: Vary friction, socket clearance and the stiffness of the contact springs.
        friction: Low and high sliding friction [1].
        clearance_m: Low and high gap between the module's face and the wall [m].
        spring_n_m: Low and high stiffness of the contact springs [N/m].
        controller: Vary the arm's impedance.
        controller_fraction: Half-width of the factors on stiffness and on damping [1].
        force_sensor: Give the force/torque sensor a bias and noise.
        force_bias_n: Half-width of the bias that a tare cannot know, each axis [N].
        torque_bias_nm: The same for torque [Nm].
        force_noise_n: Standard deviation of a reading, each axis [N].
        torque_noise_nm: The same for torque [Nm].
        delay: Let commands reach the arm late.
        delay_s: Low and high delay of the set-point [s].
        light: Vary the light, in rendered cells as all that follows.
        light_fraction: Half-width of the factor on its brightness [1]; its warmth varies by a third of that.
        light_tilt_rad: Half-width of its tilt about x and y [rad].
        texture: Give board and table another pattern and tint.
        texture_fraction: Half-width of the factors on their colours [1].
        camera_pose: Displace the cameras, all alike.
        camera_m: Half-width along each axis [m].
        camera_rad: Half-width about each axis [rad].
        look: All three of them: light, texture and camera_pose.
    """

    hidden: bool = True
    hidden_xy_m: float = 0.001
    hidden_yaw_rad: float = 0.01
    visible: bool = False
    visible_xy_m: float = 0.005
    visible_yaw_rad: float = 0.03
    grasp: bool = False
    grasp_m: float = 0.002
    grasp_pitch_rad: float = 0.02
    contact: bool = False
    friction: tuple[float, float] = (0.15, 0.4)
    clearance_m: tuple[float, float] = (0.00015, 0.0003)
    spring_n_m: tuple[float, float] = (30_000.0, 45_000.0)
    controller: bool = False
    controller_fraction: float = 0.15
    force_sensor: bool = False
    force_bias_n: float = 0.5
    torque_bias_nm: float = 0.02
    force_noise_n: float = 0.1
    torque_noise_nm: float = 0.005
    delay: bool = False
    delay_s: tuple[float, float] = (0.0, 0.1)
    light: bool = False
    light_fraction: float = 0.3
    light_tilt_rad: float = 0.3
    texture: bool = False
    texture_fraction: float = 0.25
    camera_pose: bool = False
    camera_m: float = 0.005
    camera_rad: float = 0.02
    look: bool = False

    def __post_init__(self) -> None:
        """Refuse negative widths, inverted ranges and ranges beyond what the geometry bears.

        Raises:
            ConfigError: Naming the field, its value, the limit and the remedy.
        """
        for name, limit, unit in (
            ("hidden_xy_m", 0.01, "m"),
            ("hidden_yaw_rad", 0.1, "rad"),
            ("visible_xy_m", 0.02, "m"),
            ("visible_yaw_rad", 0.2, "rad"),
            ("grasp_m", 0.004, "m"),
            ("grasp_pitch_rad", 0.05, "rad"),
            ("controller_fraction", 0.5, ""),
            ("force_bias_n", 5.0, "N"),
            ("torque_bias_nm", 0.5, "Nm"),
            ("force_noise_n", 5.0, "N"),
            ("torque_noise_nm", 0.5, "Nm"),
            ("light_fraction", 0.8, ""),
            ("light_tilt_rad", 1.0, "rad"),
            ("texture_fraction", 0.8, ""),
            ("camera_m", 0.02, "m"),
            ("camera_rad", 0.2, "rad"),
        ):
            value = getattr(self, name)
            if not 0.0 <= value <= limit:
                raise ConfigError(
                    f"randomization.{name} is {value} {unit}, outside [0, {limit}]; "
                    "use a smaller half-width, or turn its switch off"
                )
        for name, lowest, highest, unit in (
            ("friction", 0.01, 1.0, ""),
            ("clearance_m", 0.0001, 0.0005, "m"),
            ("spring_n_m", 1_000.0, 60_000.0, "N/m"),
            ("delay_s", 0.0, 0.2, "s"),
        ):
            low, high = getattr(self, name)
            if not lowest <= low <= high <= highest:
                raise ConfigError(
                    f"randomization.{name} is ({low}, {high}) {unit}; give low <= high within "
                    f"[{lowest}, {highest}]"
                )
