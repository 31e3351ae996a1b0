"""What a reviewer says about a finished episode, brought into the log whether or not the run is driven.

The log has one writer. While a control loop is it, it takes labels at its desk; otherwise whoever has
something to say opens the log, appends, and lets go of it again.
"""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from handrail.intervention.console.client import DeskClient, DeskSilent
from handrail.intervention.console.messages import Verb
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.labeller import UNDO, Label, may_be_a_person
from handrail.intervention.labels import LabelError, append_comment, append_label, is_news, review_writer
from handrail.intervention.locks import RunLocked
from handrail.intervention.log_reader import LogReader
from handrail.intervention.log_writer import LogWriter
from handrail.intervention.run_directory import RunDirectory

_COMMIT_S = 10.0
_ANSWER_S = 6.0  # a desk answers when the label is on the disk
_TTL_MS = 10_000
LONGEST_TEXT = 2000
"""Letters of a reason or a comment."""


def relabel(
    run: RunDirectory,
    episode: int,
    label: str,
    who: str,
    why: str = "",
    step: int | None = None,
    id: str | None = None,
) -> str:
    """Give an episode a label; return what came of it, in a line. It is then on the disk.

    Args:
        run: the run.
        episode: its number.
        label: see `labeller.Label`; `UNDO` takes the newest one back.
        who: says so.
        why: in a few words.
        step: at which success was, from 0; None for the last.
        id: names this request: a control loop that has met it does nothing again.

    Raises:
        LabelError: there is no such label, episode or step, nobody may go by that name, or the control loop
            refuses.
        RunLocked: somebody holds the log and takes no labels.
        LogError: the log cannot be written.
    """
    _check_name(who)
    _check_length(why)
    try:
        with _log(run) as (writer, index):
            event = append_label(writer, index, episode, label, who=who, why=why, step=step)
            if event is None:
                return f"episode {episode} is labelled {label} already"
    except RunLocked as locked:
        _ask(run, locked, "label", who, id, episode=episode, label=label, step=step, why=why)
        taken_back = f"episode {episode}: its label is taken back"
        return taken_back if label == UNDO else f"episode {episode} is labelled {label}"
    if event.kind == "undo":
        return f"episode {episode}: {event.old} is taken back, {event.new or 'no label'} stands again"
    confirmed = f", now said by {event.who}" if event.old == event.new else ""
    return f"episode {episode}: {event.old or 'no label'} -> {event.new}{confirmed}"


@dataclass(frozen=True)
class Relabelled:
    """What came of labelling many episodes.

    Attributes:
        changed: those that have the label now; of `UNDO`, those whose label was taken back.
        same: those that had it already.
        refused: why others have not, by episode.
    """

    changed: tuple[int, ...]
    same: tuple[int, ...]
    refused: dict[int, str]

    def told(self, label: str) -> str:
        """In a line."""
        number = len(self.changed)
        if label == UNDO:
            words = [f"{number} {'label' if number == 1 else 'labels'} taken back"]
        else:
            words = [f"{_counted(number)} labelled {label}"]
        if self.same:
            words.append(f"{len(self.same)} had that label")
        if self.refused:
            episode, why = next(iter(self.refused.items()))
            words.append(f"{len(self.refused)} refused, such as {episode}: {why.rstrip('.')}")
        return "; ".join(words)


def relabel_each(
    run: RunDirectory, episodes: Sequence[int], label: str, who: str, why: str, id: str | None = None
) -> Relabelled:
    """Give many episodes one label, for one reason; what is said of each is then on the disk.

    One that cannot have it, or has it already, keeps no other from it.

    Args:
        run: the run.
        episodes: their numbers.
        label: see `labeller.Label`; `UNDO` takes the newest one of each back.
        who: says so.
        why: in a few words; many get no label without.
        id: names this request: a control loop that has met it does nothing again.

    Raises:
        LabelError: there is no reason, nobody may go by that name, or there is no such label.
        RunLocked: somebody holds the log and takes no labels.
        LogError: the log cannot be written.
    """
    _check_name(who)
    _check_length(why)
    if label != UNDO and not why.strip():
        raise LabelError(f"{_counted(len(episodes))} to be relabelled without a reason; say why.")
    if label not in (*Label, UNDO):
        raise LabelError(f"{label!r} is not a label; choose one of {', '.join(Label)}.")
    numbers = list(dict.fromkeys(episodes))
    changed, same, refused = [], [], dict[int, str]()
    try:
        with _log(run) as (writer, index):
            for episode in numbers:
                try:
                    said = append_label(writer, index, episode, label, who=who, why=why)
                    (same if said is None else changed).append(episode)
                except LabelError as error:
                    refused[episode] = str(error)
    except RunLocked as locked:
        same = _labelled_so(run, numbers, label, who)
        asked = [episode for episode in numbers if episode not in set(same)]
        changed, refused = _ask_each(run, locked, asked, label, who, why, id or uuid.uuid4().hex)
    return Relabelled(tuple(changed), tuple(same), refused)


def _labelled_so(run: RunDirectory, episodes: Sequence[int], label: str, who: str) -> list[int]:
    """Which of the episodes have that label already."""
    with EpisodeIndex(run.index_file, LogReader(run.segments)) as index:
        index.refresh()
        rows = (index.episode(number) for number in episodes)
        return [row.episode for row in rows if row is not None and not is_news(row, label, who)]


def _ask_each(
    run: RunDirectory,
    locked: RunLocked,
    episodes: Sequence[int],
    label: str,
    who: str,
    why: str,
    id: str,
) -> tuple[list[int], dict[int, str]]:
    """Have the control loop label them; returns those that it has, and why it has not the others."""
    commands = [
        {"id": f"{id}.{episode}", "ttl_ms": _TTL_MS, "episode": episode, "label": label, "why": why}
        for episode in episodes
    ]
    with DeskClient(run.socket_dir()) as desk:
        acks = {ack.id: ack for ack in desk.ask_each("label", who, _ANSWER_S, commands)}
    if commands and not acks:
        raise locked
    changed, refused = [], dict[int, str]()
    for episode in episodes:
        ack = acks.get(f"{id}.{episode}")
        if ack is not None and ack.status == "done":
            changed.append(episode)
        else:
            refused[episode] = ack.why if ack is not None else "the control loop has not answered"
    return changed, refused


def _counted(episodes: int) -> str:
    return "1 episode" if episodes == 1 else f"{episodes} episodes"


def comment(run: RunDirectory, episode: int, text: str, who: str, id: str | None = None) -> str:
    """Attach a remark to an episode; return what came of it, in a line. It is then on the disk.

    Args:
        run: the run.
        episode: its number.
        text: the remark.
        who: says so.
        id: names this request: a control loop that has met it does nothing again.

    Raises:
        LabelError: there is no such episode, the remark is empty, nobody may go by that name, or the control
            loop refuses.
        RunLocked: somebody holds the log and takes no remarks.
        LogError: the log cannot be written.
    """
    text = text.strip()
    _check_name(who)
    _check_length(text)
    if not text:
        raise LabelError(f"The remark on episode {episode} is empty; say something.")
    try:
        with _log(run) as (writer, index):
            append_comment(writer, index, episode, text, who=who)
    except RunLocked as locked:
        _ask(run, locked, "comment", who, id, episode=episode, why=text)
    return f"episode {episode}: noted"


def _check_name(who: str) -> None:
    if not may_be_a_person(who):
        raise LabelError(f"{who!r} is nobody's name, or a machine's in the log; give your own.")


def _check_length(text: str) -> None:
    if len(text) > LONGEST_TEXT:
        raise LabelError(f"The text has {len(text)} letters, limit {LONGEST_TEXT}; be shorter.")


@contextmanager
def _log(run: RunDirectory) -> Iterator[tuple[LogWriter, EpisodeIndex]]:
    """The run's log, open to append to; what was appended is on the disk and in the index afterwards."""
    with (
        review_writer(run.segments) as writer,
        EpisodeIndex(run.index_file, LogReader(run.segments)) as index,
    ):
        yield writer, index
        writer.wait_committed(writer.appended, _COMMIT_S)
        index.refresh()


def _ask(run: RunDirectory, locked: RunLocked, verb: Verb, who: str, id: str | None, **details: Any) -> None:
    """Have the control loop write it, which has the log open."""
    try:
        with DeskClient(run.socket_dir()) as desk:
            request = {"id": id or uuid.uuid4().hex, "ttl_ms": _TTL_MS, **details}
            ack = desk.ask(verb, who, _ANSWER_S, **request)
    except DeskSilent:
        raise locked from None
    if ack.status != "done":
        raise LabelError(ack.why or f"The control loop does not take {verb!r} ({ack.status}).")
