"""`handrail export csv | mp4 | lerobot`: a run's episodes as a table, as a film, as a LeRobotDataset v3.0."""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from handrail.intervention.index import EpisodeIndex
from handrail.intervention.log_reader import LogReader
from handrail.launch import compose, runs
from handrail.launch.choice import chosen
from handrail.launch.export import film, lerobot, table
from handrail.launch.export.draft import draft, refuse_existing, size_bytes
from handrail.launch.export.material import Material
from handrail.launch.export.progress import Advance, shown
from handrail.launch.export.room import Room, estimated_bytes
from handrail.launch.export.selection import described, select
from handrail.launch.lifetime import follow_parent
from handrail.launch.options import Options, nearest
from handrail.robot_env.errors import ConfigError

STDOUT = "-"
_NAMES = {"csv": "{run}.csv", "mp4": "{run}.mp4", "lerobot": "{run}-lerobot"}
_ONLY = {"per": "csv", "end_s": "mp4", "instruction": "lerobot"}


def main(options: Options, overrides: list[str]) -> int:
    """Export; `overrides` is the format.

    Raises:
        ConfigError: the options do not go together, or the target is there already.
        ExportError: there is nothing to export, or the disk refused or has too little room.
        LogError: an episode is damaged.
        MissingExtra: what the format is written with is not installed.
    """
    form = _format(overrides)
    for name, only in _ONLY.items():
        if options[name] is not None and form != only:
            raise ConfigError(f"{name}= goes with {only}: handrail export {only} {name}={options[name]}")
    follow_parent(os.environ.get("HANDRAIL_PARENT"), threading.Event())
    run = runs.find(options["run"], options["runs"])
    to = options["to"] or _NAMES[form].format(run=run.id)
    if to == STDOUT and form != "csv":
        raise ConfigError(f"to={STDOUT}: only csv can go to stdout; give a {form} a name")
    if to != STDOUT:
        refuse_existing(Path(to))
    with EpisodeIndex(run.index_file, LogReader(run.segments)) as index:
        reached = index.refresh()
        selection = select(index, chosen(options), everything=options["all"])
        material = Material(run, compose.load(run.config_file), index, selection)
        began = time.monotonic()
        room = Room(Path(to), material.config.log.reserve_bytes)
        if to != STDOUT:
            room.require(estimated_bytes(form, options["per"], run.segments, selection.rows, reached))
        with shown(options["progress"], selection.steps, form) as advance:
            if to == STDOUT:
                table.write(material, sys.stdout, options["per"] or "step", advance)
                return 0
            with draft(Path(to)) as path:
                facts = _WRITERS[form](material, path, room.watched(advance), options)
    summary = {
        "format": form,
        "run": run.id,
        "to": to,
        "episodes": len(selection.rows),
        "steps": selection.steps,
        **facts,
        "left_out": selection.left_out,
        "bytes": size_bytes(Path(to)),
        "seconds": round(time.monotonic() - began, 3),
    }
    if options["json"]:
        sys.stdout.write(json.dumps(summary) + "\n")
    else:
        Console(highlight=False, soft_wrap=True).print(_sentence(summary), markup=False)
    return 0


def _format(words: list[str]) -> str:
    """The one word beside the options."""
    known = tuple(_NAMES)
    if len(words) != 1 or words[0] not in known:
        word = words[0] if words else ""
        hint = nearest(word, known) if len(words) == 1 else ""
        raise ConfigError(f"export {' '.join(words) or 'what'}? Name one of {', '.join(known)}{hint}")
    return words[0]


def _csv(material: Material, path: Path, advance: Advance, options: Options) -> dict[str, int]:
    with path.open("w", encoding="utf-8", newline="") as file:
        table.write(material, file, options["per"] or "step", advance)
    return {}


def _mp4(material: Material, path: Path, advance: Advance, options: Options) -> dict[str, int]:
    return film.write(material, path, advance, options["end_s"])


def _lerobot(material: Material, path: Path, advance: Advance, options: Options) -> dict[str, int]:
    return lerobot.write(material, path, advance, instruction=options["instruction"] or lerobot.INSTRUCTION)


_WRITERS: dict[str, Callable[[Material, Path, Advance, Options], dict[str, int]]] = {
    "csv": _csv,
    "mp4": _mp4,
    "lerobot": _lerobot,
}


def _sentence(summary: dict[str, Any]) -> str:
    left_out = described(summary["left_out"])
    return (
        f"{summary['episodes']} episodes, {summary['steps']} steps -> {summary['to']} "
        f"({summary['bytes'] / 1e6:.1f} MB in {summary['seconds']:.1f} s)"
        + (f"; left out: {left_out} (--all takes in what has ended)" if left_out else "")
    )
