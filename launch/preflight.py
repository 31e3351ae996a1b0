"""The checks of a station before its first episode: cameras, device, arm, workspace, learner link.

Nothing here moves the arm. What cannot be looked at says why.
"""

import contextlib
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np

from handrail.agent.config import HAND_DEVICES, RunConfig
from handrail.launch import arm_checks
from handrail.launch.checks import Check
from handrail.robot_env.cameras.config import CameraDeviceConfig
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import HandrailError

_BLIND = "none; the policy sees the state alone"
_LEAST_RATE = 0.8  # of the frames a second that were asked for
_LINK_REQUESTS = 50
_LINK_MS = 20.0


def examine(config: RunConfig, *, by_hand: bool) -> Iterator[Check]:
    """Every check of the station.

    Args:
        config: what is to run.
        by_hand: whether somebody is there to move the device when asked.
    """
    yield from _cameras(config)
    yield _guarded("device", lambda: _device(config, by_hand))
    yield from arm_checks.examine(config.env)
    yield _workspace(config)
    yield _guarded("link", _link)


def _guarded(name: str, look: Callable[[], Check]) -> Check:
    """A check whose own error is its result."""
    try:
        return look()
    except HandrailError as error:
        return Check(name, "fail", str(error))


# Cameras
# ---------------------------------------------------------------------------------------------------


def _cameras(config: RunConfig) -> Iterator[Check]:
    """A line a physical camera: rate, age, serial number."""
    env = config.env
    if not env.arm.real and not env.camera_devices:
        views = ", ".join(camera.name for camera in env.cameras)
        yield Check(
            "cameras", "ok", f"simulated: {views}" if views else "none; the policy sees the state alone"
        )
        return
    if not env.camera_devices:
        yield Check("cameras", "note", f"{_BLIND} (env.camera_devices is empty)")
        return
    for device in env.camera_devices:
        yield _guarded(f"camera {device.name}", lambda device=device: _camera(device))


def _camera(device: CameraDeviceConfig) -> Check:
    """Watch one camera for two seconds; all that stand beside it on the bus have their turn."""
    from handrail.robot_env.cameras.make import make_streams

    stream = make_streams([device])[device.name]
    stream.open()
    try:
        report = stream.probe()
    finally:
        stream.close()
    counts = report.counts
    said = (
        f"{report.identity}: {report.rate_hz:.1f} of {device.fps} frames/s, "
        f"age {report.age_p50_ms:.0f} ms (p99 {report.age_p99_ms:.0f}), "
        f"{counts.drops} lost, {counts.repeats} repeated"
    )
    name = f"camera {device.name}"
    if report.fault:
        return Check(name, "fail", f"{said}; {report.fault}")
    if report.rate_hz < _LEAST_RATE * device.fps:
        return Check(name, "fail", f"{said}: too slow; use a USB 3 port, or lower its size or fps")
    if report.warnings:
        return Check(name, "note", f"{said}; {'; '.join(report.warnings)}")
    return Check(name, "ok", said)


# The operator's device
# ---------------------------------------------------------------------------------------------------


def _device(config: RunConfig, by_hand: bool) -> Check:
    """Whether the operator's device is there, at rest, and comes back to rest after it was moved."""
    from handrail.launch.doctor_device import check_device

    if config.env.arm.real and config.actor.device not in HAND_DEVICES:
        device = config.actor.device
        return Check("device", "fail", f"actor.device is {device!r}: nobody's hand; choose device=spacemouse")
    return Check("device", *check_device(config, by_hand=by_hand and sys.stdin.isatty()))


# Workspace
# ---------------------------------------------------------------------------------------------------


def _workspace(config: RunConfig) -> Check:
    """Whether box, steps, speeds and forces fit each other. What lies outside the box was refused before."""
    env = config.env
    limits, task, motion = env.limits, env.task, env.limits.motion
    size = [high - low for low, high in zip(limits.workspace_low_m, limits.workspace_high_m, strict=True)]
    step_m, step_rad = env.action_scale
    if env.arm.real and task.seated_pose is None:
        return Check("workspace", "fail", "env.task.seated_pose is not set; teach it with the module seated")
    if step_m > min(size):
        axis = "xyz"[int(np.argmin(size))]
        return Check(
            "workspace",
            "fail",
            f"one full step of {1000 * step_m:.0f} mm is wider than the box along {axis} "
            f"({1000 * min(size):.0f} mm); lower env.action_scale, or widen env.limits.workspace_*",
        )
    box = " x ".join(f"{100 * side:.0f}" for side in size)
    said = f"box {box} cm, starts and home inside it"
    if env.regrasp is not None:
        if outside := _grasp_outside(env):
            return Check("workspace", "fail", outside)
        said = f"box {box} cm, starts, home and grasp inside it"
    contact = env.arm.contact
    if contact is not None and contact.clip_m is not None:
        clips = (*contact.clip_m, *(contact.clip_neg_m or ()))
        push_n = contact.translation_n_m * max(clips)
        if push_n > limits.force_limit_n:
            return Check(
                "workspace",
                "fail",
                f"the impedance pushes steadily with up to {push_n:.0f} N and env.limits.force_limit_n is "
                f"{limits.force_limit_n:.0f} N: contact would trip it; lower the clips of env.arm.contact",
            )
        said += f", steady push up to {push_n:.0f} N of {limits.force_limit_n:.0f} N"
    asked = (
        (step_m * env.hz, motion.linear_speed_m_s, "m/s"),
        (step_rad * env.hz, motion.angular_speed_rad_s, "rad/s"),
    )
    for speed, limit, unit in asked:
        if speed > limit:
            said += f"; full steps ask for {speed:.2g} {unit} and get {limit:.2g}"
            return Check("workspace", "note", f"{said}: a step then outlasts its tick")
        said += f", steps up to {speed:.2g} of {limit:.2g} {unit}"
    if step_m > motion.leash_m:
        return Check(
            "workspace", "note", f"{said}; the leash of {1000 * motion.leash_m:.0f} mm cuts a full step"
        )
    return Check("workspace", "ok", said)


def _grasp_outside(env: EnvConfig) -> str:
    """Why the regrasp's poses do not lie in the box; "" when they do, or nobody can tell yet."""
    from handrail.robot_env.gate import GateLimits
    from handrail.robot_env.tasks import RamInsertion

    if env.regrasp is None or env.task.seated_pose is None:
        return ""
    frame = RamInsertion(env.task).frame()
    limits = GateLimits.build(env.limits, frame, env.limits.motion, 1.0 / env.hz)
    here = frame.coordinates(env.regrasp.pose(frame))
    above = [*here[:2], max(here[2] + env.regrasp.approach_m, env.regrasp.travel_m), *here[3:]]
    for what, pose in (("env.regrasp.grasp_pose", here), ("the approach to env.regrasp.grasp_pose", above)):
        inside = limits.clip(pose)
        off_m, off_rad = math.dist(pose[:3], inside[:3]), math.dist(pose[3:], inside[3:])
        if off_m > 0.0 or off_rad > 0.0:
            return (
                f"{what} lies {1000 * off_m:.0f} mm and {off_rad:.2f} rad outside the box; move the holder "
                "nearer, or widen env.limits.workspace_*"
            )
    return ""


# The learner's link
# ---------------------------------------------------------------------------------------------------


def _link() -> Check:
    """Ask an empty log for news as a learner does, over real sockets of this machine."""
    from handrail.agent.link import LogPuller, LogServer, log_address
    from handrail.intervention.log_reader import LogReader

    with tempfile.TemporaryDirectory(prefix="handrail-doctor-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        address = log_address(folder)
        server = LogServer(address, LogReader(folder), lambda: 0, "doctor", "doctor")
        stack.callback(server.close)
        puller = LogPuller(address, "doctor", "doctor", "doctor", 0)
        stack.callback(puller.close)
        took_ms = []
        for _ in range(_LINK_REQUESTS):
            began = time.perf_counter()
            puller.poll(0, updates=0, training=False, began_at=0, wait_s=1.0, idle_s=0.0)
            took_ms.append((time.perf_counter() - began) * 1e3)
    typical = median(took_ms)
    slow = typical > _LINK_MS or not math.isfinite(typical)
    text = (
        f"a learner's request takes {typical:.1f} ms (the slowest of {_LINK_REQUESTS}: {max(took_ms):.1f} ms)"
    )
    return Check("link", "note" if slow else "ok", text)
