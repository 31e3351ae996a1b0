"""Runs by name: where they are, which are there, how a new one describes itself."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory, RunError, write_durably
from handrail.launch.errors import RunMissing
from handrail.launch.options import nearest
from handrail.robot_env.errors import ConfigError

if TYPE_CHECKING:  # composing takes Hydra, which a command that only looks at a run need not wait for
    from handrail.agent.config import RunConfig
    from handrail.launch.compose import Composed

_PACKAGES = ("handrail", "torch", "mujoco", "numpy", "gymnasium", "hydra-core")


def path_of(name: str, root: str) -> Path:
    """Where the run `name` is or would be: a name under `root`, or a path when it has a slash."""
    if name in ("", ".", ".."):
        raise ConfigError(f"run={name}: not a name of a run")
    return Path(name) if os.sep in name else Path(root) / name


def find(name: str | None, root: str) -> RunDirectory:
    """An existing run.

    Raises:
        ConfigError: no name is given.
        RunMissing: there is none of that name; the message has the nearest.
        RunError: it has another schema.
    """
    names = existing(root)
    if name is None:
        newest = f", such as run={names[-1]}" if names else ""
        raise ConfigError(f"which run? Give run=<id>{newest}")
    path = path_of(name, root)
    if not path.is_dir():
        shown = ", ".join(names[-5:]) or "none yet: `handrail train` makes one"
        raise RunMissing(
            f"no run {name!r} in {path.parent}{nearest(name, names)} (the newest there: {shown})"
        )
    run = RunDirectory(path)
    run.open()
    return run


def name_of(run: RunDirectory) -> str:
    """What follows `run=` in the next command."""
    return run.id if run.path == path_of(run.id, "runs").absolute() else str(run.path)


def existing(root: str) -> list[str]:
    """The names of the runs under `root`, oldest first."""
    folders = [each for each in Path(root).glob("[!.]*") if (each / "meta.json").is_file()]
    return [each.name for each in sorted(folders, key=lambda each: (each / "meta.json").stat().st_mtime)]


def fresh_name(seed: int) -> str:
    """A name for a new run: when it began, and its seed."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-s{seed}"


def create(name: str | None, root: str, composed: Composed, overrides: Sequence[str]) -> RunDirectory:
    """Make the directory of a new run, which describes itself.

    Raises:
        RunError: it cannot be made.
    """
    from handrail.launch import compose

    seed = composed.config.seed
    run = RunDirectory(path_of(name or fresh_name(seed), root))
    run.create(compose.dump(composed.config), describe(seed, composed.choices, overrides))
    know_cameras(run, composed)
    return run


def empty(run: RunDirectory) -> bool:
    """Whether nothing has ever happened in a run: whoever was to drive it could not begin."""
    reader = LogReader(run.segments)
    happened = any(True for _ in reader.frames()) or reader.damaged
    return not happened and not any(any(folder.iterdir()) for folder in (run.checkpoints, run.policy))


def remake(run: RunDirectory, composed: Composed, overrides: Sequence[str]) -> None:
    """Give an empty run another configuration, as if it were made now.

    Raises:
        RunLocked: somebody is about to drive it.
        RunError: it cannot be made, or is not empty any more.
    """
    from handrail.launch import compose

    with contextlib.ExitStack() as stack:
        for role in ("supervisor", "learner", "actor"):
            stack.callback(run.lock(role).release)
        if not empty(run):
            raise RunError(
                f"{run.path} has just been used; choose another id, or resume it with run={run.id}."
            )
        for file in [*run.segments.iterdir(), run.index_file, run.trunk_file]:  # of another schema, perhaps
            file.unlink(missing_ok=True)
        run.remake(compose.dump(composed.config), describe(composed.config.seed, composed.choices, overrides))
        know_cameras(run, composed)


def know_cameras(run: RunDirectory, composed: Composed) -> None:
    """Give a new run its station's pictures, and no others, to know the cameras by.

    Raises:
        RunError: they are there and cannot be copied.
    """
    from handrail.launch import compose

    run.camera_pictures.unlink(missing_ok=True)
    pictures = compose.station_pictures(composed.choices.get("station", ""))
    if pictures is not None and pictures.is_file():
        try:
            shutil.copyfile(pictures, run.camera_pictures)
        except OSError as error:
            raise RunError(
                f"{pictures} cannot be copied to {run.path}: {error.strerror}; make room."
            ) from error


def keep_config(run: RunDirectory, config: RunConfig) -> None:
    """Make `config` the run's own, if it is not; only for whoever holds the run.

    Raises:
        OSError: the disk refused; the old one is untouched.
    """
    from handrail.launch import compose

    text = compose.dump(config)
    if run.config_file.read_text() != text:
        write_durably(run.config_file, text)


def describe(seed: int, choices: dict[str, str], overrides: Sequence[str]) -> dict[str, Any]:
    """What `meta.json` says of a run beside its schema: what it was made with, and on what."""
    return {
        "seed": seed,
        "choices": choices,
        "overrides": list(overrides),
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "python": platform.python_version(),
        "versions": {package: _version(package) for package in _PACKAGES},
        "git_commit": _git_commit(Path(__file__).parent),
        "host": {"cpu": cpu_name(), "cores": os.cpu_count(), "system": platform.platform()},
    }


def evaluations(run: RunDirectory) -> list[dict[str, Any]]:
    """Every evaluation a run has on record, oldest first; a torn last line is left out."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for line in run.evaluations_file.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                found.append(json.loads(line))
    return found


def cpu_name() -> str:
    """The processor's name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_commit(folder: Path) -> str | None:
    """The commit of the checkout that the program runs from, "+" behind it when files were changed since."""

    def git(*words: str) -> str:
        result = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, timeout=5, check=True
        )
        return result.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # installed inside somebody else's checkout?
        return git("rev-parse", "HEAD") + (
            "+" if git("status", "--porcelain", "--untracked-files=no") else ""
        )
    except (OSError, subprocess.SubprocessError):
        return None
