"""Real-time priority for the loops that an arm depends on.

SCHED_FIFO where the system permits it: the loop then runs as soon as it has something to do, whoever else
wants the processor (measured on two busy cores at 200 Hz: 3.5 % overruns without, 0.3 % with it). Where it is
not permitted, nice -15 is taken instead, with the remedy in words; a real arm does not run that way unless
its operator says so.

A process that loops in Python takes it as a whole: its threads share one interpreter lock, and one of them
that is put aside while it holds the lock holds up the loop. So claim it late, when the heavy work of starting
is done: a process that computes for a second at this priority starves everything else on its core, and the
kernel then takes the core from *every* such process for 50 ms.
"""

import ctypes
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from handrail.robot_env.arms.config import ArmConfig
from handrail.robot_env.errors import ArmError

Level = Literal["fifo", "nice", "plain"]

FIFO_PRIORITY = 20
"""Above everything ordinary, below the kernel's own threads and a driver's 1 kHz loop."""
DRIVER_PRIORITY = 99
"""What libfranka asks for, for its own 1 kHz loop."""
KERNEL_MARK = Path("/sys/kernel/realtime")
NICE = -15
REMEDY = (
    "add '@realtime - rtprio 99', '@realtime - nice -15' and '@realtime - memlock unlimited' to "
    "/etc/security/limits.conf, join that group and log in again"
)

_CAP_IPC_LOCK = 14
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4


@dataclass(frozen=True)
class Granted:
    """What the system has given to a thread.

    Attributes:
        level: "fifo", "nice", or "plain" for nothing at all.
        warning: what is missing and how to get it; "" when nothing is.
    """

    level: Level
    warning: str = ""


def claim(role: str, *, required: bool) -> Granted:
    """Put this process ahead of all ordinary ones, as far as the system allows; just before its loop begins.

    Args:
        role: who asks, for the message, such as "arm server".
        required: whether to refuse to go on without SCHED_FIFO, as a real arm does.

    Raises:
        ArmError: it is required and not permitted; names the remedy.
    """
    level = raise_priority()
    if required and level != "fifo":
        raise ArmError(
            f"The {role} may not use SCHED_FIFO, which a real arm needs: {REMEDY}; or accept late commands "
            "with env.arm.server.require_realtime=false"
        )
    lock_memory()
    if level == "fifo":
        return Granted(level)
    instead = f"nice {NICE} instead" if level == "nice" else "no priority at all"
    return Granted(level, f"the {role} runs with {instead}: SCHED_FIFO is not permitted; {REMEDY}")


@contextmanager
def control_loop(arm: ArmConfig) -> Iterator[str]:
    """Put this process first while a loop of it commands a served arm, and back among the others after it.

    Every program that moves an arm claims its priority here: `Session` for the loops that drive episodes. An
    arm in lockstep waits for its loop and needs none.

    Args:
        arm: which is to be moved.

    Yields:
        What is missing and how to get it, in one line; "" when nothing is.

    Raises:
        ArmError: a real arm is to be moved without SCHED_FIFO; names the remedy.
    """
    if not arm.served:
        yield ""
        return
    granted = claim("control loop", required=arm.needs_realtime)
    try:
        yield granted.warning
    finally:
        lower_priority()


def lower_priority() -> None:
    """Undo what `raise_priority` did for this process; its memory stays where it is."""
    for task in Path("/proc/self/task").iterdir():
        with suppress(ProcessLookupError):  # it has ended meanwhile
            thread = int(task.name)
            if os.sched_getscheduler(thread) == os.SCHED_FIFO:
                os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))
            elif os.getpriority(os.PRIO_PROCESS, thread) == NICE:
                os.setpriority(os.PRIO_PROCESS, thread, 0)


def raise_priority(*, alone: bool = False) -> Level:
    """The best priority that this process can get, for its threads of now and later.

    Args:
        alone: only for the calling thread, and not for those that it starts.
    """
    threads = [0] if alone else [int(task.name) for task in Path("/proc/self/task").iterdir()]
    policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK if alone else os.SCHED_FIFO
    with suppress(PermissionError):
        for thread in threads:
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.sched_setscheduler(thread, policy, os.sched_param(FIFO_PRIORITY))
        return "fifo"
    with suppress(PermissionError):
        for thread in threads:
            with suppress(ProcessLookupError):
                os.setpriority(os.PRIO_PROCESS, thread, NICE)  # on Linux: of that thread
        return "nice"
    return "plain"


def kernel_is_realtime() -> bool:
    """Whether the kernel is a PREEMPT_RT one, by the mark that libfranka goes by."""
    with suppress(OSError):
        return KERNEL_MARK.read_text().strip() == "1"
    return False


def fifo_permitted(priority: int = FIFO_PRIORITY) -> bool:
    """Whether this process may use SCHED_FIFO at a priority; tried in the calling thread, and undone."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
    except OSError:
        return False
    os.sched_setscheduler(0, policy, parameters)
    return True


def lock_memory() -> None:
    """Keep the process's pages in RAM from the moment they are touched, where the system allows it.

    A swapped-out page costs a control loop milliseconds. Not tried under a limit: a later allocation would
    fail there, which is worse.
    """
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY or _may_lock():
        # ONFAULT: thread stacks and arenas are reserved far beyond what is ever used of them.
        ctypes.CDLL(None).mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT)


def _may_lock() -> bool:
    """Whether the process has CAP_IPC_LOCK, to which the limit does not apply."""
    with suppress(OSError, IndexError, ValueError):
        effective = Path("/proc/self/status").read_text().split("CapEff:")[1].split()[0]
        return bool(int(effective, 16) >> _CAP_IPC_LOCK & 1)
    return False
