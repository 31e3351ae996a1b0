"""The checks of an arm behind its server: link and mode, kinematics, static force, gripper, place."""

import math
import time
from collections.abc import Iterator, Sequence

import numpy as np

from handrail.launch import arm_link
from handrail.launch.checks import Check
from handrail.robot_env.arms.models import UNCALIBRATED_M, UNCALIBRATED_RAD, expected_tcp, fits
from handrail.robot_env.arms.reach import JOINT_MARGIN_RAD, SLOW_FROM, STOP_AT, Posture, reach_of
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import ArmError, HandrailError
from handrail.robot_env.geometry import Array
from handrail.robot_env.remote.client import greet
from handrail.robot_env.remote.messages import State
from handrail.robot_env.remote.operator import ArmOperator

NAMES = ("arm", "kinematics", "joints", "static force", "gripper", "place")
KINEMATICS_M, KINEMATICS_RAD = 0.002, math.radians(0.5)
STATIC_FORCE_N = 3.0
_SAMPLES = 25
_BETWEEN_S = 0.02
_AT_REST_M_S, _AT_REST_RAD_S = 0.01, 0.05


def examine(config: EnvConfig) -> Iterator[Check]:
    """Every check of the arm, in the order of `NAMES`; nothing moves."""
    if not config.arm.served:
        yield Check("arm", "ok", f"simulated {config.sim.arm}, in the actor itself")
        yield from _skipped(NAMES[1:], "simulated: right by construction")
        return
    try:
        states = _watch(config)
    except HandrailError as error:
        own = config.arm.kind == "sim_server" and isinstance(error, ArmError)
        also = "; `handrail train` starts one of its own" if own else ""
        yield Check("arm", "note" if own else "fail", f"{error}{also}")
        yield from _skipped(NAMES[1:], "no arm server answers")
        return
    yield link(states)
    newest = states[-1]
    if not newest.pose:
        yield from _skipped(NAMES[1:], "the arm server has no reading of its arm yet")
        return
    yield kinematics(config, newest)
    yield joints(config, newest)
    yield static_force(states)
    yield gripper(config, states)
    yield place(config, newest)


def _skipped(names: Sequence[str], why: str) -> Iterator[Check]:
    for name in names:
        yield Check(name, "skip", why)


def _watch(config: EnvConfig) -> list[State]:
    """States over half a second, oldest first."""
    greet(config, arm_link.GREETING_S)  # less patient than the line itself is
    with ArmOperator(config) as operator:
        states = [arm_link.newest(operator)]
        while len(states) < _SAMPLES:
            time.sleep(_BETWEEN_S)
            states.append(arm_link.newest(operator))
    return states


def link(states: Sequence[State]) -> Check:
    """Mode, fault, age of the readings, who commands."""
    newest = states[-1]
    ages_ms = [(state.sent_ns - state.t_ns) / 1e6 for state in states if state.pose]
    counters = newest.counters
    said = (
        f"{newest.mode}, {f'commanded by {newest.commander}' if newest.lease else 'commanded by nobody'}, "
        f"readings up to {max(ages_ms, default=math.nan):.0f} ms old, "
        f"{counters.overruns} of {counters.ticks} ticks late"
    )
    if newest.fault:
        return Check("arm", "fail", f"{newest.fault}; see to it, then `handrail arm recover by=<your name>`")
    if newest.mode == "disarmed":
        return Check("arm", "note", f"{said}: not connected yet")
    return Check("arm", "note" if newest.lease else "ok", said)


def kinematics(config: EnvConfig, state: State) -> Check:
    """The reported pose against forward kinematics with the configured tool offset."""
    found = fits(config, np.array(state.q), np.array(state.pose))
    if isinstance(found, str):
        return Check("kinematics", "skip", found)
    best = found[0]
    distance_m, angle_rad = best.distance_m, best.angle_rad
    model = f" of a {best.model}, the model that fits best" if len(found) > 1 else ""
    said = (
        f"{1000 * distance_m:.1f} mm and {math.degrees(angle_rad):.2f}° between joint angles and pose{model}"
    )
    if distance_m <= KINEMATICS_M and angle_rad <= KINEMATICS_RAD:
        return Check("kinematics", "ok", said)
    limit_m, limit_rad = KINEMATICS_M, KINEMATICS_RAD
    if config.arm.kind == "ur":
        limit_m, limit_rad = UNCALIBRATED_M, UNCALIBRATED_RAD
        if best.uncalibrated:
            return Check(
                "kinematics",
                "note",
                f"{said}: as much as a UR's own calibration may be, which the table lacks; a wrong tool "
                "offset looks the same, so compare env.arm.ur.tcp with the pendant's",
            )
    return Check(
        "kinematics",
        "fail",
        f"{said}, limits {1000 * limit_m:.0f} mm and {math.degrees(limit_rad):.1f}°; "
        "correct the tool offset, in the station's configuration or in the robot's own",
    )


def joints(config: EnvConfig, state: State) -> Check:
    """How far the arm is from its joints' limits and from a singularity; its server keeps it from both."""
    q, pose = np.array(state.q), np.array(state.pose)
    reach = reach_of(config, q, pose)
    if isinstance(reach, str):
        return Check("joints", "note", f"margin and singularity are not watched: {reach}")
    posture = Posture(reach.table, q, pose)
    excess, condition = posture.excess(q), posture.condition_at(q)
    nearest = int(np.argmax(excess))
    said = (
        f"joint {nearest + 1} is nearest to its limit, {JOINT_MARGIN_RAD - excess[nearest]:.2f} rad away "
        f"(kept {JOINT_MARGIN_RAD:g}); condition number {condition:.0f} (slowed from {SLOW_FROM:.0f}, "
        f"held at {STOP_AT:.0f})"
    )
    if excess[nearest] > 0.0 or condition > SLOW_FROM:
        return Check("joints", "note", f"{said}: guide the arm, or its elbow, to a freer posture")
    return Check("joints", "ok", said)


def static_force(states: Sequence[State]) -> Check:
    """What the sensor reads while nothing touches the tool."""
    for state in states:
        moving = math.hypot(*state.twist[:3]) > _AT_REST_M_S or math.hypot(*state.twist[3:]) > _AT_REST_RAD_S
        if moving or state.mode == "run":
            return Check("static force", "skip", "the arm is moving or being driven")
    force_n = float(np.linalg.norm(np.mean([state.wrench[:3] for state in states], axis=0)))
    said = f"{force_n:.1f} N at rest, limit {STATIC_FORCE_N:.0f} N"
    if force_n <= STATIC_FORCE_N:
        return Check("static force", "ok", said)
    return Check(
        "static force",
        "fail",
        f"{said}; free the tool, then correct the load (mass and centre of mass), or tare the sensor",
    )


def gripper(config: EnvConfig, states: Sequence[State]) -> Check:
    """How wide the jaws are open, and how old that news is."""
    newest = states[-1]
    if not newest.gripper_stroke_m:
        return Check("gripper", "skip", "the arm server has none to command")
    width_mm, stroke_mm = 1000 * newest.gripper_width_m, 1000 * newest.gripper_stroke_m
    said = f"{width_mm:.1f} of {stroke_mm:.0f} mm open"
    if not newest.gripper_ns:
        return Check("gripper", "ok", f"{said}, said with every state of the arm")
    age_s = max((state.sent_ns - state.gripper_ns) / 1e9 for state in states)
    limit_s = config.arm.server.gripper_age_s
    if age_s <= limit_s:
        return Check("gripper", "ok", f"{said}, widths up to {1000 * age_s:.0f} ms old")
    return Check(
        "gripper",
        "fail",
        f"last heard {1000 * age_s:.0f} ms ago, limit {1000 * limit_s:.0f} ms; look at its cable and "
        "its power",
    )


def place(config: EnvConfig, state: State) -> Check:
    """Whether the tool is where an episode could begin."""
    if config.task.seated_pose is None:
        return Check("place", "skip", "simulated: the cell knows its own seated pose")
    off_m, off_rad, where = _beyond(config, np.array(state.pose))
    if off_m <= config.limits.motion.leash_m and off_rad <= config.limits.motion.leash_rad:
        return Check("place", "ok", f"the tool is inside the workspace ({where})")
    return Check(
        "place",
        "fail",
        f"the tool is {1000 * off_m:.0f} mm and {off_rad:.2f} rad outside the workspace ({where}); guide it "
        "back by hand, or correct env.task.seated_pose",
    )


def joint_home(config: EnvConfig) -> Check | None:
    """Whether the joint motion between episodes ends inside the workspace; None where there is none."""
    arm, task = config.arm, config.task
    if not arm.joint_home_every or not arm.real:
        return None
    if task.seated_pose is None:
        return Check("joint home", "skip", "env.task.seated_pose is not set")
    try:
        expected = expected_tcp(config, np.array(arm.joint_home))
    except ValueError:
        return Check(
            "joint home", "fail", f"env.arm.joint_home has {len(arm.joint_home)} angles: not this arm"
        )
    if isinstance(expected, str):
        return Check("joint home", "skip", expected)
    off_m, off_rad, where = min(_beyond(config, pose) for pose in expected.values())
    if off_m == 0.0 and off_rad == 0.0:
        return Check(
            "joint home", "ok", f"inside the workspace ({where}), every {arm.joint_home_every} episodes"
        )
    return Check(
        "joint home",
        "fail",
        f"env.arm.joint_home takes the tool {1000 * off_m:.0f} mm and {off_rad:.2f} rad outside the "
        f"workspace ({where}), with no gate to limit it: guide the arm to the home above the socket and read "
        "q with `handrail arm state --json`, or set env.arm.joint_home_every=0",
    )


def _beyond(config: EnvConfig, pose: Array) -> tuple[float, float, str]:
    """How far a tool pose lies outside the workspace [m, rad], and where it is, in words."""
    from handrail.robot_env.gate import GateLimits
    from handrail.robot_env.tasks import RamInsertion

    frame = RamInsertion(config.task).frame()
    limits = GateLimits.build(config.limits, frame, config.limits.motion, 1.0 / config.hz)
    here = frame.coordinates(pose)
    inside = limits.clip(here)
    where = " ".join(f"{axis} {1000 * value:+.0f}" for axis, value in zip("xyz", here[:3], strict=True))
    off_m, off_rad = math.dist(here[:3], inside[:3]), math.dist(here[3:], inside[3:])
    return off_m, off_rad, f"{where} mm from the seated pose"
