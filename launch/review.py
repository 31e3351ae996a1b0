"""`handrail review`: a run's episodes as a table, and their labels put right.

A new label is an event appended to the log (who, when, old, new, why); nothing is rewritten.
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
from handrail.intervention.labels import Label, append_label, review_writer
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory
from handrail.launch import runs
from handrail.launch.options import Options
from handrail.robot_env.errors import ConfigError

_COMMIT_TIMEOUT_S = 10.0
_OUTCOME_STYLES = {"success": "green", "failure": "red", "aborted": "yellow", "open": "dim", "shown": "dim"}


def main(options: Options, overrides: list[str]) -> int:
    """List or relabel; `overrides` is empty.

    Raises:
        ConfigError: the options do not go together.
        LabelError: there is no such episode.
        RunLocked: the run's actor is running and holds the log.
    """
    run = runs.find(options["run"], options["runs"])
    if options["label"] is not None:
        return _relabel(run, options)
    for name in ("why", "step"):
        if options[name] is not None:
            raise ConfigError(f"{name}= goes with label=: episode=12 label=success {name}=…")
    with EpisodeIndex(run.index_file, LogReader(run.segments)) as index:
        index.refresh()
        rows = select(index, options)
        reasons = {row.episode: _last_reason(index, row.episode) for row in rows}
    if options["json"]:
        for row in rows:
            sys.stdout.write(json.dumps({**dataclasses.asdict(row), "why": reasons[row.episode]}) + "\n")
        return 0
    # Away from a terminal nobody looks at the width, and a cut-off number is worse than a long line.
    console = Console() if sys.stdout.isatty() else Console(width=160)
    console.print(table(rows, reasons))
    succeeded = sum(outcome_of(row) == "success" for row in rows)
    console.print(f"{len(rows)} episodes, {succeeded} successes", highlight=False)
    return 0


def select(index: EpisodeIndex, options: Options) -> list[EpisodeRow]:
    """The episodes that the options ask for, oldest first.

    Raises:
        ConfigError: `last` is not positive.
    """
    last, outcome, human = options["last"], options["outcome"], options["human"]
    if last is not None and last < 1:
        raise ConfigError(f"last={last}: must be at least 1")
    rows = index.episodes(purpose=options["purpose"])
    if options["episode"] is not None:
        rows = [row for row in rows if row.episode == options["episode"]]
    if outcome is not None:
        rows = [row for row in rows if outcome_of(row) == outcome]
    if human is not None:
        rows = [row for row in rows if (row.human_steps > 0) is human]
    return rows if last is None else rows[-last:]


def outcome_of(row: EpisodeRow) -> str:
    """What an episode came to: success, failure, shown (to a classifier), aborted, or open while it runs.

    A label that says success or failure overrules what the task or its classifier saw.
    """
    if row.status != "ended":
        return row.status
    if row.label in (Label.SUCCESS, Label.DEMO):
        return "success"
    if row.label == Label.FAILURE:
        return "failure"
    if row.purpose == "classify":
        return "shown"
    return "success" if row.success else "failure"


def table(rows: Sequence[EpisodeRow], reasons: dict[int, str]) -> Table:
    """The episodes as a table."""
    shown = Table(box=None, header_style="bold", padding=(0, 1))
    for name in ("episode", "steps", "human", "takeovers", "peak N", "weights"):
        shown.add_column(name, justify="right", no_wrap=True)
    for name in ("outcome", "label", "purpose", "began"):
        shown.add_column(name, no_wrap=True)
    judged = any(row.classifier for row in rows)
    if judged:
        shown.add_column("score", justify="right", no_wrap=True)
    shown.add_column("note")
    for row in rows:
        score = [] if not judged else ["" if row.score is None else f"{row.score:.2f}"]
        outcome = outcome_of(row)
        note = reasons[row.episode] or (f"cut by {row.truncated_by}" if row.truncated_by else "")
        shown.add_row(
            str(row.episode),
            str(row.steps),
            str(row.human_steps),
            "" if row.takeovers is None else str(row.takeovers),
            "" if row.peak_force_n is None else f"{row.peak_force_n:.1f}",
            "" if row.weights_version < 0 else str(row.weights_version),
            Text(outcome, style=_OUTCOME_STYLES.get(outcome, "")),
            (row.label or "") + ("" if row.label_step is None else f" at {row.label_step}"),
            row.purpose,
            time.strftime("%H:%M:%S", time.localtime(row.started_wall_ns / 1e9)),
            *score,
            Text(note),  # a note is somebody's words: no markup
        )
    return shown


def _relabel(run: RunDirectory, options: Options) -> int:
    episode, label = options["episode"], options["label"]
    if episode is None:
        raise ConfigError("label= needs the episode it is for: episode=12 label=failure")
    console = Console(highlight=False, soft_wrap=True)
    with (
        review_writer(run.segments) as writer,
        EpisodeIndex(run.index_file, LogReader(run.segments)) as index,
    ):
        event = append_label(
            writer,
            index,
            episode,
            label,
            who=getpass.getuser(),
            why=options["why"] or "",
            step=options["step"],
        )
        if event is None:
            console.print(f"episode {episode} is labelled {label} already")
            return 0
        writer.wait_committed(writer.appended, _COMMIT_TIMEOUT_S)
        index.refresh()
    who = f", now said by {event.who}" if event.old == event.new else ""
    console.print(f"episode {episode}: {event.old or 'no label'} -> {event.new}{who}", markup=False)
    return 0


def _last_reason(index: EpisodeIndex, episode: int) -> str:
    reasons = [event.why for _, event in index.events(episode) if event.why]
    return reasons[-1] if reasons else ""
