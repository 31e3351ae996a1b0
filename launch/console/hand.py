"""`/ws/hand`: the operator's hand, from a browser to the control loop.

What is too old is dropped here already: a hand of 200 ms ago must not move an arm. The control loop judges
age, order and deadman once more.
"""

import asyncio
import itertools
import time

import msgspec
from starlette.websockets import WebSocket

from handrail.intervention.console.messages import Hand
from handrail.launch.console import wire
from handrail.launch.console.access import Identity
from handrail.launch.console.site import Site

OLDEST_S = 0.15
NO_LEASE = 4403
REPLACED = 4409
_NEUTRAL = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


class _Hold:
    """One page's hold on the control loop, until it is ended.

    Args:
        identity: whose page it is.
    """

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.drove = False
        self.ended: tuple[int, str] | None = None
        self._end = asyncio.Event()

    def end(self, code: int, why: str) -> None:
        """End it; its socket is closed with this."""
        self.ended = self.ended or (code, why)
        self._end.set()

    async def until_ended(self) -> None:
        """Wait for its end."""
        await self._end.wait()


class Hands:
    """Takes one hand at a time: that of the lease's holder, from the page that came last.

    Args:
        site: the console.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._hold: _Hold | None = None
        # A console that is started again goes on beyond where the last one can have been.
        self._sequence = itertools.count(time.monotonic_ns() // 1_000_000)
        site.lease.told.append(self._look)

    async def serve(self, socket: WebSocket) -> None:
        """One page's hand, until it leaves, loses the lease, or another page takes over."""
        hold = _Hold(self._site.who(socket))
        await socket.accept()
        if self._site.lease.refusal(hold.identity):
            await socket.close(NO_LEASE, "no lease")
            return
        if self._hold is not None:
            self._hold.end(REPLACED, "another page drives now")
        self._hold = hold
        try:
            with self._site.lease.present(hold.identity):
                await wire.until_any(self._receive(socket, hold), hold.until_ended())
        finally:
            if hold.drove:  # whoever goes lets go
                self._tell(hold, time.monotonic_ns(), _NEUTRAL, drive=False)
            if self._hold is hold:
                self._hold = None
        if hold.ended is not None:
            await wire.farewell(socket, *hold.ended)

    def _look(self) -> None:
        """The lease has changed hands."""
        if self._hold is not None and self._site.lease.refusal(self._hold.identity):
            self._hold.end(NO_LEASE, "no lease")

    async def _receive(self, socket: WebSocket, hold: _Hold) -> None:
        decoder = msgspec.json.Decoder(wire.HandNow)
        last = -1
        while hold.ended is None:
            now = await wire.receive(socket, decoder)
            if now is None or now.sequence <= last or hold.ended is not None:
                continue
            last = now.sequence
            if now.drive or now.held:
                self._site.lease.act(hold.identity)
            if (t_ns := _fresh(now)) is not None:
                self._tell(hold, t_ns, now.twist, now.drive, tuple(now.held))

    def _tell(
        self, hold: _Hold, t_ns: int, twist: wire.Twist, drive: bool, held: tuple[str, ...] = ()
    ) -> None:
        hold.drove = drive or bool(held)
        hand = Hand(hold.identity.name, next(self._sequence), t_ns, twist, drive, held)
        self._site.relay.send(hand)


def _fresh(now: wire.HandNow) -> int | None:
    """When the hand was like this [ns]; None when that is too long ago, or yet to come."""
    t_ns, clock_ns = wire.nanoseconds(now.t_ms), time.monotonic_ns()
    if t_ns is None or abs(clock_ns - t_ns) > OLDEST_S * 1e9:
        return None
    return min(t_ns, clock_ns)
