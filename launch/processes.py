"""The processes of a run, kept alive within reason, and none left behind.

Each child is in a process group of its own, so that Ctrl-C in the terminal reaches the supervisor alone,
which then stops its children in order. Each asks the kernel to be told of the supervisor's death
(`launch/lifetime.py`), so that even a killed supervisor leaves no orphan.

The kernel ties that to the *thread* that started a child: `ProcessGroup` belongs to the main thread.
"""

import contextlib
import math
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from handrail.launch.errors import ChildFailed

MAX_RESTARTS = 3
RESTART_WINDOW_S = 60.0
SILENCE_S = 15.0
START_S = 90.0  # until its first word: on a busy machine, loading torch alone takes longer than that
_BACKOFF_S = 0.25
_END_S = 3.5  # with the arm server after it, which takes well under a second: all of it within five
_STALL_S = 2.0
_UNEXPECTED = 1  # the exit code of an error nobody foresaw: worth another try


@dataclass(frozen=True)
class ProcessSpec:
    """A process to keep running.

    Attributes:
        role: its name, such as "learner".
        command: what to execute.
        environment: variables beside those of the supervisor.
        log: file that receives its stdout and stderr.
        terminal: whether it reads the keyboard: it then keeps the terminal, and hears Ctrl-C itself.
        finishes: whether its work has an end: exit code 0 then says that it is done. Any other process is
            missed when it ends, whatever it says.
        max_restarts: how often within a minute it may be started again.
        outlives: whether the others need it: it is stopped when they have ended.
        optional: whether the others do without it: however often and however it ends, nothing else does.
            One that is to be missed when it is silent reports; one that never has may be silent.
        pass_fds: open files that it inherits, under the same numbers.
        on_given_up: called once it has ended for good, by itself.
    """

    role: str
    command: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    terminal: bool = False
    finishes: bool = False
    max_restarts: int = MAX_RESTARTS
    outlives: bool = False
    optional: bool = False
    pass_fds: tuple[int, ...] = ()
    on_given_up: Callable[[], None] = lambda: None


@dataclass
class _Child:
    spec: ProcessSpec
    process: subprocess.Popen[bytes] | None = None
    restarts: deque[float] = field(default_factory=deque)
    restart_at: float | None = None
    started: bool = False
    heard: float = 0.0
    speaks: bool = False
    ended: bool = False

    @property
    def patience_s(self) -> float:
        """How long it may be silent for now [s]."""
        if self.speaks:
            return SILENCE_S
        return math.inf if self.spec.optional else START_S


class ProcessGroup:
    """Starts processes, restarts those that die, and ends all of them.

    Args:
        specs: the processes.
        now: a monotonic clock [s].
        on_event: told of each restart, in words.

    Raises:
        ChildFailed: from `poll`: a process died with a documented error, or too often within a minute.
    """

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        *,
        now: Callable[[], float] = time.monotonic,
        on_event: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._children = {spec.role: _Child(spec) for spec in specs}
        self._now = now
        self._on_event = on_event
        self._polled = now()

    def start(self, roles: Collection[str] | None = None) -> None:
        """Start some of them, or all that have not been started yet; from the main thread."""
        for role, child in self._children.items():
            if (roles is None or role in roles) and not child.started:
                self._spawn(child)

    def heard(self, role: str) -> None:
        """A report of `role` has arrived: it lives."""
        if role in self._children:
            self._children[role].heard = self._now()
            self._children[role].speaks = True

    def pid(self, role: str) -> int | None:
        """The process id of `role`, or None while it does not run."""
        process = self._children[role].process
        return process.pid if process is not None and process.poll() is None else None

    def ended(self, role: str) -> bool:
        """Whether `role` has ended for good by itself: its work is done, or it is optional and given up."""
        return self._children[role].ended

    def poll(self) -> None:
        """Look after each process once; call it a few times a second.

        Raises:
            ChildFailed: one has failed for good.
        """
        now = self._now()
        # When the whole machine stood still, silence proves nothing about a child.
        stalled = now - self._polled > _STALL_S
        self._polled = now
        for child in self._children.values():
            if stalled:
                child.heard = now
            if child.restart_at is not None and now >= child.restart_at:
                self._spawn(child)
            elif child.process is not None and not child.ended:
                code = child.process.poll()
                if code is not None:
                    self._bury(child, code)
                elif now - child.heard > child.patience_s:
                    self._on_event(f"{child.spec.role} has been silent for {child.patience_s:.0f} s: killed")
                    child.process.kill()
                    child.heard = now

    def stop(self, timeout_s: float = _END_S, *, optional: bool = True) -> dict[str, int | None]:
        """Ask all to end, wait for them together, kill what remains; returns each one's exit code.

        Those that outlive the others are asked last. Harmless when called again.

        Args:
            timeout_s: patience with each of the two rounds [s]. An arm server whose robot is slow to let go
                has all of its own, late as that is: killed, it would leave the arm to the robot's watchdog.
            optional: whether those that the others do without are asked as well.
        """
        for child in self._children.values():
            child.restart_at = None
        return self._stop(False, optional, timeout_s) | self._stop(True, optional, timeout_s)

    def _stop(self, outlives: bool, optional: bool, timeout_s: float) -> dict[str, int | None]:
        living = {}
        for role, child in self._children.items():
            if child.spec.outlives is not outlives or (child.spec.optional and not optional):
                continue
            if child.process is not None:
                living[role] = child.process
                _signal(child.process, signal.SIGTERM)
                # A stopped process cannot hear that it should end.
                _signal(child.process, signal.SIGCONT)
        deadline = time.monotonic() + timeout_s
        codes: dict[str, int | None] = {}
        for role, process in living.items():
            try:
                codes[role] = process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._on_event(f"{role} did not end within {timeout_s:g} s: killed")
                process.kill()
                codes[role] = process.wait()
            if not self._children[role].spec.terminal:
                _signal_group(process.pid, signal.SIGKILL)  # whatever the child had started itself
        return codes

    def _spawn(self, child: _Child) -> None:
        spec = child.spec
        child.restart_at = None
        child.started = True
        child.speaks = False
        spec.log.parent.mkdir(parents=True, exist_ok=True)
        with spec.log.open("ab") as log:
            child.process = subprocess.Popen(
                spec.command,
                stdin=None if spec.terminal else subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **spec.environment, "HANDRAIL_PARENT": str(os.getpid())},
                process_group=None if spec.terminal else 0,
                pass_fds=spec.pass_fds,
            )
        child.heard = self._now()

    def _bury(self, child: _Child, code: int) -> None:
        role, now = child.spec.role, self._now()
        if code == 0 and child.spec.finishes:
            child.ended = True
            child.spec.on_given_up()
            return
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        said = last_line(child.spec.log)
        if child.spec.optional and (code > _UNEXPECTED or self._too_often(child)):
            child.ended = True
            child.spec.on_given_up()
            reason = how if code < 0 else said or how
            self._on_event(f"the {role} has ended and stays so ({reason}); everything else goes on")
            return
        if code > _UNEXPECTED:
            # A documented error: the same again would end the same.
            raise ChildFailed(f"the {role} stopped: {said or how}", code)
        most = child.spec.max_restarts
        if self._too_often(child):
            often = f"failed {most + 1} times within {RESTART_WINDOW_S:.0f} s" if most else "died"
            raise ChildFailed(
                f"the {role} {often} ({how}), "
                f"and is not started again: {said or 'it said nothing'} (all of it: {child.spec.log})"
            )
        child.process = None
        child.restart_at = now + _BACKOFF_S * 2 ** len(child.restarts)
        child.restarts.append(now)
        ended = "died" if code else "ended by itself"
        self._on_event(f"the {role} {ended} ({how}); restart {len(child.restarts)} of {most}")

    def _too_often(self, child: _Child) -> bool:
        """Whether it has been started again as often as it may be for now."""
        while child.restarts and self._now() - child.restarts[0] > RESTART_WINDOW_S:
            child.restarts.popleft()
        return len(child.restarts) >= child.spec.max_restarts


def last_line(log: Path) -> str:
    """The last line with text in a log, without the command's name in front; "" when there is none."""
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
        return lines[-1].removeprefix("handrail: ") if lines else ""
    return ""


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
