"""Facts of one Franka: settings only, without any SDK."""

from dataclasses import dataclass
from typing import Literal

from handrail.robot_env.checks import require_each, require_range, require_tool
from handrail.robot_env.errors import ConfigError


@dataclass(frozen=True)
class FrankaConfig:
    """Facts of one Franka FR3 (system 5.9 or later; an older Panda needs franky's other wheels).

    Attributes:
        host: address of its control box; "" until the station gives it.
        realtime: "enforce" refuses to move without a real-time kernel and its permission, as it should be;
            "ignore" is for trials and simulation.
        tcp: (7,) tool centre point in the flange's frame, x y z [m] and quaternion x y z w; None keeps the
            end effector that is set in Desk.
        gripper: whether the Franka hand is there to be commanded.
        gripper_speed_m_s: speed of its jaws [m/s].
        gripper_force_n: force with which it closes [N].
        clip_m: largest position error acted on, x, y, z [m], where the gains do not say.
        clip_rad: the same about x, y, z [rad].
        collision_force_n: (6,) external force [N] and torque [Nm] at which the robot stops itself.
        collision_torque_nm: (7,) external joint torques at which it does [Nm].
        posture: (7,) joint angles that the elbow is drawn to [rad]; empty for those at the start of a motion.
        posture_stiffness_nm: how hard [Nm/rad]; it moves no tool.
        friction_nm: (7,) dry joint friction to compensate [Nm]; empty for none. A stiffness of 2000 N/m
            leaves about a millimetre without it.
        load_mass_kg: what the hand carries [kg], besides what Desk knows of.
        load_com_m: its centre of mass in the tool frame [m].
        desk_user_env: name of the environment variable with the user of Desk; "" leaves Desk to people.
        desk_password_env: name of the one with the password.
    """

    host: str = ""
    realtime: Literal["enforce", "ignore"] = "enforce"
    tcp: tuple[float, ...] | None = None
    gripper: bool = True
    gripper_speed_m_s: float = 0.05
    gripper_force_n: float = 40.0
    clip_m: tuple[float, float, float] = (0.0075, 0.0075, 0.01)
    clip_rad: tuple[float, float, float] = (0.027, 0.027, 0.027)
    collision_force_n: tuple[float, ...] = (60.0, 60.0, 60.0, 30.0, 30.0, 30.0)
    collision_torque_nm: tuple[float, ...] = (40.0, 40.0, 36.0, 36.0, 32.0, 28.0, 24.0)
    posture: tuple[float, ...] = ()
    posture_stiffness_nm: float = 5.0
    friction_nm: tuple[float, ...] = ()
    load_mass_kg: float = 0.0
    load_com_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    desk_user_env: str = ""
    desk_password_env: str = ""

    def __post_init__(self) -> None:
        if self.realtime not in ("enforce", "ignore"):
            raise ConfigError(f"arm.franka.realtime is {self.realtime!r}; choose 'enforce' or 'ignore'")
        require_tool("arm.franka", self.tcp, "the one set in Desk")
        for name, count, low, high in (
            ("clip_m", 3, 1e-4, 0.05),
            ("clip_rad", 3, 1e-3, 0.5),
            ("collision_force_n", 6, 1.0, 200.0),
            ("collision_torque_nm", 7, 1.0, 100.0),
            ("posture", 7, -4.6, 4.6),
            ("friction_nm", 7, 0.0, 3.0),
            ("load_com_m", 3, -0.5, 0.5),
        ):
            values = getattr(self, name)
            if not values and name in ("posture", "friction_nm"):
                continue
            require_each("arm.franka", count, low, high, **{name: values})
        require_range("arm.franka", 0.005, 0.1, gripper_speed_m_s=self.gripper_speed_m_s)
        require_range("arm.franka", 1.0, 70.0, gripper_force_n=self.gripper_force_n)
        require_range("arm.franka", 0.0, 50.0, posture_stiffness_nm=self.posture_stiffness_nm)
        require_range("arm.franka", 0.0, 3.0, load_mass_kg=self.load_mass_kg)
