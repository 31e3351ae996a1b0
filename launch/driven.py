"""Which runs somebody drives now, found out without touching their locks: a look must not be in the way."""

from pathlib import Path

from handrail.intervention.run_directory import RunDirectory
from handrail.launch import runs
from handrail.launch.rig.about import SCRATCH

_LOCKS = Path("/proc/locks")


def holds(run: RunDirectory, role: str) -> bool:
    """Whether some process has a role ("actor", "learner", …) of a run now.

    The kernel lists every lock by the number of its file (proc(5)). Trying the lock would take it for a
    moment, in which whoever it belongs to would be refused.
    """
    try:
        wanted = (run.path / f"{role}.lock").stat().st_ino
        lines = _LOCKS.read_text().splitlines()
    except OSError:
        return False
    # "7: FLOCK  ADVISORY  WRITE 24523 fe:00:2367768 0 EOF"; one who waits has "->" in the second place.
    taken = (line.split() for line in lines)
    return any(
        words[1] == "FLOCK" and words[5].rpartition(":")[2] == str(wanted)
        for words in taken
        if len(words) > 5
    )


def taken(run: RunDirectory, role: str) -> str:
    """When whoever has a role of a run now took it, so that they can be told from others; "" for nobody.

    The lock's file is written by its holder, once.
    """
    if not holds(run, role):
        return ""
    try:
        return str((run.path / f"{role}.lock").stat().st_mtime_ns)
    except OSError:
        return ""


def driven(root: str) -> list[str]:
    """The runs under `root` whose arm and cameras somebody has now: a control loop, or a station's set-up."""
    names = (*runs.existing(root), SCRATCH)
    return [name for name in names if holds(RunDirectory(Path(root) / name), "actor")]
