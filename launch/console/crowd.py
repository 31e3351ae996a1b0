"""How many connections there may be, by whose they are: nobody's number shuts anybody else out.

Whoever has not signed in, who looks on, and who operates are counted apart, and open sockets apart from
requests: all of them together are fewer than the files a process may have open, and whatever strangers and
viewers do, an operator has room. Where one too many comes, whoever has most loses the oldest; but a session
that has enough sockets gets no other, lest a page that nobody looks at puts out the one that drives.
"""

from collections import Counter
from typing import Protocol

from handrail.launch.console.access import Identity

MOST_STRANGERS = 64
"""Connections that have not signed in."""
MOST_KNOWN = 64
"""Connections for requests of all viewers together; of all operators as many."""
MOST_SOCKETS = 64
"""Open sockets of all viewers together; of all operators as many."""
MOST_OF_ONE = 24
"""Open sockets of one session: seven pages in one browser that show everything, and one that drives."""


class Member(Protocol):
    """A connection that may have to go for another."""

    @property
    def peer(self) -> str:
        """Whose machine it is from."""
        ...

    def drop(self) -> None:
        """End it at once."""
        ...


class Room:
    """Connections of one kind, of which so many may be open. Belongs to one event loop.

    Args:
        most: connections in all.
        most_of_one: of one session, which gets no others; None for as many as there is room for.
    """

    def __init__(self, most: int, most_of_one: int | None = None) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._members: dict[Member, str] = {}  # whose session; the oldest first

    def enter(self, member: Member, sid: str = "") -> None:
        """One more; it may have to go at once, or another for it."""
        self._members[member] = sid
        if self._most_of_one is not None and Counter(self._members.values())[sid] > self._most_of_one:
            self._put_out(member)
        if len(self._members) > self._most:
            self._put_out(self._superfluous())

    def leave(self, member: Member) -> None:
        """It has gone, or is in another room; harmless when it has left already."""
        self._members.pop(member, None)

    def _superfluous(self) -> Member:
        """The oldest of the session that has most, of the machine that has most."""
        peers = Counter(each.peer for each in self._members)
        peer = max(peers, key=lambda each: peers[each])
        sids = Counter(sid for each, sid in self._members.items() if each.peer == peer)
        most = max(sids, key=lambda sid: sids[sid])
        return next(each for each, sid in self._members.items() if (each.peer, sid) == (peer, most))

    def _put_out(self, member: Member) -> None:
        self.leave(member)
        member.drop()


class Crowd:
    """Every connection in the room where it belongs. Belongs to one event loop."""

    def __init__(self) -> None:
        roles = ("operator", "viewer")
        self._strangers = Room(MOST_STRANGERS)
        self._known = {role: Room(MOST_KNOWN) for role in roles}
        self._sockets = {role: Room(MOST_SOCKETS, MOST_OF_ONE) for role in roles}
        self._rooms: dict[Member, Room] = {}

    def meet(self, member: Member) -> None:
        """Somebody comes, who has not signed in as far as is known."""
        self._put(member, self._strangers, "")

    def know(self, member: Member, identity: Identity) -> None:
        """It brings requests of somebody who has signed in."""
        self._put(member, self._known[identity.role], identity.sid)

    def host(self, member: Member, identity: Identity) -> None:
        """It is an open socket of somebody who has signed in."""
        self._put(member, self._sockets[identity.role], identity.sid)

    def leave(self, member: Member) -> None:
        """It has gone; harmless when it has left already."""
        room = self._rooms.pop(member, None)
        if room is not None:
            room.leave(member)

    def _put(self, member: Member, room: Room, sid: str) -> None:
        if self._rooms.get(member) is room:
            return
        self.leave(member)
        self._rooms[member] = room
        room.enter(member, sid)
