"""Settings of an arm behind a SERL server: plain facts, importable without any HTTP library."""

import math
from dataclasses import dataclass
from typing import Literal

from handrail.robot_env.checks import require_pose, require_positive, require_range
from handrail.robot_env.errors import ConfigError
from handrail.robot_env.serl.protocol import FRANKA_HAND, GRIPPER_KINDS, SERL_JOINTS, GripperKind


@dataclass(frozen=True)
class SerlHttpConfig:
    """Where the SERL server is, and what its protocol does not say about it.

    Attributes:
        url: its address, such as "http://127.0.0.1:5000/"; "" until the station gives it.
        joints: joints of the arm behind it; a UR's server pads six to seven.
        joint_reset: joint angles that its `jointreset` goes to [rad]; empty when it is not to be used.
        manage_impedance: start its impedance controller to engage and stop it to disengage. HIL-SERL's server
            starts it by itself, and reports no states while it is stopped: then leave this off.
        clear_errors: clear its errors before every set-point, as HIL-SERL's clients do. Off, a reflex stays
            until an operator acknowledges it.
        poll_hz: states asked for [1/s]; a Franka's server has 30 new ones a second.
        pose_hz: set-points sent, at most [1/s].
        deadline_s: longest that a state or a set-point may take [s].
        slow_deadline_s: longest that another command may take [s]; HIL-SERL's `startimp` sleeps five.
        joint_reset_s: longest that a joint reset may take [s].
        wrench_by: who exerts the wrench that it reports: "robot" for HIL-SERL's Franka, "environment" for
            most force sensors.
        wrench_frame: whose axes that wrench lies along; "tool" for a Franka, "base" for a UR.
        gripper: which of HIL-SERL's grippers it has; they count `move_gripper` in opposite directions.
        gripper_open_m: width when it reports 1 [m].
        tool_in_flange: (7,) the tool's frame in the flange's, for `set_load`; the Franka hand's.
        frozen_states: identical states in a row that make a reading stale while the arm ought to move.
        follow_m: distance from the set-point beyond which a standing arm counts as not following [m].
        follow_rad: the same for its orientation [rad].
        follow_n: force on the tool above which it is held back rather than stuck [N].
        follow_s: time after which that is a fault [s].
        gone_s: time without an answer after which the link counts as gone [s].
    """

    url: str = ""
    joints: int = SERL_JOINTS
    joint_reset: tuple[float, ...] = ()
    manage_impedance: bool = False
    clear_errors: bool = False
    poll_hz: float = 50.0
    pose_hz: float = 50.0
    deadline_s: float = 0.25
    slow_deadline_s: float = 10.0
    joint_reset_s: float = 60.0
    wrench_by: Literal["robot", "environment"] = "robot"
    wrench_frame: Literal["tool", "base"] = "tool"
    gripper: GripperKind = "franka"
    gripper_open_m: float = 0.08
    tool_in_flange: tuple[float, ...] = FRANKA_HAND
    frozen_states: int = 10
    follow_m: float = 0.008
    follow_rad: float = 0.06
    follow_n: float = 5.0
    follow_s: float = 1.0
    gone_s: float = 1.0

    def __post_init__(self) -> None:
        if self.url and not self.url.startswith(("http://", "https://")):
            raise ConfigError(f"arm.serl_http.url is {self.url!r}; write http://<host>:5000/")
        if not 1 <= self.joints <= SERL_JOINTS:
            raise ConfigError(f"arm.serl_http.joints is {self.joints}, outside [1, {SERL_JOINTS}]")
        if self.joint_reset and (
            len(self.joint_reset) != self.joints or not all(math.isfinite(q) for q in self.joint_reset)
        ):
            raise ConfigError(
                f"arm.serl_http.joint_reset is {self.joint_reset}; give the {self.joints} angles of the "
                "server's --reset_joint_target, or none"
            )
        remedy = "give the tool's in the flange's frame"
        require_pose("arm.serl_http", remedy, tool_in_flange=self.tool_in_flange)
        for name, value, choices in (
            ("wrench_by", self.wrench_by, ("robot", "environment")),
            ("wrench_frame", self.wrench_frame, ("tool", "base")),
            ("gripper", self.gripper, GRIPPER_KINDS),
        ):
            if value not in choices:
                raise ConfigError(f"arm.serl_http.{name} is {value!r}; choose one of {', '.join(choices)}")
        require_range("arm.serl_http", 10.0, 500.0, poll_hz=self.poll_hz, pose_hz=self.pose_hz)
        require_range("arm.serl_http", 0.01, 5.0, deadline_s=self.deadline_s, gone_s=self.gone_s)
        require_range("arm.serl_http", 2, 1000, frozen_states=self.frozen_states)
        require_positive(
            "arm.serl_http",
            slow_deadline_s=self.slow_deadline_s,
            joint_reset_s=self.joint_reset_s,
            gripper_open_m=self.gripper_open_m,
            follow_m=self.follow_m,
            follow_rad=self.follow_rad,
            follow_n=self.follow_n,
            follow_s=self.follow_s,
        )
