"""`handrail review`: a run's episodes as a table or as statistics, and what a reviewer says about one.

A label or a remark is an event appended to the log (who, when, old, new, why); nothing is rewritten. The run
may be driven meanwhile: then its control loop writes it down.
"""

import dataclasses
import getpass
import json
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from handrail.intervention.index import EpisodeIndex, EpisodeRow
from handrail.intervention.index_query import Statistics
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import runs
from handrail.launch.choice import chosen
from handrail.launch.options import Options
from handrail.robot_env.errors import ConfigError

_WIDTH = 180  # away from a terminal nobody looks at the width, and a cut-off number is worse than a long line
_OUTCOME_STYLES = {"success": "green", "failure": "red", "aborted": "yellow", "open": "dim", "shown": "dim"}


def main(options: Options, overrides: list[str]) -> int:
    """List, count or say something; `overrides` is empty.

    Raises:
        ConfigError: the options do not go together.
        LabelError: there is no such episode.
        RunLocked: somebody holds the log and takes no labels.
    """
    run = runs.find(options["run"], options["runs"])
    if options["label"] is not None or options["comment"] is not None:
        return _say(run, options)
    for name in ("why", "step"):
        if options[name] is not None:
            raise ConfigError(f"{name}= goes with label=: episode=12 label=success {name}=…")
    asked = chosen(options)
    if options["episode"] is not None:
        if asked.episodes is not None:
            raise ConfigError("episode= and episodes= name different ones; give one of them")
        asked = dataclasses.replace(asked, episodes=str(options["episode"]))
    with EpisodeIndex(run.index_file, LogReader(run.segments)) as index:
        index.refresh()
        (total,) = index.statistics(None, asked)
        if options["by"] is not None:
            return _show_statistics(options, [*index.statistics(options["by"], asked), total])
        rows = index.select(asked)
    if options["json"]:
        for row in rows:
            sys.stdout.write(json.dumps(vars(row)) + "\n")
        return 0
    console = _console()
    console.print(table(rows))
    console.print(_sum(rows, total), highlight=False)
    return 0


def table(rows: Sequence[EpisodeRow]) -> Table:
    """The episodes as a table."""
    shown = Table(box=None, header_style="bold", padding=(0, 1))
    for name in ("episode", "steps", "human", "takeovers", "peak N", "cycle s", "weights"):
        shown.add_column(name, justify="right", no_wrap=True)
    for name in ("outcome", "label", "said by", "purpose", "began"):
        shown.add_column(name, no_wrap=True)
    judged = any(row.classifier for row in rows)
    if judged:
        shown.add_column("score", justify="right", no_wrap=True)
    shown.add_column("note")
    for row in rows:
        score = [_number(row.score, 2)] if judged else []
        note = row.note or (f"cut by {row.truncated_by}" if row.truncated_by else "")
        # Names and notes are somebody's words: no markup.
        shown.add_row(
            str(row.episode),
            str(row.steps),
            str(row.human_steps),
            _number(row.takeovers, 0),
            _number(row.peak_force_n, 1),
            _number(row.cycle_s, 1),
            "" if row.weights_version < 0 else str(row.weights_version),
            Text(row.outcome, style=_OUTCOME_STYLES.get(row.outcome, "")),
            (row.label or "") + ("" if row.label_step is None else f" at {row.label_step}"),
            Text(row.labeller or ""),
            row.purpose,
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.started_wall_ns / 1e9)),
            *score,
            Text(note),
        )
    return shown


def statistics_table(by: str, groups: Sequence[Statistics]) -> Table:
    """What groups of episodes came to; the last group is of all."""
    shown = Table(box=None, header_style="bold", padding=(0, 1))
    shown.add_column(by, no_wrap=True)
    for name in ("episodes", "counted", "unaided", "with help", "human", "takeovers", "cycle s", "peak N"):
        shown.add_column(name, justify="right", no_wrap=True)
    for group in groups:
        if group is groups[-1]:
            shown.add_section()
        shown.add_row(
            Text("all" if group is groups[-1] else group.group or "nobody named"),
            str(group.episodes),
            str(group.counted),
            _share(group.unaided, group.counted, group.unaided_bounds),
            _share(group.assisted, group.counted, group.assisted_bounds),
            "" if group.human_share is None else f"{group.human_share:.0%}",
            str(group.takeovers),
            _number(group.cycle_s, 1),
            _number(group.peak_force_n, 1),
        )
    return shown


def _show_statistics(options: Options, groups: Sequence[Statistics]) -> int:
    if options["json"]:
        for group in groups[:-1]:
            bounds = {"unaided_bounds": group.unaided_bounds, "assisted_bounds": group.assisted_bounds}
            sys.stdout.write(json.dumps({**vars(group), **bounds}) + "\n")
        return 0
    console = _console()
    console.print(statistics_table(options["by"], groups))
    console.print(
        "counted are episodes with a result, not excluded, and of training unless purpose= says otherwise; "
        "shares with 95 % bounds",
        highlight=False,
    )
    return 0


def _say(run: RunDirectory, options: Options) -> int:
    """Relabel, or remark on, one episode."""
    # The desk's socket is needed by nobody who only lists.
    from handrail.launch.labelling import comment, relabel

    episode, label, remark, why = (options[name] for name in ("episode", "label", "comment", "why"))
    if episode is None:
        word = "label" if label is not None else "comment"
        raise ConfigError(f"{word}= needs the episode it is for: episode=12 {word}=…")
    if label is None and (why is not None or options["step"] is not None):
        raise ConfigError("why= and step= go with label=; a comment= speaks for itself")
    who = getpass.getuser()
    console = Console(highlight=False, soft_wrap=True, markup=False)
    if label is not None:
        console.print(relabel(run, episode, label, who, why or "", options["step"]))
    if remark is not None:
        console.print(comment(run, episode, remark, who))
    return 0


def _sum(rows: Sequence[EpisodeRow], total: Statistics) -> str:
    succeeded = sum(row.outcome == "success" for row in rows)
    line = f"{len(rows)} episodes, {succeeded} successes"
    if not total.counted:
        return line
    unaided = _share(total.unaided, total.counted, total.unaided_bounds)
    return f"{line}; unaided {total.unaided} of {total.counted} counted: {unaided}"


def _share(successes: int, episodes: int, bounds: tuple[float, float]) -> str:
    if not episodes:
        return ""
    return f"{successes / episodes:.0%} ({bounds[0]:.0%} to {bounds[1]:.0%})"


def _number(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:.{places}f}"


def _console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=_WIDTH)
