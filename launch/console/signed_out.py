"""The sessions that have been signed out, also those of a console that has died since.

A supervisor starts a console again with the same tokens, and then a cookie is as good as before: without
this, so would be one whose owner has signed out.
"""

import time
from pathlib import Path

import structlog

COOKIE_S = 7 * 24 * 3600
"""How long a cookie is good at most [s]; what was signed out longer ago needs no remembering."""


class SignedOut:
    """The ids of sessions that are known no more.

    Args:
        file: where they are kept, a line each; None keeps them in memory alone.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._sids = set() if file is None else _kept(file)

    def __contains__(self, sid: str) -> bool:
        return sid in self._sids

    def add(self, sid: str) -> None:
        """Know a session no more. Where it cannot be kept, it holds for as long as this console lives."""
        self._sids.add(sid)
        if self._file is None:
            return
        try:
            with self._file.open("a", encoding="utf-8") as lines:
                lines.write(f"{sid}\n")
        except OSError as error:
            structlog.get_logger().warning("a sign-out is not kept", file=str(self._file), error=str(error))


def _kept(file: Path) -> set[str]:
    """What the file says, unless every cookie of its time has run out: it begins anew then."""
    try:
        if time.time() - file.stat().st_mtime > COOKIE_S:
            file.unlink()
            return set()
        return set(file.read_text(encoding="utf-8").split())
    except FileNotFoundError:
        return set()
    except OSError as error:
        structlog.get_logger().warning("the sign-outs cannot be read", file=str(file), error=str(error))
        return set()
