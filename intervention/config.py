"""Settings of devices, the arbiter, the synthetic operator and the log, checked where they are made."""

import math
from dataclasses import dataclass, field, fields
from typing import Literal

from handrail.robot_env.checks import require_range
from handrail.robot_env.errors import ConfigError

OperatorLevel = Literal["none", "novice", "good", "expert", "misleading", "budgeted"]
OPERATOR_LEVELS: tuple[OperatorLevel, ...] = ("none", "novice", "good", "expert", "misleading", "budgeted")

Six = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class MappingConfig:
    """How a deflection becomes an action.

    Attributes:
        dead_zone: deflection of an axis that still counts as none; what lies beyond is stretched to reach 1.
        smoothing_s: time constant of the exponential average [s]; 0 switches it off.
        axes: which device axis drives each component (dx dy dz rx ry rz) of the frame below.
        gain: sign and sensitivity of each component.
        frame: what the components are directions of: the tool ("end_effector"), or the arm's base, in which
            up is up however the tool is turned.
        operator_deg: where the operator looks, in frame "base": from the base's x axis towards its y [deg].
    """

    dead_zone: float = 0.05
    smoothing_s: float = 0.04
    axes: tuple[int, int, int, int, int, int] = (0, 1, 2, 3, 4, 5)
    gain: Six = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    frame: Literal["end_effector", "base"] = "end_effector"
    operator_deg: float = 0.0

    def __post_init__(self) -> None:
        require_range("mapping", -360.0, 360.0, operator_deg=self.operator_deg)
        require_range("mapping", 0.0, 0.5, dead_zone=self.dead_zone)
        require_range("mapping", 0.0, 1.0, smoothing_s=self.smoothing_s)
        if len(self.axes) != 6 or not all(axis in range(6) for axis in self.axes):
            raise ConfigError(f"mapping.axes is {self.axes}, must be six device axes from 0 to 5")
        if len(self.gain) != 6 or not all(math.isfinite(g) and abs(g) <= 1.0 for g in self.gain):
            raise ConfigError(
                f"mapping.gain is {self.gain}, must be six numbers in [-1, 1]; -1 flips an axis"
            )
        if self.frame not in ("end_effector", "base"):
            raise ConfigError(f"mapping.frame is {self.frame!r}; choose end_effector or base")


@dataclass(frozen=True)
class ButtonsConfig:
    """Which of a device's own buttons means what, by the name that the device gives it.

    "" leaves the device's default, "none" assigns no button. `handrail doctor device` shows the names.

    Attributes:
        success: ends the episode as a success.
        failure: ends it as a failure.
        discard: ends it, to be left out of training.
        pause: pauses the policy; pressed again, resumes it.
        stop: pauses the policy and holds whoever drives; never resumes.
        takeover: a deadman switch: where one is assigned, the device counts only while it is held.
    """

    success: str = ""
    failure: str = ""
    discard: str = ""
    pause: str = ""
    stop: str = ""
    takeover: str = ""

    def __post_init__(self) -> None:
        first: dict[str, str] = {}
        for button in (each.name for each in fields(self)):
            name = getattr(self, button).lower()
            if name in first:
                raise ConfigError(
                    f"device.buttons.{button} and device.buttons.{first[name]} are both {name!r}; "
                    "one button can mean one thing only"
                )
            if name not in ("", "none"):
                first[name] = button


@dataclass(frozen=True)
class DeviceConfig:
    """The operator's device; `actor.device` says of which kind it is.

    Attributes:
        path: which one, where several are connected: a SpaceMouse's node ("/dev/hidraw3", or better a link
            that udev keeps to it); a gamepad's node, GUID or number. "" takes the only one.
        buttons: what its buttons mean.
        poll_s: longest time between two looks at it [s].
        stick_dead_zone: of a gamepad: deflection of a stick or trigger that still counts as none.
        key_deflection: of a keyboard: how far a key deflects its axis.
        key_s: of a keyboard: how long a press lasts [s]; a key that is held repeats.
    """

    path: str = ""
    buttons: ButtonsConfig = field(default_factory=ButtonsConfig)
    poll_s: float = 0.005
    stick_dead_zone: float = 0.15
    key_deflection: float = 0.5
    key_s: float = 0.25

    def __post_init__(self) -> None:
        require_range("device", 0.001, 0.05, poll_s=self.poll_s)
        require_range("device", 0.0, 0.5, stick_dead_zone=self.stick_dead_zone)
        require_range("device", 0.1, 1.0, key_deflection=self.key_deflection)
        require_range("device", 0.05, 1.0, key_s=self.key_s)


@dataclass(frozen=True)
class ArbiterConfig:
    """When the wheel changes hands.

    Attributes:
        takeover: deflection (Euclidean norm) above which the human takes over.
        takeover_samples: fresh readings in a row above it; one spike is not a hand.
        release: deflection below which the hand counts as off.
        release_s: how long it must be off before the policy drives again [s].
        stale_s: age beyond which a reading means nothing [s].
        pause_s: an episode that stands still for so long, because it is paused, is given up [s]; what it has
            recorded stays, and counts neither as a success nor as a failure.
    """

    takeover: float = 0.10
    takeover_samples: int = 2
    release: float = 0.03
    release_s: float = 0.3
    stale_s: float = 0.15
    pause_s: float = 5.0

    def __post_init__(self) -> None:
        if not 0.0 < self.release < self.takeover <= 1.0:
            raise ConfigError(
                f"arbiter.release is {self.release} and arbiter.takeover {self.takeover}; "
                "they need 0 < release < takeover <= 1, or the wheel flutters"
            )
        if self.takeover_samples < 1:
            raise ConfigError(
                f"arbiter.takeover_samples is {self.takeover_samples}, must be 1 or more; use 2"
            )
        require_range("arbiter", 0.0, 10.0, release_s=self.release_s)
        require_range("arbiter", 0.01, 0.5, stale_s=self.stale_s)
        require_range("arbiter", 0.0, 3600.0, pause_s=self.pause_s)


@dataclass(frozen=True)
class OperatorConfig:
    """The synthetic operator (see `operator`).

    Attributes:
        level: how good it is; "none" never helps.
        stall_s: time without progress after which it helps [s].
        progress_m: approach to the socket that counts as progress [m].
        corridor_m: half-width of the corridor at the board [m]; it opens upwards.
        corridor_slope: how much the half-width grows per height [m/m].
        force_n: force on the tool it worries about [N].
        force_s: how long that force must last [s].
        edge_m: distance to the workspace's edge it worries about [m].
        min_drive_s: shortest intervention [s].
        max_drive_s: longest intervention [s]; a demonstration has no limit.
        pause_s: time after an intervention in which it only watches [s].
        taper_episodes: window over which unaided success makes it hold back.
        budget_s: driving time the level "budgeted" may spend in a run [s].
    """

    level: OperatorLevel = "good"
    stall_s: float = 2.0
    progress_m: float = 0.002
    corridor_m: float = 0.006
    corridor_slope: float = 1.0
    force_n: float = 16.0
    force_s: float = 0.3
    edge_m: float = 0.005
    min_drive_s: float = 0.8
    max_drive_s: float = 2.0
    pause_s: float = 1.0
    taper_episodes: int = 20
    budget_s: float = 120.0

    def __post_init__(self) -> None:
        if self.level not in OPERATOR_LEVELS:
            raise ConfigError(f"operator.level is {self.level!r}; choose one of {', '.join(OPERATOR_LEVELS)}")
        require_range("operator", 0.1, 60.0, stall_s=self.stall_s, max_drive_s=self.max_drive_s)
        require_range("operator", 0.0, 0.1, progress_m=self.progress_m, corridor_m=self.corridor_m)
        require_range("operator", 0.0, 10.0, corridor_slope=self.corridor_slope)
        require_range("operator", 0.1, 200.0, force_n=self.force_n)
        require_range("operator", 0.0, 10.0, force_s=self.force_s, pause_s=self.pause_s)
        require_range("operator", 0.0, 0.05, edge_m=self.edge_m)
        require_range("operator", 0.5, self.max_drive_s, min_drive_s=self.min_drive_s)
        require_range("operator", 0.0, 1e6, budget_s=self.budget_s)
        if self.taper_episodes < 1:
            raise ConfigError(f"operator.taper_episodes is {self.taper_episodes}, must be 1 or more; use 20")


@dataclass(frozen=True)
class LogConfig:
    """The episode log.

    Attributes:
        segment_bytes: size at which a segment is closed [bytes].
        reserve_bytes: free disk space below which no new step is accepted [bytes].
        sync_interval_s: pause between two fdatasyncs [s].
    """

    segment_bytes: int = 64 << 20
    reserve_bytes: int = 500_000_000
    sync_interval_s: float = 0.01

    def __post_init__(self) -> None:
        if not 1 << 16 <= self.segment_bytes <= 1 << 32:
            raise ConfigError(
                f"log.segment_bytes is {self.segment_bytes}, outside [{1 << 16}, {1 << 32}]; it is in bytes"
            )
        if self.reserve_bytes < 0:
            raise ConfigError(f"log.reserve_bytes is {self.reserve_bytes}, must be 0 or more; it is in bytes")
        require_range("log", 0.0, 5.0, sync_interval_s=self.sync_interval_s)
