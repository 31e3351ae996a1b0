"""`handrail doctor`: one line a check, of this machine, its station, and the runs on it."""

import dataclasses
import os
import platform
import resource
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distributions, version
from itertools import chain
from pathlib import Path

from handrail.agent.config import RunConfig
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import arm_link, compose, preflight, runs
from handrail.launch.bench.figures import matmul_gflops
from handrail.launch.checks import Check, Verdict, show
from handrail.launch.driven import driven
from handrail.launch.errors import CheckFailed
from handrail.launch.options import Options
from handrail.robot_env import realtime
from handrail.robot_env.errors import ConfigError, HandrailError

_LEAST_TORCH = (2, 10)


def main(options: Options, overrides: list[str]) -> int:
    """Check everything and print it; `doctor device` and `doctor cameras` look at those alone.

    Raises:
        CheckFailed: something stops a run; the report names it.
    """
    if overrides[:1] == ["device"]:
        from handrail.launch import doctor_device

        return doctor_device.main(options, overrides[1:])
    if overrides[:1] == ["cameras"]:
        from handrail.launch import doctor_cameras

        return doctor_cameras.main(options, overrides[1:])
    if options["keep"]:
        raise ConfigError("--keep: only `handrail doctor cameras` keeps pictures")
    as_lines = options["lines"]
    by_hand = options["hand"] or (sys.stdin.isatty() and not (options["json"] or as_lines))
    config, missing, pictures = _meant(options, overrides)
    checks = show(
        chain(
            unfinished(missing), examine(config, Path(options["runs"]), by_hand=by_hand, pictures=pictures)
        ),
        as_json=options["json"],
        as_lines=as_lines,
    )
    failed = [check.name for check in checks if check.verdict == "fail"]
    if failed:
        raise CheckFailed(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")
    return 0


def unfinished(missing: Iterable[str]) -> Iterator[Check]:
    """A line for each fact of the station or the task that nobody has given yet; they stop a run."""
    for key in missing:
        yield Check(
            key,
            "fail",
            f"has no value: write {key}=<value> behind the command, or keep it in a file of your own",
        )


def _meant(options: Options, overrides: list[str]) -> tuple[RunConfig, tuple[str, ...], Path | None]:
    """The configuration that is to be checked, a run's or composed; what it lacks; its cameras' pictures."""
    address, missing = options["arm_address"], ()
    if options["run"] is None:
        composed = compose.compose(overrides, "ignored")
        config, missing = composed.config, composed.missing
        pictures = compose.station_pictures(composed.choices["station"])
    elif overrides:
        raise ConfigError(
            f"{overrides[0]}: a run has its configuration already; leave it out, or leave run= out"
        )
    else:
        run = runs.find(options["run"], options["runs"])
        config, pictures = compose.load(run.config_file), run.camera_pictures
        own = arm_link.run_address(run)
        if address is None and config.env.arm.served and Path(own.removeprefix("ipc://")).is_dir():
            address = own
    return dataclasses.replace(config, env=arm_link.at(config.env, address)), missing, pictures


def examine(
    config: RunConfig, root: Path, *, by_hand: bool = False, pictures: Path | None = None
) -> Iterator[Check]:
    """Every check, in the order in which a person would make them.

    What a run that is being driven has for itself is not touched, and that is said instead.

    Args:
        config: what is to run.
        root: the folder of the runs.
        by_hand: whether somebody is there to move the device when asked.
        pictures: the file with what each camera showed before; None for none.
    """
    held = ", ".join(driven(str(root)))
    looks: tuple[Callable[[], Check], ...] = (
        _python,
        _torch,
        _cores,
        lambda: _real_time(config),
        _nice,
        _rendering,
        lambda: _disk(config, root),
        lambda: _matmul(held),
    )
    for look in looks:
        yield look()
    yield from preflight.examine(config, by_hand=by_hand, held_by=held, pictures=pictures)
    if config.env.reward.source == "classifier":
        yield _classifier(config)
    for name in runs.existing(str(root)):
        yield _run(RunDirectory(root / name))


def _python() -> Check:
    verdict: Verdict = "ok" if sys.version_info >= (3, 11) else "fail"
    return Check("python", verdict, f"{platform.python_version()} (3.11 or newer)")


def _torch() -> Check:
    try:
        found = version("torch")
    except PackageNotFoundError:
        return Check("torch", "fail", "not installed: pip install -c constraints.txt torch")
    release = tuple(int(part) for part in found.split("+")[0].split(".")[:2])
    if release < _LEAST_TORCH:
        return Check("torch", "fail", f"{found}: 2.10 or newer closes two holes in loading weights")
    cuda = sum(1 for each in distributions() if (each.name or "").startswith("nvidia-"))
    return Check("torch", "ok", f"{found}, {'with CUDA' if cuda else 'CPU only'}")


def _cores() -> Check:
    usable = len(os.sched_getaffinity(0))
    busy = os.getloadavg()[0]
    text = f"{usable} usable, load {busy:.1f} ({runs.cpu_name()})"
    if usable < 2:
        return Check("cores", "note", f"{text}: actor and learner will take turns")
    return Check("cores", "ok" if busy < usable else "note", text)


def _real_time(config: RunConfig) -> Check:
    """Whether a control loop may run under SCHED_FIFO, and the arm's own driver as it wants to."""
    arm = config.env.arm
    if arm.kind == "franka" and arm.franka.realtime == "enforce":
        trouble = _no_realtime_for_franka()
        if trouble:
            around = "or, for trials, set env.arm.franka.realtime=ignore"
            return Check("real time", "fail", f"{trouble}; {around}: the arm then stops itself now and then")
    if realtime.fifo_permitted():
        return Check("real time", "ok", "SCHED_FIFO permitted")
    text = f"SCHED_FIFO not permitted (a real arm needs it): {realtime.REMEDY}"
    return Check("real time", "fail" if config.env.arm.needs_realtime else "note", text)


def _no_realtime_for_franka() -> str:
    """Why libfranka would refuse to move the arm; "" when it would not."""
    if not realtime.kernel_is_realtime():
        return (
            f"no real-time kernel ({realtime.KERNEL_MARK} is not there or not 1), and the Franka's own 1 kHz "
            "loop refuses any other: boot a PREEMPT_RT kernel"
        )
    if not realtime.fifo_permitted(realtime.DRIVER_PRIORITY):
        return (
            f"SCHED_FIFO not permitted at priority {realtime.DRIVER_PRIORITY}, which the Franka's own 1 kHz "
            f"loop asks for: {realtime.REMEDY}"
        )
    return ""


def _nice() -> Check:
    # The limit is given as 20 minus the lowest nice value that this user may ask for.
    lowest = 20 - resource.getrlimit(resource.RLIMIT_NICE)[0] if os.geteuid() else -20
    if lowest <= realtime.NICE:
        return Check("nice", "ok", f"down to {realtime.NICE} permitted")
    return Check("nice", "note", f"only down to {min(lowest, 19)}: {realtime.REMEDY}")


def _rendering() -> Check:
    from handrail.robot_env.sim import gl

    try:
        return Check("rendering", "ok", str(gl.choose_backend()))
    except HandrailError as error:
        return Check("rendering", "note", f"no camera images, state only: {error}")


def _disk(config: RunConfig, root: Path) -> Check:
    place = next(each for each in (root.absolute(), *root.absolute().parents) if each.exists())
    free, reserve = shutil.disk_usage(place).free, config.log.reserve_bytes
    text = f"{free / 1e9:.1f} GB free for {root}, {reserve / 1e9:.1f} GB kept in reserve"
    if not os.access(place, os.W_OK):
        return Check(
            "disk", "fail", f"{place} cannot be written by this user: choose another place with runs="
        )
    return Check("disk", "ok" if free > 4 * reserve else "note" if free > reserve else "fail", text)


def _matmul(held_by: str) -> Check:
    if held_by:
        return Check(
            "matmul", "skip", f"not measured: run {held_by} is being driven, and needs the processors"
        )
    return Check("matmul", "ok", f"{matmul_gflops():.0f} GFLOP/s (1024 x 1024 float32, two threads)")


def _classifier(config: RunConfig) -> Check:
    """Whether the reward classifier is there, fits the cameras, and is fast enough."""
    from handrail.launch import judges

    try:
        return Check("classifier", "ok", judges.describe(config.env))
    except HandrailError as error:
        return Check("classifier", "fail", str(error))


def _run(run: RunDirectory) -> Check:
    name = f"run {run.id}"
    try:
        run.open()
        compose.load(run.config_file)
        reader = LogReader(run.segments)
        frames = sum(1 for _ in reader.frames())
    except HandrailError as error:
        return Check(name, "fail", str(error))
    if reader.damaged:
        first, lost = reader.damaged[0], sum(damage.length for damage in reader.damaged)
        where = f"first in {first.segment} at byte {first.offset}"
        return Check(
            name,
            "note",
            f"{lost} damaged bytes in the log ({where}) are skipped; all {frames} whole records are read",
        )
    return Check(name, "ok", f"{frames} records in the log, all whole")
