"""What is said about an episode after the fact: events appended to the log, never a rewrite.

An episode's current label is the one its last label event gave it; the history stays. Labels are said by the
task ("task"), by a reward classifier ("classifier <version>"), by the operator's buttons, or in a review;
each with a reason.
"""

import time
from pathlib import Path

from handrail.intervention.config import LogConfig
from handrail.intervention.index import EpisodeIndex, EpisodeRow
from handrail.intervention.labeller import UNDO, Label, said_by_machine
from handrail.intervention.log_format import EpisodeEnd, EpisodeStart, Event, LogError, StepRecord
from handrail.intervention.log_reader import LogReader
from handrail.intervention.log_writer import LogWriter
from handrail.robot_env.errors import HandrailError


class LabelError(HandrailError):
    """A label or an episode that does not exist."""

    exit_code = 14


def label_event(
    episode: int, old: str | None, new: Label, who: str, why: str = "", step: int | None = None
) -> Event:
    """Return the event that labels an episode, stamped now."""
    return Event("label", episode, who, time.time_ns(), old, new.value, why, step)


def append_label(
    writer: LogWriter,
    index: EpisodeIndex,
    episode: int,
    label: str,
    *,
    who: str,
    why: str = "",
    step: int | None = None,
) -> Event | None:
    """Label an episode; return the appended event, or None when there is nothing to say (`is_news`).

    A person who gives the label that only a machine has given so far confirms it, which is news: it is then a
    person's word, to be learned from, and no later verdict overrules it.

    Args:
        writer: Of the run's log.
        index: Of the same log.
        episode: Which one.
        label: What it is taken for from now on; `UNDO` takes the newest label back, if a person gave it.
        who: Says so.
        why: In a few words.
        step: At which step success was, from 0; None for the last one, or, where the episode has that label
            already, for the step at which it is.

    Raises:
        LabelError: there is no such label, episode or step; the message lists what there is. Or an episode
            of an evaluation is to be a demonstration, or no person's label is there to be taken back.
    """
    if label == UNDO:
        event = _taken_back(index, episode, who, why)
        writer.append(event)
        return event
    if label not in list(Label):
        raise LabelError(f"{label!r} is not a label; choose one of {', '.join(Label)}.")
    row = _episode(index, episode)
    if label == Label.DEMO and row.purpose == "evaluate":
        raise LabelError(
            f"Episode {episode} is of an evaluation, which nothing learns from, so it is no demonstration; "
            "label it success."
        )
    if step is not None:
        if label not in (Label.SUCCESS, Label.DEMO):
            raise LabelError(f"Label {label!r} takes no step; only a success happens at one.")
        if not 0 <= step < row.steps:
            raise LabelError(f"Episode {episode} has no step {step}; it has {row.steps}, counted from 0.")
    if not is_news(row, label, who, step):
        return None
    if row.label == label and step is None:
        step = row.label_step
    event = label_event(episode, row.label, Label(label), who, why, step)
    writer.append(event)
    return event


def is_news(row: EpisodeRow, label: str, who: str, step: int | None = None) -> bool:
    """Whether a label changes anything: for a person who confirms a machine, and not for a double click.

    Nor does what a machine says change what a person has called an episode.
    """
    if said_by_machine(who) and row.label is not None and not said_by_machine(row.labeller or ""):
        return False
    if row.label != label or step not in (None, row.label_step):
        return True
    return not said_by_machine(who) and said_by_machine(row.labeller or "")


def _taken_back(index: EpisodeIndex, episode: int, who: str, why: str) -> Event:
    _episode(index, episode)
    stand = [event for _, event in index.labels(episode)]
    if not stand or said_by_machine(stand[-1].who):
        raise LabelError(f"Nobody has labelled episode {episode}, so there is nothing to take back.")
    label, *before = reversed(stand)
    again = before[0] if before else None
    new, step = (again.new, again.step) if again else (None, None)
    return Event("undo", episode, who, time.time_ns(), label.new, new, why, step)


def append_comment(writer: LogWriter, index: EpisodeIndex, episode: int, text: str, *, who: str) -> Event:
    """Attach a remark to an episode; its label stays.

    Raises:
        LabelError: there is no such episode.
    """
    _episode(index, episode)
    event = Event("comment", episode, who, time.time_ns(), None, None, text)
    writer.append(event)
    return event


def mark_aborted(writer: LogWriter, reader: LogReader) -> list[int]:
    """Mark every episode that began and never ended; to be called on opening a run, before its first episode.

    Returns:
        The episodes marked now: a crash leaves one, and a second call none.
    """
    open_episodes: dict[int, int] = {}
    for _, record in reader.records(upto=writer.appended):
        if isinstance(record, EpisodeStart):
            open_episodes[record.episode] = 0
        elif isinstance(record, StepRecord) and record.episode in open_episodes:
            open_episodes[record.episode] += 1
        elif isinstance(record, EpisodeEnd) or (isinstance(record, Event) and record.kind == "aborted"):
            open_episodes.pop(record.episode, None)
    for episode, steps in open_episodes.items():
        why = f"the process ended inside the episode, after {steps} stored steps"
        writer.append(Event("aborted", episode, "recovery", time.time_ns(), None, None, why))
    return list(open_episodes)


def review_writer(segments: Path, config: LogConfig | None = None) -> LogWriter:
    """Open the log of a run whose actor is not running, to append labels to it.

    Raises:
        RunLocked: the actor is running; label through it.
        LogError: there is no readable log.
    """
    header = LogReader(segments).header()
    if header is None:
        raise LogError(f"{segments} holds no readable log; check the run's id.")
    config = config or LogConfig()
    return LogWriter(
        segments,
        header,
        segment_bytes=config.segment_bytes,
        reserve_bytes=config.reserve_bytes,
        sync_interval_s=config.sync_interval_s,
    )


def _episode(index: EpisodeIndex, episode: int) -> EpisodeRow:
    index.refresh()
    row = index.episode(episode)
    if row is None:
        raise LabelError(f"Episode {episode} is not in the log, which holds {index.describe()}.")
    return row
