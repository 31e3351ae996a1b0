"""Appends to the episode log from the control thread, without ever waiting for the disk.

An append encodes its records and hands them to the kernel in one `write`: a killed process leaves either all
of them or a torn tail that the next writer cuts. A thread beside it calls fdatasync and then moves
`committed` on. Only what is committed survives the machine; only that may be acknowledged or served to a
learner.

A full disk must not cut an episode in half: below a reserve the writer refuses new steps but still takes the
few bytes that close an episode (`EpisodeEnd`, `Event`). It accepts again when there is space.
"""

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from handrail.intervention.durable import sync_path
from handrail.intervention.locks import FileLock
from handrail.intervention.log_format import (
    EpisodeEnd,
    Event,
    LogError,
    Record,
    SegmentHeader,
    StepRecord,
    encode_frame,
    encode_record,
)
from handrail.intervention.log_reader import segment_paths
from handrail.intervention.recovery import recover

_SPACE_CHECK_S = 1.0


class LogWriter:
    """The log's only writer. `append` may be called from any thread; it is meant for the control thread.

    Opening takes the log's lock, cuts the torn tail of a crash (see `recovery`), and begins a new segment.

    Args:
        directory: Where the segments are; created where missing.
        header: What the steps will look like; repeated at the head of every segment.
        segment_bytes: A segment is closed once it is this large.
        reserve_bytes: Free space below which new steps are refused.
        sync_interval_s: Pause between two fdatasyncs; bounds how long a step stays uncommitted.
        sync: How a file is made durable; a test's place to fail.

    Attributes:
        recovery: What was found on opening.

    Raises:
        RunLocked: another process writes this log.
        LogError: the directory cannot be written, or the disk is below the reserve.
    """

    def __init__(
        self,
        directory: Path,
        header: SegmentHeader,
        *,
        segment_bytes: int = 64 << 20,
        reserve_bytes: int = 500_000_000,
        sync_interval_s: float = 0.01,
        sync: Callable[[int], None] = os.fdatasync,
    ) -> None:
        self._directory = directory
        self._header = header
        self._segment_bytes = segment_bytes
        self._reserve_bytes = reserve_bytes
        self._sync_interval_s = sync_interval_s
        self._sync = sync
        self._failure: str | None = None
        self._retired: list[int] = []
        self._new_segment = True  # its directory entry is not durable yet
        self._lock = threading.Lock()
        self._progress = threading.Condition()
        self._stop = threading.Event()

        directory.mkdir(parents=True, exist_ok=True)
        self._file_lock = FileLock(directory / "log.lock", "log writer")
        try:
            self.recovery = recover(directory)
            self._appended = self._committed = self.recovery.last_sequence
            self._short_of_space = self._is_short_of_space()
            self._refuse_if_short()
            paths = segment_paths(directory)
            self._number = int(paths[-1].stem) if paths else 0
            self._open_segment()
        except OSError as error:
            self._file_lock.release()
            raise LogError(f"Log {directory} cannot be opened: {error}; check the disk.") from error
        except BaseException:
            self._file_lock.release()
            raise
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    @property
    def appended(self) -> int:
        """Sequence of the last frame handed to the kernel."""
        return self._appended

    @property
    def committed(self) -> int:
        """Sequence of the last frame known to be on the disk."""
        return self._committed

    def append(self, *records: Record) -> int:
        """Append records in one write and return the last one's sequence. Never waits for the disk.

        Either all records are in the log or none is.

        Raises:
            LogError: the disk is full or below the reserve, a record does not fit the header, or an earlier
                write could not be made durable. The sequence has not moved.
        """
        self._check(records)
        payloads = [encode_record(record) for record in records]
        with self._lock:
            if self._offset >= self._segment_bytes:
                self._rotate()
            return self._write(payloads)

    def wait_committed(self, sequence: int, timeout_s: float) -> None:
        """Wait until `sequence` is on the disk. Not for the control thread.

        Raises:
            LogError: the disk failed, or did not answer within `timeout_s`.
        """
        with self._progress:
            arrived = self._progress.wait_for(
                lambda: self._committed >= sequence or self._failure is not None, timeout_s
            )
        if self._committed >= sequence:
            return
        if arrived and self._failure is not None:
            raise LogError(self._failure)
        raise LogError(
            f"Log frame {sequence} is not on the disk after {timeout_s} s (committed: {self._committed}); "
            "the disk is too slow or has stalled."
        )

    def close(self) -> None:
        """Commit everything and release the log; harmless when closed already.

        Raises:
            LogError: the last frames could not be made durable.
        """
        if self._stop.is_set():
            return
        self._stop.set()
        self._thread.join()
        self._commit()
        for fd in (*self._retired, self._fd):
            os.close(fd)
        self._file_lock.release()
        if self._failure is not None:
            raise LogError(self._failure)

    def __enter__(self) -> "LogWriter":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # Control thread
    # -------------------------------------------------------------------------------------------

    def _check(self, records: tuple[Record, ...]) -> None:
        if self._failure is not None:
            raise LogError(self._failure)
        if self._stop.is_set():
            raise LogError(f"Log {self._directory} is closed; open a new writer.")
        if self._short_of_space and not all(isinstance(r, EpisodeEnd | Event) for r in records):
            self._refuse_if_short()
        state_bytes, action_bytes = 4 * self._header.state_size, 4 * self._header.action_size
        for r in records:
            if isinstance(r, StepRecord) and (
                (len(r.observation), len(r.next_observation)) != (state_bytes, state_bytes)
                or (len(r.action), len(r.policy_action)) != (action_bytes, action_bytes)
            ):
                raise LogError(
                    f"Step {r.step} of episode {r.episode} has {len(r.observation) // 4} state and "
                    f"{len(r.action) // 4} action numbers, the log holds {self._header.state_size} and "
                    f"{self._header.action_size}; a changed layout needs a new run."
                )

    def _write(self, payloads: list[bytes]) -> int:
        frames = [encode_frame(self._appended + i, payload) for i, payload in enumerate(payloads, start=1)]
        data = b"".join(frames)
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            raise LogError(f"Log {self._directory}: {error}; free some space, then go on.") from error
        if written != len(data):
            self._undo(written, len(data))
        self._offset += written
        self._appended += len(payloads)
        return self._appended

    def _undo(self, written: int, wanted: int) -> None:
        """Take back a write that the disk had room for only in part."""
        try:
            os.ftruncate(self._fd, self._offset)
        except OSError as error:
            self._failure = (
                f"Log {self._directory}: a torn write could not be undone ({error}); open a new writer."
            )
        raise LogError(
            f"Log {self._directory}: only {written} of {wanted} bytes fitted; free some space, then go on."
        )

    def _rotate(self) -> None:
        finished = self._fd
        try:
            self._open_segment()
        except OSError as error:
            raise LogError(f"Log {self._directory}: no new segment ({error}); free some space.") from error
        self._retired.append(finished)
        self._new_segment = True

    def _open_segment(self) -> None:
        """Begin a segment. If its header does not fit, the current segment stays current."""
        path = self._directory / f"{self._number + 1:08d}.seg"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        header = encode_frame(self._appended + 1, encode_record(self._header))
        try:
            if os.write(fd, header) != len(header):
                raise OSError("the disk is full")
        except OSError:
            os.close(fd)
            path.unlink()
            raise
        self._fd, self._offset = fd, len(header)
        self._number += 1
        self._appended += 1

    def _refuse_if_short(self) -> None:
        if self._short_of_space:
            raise LogError(
                f"Log {self._directory}: less than {self._reserve_bytes / 1e6:.0f} MB free; "
                "free some space or lower log.reserve_bytes."
            )

    # Writer thread
    # --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        next_check_s = time.monotonic() + _SPACE_CHECK_S
        while self._failure is None and not self._stop.wait(self._sync_interval_s):
            self._commit()
            if time.monotonic() >= next_check_s:
                try:
                    self._short_of_space = self._is_short_of_space()
                except OSError as error:
                    self._failure = f"Log {self._directory}: its disk does not answer: {error}; check it."
                    with self._progress:
                        self._progress.notify_all()
                next_check_s = time.monotonic() + _SPACE_CHECK_S

    def _commit(self) -> None:
        """Make everything appended so far durable, then say so."""
        if self._failure is not None:
            return
        with self._lock:
            target, current = self._appended, self._fd
            retired, self._retired = self._retired, []
            new_segment, self._new_segment = self._new_segment, False
        if target == self._committed:
            return
        try:
            for fd in (*retired, current):
                self._sync(fd)
            if new_segment:
                sync_path(self._directory)
        except OSError as error:
            # After a failed fsync the kernel may have dropped the pages: a second, "successful" one proves
            # nothing.
            self._failure = (
                f"Log {self._directory}: frames {self._committed + 1} to {target} could not be made durable "
                f"({error}); they are not acknowledged. Check the disk, then open the run again."
            )
        else:
            self._committed = target
        for fd in retired:
            os.close(fd)
        with self._progress:
            self._progress.notify_all()

    def _is_short_of_space(self) -> bool:
        return shutil.disk_usage(self._directory).free < self._reserve_bytes
