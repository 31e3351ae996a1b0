"""What every part of the console shares, and how a part adds its routes.

A module of the console offers `routes(site) -> list[RouteSpec]`; `app.py` puts the lists together into the
one table of what may be asked. What is not in the table is refused.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeVar

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from handrail.agent.config import RunConfig
from handrail.intervention.run_directory import RunDirectory
from handrail.launch.console.access import Identity, identity_of
from handrail.launch.console.answers import Busy
from handrail.launch.console.hub import Hub
from handrail.launch.console.lease import Lease
from handrail.launch.console.relay import Relay

Handler = Callable[[Request], Awaitable[Response]]
Role = Literal["public", "viewer", "operator"]
_T = TypeVar("_T")

_THREADS = 4
_MOST_WAITING = 32


@dataclass(frozen=True)
class RouteSpec:
    """One thing that may be asked.

    Attributes:
        path: as Starlette writes it, such as "/api/episodes/{episode:int}".
        method: "GET", which changes nothing, or "POST".
        role: who may ask: "viewer" is anybody signed in, "operator" an operator, "public" everybody.
        handler: `async (request) -> Response`; a `HandrailError` it raises becomes 409 {"error": …}.
        lease: whether it takes the operator who holds the lease.
    """

    path: str
    method: Literal["GET", "POST"]
    role: Role
    handler: Handler
    lease: bool = False


class Site:
    """One console. Belongs to its event loop.

    Args:
        run: what is shown.
        config: the run's configuration.
        hub: live state.
        relay: the way to the control loop.
        lease: who may act.
    """

    def __init__(self, run: RunDirectory, config: RunConfig, hub: Hub, relay: Relay, lease: Lease) -> None:
        self.run, self.config, self.hub, self.relay, self.lease = run, config, hub, relay, lease
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="disk")
        self._asked = 0
        self._closers: list[Callable[[], None]] = []

    def who(self, request: HTTPConnection) -> Identity:
        """Who asks; only in handlers of routes that are not public."""
        return identity_of(request)

    async def blocking(self, function: Callable[..., _T], *args: object) -> _T:
        """Run what waits for a disk or a database in a thread.

        Raises:
            Busy: too many wait already.
        """
        if self._asked >= _MOST_WAITING:
            raise Busy(f"{self._asked} requests wait for the disk, limit {_MOST_WAITING}; ask again shortly")
        self._asked += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)
        finally:
            self._asked -= 1

    def on_close(self, release: Callable[[], None]) -> None:
        """Have a part of the console release what it holds when the console ends."""
        self._closers.append(release)

    def close(self) -> None:
        """Take no more work; what runs is left to end by itself."""
        for release in self._closers:
            release()
        self._threads.shutdown(wait=False, cancel_futures=True)
