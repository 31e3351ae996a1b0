"""Writes what is said about finished episodes into the log, while a control loop has it open.

In a thread of its own: an index may have to be waited for, or rebuilt from a long log, and the desk must
hear a stop meanwhile.
"""

import contextlib
import queue
import threading
from collections.abc import Callable

from handrail.intervention.console.desk import Outcome
from handrail.intervention.console.messages import Command
from handrail.intervention.index import EpisodeIndex
from handrail.intervention.labels import append_comment, append_label
from handrail.intervention.log_format import Event, LogError
from handrail.intervention.log_reader import LogReader
from handrail.intervention.log_writer import LogWriter
from handrail.intervention.run_directory import RunDirectory

_DISK_S = 5.0
_LAST_S = 2.0


class Secretary:
    """Takes dictation from one thread.

    Args:
        run: whose log it is.
        writer: open on it.
    """

    def __init__(self, run: RunDirectory, writer: LogWriter) -> None:
        self._run, self._writer = run, writer
        self._errands: queue.SimpleQueue[_Errand | Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="secretary", daemon=True)
        self._thread.start()

    def write(self, command: Command, running: Callable[[], int | None]) -> str | Outcome:
        """Append a label or a comment; done once it is on the disk.

        What comes of it may also be an error of `append_label`.

        Args:
            command: with the verb "label" or "comment".
            running: asked for the episode that has not ended yet, which takes verdicts instead.
        """
        if command.episode is None:
            return f"{command.verb} which episode? none was named"
        if command.episode == running():
            return f"episode {command.episode} is still running: give a verdict on it instead"
        errand = _Errand(command)
        self._errands.put(errand)
        return errand.outcome

    def note(self, event: Event) -> None:
        """Append an event as it is; whoever asks does not wait for it."""
        self._errands.put(event)

    def close(self) -> None:
        """Finish what was asked for, for a moment at most."""
        self._errands.put(None)
        self._thread.join(timeout=_LAST_S)

    def _work(self) -> None:
        index: EpisodeIndex | None = None
        going = True
        while going:
            errands = self._waiting()
            going = errands[-1] is not None
            written: list[tuple[_Errand, int | None]] = []
            for errand in errands:
                if isinstance(errand, Event):
                    with contextlib.suppress(LogError):  # the control loop's next step says the same, louder
                        self._writer.append(errand)
                elif errand is not None:
                    try:
                        if index is None:
                            index = EpisodeIndex(self._run.index_file, LogReader(self._run.segments))
                        written.append((errand, self._append(errand.command, index)))
                    except Exception as error:  # the errand's own: whoever asks for its outcome gets it
                        errand.end(error)
            for errand, sequence in written:
                self._settle(errand, sequence)
        if index is not None:
            index.close()

    def _waiting(self) -> "list[_Errand | Event | None]":
        """What there is to write, at least one; None behind the last of all. They wait for the disk once."""
        errands = [self._errands.get()]
        with contextlib.suppress(queue.Empty):
            while errands[-1] is not None:
                errands.append(self._errands.get_nowait())
        return errands

    def _settle(self, errand: "_Errand", sequence: int | None) -> None:
        """Answer once it is on the disk."""
        try:
            if sequence is not None:
                self._writer.wait_committed(sequence, _DISK_S)
        except Exception as error:
            errand.end(error)
        else:
            errand.end()

    def _append(self, command: Command, index: EpisodeIndex) -> int | None:
        """The sequence to wait for; None if it had that label already."""
        assert command.episode is not None
        if command.verb == "comment":
            append_comment(self._writer, index, command.episode, command.why, who=command.who)
            return self._writer.appended
        said = append_label(
            self._writer,
            index,
            command.episode,
            command.label or "",
            who=command.who,
            why=command.why,
            step=command.step,
        )
        return None if said is None else self._writer.appended


class _Errand:
    """One thing to write, and what came of it."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self._done = threading.Event()
        self._error: Exception | None = None

    def end(self, error: Exception | None = None) -> None:
        self._error = error
        self._done.set()

    def outcome(self) -> str | None:
        if not self._done.is_set():
            return None
        if self._error is not None:
            raise self._error
        return ""
