"""`/ws/live`: everything but pictures and the hand, both ways, as JSON text."""

import asyncio

import msgspec
import structlog
from starlette.websockets import WebSocket

from handrail.intervention.console import messages
from handrail.intervention.console.client import DeskSilent
from handrail.intervention.console.messages import Ack
from handrail.launch.console import wire
from handrail.launch.console.access import Identity
from handrail.launch.console.audience import Listener, message
from handrail.launch.console.hub import server_ms
from handrail.launch.console.site import Site
from handrail.launch.console.stopping import Stopper

TOO_SLOW = 1013
_AT_ONCE = 64  # commands of one session that are under way


class Live:
    """Serves every page's `/ws/live`.

    Args:
        site: the console.
        stopper: takes a stop's own way.
    """

    def __init__(self, site: Site, stopper: Stopper) -> None:
        self._site, self._stopper = site, stopper
        self._under_way: dict[asyncio.Task[None], str] = {}  # and whose session has asked
        site.lease.told.append(self.tell_lease)
        site.lease.taken.append(self._tell_taken)
        site.hub.on_tick = site.lease.expire

    async def serve(self, socket: WebSocket) -> None:
        """One page, from its greeting to its end."""
        site = self._site
        listener = Listener(site.who(socket))
        await socket.accept()
        with site.lease.present(listener.identity):
            me = {"role": listener.identity.role, "name": listener.identity.name}
            listener.tell(message("hello", **me, **site.hub.hello()))
            listener.tell(self._lease_message(listener.identity))
            for text in site.hub.greeting():
                listener.tell(text)
            site.hub.audience.join(listener)
            try:
                await wire.until_any(
                    self._send(socket, listener), self._receive(socket, listener), listener.until_dropped()
                )
            finally:
                site.hub.audience.leave(listener)
                site.hub.tell_watch()
        if listener.dropped:
            await wire.farewell(socket, TOO_SLOW, "too slow")

    def tell_lease(self) -> None:
        """Tell everybody who acts now."""
        for listener in self._site.hub.audience:
            listener.tell(self._lease_message(listener.identity))

    def _tell_taken(self, before: Identity, now: Identity) -> None:
        """Somebody has taken the controls from another who did nothing: tell that one."""
        for listener in self._site.hub.audience:
            if listener.identity.sid == before.sid:
                why = f"{now.name} has taken the controls: nothing was done with them here"
                listener.tell(message("error", why=why))

    def _lease_message(self, identity: Identity) -> str:
        holder = self._site.lease.holder
        mine = holder is not None and holder.sid == identity.sid
        return message("lease", holder=holder.name if holder is not None else None, mine=mine)

    async def _send(self, socket: WebSocket, listener: Listener) -> None:
        while True:
            await socket.send_text(await listener.waiting.get())

    async def _receive(self, socket: WebSocket, listener: Listener) -> None:
        decoder = msgspec.json.Decoder(wire.FromPage)
        while True:
            match await wire.receive(socket, decoder):
                case wire.Ping(t=t):
                    listener.tell(message("pong", t=t, server_ms=server_ms()))
                case wire.Claim():
                    if why := self._site.lease.claim(listener.identity):
                        listener.tell(message("error", why=why))
                case wire.Release():
                    self._site.lease.release(listener.identity)
                case wire.Watch() as wish:
                    self._note(listener, wish)
                case wire.Command(verb=verb) as asked:
                    # A stop is never one too many.
                    sid = listener.identity.sid
                    if list(self._under_way.values()).count(sid) >= _AT_ONCE and verb != "stop":
                        listener.tell(_answer(Ack(asked.id, "refused", "too many commands at once")))
                        continue
                    # It is carried out to its end, even if the page leaves meanwhile.
                    task = asyncio.create_task(self._obey(listener, asked))
                    self._under_way[task] = sid
                    task.add_done_callback(self._under_way.pop)

    def _note(self, listener: Listener, wish: wire.Watch) -> None:
        held = self._site.lease.held_by(listener.identity)
        before = listener.fps, listener.real_time
        listener.fps, listener.real_time = wish.fps, wish.real_time and held
        if (listener.fps, listener.real_time) != before:
            self._site.hub.tell_watch()

    async def _obey(self, listener: Listener, asked: wire.Command) -> None:
        try:
            listener.tell(_answer(await self._act(listener.identity, asked)))
        except DeskSilent as silence:
            why = str(silence)
        except Exception as error:
            structlog.get_logger().exception("command", verb=asked.verb)
            kind = type(error).__name__
            why = f"unexpected {kind} (the console's log has more): whether it was done is not known"
        else:
            return
        listener.tell(message("ack", id=asked.id, status="silent", why=why, repeated=False))

    async def _act(self, identity: Identity, asked: wire.Command) -> Ack:
        stops = asked.verb == "stop" and identity.role == "operator"
        why = "" if stops else self._site.lease.act(identity)
        issued_ns = wire.nanoseconds(asked.issued_ms)
        if issued_ns is None:
            why = why or "issued_ms is no time"
        if why or issued_ns is None:
            return Ack(asked.id, "refused", why)
        command = messages.Command(
            id=asked.id,
            verb=asked.verb,
            who=identity.name,
            issued_ns=issued_ns,
            ttl_ms=asked.ttl_ms,
            episode=asked.episode,
            label=asked.label,
            step=asked.step,
            why=asked.why,
        )
        return await (self._stopper.stop(command) if stops else self._site.relay.ask(command))


def _answer(ack: Ack) -> str:
    return message("ack", id=ack.id, status=ack.status, why=ack.why, repeated=ack.repeated)
