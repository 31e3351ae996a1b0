"""`handrail review`: a run's episodes as a table or as statistics, and what a reviewer says about them.

A label or a remark is an event appended to the log (who, when, old, new, why); nothing is rewritten. The run
may be driven meanwhile: then its control loop writes it down.
"""

import dataclasses
import getpass
import json
import sys
import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from handrail.intervention.episode_filter import EpisodeFilter
from handrail.intervention.index import EpisodeIndex, EpisodeRow
from handrail.intervention.index_query import Statistics
from handrail.intervention.labeller import UNDO
from handrail.intervention.labels import LabelError
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import runs
from handrail.launch.choice import chosen
from handrail.launch.columns import Column, Kind, fitted
from handrail.launch.options import Options
from handrail.launch.visible import visible
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
    asked = chosen(options)
    many = options["label"] is not None and options["episode"] is None and asked != EpisodeFilter()
    if many:
        _require_many(options)
    elif options["label"] is not None or options["comment"] is not None:
        return _say(run, options)
    else:
        _require_list(options)
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
    if many and options["yes"]:
        return _say_each(run, [row.episode for row in rows], options)
    if options["json"]:
        for row in rows:
            sys.stdout.write(json.dumps(vars(row)) + "\n")
        return 0
    console = _console()
    _print_fitted(console, *table(rows, console.width))
    console.print(_sum(rows, total), highlight=False)
    if many:
        act = "have their label taken back" if options["label"] == UNDO else f"be labelled {options['label']}"
        console.print(f"Nothing is changed yet: these {len(rows)} would {act}; --yes does it.", markup=False)
    return 0


def table(rows: Sequence[EpisodeRow], width: int) -> tuple[Table, list[str]]:
    """The episodes as a table of that width, and the names of the columns for which it has no room."""

    def column(
        name: str, cell: Callable[[EpisodeRow], str | Text], rank: int = 0, kind: Kind = "number"
    ) -> Column:
        return Column(name, [cell(row) for row in rows], rank, kind)

    columns = [
        column("episode", lambda row: str(row.episode)),
        column("steps", lambda row: str(row.steps)),
        column("human", lambda row: str(row.human_steps), 4),
        column("takeovers", lambda row: _number(row.takeovers, 0), 5),
        column("peak N", lambda row: _number(row.peak_force_n, 1), 2),
        column("cycle s", lambda row: _number(row.cycle_s, 1), 6),
        column("weights", lambda row: "" if row.weights_version < 0 else str(row.weights_version), 8),
        column(
            "outcome", lambda row: Text(row.outcome, style=_OUTCOME_STYLES.get(row.outcome, "")), 0, "name"
        ),
        column("label", _label, 0, "name"),
        column("said by", lambda row: Text(visible(row.labeller or "")), 0, "name"),
        column("purpose", lambda row: row.purpose, 7, "name"),
        column("began", _began, 3, "name"),
        column("note", _note, 0, "words"),
    ]
    if any(row.classifier for row in rows):
        columns.insert(-1, column("score", lambda row: _number(row.score, 2), 1))
    return fitted(columns, width)


def statistics_table(by: str, groups: Sequence[Statistics], width: int) -> tuple[Table, list[str]]:
    """What groups of episodes came to, the last of all, and the columns for which there is no room."""

    def column(
        name: str, cell: Callable[[Statistics], str | Text], rank: int = 0, kind: Kind = "number"
    ) -> Column:
        return Column(name, [cell(group) for group in groups], rank, kind)

    def of(group: Statistics) -> Text:
        return Text("all" if group is groups[-1] else visible(group.group) or "nobody named")

    columns = [
        column(by, of, 0, "name"),
        column("episodes", lambda each: str(each.episodes)),
        column("counted", lambda each: str(each.counted)),
        column("unaided", lambda each: _share(each.unaided, each.counted, each.unaided_bounds)),
        column("with help", lambda each: _share(each.assisted, each.counted, each.assisted_bounds)),
        column("human", lambda each: "" if each.human_share is None else f"{each.human_share:.0%}", 1),
        column("takeovers", lambda each: str(each.takeovers), 2),
        column("cycle s", lambda each: _number(each.cycle_s, 1), 4),
        column("peak N", lambda each: _number(each.peak_force_n, 1), 3),
    ]
    return fitted(columns, width, ends=[len(groups) - 2])


def _show_statistics(options: Options, groups: Sequence[Statistics]) -> int:
    if options["json"]:
        for group in groups[:-1]:
            bounds = {"unaided_bounds": group.unaided_bounds, "assisted_bounds": group.assisted_bounds}
            sys.stdout.write(json.dumps({**vars(group), **bounds}) + "\n")
        return 0
    console = _console()
    _print_fitted(console, *statistics_table(options["by"], groups, console.width))
    console.print(
        "counted are episodes with a result, not excluded, and of training unless purpose= says otherwise; "
        "shares with 95 % bounds",
        highlight=False,
    )
    return 0


def _require_list(options: Options) -> None:
    """Refuse what goes with something to say, where nothing is said."""
    for name in ("why", "step"):
        if options[name] is not None:
            raise ConfigError(f"{name}= goes with label=: episode=12 label=success {name}=…")
    if options["yes"]:
        raise ConfigError("--yes goes with label= and a filter: outcome=success label=exclude why=… --yes")


def _require_many(options: Options) -> None:
    """Refuse what makes no sense of many episodes at once."""
    for name in ("step", "comment", "by"):
        if options[name] is not None:
            raise ConfigError(
                f"{name}= is not for many episodes at once; leave it out, or name one: episode=12"
            )
    if options["label"] != UNDO and not (options["why"] or "").strip():
        raise ConfigError("label= of many episodes needs a reason, which is kept with each: why=…")


def _say_each(run: RunDirectory, episodes: Sequence[int], options: Options) -> int:
    """Relabel many episodes."""
    from handrail.launch.labelling import relabel_each

    said = relabel_each(run, episodes, options["label"], getpass.getuser(), options["why"] or "")
    if options["json"]:
        sys.stdout.write(json.dumps(dataclasses.asdict(said)) + "\n")
    else:
        Console(highlight=False, soft_wrap=True, markup=False).print(visible(said.told(options["label"])))
    return LabelError.exit_code if said.refused else 0


def _say(run: RunDirectory, options: Options) -> int:
    """Relabel, or remark on, one episode."""
    # The desk's socket is needed by nobody who only lists.
    from handrail.launch.labelling import comment, relabel

    episode, label, remark, why = (options[name] for name in ("episode", "label", "comment", "why"))
    if episode is None:
        word = "label" if label is not None else "comment"
        or_many = "; or those that a filter chooses: outcome=success label=…" if label is not None else ""
        raise ConfigError(f"{word}= needs the episode it is for: episode=12 {word}=…{or_many}")
    if options["yes"]:
        raise ConfigError("--yes is for many episodes; one that is named is relabelled without")
    if label is None and (why is not None or options["step"] is not None):
        raise ConfigError("why= and step= go with label=; a comment= speaks for itself")
    who = getpass.getuser()
    console = Console(highlight=False, soft_wrap=True, markup=False)
    if label is not None:
        console.print(visible(relabel(run, episode, label, who, why or "", options["step"])))
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


def _label(row: EpisodeRow) -> str:
    return (row.label or "") + ("" if row.label_step is None else f" at {row.label_step}")


def _began(row: EpisodeRow) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.started_wall_ns / 1e9))


def _note(row: EpisodeRow) -> Text:
    """Somebody's words: no markup."""
    return Text(visible(row.note) if row.note else f"cut by {row.truncated_by}" if row.truncated_by else "")


def _print_fitted(console: Console, shown: Table, left_out: Sequence[str]) -> None:
    console.print(shown)
    if left_out:
        console.print(
            f"A wider terminal has room for {', '.join(left_out)}, too; --json has all.", style="dim"
        )


def _number(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:.{places}f}"


def _console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=_WIDTH)
