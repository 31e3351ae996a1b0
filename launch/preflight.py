"""The checks of a station before its first episode: cameras, device, arm, workspace, learner link.

Nothing here moves the arm. What cannot be looked at says why.
"""

import contextlib
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from handrail.agent.config import HAND_DEVICES, RunConfig
from handrail.launch import arm_checks
from handrail.launch.checks import Check
from handrail.robot_env.cameras.config import CameraDeviceConfig
from handrail.robot_env.cameras.references import References, serials, shown
from handrail.robot_env.config import EnvConfig
from handrail.robot_env.errors import ConfigError, HandrailError

if TYPE_CHECKING:
    from handrail.robot_env.cameras.report import CameraReport
    from handrail.robot_env.cameras.stream import FrameStream

_BLIND = "none; the policy sees the state alone"
_SKEW_PERIOD_S = 0.01
_LEAST_RATE = 0.8  # of the frames a second that were asked for
_LINK_REQUESTS = 50
_LINK_MS = 20.0


def examine(
    config: RunConfig, *, by_hand: bool, held_by: str = "", pictures: Path | None = None
) -> Iterator[Check]:
    """Every check of the station.

    Args:
        config: what is to run.
        by_hand: whether somebody is there to move the device when asked.
        held_by: a run whose control loop has cameras and device now: they are left to it.
        pictures: the file with what each camera showed before; None for none.
    """
    if held_by and config.env.camera_devices:
        yield Check("cameras", "skip", f"run {held_by} has them now: its page shows whether they deliver")
    else:
        yield from cameras(config, None if pictures is None else References(pictures))
    if held_by and config.actor.device in HAND_DEVICES:
        yield Check("device", "skip", f"run {held_by} has it now: `handrail doctor device` once it has ended")
    else:
        yield _guarded("device", lambda: _device(config, by_hand))
    yield from arm_checks.examine(config.env)
    yield _workspace(config)
    if (home := arm_checks.joint_home(config.env)) is not None:
        yield home
    yield _guarded("link", _link)


def _guarded(name: str, look: Callable[[], Check]) -> Check:
    """A check whose own error is its result."""
    try:
        return look()
    except HandrailError as error:
        return Check(name, "fail", str(error))


# Cameras
# ---------------------------------------------------------------------------------------------------


def cameras(config: RunConfig, before: References | None = None) -> Iterator[Check]:
    """A line a physical camera: rate, age, serial number; and whether some of them were exchanged.

    Args:
        config: the station's.
        before: what each showed before; None where nobody knows.
    """
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
    try:
        yield from _all_cameras(config.env, before)
    except HandrailError as error:
        yield Check("cameras", "fail", str(error))


def _all_cameras(env: EnvConfig, before: References | None) -> Iterator[Check]:
    """Watch all cameras together, as the environment opens them: they share bus, serial numbers and a moment.

    Those that nobody has given a serial number are left out, with what is connected.

    Raises:
        ConfigError: two are the same camera, or an image looks through none, or beyond a camera's picture.
        MissingExtra: a camera's SDK is not installed.
    """
    from handrail.robot_env.cameras.make import make_cameras, make_driver, make_streams

    for device in env.camera_devices:
        if not device.serial:
            try:
                make_driver(device)
            except HandrailError as error:
                yield Check(f"camera {device.name}", "fail", str(error))
    env = _known(env)
    make_cameras(env)  # refuses what the environment would refuse
    streams = make_streams(env.camera_devices)
    with contextlib.ExitStack() as stack:
        opened: list[CameraDeviceConfig] = []
        for device in env.camera_devices:
            try:
                streams[device.name].open()
            except HandrailError as error:
                yield Check(f"camera {device.name}", "fail", str(error))
            else:
                stack.callback(streams[device.name].close)
                opened.append(device)
        with ThreadPoolExecutor(max(1, len(opened))) as pool:
            watched = [pool.submit(streams[device.name].probe) for device in opened]
            skew = _skew([streams[device.name] for device in opened], watched)
        for device, report in zip(opened, watched, strict=True):
            yield _guarded(
                f"camera {device.name}", lambda device=device, report=report: _camera(device, report.result())
            )
        if before is not None and before.pictures:
            used = [streams[device.name] for device in opened]
            yield _guarded("camera places", lambda: _places(used, before))
    if len(opened) > 1:
        said = f"images up to {1000 * skew:.0f} ms apart, limit {1000 * env.camera_skew_s:.0f} ms"
        remedy = "lower their resolution or put them on separate USB controllers"
        if skew > env.camera_skew_s:
            yield Check("camera skew", "fail", f"{said}; {remedy}")
        else:
            yield Check("camera skew", "ok", said)


def _known(env: EnvConfig) -> EnvConfig:
    """The same without the cameras that have no serial number, and the images that look through them."""
    unknown = {device.name for device in env.camera_devices if not device.serial}
    devices = tuple(device for device in env.camera_devices if device.name not in unknown)
    images = tuple(image for image in env.cameras if image.source not in unknown)
    return replace(env, camera_devices=devices, cameras=images)


def _places(streams: Sequence["FrameStream"], before: References) -> Check:
    """Whether each camera shows what it did before, and not what another one did."""
    renew = (
        f"say so on the console's page (Set-up, Crop), or delete {before.file} "
        "(`handrail doctor cameras --keep` takes a station's anew)"
    )
    before.check(shown(streams), serials(streams), renew)
    return Check("camera places", "ok", f"none look exchanged, by their pictures in {before.file}")


def _skew(streams: Sequence["FrameStream"], watched: Sequence["Future[CameraReport]"]) -> float:
    """Typical distance between the newest frames of different cameras while they are watched [s]."""
    distances = [0.0]
    while not all(report.done() for report in watched):
        with contextlib.suppress(HandrailError):
            stamps = [stream.latest().frame.t_ns for stream in streams]
            distances.append((max(stamps) - min(stamps)) / 1e9)
        time.sleep(_SKEW_PERIOD_S)
    return float(np.percentile(distances, 99))


def _camera(device: CameraDeviceConfig, report: "CameraReport") -> Check:
    """How one camera did."""
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
    return Check("device", *check_device(config, by_hand=by_hand))


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
    pushes = {}
    for name, gains in (("contact", env.arm.contact), ("moving", env.arm.moving)):
        if gains is None or gains.clip_m is None:
            continue
        push_n = gains.translation_n_m * max(*gains.clip_m, *(gains.clip_neg_m or ()))
        if push_n >= limits.force_limit_n:
            what = "contact" if name == "contact" else "a lift out of the socket"
            return Check(
                "workspace",
                "fail",
                f"the impedance of env.arm.{name} pushes steadily with up to {push_n:.0f} N and "
                f"env.limits.force_limit_n is {limits.force_limit_n:.0f} N: {what} would trip it; lower the "
                f"clips of env.arm.{name}",
            )
        pushes[name] = push_n
    if pushes:
        said += f", steady push up to {max(pushes.values()):.0f} N of {limits.force_limit_n:.0f} N"
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
    from handrail.robot_env.tasks import RamInsertion

    if env.regrasp is None or env.task.seated_pose is None:
        return ""
    try:
        env.regrasp.require_inside(env.limits, RamInsertion(env.task).frame())
    except ConfigError as error:
        return str(error)
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
