"""One HTTP session with a SERL server, on a thread of its own.

Its callers are control threads that must never wait on a network. So all traffic runs on one event loop in
one thread: there a deadline covers a whole call, connecting and the last byte included, and a call can be
given up. A server that trickles, or answers endlessly, meets the same deadline and a size limit.
"""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

import msgspec

from handrail.robot_env.errors import ArmError

T = TypeVar("T")

REPLY_BYTES = 1 << 20
"""Longest reply that is read [bytes]."""


class SerlRefusal(ArmError):
    """The server is there and answered with a status that says no."""


class SerlSession:
    """Calls a SERL server. Make it, `open` it, `close` it; both may be called from any thread.

    Args:
        url: the server's address.
        deadline_s: longest that a call may take, unless it says otherwise [s].
    """

    def __init__(self, url: str, deadline_s: float) -> None:
        import httpx  # A tenth of a second of imports, which no setting should cost.

        self._errors = (httpx.HTTPError, httpx.InvalidURL, OSError)
        self._url = url if url.endswith("/") else url + "/"
        self._deadline_s = deadline_s
        # No proxy of the environment's stands between a program and its robot.
        self._make = lambda: httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=None)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Start the thread. Nothing is sent yet."""
        if self._thread is not None:
            return
        self._client = self._make()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="serl-http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give up every call, end the thread and close the connections. Safe to call twice."""
        thread, self._thread = self._thread, None
        loop = self._loop
        if thread is None or loop is None:
            return
        asyncio.run_coroutine_threadsafe(self._give_up(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        self._loop = None

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run a coroutine on the session's thread.

        Raises:
            ArmError: the session is not open.
        """
        if self._loop is None:
            coroutine.close()
            raise ArmError("the SERL session is not open; call connect() first")
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def notify(self, event: asyncio.Event) -> None:
        """Set an event of the session's thread, from another; lost when the session is closed."""
        loop = self._loop
        if loop is not None and self._thread is not None:
            loop.call_soon_threadsafe(event.set)

    def request(self, name: str, payload: object = None, deadline_s: float | None = None) -> bytes:
        """`call`, from another thread, waiting for the reply.

        Raises:
            ArmError: as `call`.
        """
        return self.wait(self.call(name, payload, deadline_s), name)

    def wait(self, coroutine: Coroutine[Any, Any, T], name: str) -> T:
        """Run a coroutine on the session's thread and wait for it, from another; `name` goes into errors.

        Raises:
            ArmError: as the coroutine, or the session is not open or was closed.
        """
        try:
            return self.submit(coroutine).result()
        except CancelledError as error:
            raise ArmError(self._message(name, "given up, because the session was closed")) from error

    async def call(self, name: str, payload: object = None, deadline_s: float | None = None) -> bytes:
        """POST to `name` and return the reply's body; only on the session's thread.

        Args:
            name: the endpoint, without slashes.
            payload: sent as JSON; None sends an empty body.
            deadline_s: longest that the whole call may take [s]; None for the session's.

        Raises:
            SerlRefusal: it answered with another status than 200.
            ArmError: no connection, no reply in time, or a reply that is too long.
        """
        deadline_s = self._deadline_s if deadline_s is None else deadline_s
        content = b"" if payload is None else msgspec.json.encode(payload)
        headers = {} if payload is None else {"content-type": "application/json"}
        try:
            async with (
                asyncio.timeout(deadline_s),
                self._client.stream("POST", self._url + name, content=content, headers=headers) as reply,
            ):
                body = bytearray()
                async for chunk in reply.aiter_raw():
                    body += chunk
                    if len(body) > REPLY_BYTES:
                        raise ArmError(self._message(name, f"a reply of over {REPLY_BYTES} bytes"))
        except TimeoutError as error:
            raise ArmError(self._message(name, f"no answer within {deadline_s} s")) from error
        except self._errors as error:
            reason = str(error) or type(error).__name__
            raise ArmError(self._message(name, reason)) from error
        if reply.status_code != 200:
            text = bytes(body[:200]).decode(errors="replace").strip().splitlines()
            said = f"HTTP {reply.status_code} {text[0] if text else ''}".strip()
            raise SerlRefusal(self._message(name, said))
        return bytes(body)

    def _message(self, name: str, reason: str) -> str:
        return f"SERL server {self._url}{name}: {reason}"

    async def _give_up(self) -> None:
        calls = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in calls:
            task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await self._client.aclose()
