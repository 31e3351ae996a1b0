"""Writes what is said about finished episodes into the log, while a control loop has it open."""

import time

from handrail.intervention.console.desk import Outcome
from handrail.intervention.console.messages import Command
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.labels import append_comment, append_label
from handrail.intervention.log_reader import LogReader
from handrail.intervention.log_writer import LogWriter
from handrail.intervention.run_directory import RunDirectory

_DISK_S = 5.0


class Secretary:
    """For one thread, which makes, uses and closes the index.

    Args:
        run: whose log it is.
        writer: open on it.
    """

    def __init__(self, run: RunDirectory, writer: LogWriter) -> None:
        self._run, self._writer = run, writer
        self._index: EpisodeIndex | None = None

    def write(self, command: Command, running: int | None) -> str | Outcome:
        """Append a label or a comment; done once it is on the disk.

        Args:
            command: with the verb "label" or "comment".
            running: the episode that has not ended yet, which takes verdicts instead.

        Raises:
            LabelError: there is no such label, episode or step.
            LogError: the log cannot be written.
        """
        if command.episode is None:
            return f"{command.verb} which episode? none was named"
        if command.episode == running:
            return f"episode {running} is still running: give a verdict on it instead"
        if self._index is None:
            self._index = EpisodeIndex(self._run.index_file, LogReader(self._run.segments))
        if command.verb == "comment":
            append_comment(self._writer, self._index, command.episode, command.why, who=command.who)
        else:
            said = append_label(
                self._writer,
                self._index,
                command.episode,
                command.label or "",
                who=command.who,
                why=command.why,
                step=command.step,
            )
            if said is None:
                return ""
        return self._on_disk(self._writer.appended)

    def close(self) -> None:
        """Close the index."""
        if self._index is not None:
            self._index.close()

    def _on_disk(self, sequence: int) -> Outcome:
        deadline_s = time.monotonic() + _DISK_S

        def outcome() -> str | None:
            if self._writer.committed >= sequence:
                return ""
            late = time.monotonic() > deadline_s
            return "the disk is slow: it is written, and not yet safe from a power cut" if late else None

        return outcome
