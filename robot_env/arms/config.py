"""Which arm, and how it is reached: settings only, without any SDK."""

import math
from dataclasses import dataclass, field
from typing import Literal

from handrail.robot_env.arms.arm import Gains
from handrail.robot_env.arms.franka.config import FrankaConfig
from handrail.robot_env.arms.ur.config import URConfig
from handrail.robot_env.checks import require_range
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.serl.config import SerlHttpConfig

ArmKind = Literal["sim", "sim_server", "franka", "ur", "serl_http"]
ARM_KINDS: tuple[ArmKind, ...] = ("sim", "sim_server", "franka", "ur", "serl_http")
REAL_ARMS: tuple[ArmKind, ...] = ("franka", "ur", "serl_http")


@dataclass(frozen=True)
class ArmServerConfig:
    """How the arm server watches over its arm, and where it listens.

    Attributes:
        address: where it listens: "" for a socket of this user's on this machine, named after the station;
            "ipc://<folder>" for another folder of sockets; "tcp://<host>:<port>" for two ports from there on
            (off loopback only with `keys`).
        keys: folder with the CURVE keys of server and clients; "" for none.
        rate_hz: rate of the supervising loop: set-points, readings, state [1/s].
        watchdog_s: time without a command after which a running arm holds [s]; None for
            max(2.5 periods of the commander, 0.1).
        lease_s: time without a heartbeat after which the commander loses its lease [s].
        command_age_s: age beyond which a command is dropped [s].
        reading_age_s: age of the robot's reading beyond which the arm faults [s].
        gripper_age_s: the same for the width of a gripper that is asked separately [s].
        recoveries: recoveries an operator may acknowledge within `recovery_window_s`.
        recovery_window_s: that window [s].
        require_realtime: refuse to drive a real arm without SCHED_FIFO.
        rest_port: port of the HIL-SERL REST protocol; 0 does not offer it.
        rest_host: interface it is offered on; loopback unless told otherwise: it has no authentication.
        rest_pursue_s: time for which its last pose is pursued after a client's last word [s]; the watchdog of
            those clients.
    """

    address: str = ""
    keys: str = ""
    rate_hz: float = 200.0
    watchdog_s: float | None = None
    lease_s: float = 1.0
    command_age_s: float = 0.1
    reading_age_s: float = 0.1
    gripper_age_s: float = 0.5
    recoveries: int = 3
    recovery_window_s: float = 600.0
    require_realtime: bool = True
    rest_port: int = 0
    rest_host: str = "127.0.0.1"
    rest_pursue_s: float = 2.0

    def __post_init__(self) -> None:
        require_range("arm.server", 50.0, 1000.0, rate_hz=self.rate_hz)
        if self.watchdog_s is not None:
            require_range("arm.server", 0.02, 5.0, watchdog_s=self.watchdog_s)
        require_range("arm.server", 0.1, 30.0, lease_s=self.lease_s)
        require_range("arm.server", 0.01, 5.0, command_age_s=self.command_age_s)
        require_range("arm.server", 0.01, 5.0, reading_age_s=self.reading_age_s)
        require_range("arm.server", 0.1, 5.0, gripper_age_s=self.gripper_age_s)
        require_range("arm.server", 1.0, 86_400.0, recovery_window_s=self.recovery_window_s)
        if not 0 <= self.recoveries <= 10:
            raise ConfigError(f"arm.server.recoveries is {self.recoveries}, outside [0, 10]; use 3")
        if not 0 <= self.rest_port < 65536:
            raise ConfigError(f"arm.server.rest_port is {self.rest_port}, outside [0, 65535]; use 5000, or 0")
        require_range("arm.server", 0.05, 60.0, rest_pursue_s=self.rest_pursue_s)
        if self.address and not self.address.startswith(("ipc://", "tcp://")):
            raise ConfigError(
                f"arm.server.address is {self.address!r}; write ipc://<folder> or tcp://<host>:<port>, "
                "or leave it empty"
            )


@dataclass(frozen=True)
class ArmConfig:
    """The station's arm.

    Attributes:
        kind: "sim" is the simulated arm inside the actor, faster than real time; "sim_server" the same
            physics behind the arm server, in real time; the others are real arms behind the arm server.
        name: the station's name, in messages and socket names.
        server: the arm server.
        contact: impedance during episodes; None keeps the driver's.
        moving: impedance during resets, which cross free space; None keeps the driver's.
        joint_home: joint angles of a joint reset [rad]; empty for none.
        joint_home_every: episodes between two joint resets, which undo the drift of a redundant arm's elbow;
            0 for never.
        joint_speed: speed of that motion, as a share of the arm's rated one.
        franka: facts of a Franka.
        ur: facts of a UR.
        serl_http: facts of a SERL server.
    """

    kind: ArmKind = "sim"
    name: str = "arm"
    server: ArmServerConfig = field(default_factory=ArmServerConfig)
    contact: Gains | None = None
    moving: Gains | None = None
    joint_home: tuple[float, ...] = ()
    joint_home_every: int = 0
    joint_speed: float = 0.2
    franka: FrankaConfig = field(default_factory=FrankaConfig)
    ur: URConfig = field(default_factory=URConfig)
    serl_http: SerlHttpConfig = field(default_factory=SerlHttpConfig)

    def __post_init__(self) -> None:
        if self.kind not in ARM_KINDS:
            raise ConfigError(f"arm.kind is {self.kind!r}; choose one of {', '.join(ARM_KINDS)}")
        if not self.name.replace("-", "").replace("_", "").isalnum():
            raise ConfigError(f"arm.name is {self.name!r}; use letters, digits, - and _")
        if not all(math.isfinite(q) and abs(q) < 7.0 for q in self.joint_home):
            raise ConfigError(f"arm.joint_home is {self.joint_home}; give one angle in radians a joint")
        if self.joint_home_every < 0 or (self.joint_home_every and not self.joint_home):
            raise ConfigError(
                f"arm.joint_home_every is {self.joint_home_every} and arm.joint_home {self.joint_home}; "
                "give 0, or the angles to go to"
            )
        require_range("arm", 0.01, 1.0, joint_speed=self.joint_speed)
        if self.kind == "serl_http":
            slowest_s = self.serl_http.deadline_s + 1.0 / self.serl_http.poll_hz
            if self.server.reading_age_s < slowest_s:
                raise ConfigError(
                    f"arm.server.reading_age_s is {self.server.reading_age_s}, but a state of the SERL "
                    f"server may take {slowest_s:g} s (arm.serl_http.deadline_s and a period of poll_hz); "
                    f"raise it to {slowest_s:g} or more, or lower the deadline"
                )

    @property
    def served(self) -> bool:
        """Whether the arm stands behind an arm server, in real time."""
        return self.kind != "sim"

    @property
    def real(self) -> bool:
        """Whether something of metal moves."""
        return self.kind in REAL_ARMS

    @property
    def needs_realtime(self) -> bool:
        """Whether to refuse to move without real-time priority."""
        return self.real and self.server.require_realtime
