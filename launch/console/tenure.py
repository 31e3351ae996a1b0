"""Who has a run, by its locks: what tells one session from the next."""

from handrail.intervention.run_directory import RunDirectory
from handrail.launch.driven import taken

_NOBODY = ("", "")
_ROLES = ("supervisor", "actor")  # whoever has a supervisor is not asked for the actor


class Tenure:
    """Looks at the locks again and again.

    Args:
        run: the run's directory.

    Attributes:
        session: the last one that had the run: differs from every other one's; "" before the first.
    """

    def __init__(self, run: RunDirectory) -> None:
        self.session = ""
        self._run = run
        self._holder: tuple[str, str] | None = None

    @property
    def looked(self) -> bool:
        """Whether there has been a look."""
        return self._holder is not None

    @property
    def free(self) -> bool:
        """Whether nobody had the run at the last look."""
        return self._holder == _NOBODY

    def look(self) -> bool:
        """Look now; whether a session has the run that had not at the last look.

        An actor that its supervisor left behind is none of its own.
        """
        before, self._holder = self._holder, self._find()
        role, _ = self._holder
        left_behind = before is not None and (before[0], role) == ("supervisor", "actor")
        if self.free or self._holder == before or left_behind:
            return False
        self.session = "-".join(self._holder)
        return True

    def _find(self) -> tuple[str, str]:
        for role in _ROLES:
            if since := taken(self._run, role):
                return role, since
        return _NOBODY
