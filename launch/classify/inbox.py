"""`handrail classify inbox`: where a person and the classifier disagreed, for the next training to learn."""

import dataclasses
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from handrail.intervention.log_reader import LogReader
from handrail.launch.classify import common
from handrail.launch.options import Options
from handrail.launch.visible import visible
from handrail.reward_classifier import artifact, inbox, png
from handrail.reward_classifier.inbox import InboxEntry
from handrail.robot_env.errors import ConfigError

_SEEN = {"vetoed": "success", "missed": "no success"}


def main(options: Options, overrides: list[str]) -> int:
    """List the disagreements of every run, or of those named; with `name=` those that are news to it.

    Raises:
        ConfigError: the folder for pictures cannot be written.
        LogError: an image is missing from its log.
        RunMissing: there is no such run.
        ClassifierError: the classifier that is named is not in use.
    """
    common.refuse_overrides("inbox", overrides)
    readers = {each.directory.id: each.recording.reader for each in common.every_run(options)}
    found = inbox.entries(readers)
    if options["name"] is not None:
        folder = common.folder_of(options)
        classifier = artifact.load(folder / options["version"] if options["version"] else folder)
        found = inbox.news(found, classifier.learned)
    if options["pictures"] is not None:
        _keep_pictures(found, readers, Path(options["pictures"]))
    if options["json"]:
        for entry in found:
            sys.stdout.write(json.dumps(dataclasses.asdict(entry)) + "\n")
        return 0
    # Away from a terminal nobody looks at the width, and a cut-off number is worse than a long line.
    console = Console() if sys.stdout.isatty() else Console(width=160)
    if found:
        console.print(_table(found))
    runs = sorted({entry.run for entry in found})
    advice = (
        f"; `handrail classify train name=<name> run=<the runs of before>,{','.join(runs)}` learns from them"
        if found
        else ": nothing to learn from them"
    )
    console.print(f"{len(found)} disagreements{advice}", soft_wrap=True, highlight=False, markup=False)
    return 0


def _keep_pictures(found: Sequence[InboxEntry], readers: Mapping[str, LogReader], folder: Path) -> None:
    """Write what each camera saw: `first-12-40-vetoed-wrist.png` of episode 12, step 40."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for entry in found:
            name = f"{entry.run}-{entry.episode}-{entry.step}-{entry.kind}"
            for camera, image in inbox.images(readers[entry.run], entry).items():
                (folder / f"{name}-{camera}.png").write_bytes(png.encode(image))
    except OSError as error:
        raise ConfigError(f"pictures={folder} cannot be written: {error.strerror}; name another") from None


def _table(entries: Sequence[InboxEntry]) -> Table:
    columns = ("run", "episode", "step", "classifier", "saw", "score", "a person said", "who", "when", "why")
    table = Table(*columns)
    for entry in entries:
        cells = (
            entry.run,
            str(entry.episode),
            str(entry.step),
            entry.classifier,
            _SEEN[entry.kind],
            "-" if entry.score is None else f"{entry.score:.2f}",
            entry.label,
            entry.who,
            time.strftime("%m-%d %H:%M", time.localtime(entry.wall_ns / 1e9)),
            entry.why,
        )
        table.add_row(*(Text(visible(cell)) for cell in cells))
    return table
