"""`handrail weights import|show|pretrain`: what cameras are seen with.

`import` turns somebody's file into Handrail's, `show` lists what there is, `pretrain` trains a trunk. All of
it stays in the folder `weights` beside the runs, where `vision.weights=auto` finds it; nothing is downloaded.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from handrail.launch import pretrain, runs
from handrail.launch.options import Options, nearest
from handrail.launch.run_trunk import store_of
from handrail.robot_env.errors import ConfigError

if TYPE_CHECKING:
    from handrail.vision.weights import Provenance

WORDS = ("import", "show", "pretrain")


def main(options: Options, overrides: list[str]) -> int:
    """Import, show or pretrain.

    Raises:
        ConfigError: no such word, or options that do not go with it.
        TrunkError: a file is damaged, foreign, or of another shape.
    """
    word, *rest = overrides or [""]
    if word not in WORDS:
        raise ConfigError(
            f"`handrail weights` is followed by {', '.join(WORDS[:-1])} or {WORDS[-1]}, not by {word!r}"
            f"{nearest(word, WORDS)}"
        )
    store = store_of(options["runs"])
    console = Console(highlight=False, soft_wrap=True)
    if word == "pretrain":
        return pretrain.pretrain(options, rest, store, console)
    if rest:
        raise ConfigError(
            f"`handrail weights {word}` takes no {rest[0]!r}; its options are file, run, runs, json"
        )
    if word == "import":
        return _import(options, store, console)
    return _show(options, store)


def _import(options: Options, store: Path, console: Console) -> int:
    from handrail.vision.importing import read
    from handrail.vision.weights import save_in_store

    if options["file"] is None:
        raise ConfigError(
            "`handrail weights import` needs file=<path>: HIL-SERL's resnet10_params.pkl, a resnet10t of "
            "timm's, or safetensors"
        )
    found = read(Path(options["file"]).expanduser())
    kept = save_in_store(store, found.trunk, found.tensors, "imported", found.origin)
    if options["json"]:
        sys.stdout.write(json.dumps(kept.plain()) + "\n")
        return 0
    console.print(f"{kept.file}: {kept.origin}", markup=False)
    also = "" if kept.trunk == "resnet10" else f" with vision.trunk={kept.trunk}"
    console.print(f"Its tensors' SHA-256: {kept.sha256}. New runs take it{also} (vision.weights=auto).")
    return 0


def _show(options: Options, store: Path) -> int:
    files = sorted(store.glob("*.safetensors"))
    if options["run"] is not None:
        files = [runs.find(options["run"], options["runs"]).trunk_file]
    rows = [(path, *_look(path)) for path in files]
    if options["json"]:
        for path, found, problem in rows:
            about: dict[str, Any] = {"file": str(path)} if found is None else found.plain()
            sys.stdout.write(json.dumps({**about, "problem": problem}) + "\n")
        return 0
    if not rows:
        Console(highlight=False, soft_wrap=True).print(
            f"No weights in {store}: policies with cameras begin with random ones. "
            "`handrail weights import file=…` or `handrail weights pretrain` make some."
        )
        return 0
    console = Console() if sys.stdout.isatty() else Console(width=200)
    console.print(_table(rows))
    return 0


def _look(path: Path) -> tuple[Provenance | None, str]:
    """What a file holds, or what is wrong with it."""
    from handrail.vision.weights import TrunkError, load_weights

    try:
        return load_weights(path).provenance, ""
    except TrunkError as error:
        return None, str(error)


def _table(rows: list[tuple[Path, Provenance | None, str]]) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 1))
    for name in ("file", "trunk", "source", "SHA-256"):
        table.add_column(name, no_wrap=True)
    table.add_column("from")
    for path, found, problem in rows:
        if found is None:
            table.add_row(str(path), "", "", "", Text(problem, style="red"))
        else:
            table.add_row(str(path), found.trunk, found.source, found.sha256[:12], Text(found.origin))
    return table
