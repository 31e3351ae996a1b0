"""The operator's lease: of all who look on, one acts.

It belongs to a session, not to a socket: every tab of the holder's browser may act, and a page that is loaded
again still does. It ends when the holder gives it back, or a few seconds after their last socket has closed;
and once nothing has been done with it for some minutes, another operator may take it.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from handrail.launch.console.access import Identity

GRACE_S = 5.0
"""How long a holder without any socket keeps it [s]: as long as a page takes to load again."""
IDLE_S = 300.0
"""How long a holder may do nothing before somebody else may take it [s]."""


class Lease:
    """Who may act. Belongs to one thread.

    Args:
        now: a monotonic clock [s].

    Attributes:
        told: called whenever another holds it, or nobody.
        taken: called when it has been taken from somebody who did nothing, with them and whoever has it now.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.told: list[Callable[[], None]] = []
        self.taken: list[Callable[[Identity, Identity], None]] = []
        self._now = now
        self._holder: Identity | None = None
        self._sockets: Counter[str] = Counter()
        self._left_at: float | None = None
        self._acted_at = 0.0

    @property
    def holder(self) -> Identity | None:
        """Who holds it now; None for nobody."""
        self.expire()
        return self._holder

    def held_by(self, identity: Identity) -> bool:
        """Whether this session holds it."""
        holder = self.holder
        return holder is not None and holder.sid == identity.sid

    def claim(self, identity: Identity) -> str:
        """Take it if it is free; returns why not, "" when it is theirs (now or already)."""
        if identity.role != "operator":
            return "a viewer looks on; sign in with the operator's token to act"
        holder = self.holder
        if holder is not None and holder.sid != identity.sid:
            idle_s = self._now() - self._acted_at
            if idle_s < IDLE_S:
                return (
                    f"{holder.name} is at the controls; ask them to release, or take the controls "
                    f"in {math.ceil((IDLE_S - idle_s) / 60)} min if they do nothing until then"
                )
            self._take(identity)
            for each in self.taken:
                each(holder, identity)
        elif holder is None:
            self._take(identity)
        return ""

    def act(self, identity: Identity) -> str:
        """Somebody is about to act; returns why they may not, as `refusal` does."""
        why = self.refusal(identity)
        if not why:
            self._acted_at = self._now()
        return why

    def release(self, identity: Identity) -> None:
        """Give it back; nothing happens to somebody else's."""
        if self.held_by(identity):
            self._give(None)

    def refusal(self, identity: Identity) -> str:
        """Why this session may not act now; "" when it may."""
        if identity.role != "operator":
            return "a viewer looks on; sign in with the operator's token to act"
        if self.held_by(identity):
            return ""
        holder = self.holder
        return "take the controls first" if holder is None else f"{holder.name} is at the controls"

    @contextmanager
    def present(self, identity: Identity) -> Iterator[None]:
        """While the block runs, the session has a socket."""
        sid = identity.sid
        self._sockets[sid] += 1
        if self._holder is not None and self._holder.sid == sid:
            self.expire()
            self._left_at = None
        try:
            yield
        finally:
            self._sockets[sid] -= 1
            if not self._sockets[sid]:
                del self._sockets[sid]
                if self._holder is not None and self._holder.sid == sid:
                    self._left_at = self._now()

    def expire(self) -> None:
        """End it when its holder has been gone for too long; call it now and then."""
        if self._left_at is not None and self._now() - self._left_at > GRACE_S:
            self._give(None)

    def _take(self, identity: Identity) -> None:
        self._give(identity, None if identity.sid in self._sockets else self._now())

    def _give(self, identity: Identity | None, left_at: float | None = None) -> None:
        self._holder, self._left_at, self._acted_at = identity, left_at, self._now()
        for each in self.told:
            each()
