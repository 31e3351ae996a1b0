"""A classifier's verdicts on stored episodes, brought into a run's log whether or not the run is driven.

The log has one writer. While a control loop is it, it takes labels at its desk; otherwise the log is opened,
appended to, and let go of again.
"""

import uuid
from collections.abc import Sequence

from handrail.intervention.console.client import DeskClient
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.labels import LabelError, append_label, review_writer
from handrail.intervention.locks import RunLocked
from handrail.intervention.log_format import Event
from handrail.intervention.log_reader import LogReader
from handrail.intervention.run_directory import RunDirectory

_COMMIT_S = 10.0
_ANSWER_S = 10.0  # for a hundred: a desk answers when a label is on the disk
_TTL_MS = 10_000


def bring(run: RunDirectory, verdicts: Sequence[Event]) -> list[Event]:
    """Append labels to the log of a run; returns those that count now, and are on the disk.

    Of an episode that a person has labelled meanwhile, that label counts.

    Args:
        run: the run.
        verdicts: labels, all said by one classifier.

    Raises:
        RunLocked: somebody holds the log and takes no labels.
        LabelError: a control loop has not taken all of them.
        LogError: the log cannot be written.
    """
    if not verdicts:
        return []
    with EpisodeIndex(run.index_file, LogReader(run.segments)) as index:
        try:
            with review_writer(run.segments) as writer:
                for each in verdicts:
                    said = {"who": each.who, "why": each.why, "step": each.step}
                    append_label(writer, index, each.episode, each.new or "", **said)
                writer.wait_committed(writer.appended, _COMMIT_S)
        except RunLocked as locked:
            _ask(run, verdicts, locked)
        index.refresh()
        return [each for each in verdicts if _counts(index, each)]


def _counts(index: EpisodeIndex, verdict: Event) -> bool:
    row = index.episode(verdict.episode)
    return row is not None and (row.label, row.labeller) == (verdict.new, verdict.who)


def _ask(run: RunDirectory, verdicts: Sequence[Event], locked: RunLocked) -> None:
    """Have the control loop write them, which has the log open."""
    commands = [
        {
            "id": uuid.uuid4().hex,
            "ttl_ms": _TTL_MS,
            "episode": each.episode,
            "label": each.new,
            "step": each.step,
            "why": each.why,
        }
        for each in verdicts
    ]
    with DeskClient(run.socket_dir()) as desk:
        acks = list(desk.ask_each("label", verdicts[0].who, _ANSWER_S, commands))
    if not acks:
        raise locked
    taken = sum(ack.status == "done" for ack in acks)
    if taken < len(verdicts):
        why = next((ack.why for ack in acks if ack.status != "done"), "no answer in time")
        raise LabelError(
            f"The control loop of run {run.id} has taken {taken} of {len(verdicts)} verdicts ({why}); "
            "accept the version again: what is there already is left as it is."
        )
