"""Which model an arm is, told by where its tool should be for its joint angles.

A UR does not say which model it is. They differ by centimetres, so that the one whose table comes nearest to
the reported pose is it.
"""

import math
from dataclasses import dataclass

import numpy as np

from handrail.robot_env.arms.kinematics import FRANKA, UR, DHTable
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.geometry import (
    Array,
    pose_compose,
    pose_distance,
    pose_from,
    pose_inverse,
    quat_from_rotvec,
)

UNCALIBRATED_M, UNCALIBRATED_RAD = 0.02, math.radians(2.0)
"""What a UR may differ from its model's table, which knows nothing of its calibration."""
SIMULATED_TOOL = pose_from((0.0, 0.0, 0.1034))
SIMULATED_HAND = pose_compose(
    pose_from((0, 0, 0), quat_from_rotvec((0.0, 0.0, -math.pi / 4))), SIMULATED_TOOL
)
"""The simulated hand on the flange of a Panda: turned by -45 degrees, as a Franka's own is."""
SIMULATED_ARMS = {"panda": FRANKA, "ur5e": UR["ur5e"]}
"""The kinematics of the simulated arms, by `env.sim.arm`."""
HALF_TURN = pose_from((0.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0))


@dataclass(frozen=True)
class Fit:
    """How well a model explains the reported pose.

    Attributes:
        model: its name.
        distance_m: from where its tool should be to where it is said to be [m].
        angle_rad: the same for the orientation [rad].
    """

    model: str
    distance_m: float
    angle_rad: float

    @property
    def uncalibrated(self) -> bool:
        """Whether the difference is no more than the calibration that a table lacks may explain."""
        return self.distance_m <= UNCALIBRATED_M and self.angle_rad <= UNCALIBRATED_RAD


def expected_tcp(config: EnvConfig, q: Array) -> dict[str, Array] | str:
    """Where the tool centre point is for the joint angles `q`, by model: (7,), base frame; or why not known.

    Raises:
        ValueError: another number of joints than the arm's.
    """
    arm = config.arm
    match arm.kind:
        case "franka" if arm.franka.tcp is not None:
            return {"franka": pose_compose(FRANKA.flange(q), arm.franka.tcp)}
        case "franka":
            return "env.arm.franka.tcp is not set: the end effector is Desk's, which is not read"
        case "ur" if arm.ur.tcp is not None:
            return {name: pose_compose(table.flange(q), arm.ur.tcp) for name, table in UR.items()}
        case "ur":
            return "env.arm.ur.tcp is not set: the tool is the installation's, which is not read"
        case "sim_server" if config.sim.arm == "panda":
            return {"panda": pose_compose(FRANKA.flange(q), SIMULATED_HAND)}
        case "sim_server":
            # It is mounted turned by half a turn, so that its base's x axis points into the cell.
            flange = pose_compose(HALF_TURN, UR["ur5e"].flange(q))
            return {"ur5e": pose_compose(flange, SIMULATED_TOOL)}
        case kind:
            return f"the tool offset of an arm of kind {kind} is known to its own server alone"


def tool_of(config: EnvConfig, q: Array, pose: Array) -> Array | str:
    """The tool's frame in the flange's (7,) of an arm with its tool at `pose` (7,) for `q`; or why not known.

    A Franka's table is its controller's own, so that what lies between the two is the tool that Desk has.
    """
    arm = config.arm
    match arm.kind:
        case "franka" if arm.franka.tcp is None:
            return pose_compose(pose_inverse(FRANKA.flange(q)), pose)
        case "franka":
            return np.array(arm.franka.tcp)
        case "ur" if arm.ur.tcp is not None:
            return np.array(arm.ur.tcp)
        case "ur":
            return "env.arm.ur.tcp is not set: the tool is the installation's, which is not read"
        case "serl_http":
            return np.array(arm.serl_http.tool_in_flange)
        case _:
            return SIMULATED_HAND if config.sim.arm == "panda" else SIMULATED_TOOL


def fits(config: EnvConfig, q: Array, pose: Array) -> list[Fit] | str:
    """How well each model explains the reported tool pose (7,), base frame, best first; or why not known.

    Raises:
        ValueError: as `expected_tcp`.
    """
    expected = expected_tcp(config, q)
    if isinstance(expected, str):
        return expected
    found = [Fit(model, *pose_distance(tcp, pose)) for model, tcp in expected.items()]
    return sorted(found, key=lambda fit: fit.distance_m)


def table_of(config: EnvConfig, q: Array, pose: Array) -> DHTable | str:
    """The kinematics of the arm whose tool stands at `pose` for `q`; or why that cannot be told here.

    An arm of seven joints is a Franka; of six, the only UR that explains the pose.
    """
    if len(q) == len(FRANKA.rows):
        return FRANKA
    try:
        found = fits(config, q, np.asarray(pose))
    except ValueError:
        return f"an arm of kind {config.arm.kind} with {len(q)} joints is not known"
    if isinstance(found, str):
        return found
    near = [fit.model for fit in found if fit.uncalibrated]
    if len(near) > 1:
        return f"where the arm stands it may be a {' or a '.join(near)}; ask again where it stands elsewhere"
    if not near:
        best = found[0]
        return (
            f"the tool is {1000 * best.distance_m:.0f} mm and {math.degrees(best.angle_rad):.1f}° from where "
            f"the nearest model, a {best.model}, would have it, limits {1000 * UNCALIBRATED_M:.0f} mm and "
            f"{math.degrees(UNCALIBRATED_RAD):.0f}°; correct env.arm.ur.tcp"
        )
    return UR[near[0]]
