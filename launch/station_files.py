"""What was set up, as a station file that the command line takes: `HANDRAIL_CONF=<folder> … station=<name>`.

It builds on the station that was set up (`defaults: [<base>]`) and holds nothing but what was changed. Images
are written whole, because a list in a station's file replaces the list below it. A file that a person wrote
is never written over; one that was made here is shown, with what would become of it, before it is.
"""

import difflib
import hashlib
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from handrail.intervention.run_directory import RunDirectory, write_durably
from handrail.launch import compose, schema
from handrail.launch.workspace_box import Box
from handrail.robot_env.cameras.config import CameraConfig
from handrail.robot_env.errors import ConfigError

MADE_HERE = "# Made on the console's set-up page, which writes it anew: keep notes of your own elsewhere."
LONGEST_NAME = 40
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_REPLACED = {"cameras": "env.cameras", "limits": "env.limits.workspace_"}
_WIDTH = 110


@dataclass(frozen=True)
class Changes:
    """What was set up; None leaves the station's own.

    Attributes:
        cameras: the images of the observation, with their crops.
        box: the workspace.
    """

    cameras: tuple[CameraConfig, ...] | None = None
    box: Box | None = None


@dataclass(frozen=True)
class Draft:
    """A file as it would be written.

    Attributes:
        path: where.
        text: all of it.
        difference: from what is there now, as a unified diff; "" for a new file, or when nothing changes.
        seen: digest of what is there now, "" for nothing; `save` asks for it.
        command: the line that trains with it.
    """

    path: Path
    text: str
    difference: str
    seen: str
    command: str


@dataclass(frozen=True)
class StationFolder:
    """Where stations are saved, and how the command line is told.

    Attributes:
        path: a folder of configuration files, as in `HANDRAIL_CONF`.
        variable: the value `HANDRAIL_CONF` needs.
    """

    path: Path
    variable: str

    @classmethod
    def of(cls, run: RunDirectory) -> "StationFolder":
        """The first folder of `HANDRAIL_CONF`; without one, `conf` beside the folder of runs."""
        named = os.environ.get(compose.SEARCH_PATH, "")
        first = next(filter(None, named.split(":")), None)
        if first is not None:
            return cls(Path(first).expanduser().absolute(), named)
        folder = run.path.parent.parent / "conf"
        return cls(folder, str(folder))

    def file(self, name: str) -> Path:
        """The file of a station.

        Raises:
            ConfigError: that is no name, or one of the package's own.
        """
        if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
            raise ConfigError(
                f"{name[:LONGEST_NAME]!r} is no name for a station: use up to {LONGEST_NAME} letters, "
                "digits, - and _, with a letter or digit first"
            )
        if name in compose.packaged("station"):
            raise ConfigError(f"{name} is a station that comes with Handrail; choose another name")
        return self.path / "station" / f"{name}.yaml"


def draft(folder: StationFolder, run: RunDirectory, name: str, changes: Changes) -> Draft:
    """What saving would write. What the file of that name holds already, and is not changed, stays.

    Args:
        folder: where.
        run: whose station was set up.
        name: of the station to be.
        changes: what was set up.

    Raises:
        ConfigError: the name is refused, the file is somebody's own, or nothing was set up.
    """
    path = folder.file(name)
    made = run.meta()
    base = str(made.get("choices", {}).get("station", "sim_panda"))
    before = _read(path)
    known: dict[str, Any] = {}
    if before:
        if MADE_HERE not in before:
            raise ConfigError(f"{path} was not made here, and is left alone; choose another name")
        known = _parse(path, before)
        if base == name:  # it is set up anew: what it builds on stays
            base = str(known["defaults"][0])
    elif base == name:
        raise ConfigError(f"station {name} comes from somewhere else than {folder.path}; choose another name")
    env: dict[str, Any] = known.get("env", {})
    if changes.cameras is not None:
        env["cameras"] = [schema.to_plain(each) for each in changes.cameras]
    if changes.box is not None:
        box = {"workspace_low_m": list(changes.box.low_m), "workspace_high_m": list(changes.box.high_m)}
        env["limits"] = {**env.get("limits", {}), **box}
    if not env:
        raise ConfigError("nothing was set up yet: drag a crop, or take the corners of the workspace")
    text = _write(base, env)
    lines = difflib.unified_diff(before.splitlines(), text.splitlines(), "now", "then", lineterm="")
    difference = "\n".join(lines) if before else ""
    command = _command(folder, name, made.get("overrides", []), env)
    return Draft(path, text, difference, _digest(before), command)


def save(made: Draft, seen: str) -> None:
    """Write a draft.

    Args:
        made: the draft.
        seen: the digest of the file that the operator has seen the difference from; "" for none.

    Raises:
        ConfigError: the file has changed since, or the folder cannot be written.
    """
    if _digest(_read(made.path)) != seen:
        raise ConfigError(f"{made.path} is not as it was shown: look at the difference again, then save")
    try:
        made.path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(made.path, made.text)
    except OSError as error:
        raise ConfigError(
            f"{made.path} cannot be written: {error.strerror}; make room, or set "
            f"{compose.SEARCH_PATH} to a folder of yours"
        ) from None


def _write(base: str, env: dict[str, Any]) -> str:
    known = {"defaults": [base], "env": env}
    body = yaml.safe_dump(known, sort_keys=False, default_flow_style=None, width=_WIDTH, allow_unicode=True)
    return f"# @package _global_\n{MADE_HERE}\n{body}"


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        known = yaml.safe_load(text)
        if isinstance(known["defaults"][0], str) and isinstance(known["env"], dict):
            return known
    except (yaml.YAMLError, LookupError, TypeError):
        pass
    raise ConfigError(f"{path} cannot be read as a station any more; choose another name")


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}; choose another name") from None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16] if text else ""


def _command(folder: StationFolder, name: str, overrides: Sequence[str], env: dict[str, Any]) -> str:
    """The line that begins a run with it, and otherwise as this run was begun."""
    replaced = ("station=", *(prefix for key, prefix in _REPLACED.items() if key in env))
    kept = [word for word in overrides if not word.startswith(replaced)]
    words = ["handrail", "train", f"station={name}", *kept]
    return f"{compose.SEARCH_PATH}={shlex.quote(folder.variable)} {shlex.join(words)}"
