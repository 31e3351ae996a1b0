"""Which runs somebody drives now, found out without touching their locks: a look must not be in the way."""

from pathlib import Path

from handrail.intervention.run_directory import RunDirectory
from handrail.launch import runs

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


def driven(root: str) -> list[str]:
    """The runs under `root` whose arm and cameras a control loop has now."""
    return [name for name in runs.existing(root) if holds(RunDirectory(Path(root) / name), "actor")]
